#include "services/issuer/jws_policy.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "boost/url/parse.hpp"

namespace certwright::issuer_service {
namespace {

// Scheme, host and port; empty for what is no absolute URL.
std::string Origin(absl::string_view text) {
  const auto url = boost::urls::parse_absolute_uri({text.data(), text.size()});
  if (!url.has_value() || url->host().empty()) return "";
  return std::string(url->encoded_origin().data(), url->encoded_origin().size());
}

}  // namespace

absl::Status CheckJwsUrl(absl::string_view url, JwsCaller caller,
                         const acme::Directory& directory, absl::string_view directory_url,
                         absl::string_view account_url) {
  const std::string origin = Origin(url);
  if (origin.empty() ||
      (origin != Origin(directory_url) && origin != Origin(directory.new_order))) {
    return absl::PermissionDeniedError("url: is not one of the account's CA");
  }
  // Below the account's URL are, for example, its orders; it is the URL itself that counts.
  if (url == account_url || url == directory.new_account || url == directory.key_change ||
      url == directory.revoke_cert) {
    return absl::PermissionDeniedError(
        "url: requests about the account itself and revocations are not signed for others");
  }
  if (url == directory.new_order && caller == JwsCaller::kSolver) {
    return absl::PermissionDeniedError("url: only the order service may place orders");
  }
  return absl::OkStatus();
}

}  // namespace certwright::issuer_service
