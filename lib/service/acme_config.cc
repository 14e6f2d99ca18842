#include "lib/service/acme_config.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/http/address_ranges.h"
#include "lib/http/proxy.h"

namespace certwright::service {
namespace {

absl::StatusOr<http::AddressRanges> AllowedRanges(const config::v1::Acme& config) {
  return http::AddressRanges::Parse(
      {config.allowed_ranges().begin(), config.allowed_ranges().end()});
}

absl::StatusOr<http::Proxy> ToProxy(const config::v1::Proxy& config) {
  return http::Proxy::Make(config.url(), {config.no_proxy().begin(), config.no_proxy().end()});
}

}  // namespace

std::vector<std::string> ValidateAcme(const config::v1::Acme& config) {
  std::vector<std::string> problems;
  if (config.has_request_timeout() && config.request_timeout().seconds() < 1) {
    problems.push_back("acme.requestTimeout: must be at least 1s");
  }
  if (const auto ranges = AllowedRanges(config); !ranges.ok()) {
    problems.push_back(absl::StrCat("acme.allowedRanges: ", ranges.status().message()));
  }
  if (!config.has_proxy()) return problems;
  if (const auto proxy = ToProxy(config.proxy()); !proxy.ok()) {
    problems.push_back(absl::StrCat("acme.proxy.", proxy.status().message()));
  }
  return problems;
}

http::CurlHttpClientOptions ToHttpOptions(const config::v1::Acme& config,
                                          std::string user_agent) {
  http::CurlHttpClientOptions options;
  options.user_agent = std::move(user_agent);
  if (config.max_connections_per_host() > 0) {
    options.max_connections_per_host = config.max_connections_per_host();
  }
  if (auto ranges = AllowedRanges(config); ranges.ok()) {
    options.allow_address = [ranges = *std::move(ranges)](absl::string_view address, uint16_t) {
      return ranges.PublicOrContains(address);
    };
  }
  options.address_advice =
      "it is not a public address: acme.allowedRanges of the configuration must allow it";
  if (config.has_proxy()) options.proxy = *ToProxy(config.proxy());
  return options;
}

std::vector<std::string> ProxyVariables() {
  std::vector<std::string> set;
  for (const char* name : {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                           "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') set.push_back(name);
  }
  return set;
}

}  // namespace certwright::service
