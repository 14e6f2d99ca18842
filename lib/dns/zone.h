// Where a name really lives: which zone holds it, and what its aliases lead to.
//
// Both functions ask through recursive resolvers: `servers` (see Query::servers), or the
// system's. Errors: those of DnsResolver, and for a server that answers with an rcode other
// than NOERROR and NXDOMAIN: UNAVAILABLE for SERVFAIL, FAILED_PRECONDITION for the others,
// naming the server.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/dns/resolver.h"

namespace certwright::dns {

struct Zone {
  // The name of its apex.
  std::string name;
  SoaData soa;
  uint32_t ttl = 0;
};

// What an answer to a question for `name`, of any type, tells about the zone of `name`: the SOA
// at that very name, or the one that a negative answer carries in its authority section (RFC
// 2308 §3). nullopt if it tells nothing, as when `name` is an alias.
std::optional<Zone> ZoneFromAnswer(const Message& message, absl::string_view name);

// The zone that holds `name`, which may be its apex and need not exist. Walks upwards until
// an answer tells the zone. NOT_FOUND if not even the root does. A server that fails for SOA
// records alone is asked for an alias instead, since that there is none tells the zone as well.
runtime::Awaitable<absl::StatusOr<Zone>> FindZone(runtime::Context context,
                                                  DnsResolver& resolver, std::string name,
                                                  std::vector<std::string> servers);

struct CnameTarget {
  // The name at the end of the chain; the one asked for if it is no alias.
  std::string name;
  int hops = 0;
  // The last answer, which is about `name`.
  Answer answer;
};

constexpr int kMaxCnameHops = 16;

// Follows the aliases of `name`, also where the server leaves that to its client. A target
// that does not exist (yet) is a result like any other. FAILED_PRECONDITION for a loop or
// for more than `max_hops` aliases. Errors name the alias that led to what failed.
runtime::Awaitable<absl::StatusOr<CnameTarget>> FollowCnames(runtime::Context context,
                                                             DnsResolver& resolver,
                                                             std::string name, RecordType type,
                                                             std::vector<std::string> servers,
                                                             int max_hops = kMaxCnameHops);

}  // namespace certwright::dns
