// The addresses of a host, as recursive nameservers tell them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/dns/resolver.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"

namespace certwright::solver {

struct HostAddresses {
  std::vector<std::string> ipv6;
  std::vector<std::string> ipv4;

  // IPv6 first.
  std::vector<std::string> All() const;
};

// `host` may be an address itself. NOT_FOUND if it has no address; FAILED_PRECONDITION or
// UNAVAILABLE, naming the server, if the nameservers cannot tell.
runtime::Awaitable<absl::StatusOr<HostAddresses>> FindHostAddresses(
    runtime::Context context, dns::DnsResolver& resolver, std::string host,
    std::vector<std::string> nameservers);

// "192.0.2.1:80" or "[2001:db8::1]:80".
std::string HostPort(const std::string& ip, int port);

}  // namespace certwright::solver
