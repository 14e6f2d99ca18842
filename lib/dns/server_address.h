// ServerAddress: where a DNS server listens: an IP address and a port. NameserverAddress: the
// same where a host name will do.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace certwright::dns {

struct ServerAddress {
  // Textual IPv4 or IPv6, in the form that inet_ntop writes.
  std::string ip;
  uint16_t port = 53;

  bool is_v6() const { return ip.find(':') != std::string::npos; }
  // "192.0.2.1:53" or "[2001:db8::1]:53".
  std::string ToString() const;
};

// "192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]" or "[2001:db8::1]:5353"; the
// port is 53 unless given. INVALID_ARGUMENT for anything else, host names included.
absl::StatusOr<ServerAddress> ParseServerAddress(absl::string_view text);

struct NameserverAddress {
  // As in ServerAddress, or a host name in normal form.
  std::string host;
  uint16_t port = 53;
};

// What ParseServerAddress reads, "host" or "host:port", as issuers name nameservers.
absl::StatusOr<NameserverAddress> ParseNameserver(absl::string_view text);

}  // namespace certwright::dns
