#include "lib/http/url.h"

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "curl/curl.h"

namespace certwright::http {
namespace {

struct UrlCleanup {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Parsed = std::unique_ptr<CURLU, UrlCleanup>;

constexpr uint16_t DefaultPort(bool https) { return https ? 443 : 80; }

std::string Part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

// libcurl lets more pass.
bool HasOnlyUrlCharacters(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c)) &&
           !absl::StrContains("\"<>\\^`{|}", c);
  });
}

// Whether the host that follows "//" is there, and spelled without escapes and users. libcurl
// also takes one slash or three, and decodes escapes.
bool HasPlainAuthority(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "//")) return false;
  const absl::string_view authority = text.substr(0, text.find_first_of("/?#"));
  return !authority.empty() && authority.find_first_of("%@") == absl::string_view::npos;
}

bool IsPlainReference(absl::string_view text) {
  if (text.empty() || text.size() > kMaxUrlBytes || !HasOnlyUrlCharacters(text)) return false;
  // RFC 3986 §4.2: in a relative reference no colon comes before the first slash.
  const std::size_t colon = text.find(':');
  if (colon < text.find_first_of("/?#")) return HasPlainAuthority(text.substr(colon + 1));
  return !absl::StartsWith(text, "//") || HasPlainAuthority(text);
}

bool Set(const Parsed& url, absl::string_view text) {
  return url != nullptr && curl_url_set(url.get(), CURLUPART_URL, std::string(text).c_str(),
                                        CURLU_DISALLOW_USER) == CURLUE_OK;
}

std::optional<Url> Read(const Parsed& parsed) {
  Url url;
  const std::string scheme = Part(parsed.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return std::nullopt;
  url.https = scheme == "https";
  url.host = absl::AsciiStrToLower(Part(parsed.get(), CURLUPART_HOST));
  if (url.host.empty()) return std::nullopt;
  curl_url_set(parsed.get(), CURLUPART_HOST, url.host.c_str(), 0);
  if (url.host.front() == '[') url.host = url.host.substr(1, url.host.size() - 2);
  int port = 0;
  if (!absl::SimpleAtoi(Part(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT), &port) ||
      port < 1 || port > 65535) {
    return std::nullopt;
  }
  url.port = static_cast<uint16_t>(port);
  curl_url_set(parsed.get(), CURLUPART_FRAGMENT, nullptr, 0);
  url.text = Part(parsed.get(), CURLUPART_URL);
  if (url.text.empty() || url.text.size() > kMaxUrlBytes) return std::nullopt;
  return url;
}

}  // namespace

std::string Url::Origin() const {
  const std::string authority =
      absl::StrContains(host, ':') ? absl::StrCat("[", host, "]") : host;
  const absl::string_view scheme = https ? "https://" : "http://";
  if (port == DefaultPort(https)) return absl::StrCat(scheme, authority);
  return absl::StrCat(scheme, authority, ":", port);
}

std::optional<Url> ParseUrl(absl::string_view text) {
  const bool absolute = text.find(':') < text.find_first_of("/?#");
  if (!absolute || !IsPlainReference(text)) return std::nullopt;
  const Parsed parsed(curl_url());
  if (!Set(parsed, text)) return std::nullopt;
  return Read(parsed);
}

std::optional<Url> ResolveUrl(const Url& base, absl::string_view reference) {
  if (!IsPlainReference(reference)) return std::nullopt;
  const Parsed parsed(curl_url());
  if (!Set(parsed, base.text) || !Set(parsed, reference)) return std::nullopt;
  return Read(parsed);
}

}  // namespace certwright::http
