#include "services/issuer/jws_policy.h"

#include <utility>
#include <vector>

#include "boost/url/parse.hpp"
#include "boost/url/url.hpp"

namespace certwright::issuer_service {
namespace {

// Scheme, host and port; empty for what is no absolute URL.
std::string Origin(absl::string_view text) {
  const auto url = boost::urls::parse_absolute_uri({text.data(), text.size()});
  if (!url.has_value() || url->host().empty()) return "";
  return std::string(url->encoded_origin().data(), url->encoded_origin().size());
}

std::vector<std::string> Segments(boost::urls::url url) {
  url.normalize();
  std::vector<std::string> segments;
  for (std::string segment : url.segments()) {
    if (!segment.empty()) segments.push_back(std::move(segment));
  }
  return segments;
}

// Whether a server may take `url` for `reserved`: one that ignores queries or empty segments
// does so for more than the very same text.
bool MayReach(absl::string_view url, absl::string_view reserved) {
  const auto a = boost::urls::parse_absolute_uri({url.data(), url.size()});
  const auto b = boost::urls::parse_absolute_uri({reserved.data(), reserved.size()});
  return a.has_value() && b.has_value() && a->encoded_origin() == b->encoded_origin() &&
         Segments(boost::urls::url(*a)) == Segments(boost::urls::url(*b)) &&
         (!b->has_query() || a->encoded_query() == b->encoded_query());
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
