#include "lib/acme/url.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "boost/url/parse.hpp"
#include "boost/url/url_view.hpp"

namespace certwright::acme {
namespace {

constexpr std::size_t kMaxUrlBytes = 2048;

}  // namespace

std::optional<std::string> OriginOf(absl::string_view url) {
  if (url.empty() || url.size() > kMaxUrlBytes) return std::nullopt;
  const auto parsed = boost::urls::parse_uri(boost::urls::string_view(url.data(), url.size()));
  if (!parsed) return std::nullopt;
  const std::string scheme = absl::AsciiStrToLower(
      absl::string_view(parsed->scheme().data(), parsed->scheme().size()));
  if (scheme != "http" && scheme != "https") return std::nullopt;
  if (!parsed->has_authority() || parsed->has_userinfo()) return std::nullopt;
  const auto encoded_host = parsed->encoded_host();
  if (encoded_host.empty()) return std::nullopt;
  const std::string host =
      absl::AsciiStrToLower(absl::string_view(encoded_host.data(), encoded_host.size()));
  const auto port = parsed->port();
  const absl::string_view default_port = scheme == "https" ? "443" : "80";
  const absl::string_view port_text(port.data(), port.size());
  if (port_text.empty() || port_text == default_port) return absl::StrCat(scheme, "://", host);
  return absl::StrCat(scheme, "://", host, ":", port_text);
}

bool IsHttpUrl(absl::string_view url) { return OriginOf(url).has_value(); }

bool IsHttpsUrl(absl::string_view url) {
  const std::optional<std::string> origin = OriginOf(url);
  return origin.has_value() && origin->compare(0, 8, "https://") == 0;
}

bool SameOrigin(absl::string_view a, absl::string_view b) {
  const std::optional<std::string> origin = OriginOf(a);
  return origin.has_value() && origin == OriginOf(b);
}

}  // namespace certwright::acme
