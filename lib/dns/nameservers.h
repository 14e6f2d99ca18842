// NameserverFinder: the nameservers of a zone, and their addresses.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/clock.h"
#include "lib/dns/resolver.h"
#include "lib/dns/ttl_cache.h"

namespace certwright::dns {

struct Nameserver {
  std::string name;
  std::vector<std::string> ips;
  // Why some or all of its addresses are not known.
  absl::Status status;
};

// Far more than real zones have; what a hostile one adds is not asked.
inline constexpr std::size_t kMaxNameservers = 16;
// How long what DNS has told is remembered at most.
inline constexpr absl::Duration kMaxDnsCacheLife = absl::Seconds(30);

// They are remembered for their TTL, kMaxDnsCacheLife at most, if all have addresses.
// Threading: safe from any thread. Lifetime: `resolver` and `clock` must outlive this, and this
// its calls.
class NameserverFinder {
 public:
  NameserverFinder(DnsResolver& resolver, const base::Clock& clock);

  // Asks recursive nameservers: `servers` (see Query::servers), or the system's. At most
  // kMaxNameservers; NOT_FOUND, or UNAVAILABLE for SERVFAIL, if there are none.
  runtime::Awaitable<absl::StatusOr<std::vector<Nameserver>>> Find(
      runtime::Context context, std::string zone, std::vector<std::string> servers);

  void Forget(const std::string& zone, const std::vector<std::string>& servers);

 private:
  // Answers differ between views of the DNS.
  using Key = std::pair<std::vector<std::string>, std::string>;

  runtime::Awaitable<Nameserver> FindAddresses(runtime::Context context, std::string name,
                                               std::vector<std::string> servers);

  DnsResolver& resolver_;
  TtlCache<Key, std::vector<Nameserver>> known_;
};

}  // namespace certwright::dns
