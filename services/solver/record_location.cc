#include "services/solver/record_location.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dns/name.h"
#include "lib/dns/zone.h"
#include "services/solver/dns01_self_check.h"

namespace certwright::solver {

runtime::Awaitable<absl::StatusOr<RecordLocation>> LocateRecord(
    runtime::Context context, dns::DnsResolver& resolver, std::string dns_name,
    issuer::v1::Dns01Solver solver, std::vector<std::string> nameservers) {
  RecordLocation location;
  CW_CO_ASSIGN_OR_RETURN(location.name, dns::Normalize(ChallengeRecordName(dns_name)));
  CW_CO_ASSIGN_OR_RETURN(location.zone, dns::Normalize(solver.rfc2136().zone()));
  if (solver.cname_strategy() != issuer::v1::CNAME_STRATEGY_NONE) {
    CW_CO_ASSIGN_OR_RETURN(dns::CnameTarget target,
                           co_await dns::FollowCnames(context, resolver, location.name,
                                                      dns::RecordType::kSoa, nameservers));
    location.name = std::move(target.name);
    const std::optional<dns::Zone> zone =
        dns::ZoneFromAnswer(target.answer.message, location.name);
    if (location.zone.empty() && zone.has_value()) location.zone = zone->name;
  }
  if (location.zone.empty()) {
    CW_CO_ASSIGN_OR_RETURN(
        const dns::Zone zone,
        co_await dns::FindZone(context, resolver, location.name, nameservers));
    location.zone = zone.name;
  }
  if (!dns::IsSubdomain(location.name, location.zone)) {
    co_return absl::FailedPreconditionError(absl::StrCat(
        location.name, " is not in the zone ", location.zone, " that the solver is set to"));
  }
  co_return location;
}

}  // namespace certwright::solver
