#include "services/issuer/jws_policy.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "lib/http/url.h"

namespace certwright::issuer_service {
namespace {

// Scheme, host and port; empty for what is no URL.
std::string OriginOf(absl::string_view text) {
  const std::optional<http::Url> url = http::ParseUrl(text);
  return url.has_value() ? url->Origin() : "";
}

// `text` with its percent escapes undone (RFC 3986 §2.1).
std::string Decoded(absl::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    const bool escape = text.size() >= 3 && text[0] == '%' && absl::ascii_isxdigit(text[1]) &&
                        absl::ascii_isxdigit(text[2]);
    decoded += escape ? absl::HexStringToBytes(text.substr(1, 2)) : std::string(1, text[0]);
    text.remove_prefix(escape ? 3 : 1);
  }
  return decoded;
}

// What a URL names at its server, as it is written there but for escapes.
struct Resource {
  // Without parameters (";x"), which some servers take off, and without empty ones.
  std::vector<std::string> segments;
  std::vector<std::string> query;
  // Servers may disagree about the path: it has dots or, be it in a parameter, an encoded
  // slash.
  bool ambiguous = false;
};

// `text` is a URL.
Resource ResourceOf(absl::string_view text) {
  text.remove_prefix(text.find("//") + 2);
  text.remove_prefix(std::min(text.find_first_of("/?"), text.size()));
  Resource resource;
  const std::size_t path_end = std::min(text.find('?'), text.size());
  for (const absl::string_view part : absl::StrSplit(text.substr(0, path_end), '/')) {
    std::string segment = Decoded(part);
    resource.ambiguous |= segment.find_first_of("/\\") != std::string::npos;
    segment.resize(std::min(segment.find(';'), segment.size()));
    resource.ambiguous |= segment == "." || segment == "..";
    if (!segment.empty()) resource.segments.push_back(std::move(segment));
  }
  for (const absl::string_view part :
       absl::StrSplit(text.substr(path_end), absl::ByAnyChar("?&"), absl::SkipEmpty())) {
    resource.query.push_back(Decoded(part));
  }
  return resource;
}

// Whether a server may take `url` for `reserved`: one that ignores parameters or empty segments
// does so for more than the very same text.
bool MayReach(absl::string_view url, absl::string_view reserved) {
  const std::string origin = OriginOf(url);
  if (origin.empty() || origin != OriginOf(reserved)) return false;
  const Resource a = ResourceOf(url);
  const Resource b = ResourceOf(reserved);
  return a.segments == b.segments &&
         std::all_of(b.query.begin(), b.query.end(), [&](const std::string& parameter) {
           return std::find(a.query.begin(), a.query.end(), parameter) != a.query.end();
         });
}

}  // namespace

absl::Status CheckJwsUrl(absl::string_view url, JwsCaller caller,
                         const acme::Directory& directory, absl::string_view directory_url,
                         absl::string_view account_url) {
  const std::string origin = OriginOf(url);
  if (origin.empty() || absl::StrContains(url, '#') ||
      (origin != OriginOf(directory_url) && origin != OriginOf(directory.new_order))) {
    return absl::PermissionDeniedError("url: is not one of the account's CA");
  }
  if (ResourceOf(url).ambiguous) {
    return absl::PermissionDeniedError("url: its path has dots or an encoded slash");
  }
  // Below the account's URL are, for example, its orders; it is the URL itself that counts.
  if (MayReach(url, account_url) || MayReach(url, directory.new_account) ||
      MayReach(url, directory.key_change) || MayReach(url, directory.revoke_cert)) {
    return absl::PermissionDeniedError(
        "url: requests about the account itself and revocations are not signed for others");
  }
  if (caller == JwsCaller::kSolver && MayReach(url, directory.new_order)) {
    return absl::PermissionDeniedError("url: only the order service may place orders");
  }
  return absl::OkStatus();
}

}  // namespace certwright::issuer_service
