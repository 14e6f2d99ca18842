#include "services/solver/dns01_self_check.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dns/name.h"

namespace certwright::solver {
namespace {

// A zone has few nameservers; a status holds no more than this.
constexpr std::size_t kMaxFindings = 32;
constexpr std::size_t kMaxDetailBytes = 300;

dns::PropagationMode ToMode(issuer::v1::SelfCheckMode mode) {
  switch (mode) {
    case issuer::v1::SELF_CHECK_MODE_RECURSIVE:
      return dns::PropagationMode::kRecursive;
    case issuer::v1::SELF_CHECK_MODE_BOTH:
      return dns::PropagationMode::kBoth;
    default:
      return dns::PropagationMode::kAuthoritative;
  }
}

v1::PropagationOutcome ToProto(dns::Outcome outcome) {
  switch (outcome) {
    case dns::Outcome::kPresent:
      return v1::PROPAGATION_OUTCOME_PRESENT;
    case dns::Outcome::kAbsent:
      return v1::PROPAGATION_OUTCOME_ABSENT;
    case dns::Outcome::kNotAuthoritative:
      return v1::PROPAGATION_OUTCOME_NOT_AUTHORITATIVE;
    case dns::Outcome::kRefused:
    case dns::Outcome::kServerFailure:
      return v1::PROPAGATION_OUTCOME_ERROR;
    case dns::Outcome::kUnreachable:
    case dns::Outcome::kNoRoute:
      return v1::PROPAGATION_OUTCOME_UNREACHABLE;
    case dns::Outcome::kForbidden:
      return v1::PROPAGATION_OUTCOME_FORBIDDEN;
  }
  return v1::PROPAGATION_OUTCOME_UNSPECIFIED;
}

std::string ServerName(const dns::Finding& finding) {
  if (finding.nameserver.empty()) {
    return finding.address.empty() ? "the system's resolver" : finding.address;
  }
  if (finding.address.empty()) return finding.nameserver;
  return absl::StrCat(finding.nameserver, " (", finding.address, ")");
}

std::string Describe(const dns::Finding& finding) {
  if (finding.outcome == dns::Outcome::kAbsent) {
    return absl::StrCat(ServerName(finding), " does not have the record yet");
  }
  if (finding.outcome == dns::Outcome::kUnreachable) {
    return absl::StrCat(ServerName(finding), " does not answer");
  }
  return absl::StrCat(ServerName(finding), ": ", finding.detail.substr(0, kMaxDetailBytes));
}

// What says most first: a server that contradicts, then one that is of no use.
int Weight(dns::Outcome outcome) {
  switch (outcome) {
    case dns::Outcome::kAbsent:
      return 0;
    case dns::Outcome::kServerFailure:
      return 1;
    case dns::Outcome::kNotAuthoritative:
    case dns::Outcome::kRefused:
      return 2;
    default:
      return 3;
  }
}

}  // namespace

std::string ChallengeRecordName(const std::string& dns_name) {
  return absl::StrCat("_acme-challenge.", dns_name);
}

v1::PropagationFinding ToProto(const dns::Finding& finding) {
  v1::PropagationFinding proto;
  proto.set_nameserver(finding.nameserver);
  proto.set_address(finding.address);
  proto.set_outcome(ToProto(finding.outcome));
  const int64_t micros = absl::ToInt64Microseconds(finding.elapsed);
  proto.mutable_elapsed()->set_seconds(micros / 1'000'000);
  proto.mutable_elapsed()->set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
  proto.set_detail(finding.detail.substr(0, kMaxDetailBytes));
  return proto;
}

std::string DescribePropagation(const dns::PropagationReport& report) {
  if (report.propagated) return "";
  const dns::Finding* worst = nullptr;
  int others = 0;
  for (const dns::Finding& finding : report.findings) {
    if (finding.outcome == dns::Outcome::kPresent) continue;
    ++others;
    if (worst == nullptr || Weight(finding.outcome) < Weight(worst->outcome)) worst = &finding;
  }
  if (worst == nullptr) {
    return absl::StrCat("no nameserver could be asked for ", report.resolved_name);
  }
  return absl::StrCat(Describe(*worst),
                      others > 1 ? absl::StrCat(", nor do ", others - 1, " more servers") : "");
}

runtime::Awaitable<absl::StatusOr<SelfCheckResult>> Dns01SelfCheck::Check(
    runtime::Context context, const v1::Challenge& challenge,
    std::shared_ptr<const SolverConfig> config) {
  const issuer::v1::SelfCheck& settings = config->solver.self_check();
  dns::PropagationRequest request;
  // From the name itself, as the CA goes: a record that was put elsewhere is not found.
  request.name = ChallengeRecordName(challenge.spec().dns_name());
  request.expected_value = challenge.spec().key();
  request.mode = ToMode(settings.mode());
  const issuer::v1::Dns01Solver& solver = config->solver.dns01();
  request.follow_aliases = solver.cname_strategy() != issuer::v1::CNAME_STRATEGY_NONE;
  request.zone = solver.rfc2136().zone();
  request.authoritative_port = options_.authoritative_port;
  CW_CO_ASSIGN_OR_RETURN(request.recursive_nameservers,
                         options_.nameservers.Choose(settings.nameservers()));
  CW_CO_ASSIGN_OR_RETURN(const dns::PropagationReport report,
                         co_await checker_.Check(context, std::move(request)));
  SelfCheckResult result;
  result.found = report.propagated;
  result.reason = DescribePropagation(report);
  for (const dns::Finding& finding : report.findings) {
    if (result.findings.size() == kMaxFindings) break;
    result.findings.push_back(ToProto(finding));
  }
  co_return result;
}

}  // namespace certwright::solver
