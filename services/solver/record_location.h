// Where the TXT record of a DNS-01 challenge goes.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "lib/dns/resolver.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"

namespace certwright::solver {

struct RecordLocation {
  // The end of the aliases of _acme-challenge.<name>, unless the solver does not follow them.
  std::string name;
  std::string zone;
};

// Errors as of dns::FollowCnames and dns::FindZone; FAILED_PRECONDITION if the name is outside
// of the zone that the solver is set to, or an alias leads out of the zones that the solver was
// given. Asks for SOA records only, so that no resolver gets to remember that there is no TXT
// record.
runtime::Awaitable<absl::StatusOr<RecordLocation>> LocateRecord(
    runtime::Context context, dns::DnsResolver& resolver, std::string dns_name,
    issuer::v1::AcmeSolver solver, std::vector<std::string> nameservers);

}  // namespace certwright::solver
