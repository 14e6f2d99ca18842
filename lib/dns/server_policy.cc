#include "lib/dns/server_policy.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"

namespace certwright::dns {
namespace {

constexpr uint16_t kDnsPort = 53;

absl::Status Refused(const ServerAddress& server, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("the nameserver ", server.ToString(), " is refused by policy: ", why,
                   " of the solver's configuration does not allow it"));
}

}  // namespace

ServerPolicy::ServerPolicy(http::AddressRanges ranges, std::vector<uint16_t> ports)
    : ranges_(std::move(ranges)), ports_(std::move(ports)) {}

absl::Status ServerPolicy::Check(const ServerAddress& server) const {
  CW_RETURN_IF_ERROR(CheckAddress(server));
  if (server.port == kDnsPort || std::ranges::find(ports_, server.port) != ports_.end()) {
    return absl::OkStatus();
  }
  return Refused(server, "its port is not 53, and dnsAllowedPorts");
}

absl::Status ServerPolicy::CheckAddress(const ServerAddress& server) const {
  if (ranges_.PublicOrContains(server.ip)) return absl::OkStatus();
  return Refused(server, "it is not a public address, and dnsAllowedRanges");
}

}  // namespace certwright::dns
