#include "lib/http/proxy.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/status_macros.h"
#include "lib/http/url.h"
#include "lib/pki/names.h"

namespace certwright::http {
namespace {

bool IsAtOrBelow(absl::string_view host, absl::string_view name) {
  return absl::ConsumeSuffix(&host, name) && (host.empty() || host.back() == '.');
}

}  // namespace

absl::StatusOr<Proxy> Proxy::Make(absl::string_view url,
                                  const std::vector<std::string>& no_proxy) {
  const std::optional<Url> parsed = ParseUrl(url);
  if (!parsed.has_value() || parsed->text != absl::StrCat(parsed->Origin(), "/")) {
    return absl::InvalidArgumentError(
        "url: must be like \"http://proxy.example:3128\": http or https, a host and a port, "
        "without user, password and path");
  }
  Proxy proxy;
  const bool v6 = absl::StrContains(parsed->host, ':');
  proxy.port_ = parsed->port;
  proxy.url_ = absl::StrCat(parsed->https ? "https://" : "http://", v6 ? "[" : "", parsed->host,
                            v6 ? "]" : "", ":", parsed->port);
  std::vector<std::string> ranges;
  for (std::size_t i = 0; i < no_proxy.size(); ++i) {
    if (AddressRanges::Parse({no_proxy[i]}).ok()) {
      ranges.push_back(no_proxy[i]);
      continue;
    }
    absl::StatusOr<std::string> name =
        pki::NormalizeDnsName(absl::StripPrefix(no_proxy[i], "."));
    if (!name.ok() || absl::StartsWith(*name, "*")) {
      return absl::InvalidArgumentError(
          absl::StrCat("noProxy[", i,
                       "]: must be a host name, an address or a range of addresses such as "
                       "10.0.0.0/8"));
    }
    proxy.direct_names_.push_back(*std::move(name));
  }
  CW_ASSIGN_OR_RETURN(proxy.direct_ranges_, AddressRanges::Parse(ranges));
  return proxy;
}

bool Proxy::Serves(absl::string_view host) const {
  // libcurl asks for "name." what "name" is.
  host = absl::StripSuffix(host, ".");
  return !direct_ranges_.Contains(host) &&
         std::none_of(direct_names_.begin(), direct_names_.end(),
                      [host](const std::string& name) { return IsAtOrBelow(host, name); });
}

}  // namespace certwright::http
