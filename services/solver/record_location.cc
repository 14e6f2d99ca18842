#include "services/solver/record_location.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dns/name.h"
#include "lib/dns/zone.h"
#include "services/solver/dns01_self_check.h"

namespace certwright::solver {
namespace {

// Whether `name`, which another name's owner has chosen, is in a zone that the solver was
// given.
bool MayLeadTo(const issuer::v1::AcmeSolver& solver, absl::string_view name) {
  const auto holds = [name](const std::string& zone) {
    const absl::StatusOr<std::string> normal = dns::Normalize(zone);
    return normal.ok() && !normal->empty() && dns::IsSubdomain(name, *normal);
  };
  const auto& of_selector = solver.selector().dns_zones();
  const auto& of_aliases = solver.dns01().alias_zones();
  return std::any_of(of_selector.begin(), of_selector.end(), holds) ||
         std::any_of(of_aliases.begin(), of_aliases.end(), holds) ||
         holds(solver.dns01().rfc2136().zone());
}

}  // namespace

runtime::Awaitable<absl::StatusOr<RecordLocation>> LocateRecord(
    runtime::Context context, dns::DnsResolver& resolver, std::string dns_name,
    issuer::v1::AcmeSolver solver, std::vector<std::string> nameservers) {
  RecordLocation location;
  CW_CO_ASSIGN_OR_RETURN(location.name, dns::Normalize(ChallengeRecordName(dns_name)));
  CW_CO_ASSIGN_OR_RETURN(location.zone, dns::Normalize(solver.dns01().rfc2136().zone()));
  if (solver.dns01().cname_strategy() != issuer::v1::CNAME_STRATEGY_NONE) {
    CW_CO_ASSIGN_OR_RETURN(dns::CnameTarget target,
                           co_await dns::FollowCnames(context, resolver, location.name,
                                                      dns::RecordType::kSoa, nameservers));
    if (target.hops > 0 && !MayLeadTo(solver, target.name)) {
      co_return absl::FailedPreconditionError(absl::StrCat(
          "the alias of ", location.name, " leads to ", target.name,
          ", which is in none of the solver's zones; if it shall, add its zone to aliasZones"));
    }
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
