// PropagationChecker: has a TXT record reached every server that a CA may ask?
//
// AUTHORITATIVE: aliases of the name are followed, if they are to be, its zone is found, and
// each address of each of the zone's nameservers is asked directly, without recursion, all in
// parallel.
// RECURSIVE: each of the recursive nameservers is asked. BOTH: first the one, and only when
// that has succeeded the other, so that a resolver does not get to cache an absence early.
//
// When is it propagated? When at least one nameserver has the value and none of those that
// can be asked contradicts:
//   PRESENT            needed at least once
//   ABSENT             blocks: a CA that asks this server would refuse
//   SERVER_FAILURE     blocks: the server is reachable, and a CA could get this answer
//   NOT_AUTHORITATIVE  a lame server; resolvers skip those, so it blocks only by not counting
//   REFUSED            likewise
//   UNREACHABLE        does not block if another server has the value: resolvers go on, too
//   NO_ROUTE           likewise: an IPv6 address, asked from a host without IPv6
//   FORBIDDEN          likewise: the policy for nameservers does not let it be asked
// So a zone all of whose servers are lame or silent is never propagated. In mode BOTH the
// rule holds for each of the two groups of servers.
#pragma once

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/dns/nameservers.h"
#include "lib/dns/resolver.h"
#include "lib/dns/server_policy.h"
#include "lib/dns/ttl_cache.h"
#include "lib/dns/zone.h"

namespace certwright::dns {

enum class PropagationMode { kAuthoritative, kRecursive, kBoth };

struct PropagationRequest {
  std::string name;
  // One of the TXT values at the name (or at what it is an alias of) must be exactly this.
  std::string expected_value;
  // Whether what the name is an alias of counts for it. If not, no recursive nameserver is
  // asked for the name before its zone's have the value: it would remember the alias.
  bool follow_aliases = true;
  // The zone, where it is known: then no SOA record is asked for. Empty, or if aliases lead out
  // of it, the zone is looked up.
  std::string zone;
  PropagationMode mode = PropagationMode::kAuthoritative;
  // Used to find aliases, zone and nameservers, and asked in modes RECURSIVE and BOTH. Empty
  // means the system's. These and authoritative_servers are for the caller to judge.
  std::vector<std::string> recursive_nameservers;
  // NS records carry no port, so a nameserver on another port needs this.
  int authoritative_port = 53;
  // Asked in place of the zone's nameservers, if not empty; then zone and nameservers are not
  // looked up, and without recursive_nameservers aliases are asked for here, too.
  std::vector<std::string> authoritative_servers;
  // Per server, as in Query.
  absl::Duration timeout = absl::Seconds(1);
  int attempts = 2;
};

enum class Outcome {
  kPresent,
  kAbsent,
  kNotAuthoritative,
  kRefused,
  kServerFailure,
  kUnreachable,
  kNoRoute,
  kForbidden,
};

// "PRESENT", "ABSENT", ...
absl::string_view OutcomeName(Outcome outcome);

struct Finding {
  // The name of the nameserver; empty where servers were given by address.
  std::string nameserver;
  // "IP:port"; empty if the nameserver has no address.
  std::string address;
  // True for one of the recursive nameservers.
  bool recursive = false;
  Outcome outcome = Outcome::kUnreachable;
  // Of the answer, if there was one.
  Rcode rcode = Rcode::kNoError;
  absl::Duration elapsed;
  // For a person: what was seen, and from whom.
  std::string detail;
};

struct PropagationReport {
  bool propagated = false;
  // Where the TXT record is looked for, after aliases.
  std::string resolved_name;
  // The zone that holds it; unknown ("") in mode RECURSIVE and with authoritative_servers.
  std::string zone;
  std::vector<Finding> findings;

  // One line that says which servers do not have the value yet, or that all have.
  std::string Summary() const;
};

// The rule above, for the findings of one group of servers.
bool Evaluate(const std::vector<Finding>& findings);

// Threading: Check() from any thread. Lifetime: `resolver` and `clock` must outlive this, and
// this its calls.
//
// Where names live, and the nameservers and addresses of zones, are remembered for their TTL,
// 30 s at most; never that something was not found, nor anything from a check in which a
// server was lame or silent.
class PropagationChecker {
 public:
  // `policy` says which nameservers that NS records name may be asked.
  PropagationChecker(DnsResolver& resolver, const base::Clock& clock, ServerPolicy policy);

  // A record that is not there is a report, not an error. Errors are those of FindZone and
  // FollowCnames while finding out whom to ask, and NOT_FOUND for a zone without nameservers.
  runtime::Awaitable<absl::StatusOr<PropagationReport>> Check(runtime::Context context,
                                                              PropagationRequest request);

  // The zone of `request.name` itself, whatever that is an alias of, without asking a recursive
  // nameserver for the name: from above, the zone's own nameservers tell whether the name is in
  // a zone below. Where none of them tells, it is taken to be in theirs. Errors of FindZone.
  runtime::Awaitable<absl::StatusOr<std::string>> FindZoneFromAbove(runtime::Context context,
                                                                    PropagationRequest request);

 private:
  struct Location {
    std::string name;
    std::string zone;
  };
  // The recursive nameservers asked, as answers differ between views of the DNS, the zone given
  // and the name; and whether aliases were followed.
  using CacheKey = std::tuple<std::vector<std::string>, std::string, std::string, bool>;
  // Findings, and whether one of them shows that the name lives elsewhere than assumed.
  struct Round {
    std::vector<Finding> findings;
    bool moved = false;
  };

  static CacheKey KeyOf(const PropagationRequest& request);
  // With `by_parent` the name itself is not asked for, and taken for no alias and no zone.
  runtime::Awaitable<absl::StatusOr<Location>> Locate(runtime::Context context,
                                                      const PropagationRequest& request,
                                                      bool by_parent);
  // Follows aliases.
  runtime::Awaitable<absl::StatusOr<Location>> Walk(runtime::Context context,
                                                    const PropagationRequest& request);
  // The zone right below `zone` that `request.name` is in; empty if there is none, or nobody
  // tells.
  runtime::Awaitable<absl::StatusOr<std::string>> FindZoneBelow(
      runtime::Context context, const PropagationRequest& request, const std::string& zone);
  runtime::Awaitable<absl::Status> CheckAuthoritative(runtime::Context context,
                                                      const PropagationRequest& request,
                                                      PropagationReport& report);
  runtime::Awaitable<absl::StatusOr<Round>> AskNameservers(runtime::Context context,
                                                           const PropagationRequest& request,
                                                           const Location& location);
  runtime::Awaitable<absl::Status> CheckRecursive(runtime::Context context,
                                                  const PropagationRequest& request,
                                                  PropagationReport& report);

  void Forget(const PropagationRequest& request, const Location& location);

  DnsResolver& resolver_;
  const ServerPolicy policy_;
  NameserverFinder nameservers_;
  TtlCache<CacheKey, Location> locations_;
};

}  // namespace certwright::dns
