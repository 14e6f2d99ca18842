// RecordLocator: where the TXT record of a DNS-01 challenge goes.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "lib/dns/propagation.h"
#include "lib/dns/resolver.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"

namespace certwright::solver {

struct RecordLocation {
  // The end of the aliases of _acme-challenge.<name>, unless the solver does not follow them.
  std::string name;
  std::string zone;
};

// "<name> is an alias of <target>", with what to do if something about the target fails.
std::string DescribeAlias(const std::string& name, const std::string& target);

class RecordLocator {
 public:
  // Both must outlive this. `authoritative_port` is where nameservers of zones are asked.
  RecordLocator(dns::DnsResolver& resolver, dns::PropagationChecker& checker,
                int authoritative_port)
      : resolver_(resolver), checker_(checker), authoritative_port_(authoritative_port) {}

  // Errors of dns::FollowCnames and dns::FindZone; FAILED_PRECONDITION if the name is outside
  // of the zone that the solver is set to, or an alias leads out of the zones that the solver
  // was given. If aliases are to be followed, recursive nameservers (`nameservers`) are asked
  // for them, and never for a TXT record, so that none gets to remember that there is none; if
  // not, none is asked for the name at all, since it would remember an alias.
  runtime::Awaitable<absl::StatusOr<RecordLocation>> Locate(
      runtime::Context context, std::string dns_name, issuer::v1::AcmeSolver solver,
      std::vector<std::string> nameservers);

  // Whether the value is not there (any more): nameservers of the zone say so with authority,
  // none has it, and none is silent.
  runtime::Awaitable<bool> IsAbsent(runtime::Context context, RecordLocation location,
                                    std::string value, std::vector<std::string> nameservers);

 private:
  runtime::Awaitable<absl::StatusOr<RecordLocation>> FollowAliases(
      runtime::Context context, const issuer::v1::AcmeSolver& solver, RecordLocation location,
      std::vector<std::string> nameservers);

  dns::DnsResolver& resolver_;
  dns::PropagationChecker& checker_;
  const int authoritative_port_;
};

}  // namespace certwright::solver
