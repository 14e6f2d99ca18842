// ServerPolicy: which nameservers may be contacted that others than the operator of the service
// name: issuers, callers, and the NS records of zones. Else whoever can name one could have any
// host of the own network knocked at, and be told how it answers.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lib/dns/server_address.h"
#include "lib/http/address_ranges.h"

namespace certwright::dns {

class ServerPolicy {
 public:
  // Public addresses, at port 53.
  ServerPolicy() = default;
  // Those, the addresses in `ranges`, and `ports`.
  ServerPolicy(http::AddressRanges ranges, std::vector<uint16_t> ports);

  // FAILED_PRECONDITION, naming the setting that would allow it.
  absl::Status Check(const ServerAddress& server) const;
  // Its address alone, where the port is the operator's choice.
  absl::Status CheckAddress(const ServerAddress& server) const;

 private:
  http::AddressRanges ranges_;
  std::vector<uint16_t> ports_;
};

}  // namespace certwright::dns
