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

std::string DescribeAlias(const std::string& name, const std::string& target) {
  return absl::StrCat(name, " is an alias of ", target,
                      " (with cnameStrategy CNAME_STRATEGY_NONE the record is put at ", name,
                      " itself)");
}

runtime::Awaitable<absl::StatusOr<RecordLocation>> RecordLocator::Locate(
    runtime::Context context, std::string dns_name, issuer::v1::AcmeSolver solver,
    std::vector<std::string> nameservers) {
  RecordLocation location;
  CW_CO_ASSIGN_OR_RETURN(location.name, dns::Normalize(ChallengeRecordName(dns_name)));
  CW_CO_ASSIGN_OR_RETURN(location.zone, dns::Normalize(solver.dns01().rfc2136().zone()));
  if (solver.dns01().cname_strategy() != issuer::v1::CNAME_STRATEGY_NONE) {
    CW_CO_ASSIGN_OR_RETURN(location,
                           co_await FollowAliases(context, solver, location, nameservers));
  } else if (location.zone.empty()) {
    dns::PropagationRequest request;
    request.name = location.name;
    request.recursive_nameservers = std::move(nameservers);
    request.authoritative_port = authoritative_port_;
    CW_CO_ASSIGN_OR_RETURN(location.zone,
                           co_await checker_.FindZoneFromAbove(context, std::move(request)));
  }
  if (dns::IsSubdomain(location.name, location.zone)) co_return location;
  const std::string own_name = ChallengeRecordName(dns_name);
  co_return absl::FailedPreconditionError(absl::StrCat(
      location.name == own_name ? ""
                                : absl::StrCat(DescribeAlias(own_name, location.name), "; "),
      location.name, " is not in the zone ", location.zone, " that the solver is set to"));
}

runtime::Awaitable<bool> RecordLocator::IsAbsent(runtime::Context context,
                                                 RecordLocation location, std::string value,
                                                 std::vector<std::string> nameservers) {
  dns::PropagationRequest request;
  request.name = std::move(location.name);
  request.zone = std::move(location.zone);
  request.expected_value = std::move(value);
  request.follow_aliases = false;
  request.recursive_nameservers = std::move(nameservers);
  request.authoritative_port = authoritative_port_;
  const absl::StatusOr<dns::PropagationReport> report =
      co_await checker_.Check(context, std::move(request));
  if (!report.ok()) co_return false;
  bool told = false;
  for (const dns::Finding& finding : report->findings) {
    switch (finding.outcome) {
      case dns::Outcome::kAbsent:
        told = true;
        break;
      case dns::Outcome::kPresent:
      case dns::Outcome::kServerFailure:
      case dns::Outcome::kUnreachable:
        co_return false;
      default:
        break;
    }
  }
  co_return told;
}

runtime::Awaitable<absl::StatusOr<RecordLocation>> RecordLocator::FollowAliases(
    runtime::Context context, const issuer::v1::AcmeSolver& solver, RecordLocation location,
    std::vector<std::string> nameservers) {
  CW_CO_ASSIGN_OR_RETURN(dns::CnameTarget target,
                         co_await dns::FollowCnames(context, resolver_, location.name,
                                                    dns::RecordType::kCname, nameservers));
  const std::string alias =
      target.hops > 0 ? DescribeAlias(location.name, target.name) : std::string();
  if (target.hops > 0 && !MayLeadTo(solver, target.name)) {
    co_return absl::FailedPreconditionError(absl::StrCat(
        alias,
        ", which is in none of the solver's zones; if it shall be, add its zone to "
        "aliasZones"));
  }
  location.name = std::move(target.name);
  if (!location.zone.empty()) co_return location;
  absl::StatusOr<dns::Zone> zone = absl::NotFoundError("");
  if (auto told = dns::ZoneFromAnswer(target.answer.message, location.name)) {
    zone = *std::move(told);
  } else {
    zone = co_await dns::FindZone(context, resolver_, location.name, std::move(nameservers));
  }
  if (!zone.ok() && !alias.empty()) co_return base::Annotate(zone.status(), alias);
  if (!zone.ok()) co_return zone.status();
  location.zone = std::move(zone->name);
  co_return location;
}

}  // namespace certwright::solver
