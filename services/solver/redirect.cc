#include "services/solver/redirect.h"

#include "boost/url/parse.hpp"
#include "boost/url/url.hpp"
#include "boost/url/url_view.hpp"

namespace certwright::solver {
namespace {

constexpr std::size_t kMaxUrlBytes = 2048;

boost::urls::string_view View(absl::string_view text) { return {text.data(), text.size()}; }

absl::Status NoUrl() {
  return absl::InvalidArgumentError("redirects to what is no http or https URL");
}

absl::StatusOr<HttpTarget> ToTarget(boost::urls::url url) {
  url.remove_fragment();
  url.normalize_scheme();
  if (url.scheme() != "http" && url.scheme() != "https") return NoUrl();
  if (url.host().empty() || url.has_userinfo()) return NoUrl();
  HttpTarget target;
  target.https = url.scheme() == "https";
  target.port = url.has_port() && !url.port().empty() ? url.port_number()
                : target.https                        ? 443
                                                      : 80;
  if (target.port == 0) return NoUrl();
  target.host = std::string(url.host_address());
  target.url = std::string(url.buffer());
  return target;
}

}  // namespace

absl::StatusOr<HttpTarget> ParseHttpTarget(absl::string_view url) {
  if (url.size() > kMaxUrlBytes) return NoUrl();
  const auto parsed = boost::urls::parse_uri(View(url));
  if (parsed.has_error()) return NoUrl();
  return ToTarget(boost::urls::url(*parsed));
}

absl::StatusOr<HttpTarget> ResolveRedirect(absl::string_view base, absl::string_view location) {
  if (location.size() > kMaxUrlBytes) return NoUrl();
  const auto from = boost::urls::parse_uri(View(base));
  const auto to = boost::urls::parse_uri_reference(View(location));
  if (from.has_error() || to.has_error()) return NoUrl();
  boost::urls::url resolved(*from);
  const auto done = resolved.resolve(*to);
  if (done.has_error()) return NoUrl();
  return ToTarget(std::move(resolved));
}

}  // namespace certwright::solver
