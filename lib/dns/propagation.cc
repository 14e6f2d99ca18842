#include "lib/dns/propagation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/status_macros.h"
#include "lib/dns/name.h"
#include "lib/dns/server_address.h"

namespace certwright::dns {
namespace {

constexpr std::size_t kMaxCacheEntries = 4096;
// Far more than real zones have; what a hostile one adds is not asked.
constexpr std::size_t kMaxAddresses = 64;
// Of the nameservers of a zone that are asked, one after the other, for a zone below.
constexpr std::size_t kMaxTries = 4;

// One server's answer, judged.
struct Verdict {
  Finding finding;
  // The answer is an alias or a referral to a zone below.
  bool moved = false;
  // The name at the end of the answer's aliases.
  std::string final_name;
};

std::string FollowInMessage(const Message& message, std::string name) {
  for (int hops = 0; hops < kMaxCnameHops; ++hops) {
    const Record* alias = FindRecord(message.answers, name, RecordType::kCname);
    const auto* data = alias == nullptr ? nullptr : std::get_if<NameData>(&alias->data);
    if (data == nullptr) break;
    name = data->name;
  }
  return name;
}

// The zone that the message refers to for `name`; null if it does not.
const std::string* ReferralFor(const Message& message, absl::string_view name) {
  for (const Record& record : message.authority) {
    if (record.type == RecordType::kNs && IsSubdomain(name, record.name)) return &record.name;
  }
  return nullptr;
}

// Whether it has authority, or refers to who has.
bool TellsOfZones(const Message& message, absl::string_view name) {
  return message.authoritative || ReferralFor(message, name) != nullptr;
}

// The zone of `name` below `zone` that an answer of one of `zone`'s nameservers to a question
// for its SOA tells of; empty if there is none.
std::string ZoneBelow(const Message& message, absl::string_view name, absl::string_view zone) {
  std::string below;
  if (message.authoritative) {
    const std::optional<Zone> told = ZoneFromAnswer(message, name);
    if (told.has_value()) below = told->name;
  } else if (const std::string* referral = ReferralFor(message, name)) {
    below = *referral;
  }
  const bool is_below = below != zone && IsSubdomain(below, zone) && IsSubdomain(name, below);
  return is_below ? below : "";
}

// Which outcome the values at the name make, once the answer is one to believe.
void JudgeValues(const Message& message, absl::string_view expected, Verdict& verdict) {
  int values = 0;
  for (const Record& record : message.answers) {
    const auto* text = std::get_if<TextData>(&record.data);
    if (text == nullptr || record.name != verdict.final_name) continue;
    ++values;
    if (text->text == expected) verdict.finding.outcome = Outcome::kPresent;
  }
  if (verdict.finding.outcome == Outcome::kPresent) {
    verdict.finding.detail = "has the value";
    return;
  }
  verdict.finding.outcome = Outcome::kAbsent;
  const Record* alias = FindRecord(message.answers, verdict.final_name, RecordType::kCname);
  if (values == 0 && alias != nullptr) {
    verdict.finding.detail =
        absl::StrCat("has no TXT record at ", verdict.final_name, ", but an alias");
    return;
  }
  verdict.finding.detail =
      values == 0
          ? absl::StrCat("has no TXT record at ", DisplayName(verdict.final_name), " (",
                         message.rcode == Rcode::kNxDomain ? "NXDOMAIN" : "no data", ")")
          : absl::StrCat("has ", values, " TXT values at ", DisplayName(verdict.final_name),
                         ", but not the expected one");
}

void JudgeAnswer(const Answer& answer, const Query& query, const PropagationRequest& request,
                 Verdict& verdict) {
  const Message& message = answer.message;
  Finding& finding = verdict.finding;
  finding.rcode = message.rcode;
  finding.elapsed = answer.elapsed;
  if (request.follow_aliases) verdict.final_name = FollowInMessage(message, query.name);
  if (message.rcode == Rcode::kRefused || message.rcode == Rcode::kNotAuth) {
    finding.outcome = Outcome::kRefused;
    finding.detail = absl::StrCat("answered ", RcodeName(message.rcode));
  } else if (message.rcode != Rcode::kNoError && message.rcode != Rcode::kNxDomain) {
    finding.outcome = Outcome::kServerFailure;
    finding.detail = absl::StrCat("answered ", RcodeName(message.rcode));
  } else if (!query.recursion_desired && !message.authoritative) {
    finding.outcome = Outcome::kNotAuthoritative;
    verdict.moved = ReferralFor(message, query.name) != nullptr;
    finding.detail = verdict.moved ? "refers to servers of a zone below"
                                   : "answered without authority for the zone";
  } else {
    JudgeValues(message, request.expected_value, verdict);
    verdict.moved = !query.recursion_desired && verdict.final_name != query.name;
  }
}

absl::StatusOr<Verdict> Judge(const absl::StatusOr<Answer>& answer, const Query& query,
                              const PropagationRequest& request) {
  Verdict verdict;
  verdict.final_name = query.name;
  if (answer.ok()) {
    verdict.finding.address = answer->server;
    JudgeAnswer(*answer, query, request, verdict);
    return verdict;
  }
  const absl::Status& status = answer.status();
  if (status.code() != absl::StatusCode::kUnavailable) return status;
  verdict.finding.outcome = IsNoRoute(status) ? Outcome::kNoRoute : Outcome::kUnreachable;
  verdict.finding.detail = std::string(status.message());
  return verdict;
}

// Asks one server. `address` "" stands for the system's resolver.
runtime::Awaitable<absl::StatusOr<Verdict>> Ask(runtime::Context context, DnsResolver& resolver,
                                                const PropagationRequest& request,
                                                std::string name, std::string nameserver,
                                                std::string address, bool recursive) {
  Query query;
  query.name = std::move(name);
  query.type = RecordType::kTxt;
  if (!address.empty()) query.servers.push_back(address);
  query.recursion_desired = recursive;
  query.timeout = request.timeout;
  query.attempts = request.attempts;
  const absl::StatusOr<Answer> answer = co_await resolver.Resolve(context, query);
  CW_CO_ASSIGN_OR_RETURN(Verdict verdict, Judge(answer, query, request));
  verdict.finding.nameserver = std::move(nameserver);
  if (!address.empty()) verdict.finding.address = std::move(address);
  verdict.finding.recursive = recursive;
  co_return verdict;
}

absl::Status CheckRequest(const PropagationRequest& request) {
  if (request.authoritative_port < 1 || request.authoritative_port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the port of authoritative servers is 1 to 65535, not ", request.authoritative_port));
  }
  for (const auto* servers : {&request.recursive_nameservers, &request.authoritative_servers}) {
    for (const std::string& server : *servers) {
      CW_RETURN_IF_ERROR(ParseServerAddress(server));
    }
  }
  return absl::OkStatus();
}

bool IsSilentOrLame(const Finding& finding) {
  return finding.outcome != Outcome::kPresent && finding.outcome != Outcome::kAbsent &&
         finding.outcome != Outcome::kNoRoute && finding.outcome != Outcome::kForbidden;
}

Finding Forbidden(const std::string& nameserver, const ServerAddress& address,
                  const absl::Status& why) {
  Finding finding;
  finding.nameserver = nameserver;
  finding.address = address.ToString();
  finding.outcome = Outcome::kForbidden;
  finding.detail = std::string(why.message());
  return finding;
}

}  // namespace

absl::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPresent:
      return "PRESENT";
    case Outcome::kAbsent:
      return "ABSENT";
    case Outcome::kNotAuthoritative:
      return "NOT_AUTHORITATIVE";
    case Outcome::kRefused:
      return "REFUSED";
    case Outcome::kServerFailure:
      return "SERVER_FAILURE";
    case Outcome::kUnreachable:
      return "UNREACHABLE";
    case Outcome::kNoRoute:
      return "NO_ROUTE";
    case Outcome::kForbidden:
      return "FORBIDDEN";
  }
  return "UNKNOWN";
}

bool Evaluate(const std::vector<Finding>& findings) {
  bool present = false;
  for (const Finding& finding : findings) {
    if (finding.outcome == Outcome::kAbsent || finding.outcome == Outcome::kServerFailure) {
      return false;
    }
    if (finding.outcome == Outcome::kPresent) present = true;
  }
  return present;
}

std::string PropagationReport::Summary() const {
  std::vector<std::string> missing;
  for (const Finding& finding : findings) {
    if (finding.outcome == Outcome::kPresent) continue;
    missing.push_back(absl::StrCat(
        finding.nameserver, finding.nameserver.empty() || finding.address.empty() ? "" : " ",
        finding.address, ": ", OutcomeName(finding.outcome), " (", finding.detail, ")"));
  }
  return absl::StrCat("TXT record ", resolved_name, propagated ? "" : " not",
                      " propagated: ", findings.size() - missing.size(), " of ",
                      findings.size(), " server addresses have the value",
                      missing.empty() ? "" : "; ", absl::StrJoin(missing, "; "));
}

PropagationChecker::PropagationChecker(DnsResolver& resolver, const base::Clock& clock,
                                       ServerPolicy policy)
    : resolver_(resolver),
      policy_(std::move(policy)),
      nameservers_(resolver, clock),
      locations_(clock, kMaxCacheEntries) {}

runtime::Awaitable<absl::StatusOr<PropagationReport>> PropagationChecker::Check(
    runtime::Context context, PropagationRequest request) {
  CW_CO_RETURN_IF_ERROR(CheckRequest(request));
  CW_CO_ASSIGN_OR_RETURN(request.name, Normalize(request.name));
  CW_CO_ASSIGN_OR_RETURN(request.zone, Normalize(request.zone));
  PropagationReport report;
  report.resolved_name = request.name;
  if (request.mode != PropagationMode::kRecursive) {
    CW_CO_RETURN_IF_ERROR(co_await CheckAuthoritative(context, request, report));
  }
  const bool ask_recursive = request.mode == PropagationMode::kRecursive ||
                             (request.mode == PropagationMode::kBoth && report.propagated);
  if (ask_recursive) {
    CW_CO_RETURN_IF_ERROR(co_await CheckRecursive(context, request, report));
  }
  co_return report;
}

runtime::Awaitable<absl::Status> PropagationChecker::CheckAuthoritative(
    runtime::Context context, const PropagationRequest& request, PropagationReport& report) {
  // A recursive nameserver that is to be asked for the value later must not be asked for the
  // name before: it would remember that the name does not exist.
  bool by_parent = request.mode == PropagationMode::kBoth && request.follow_aliases &&
                   request.authoritative_servers.empty();
  while (true) {
    CW_CO_ASSIGN_OR_RETURN(const Location location,
                           co_await Locate(context, request, by_parent));
    CW_CO_ASSIGN_OR_RETURN(Round round, co_await AskNameservers(context, request, location));
    if (round.moved ||
        std::any_of(round.findings.begin(), round.findings.end(), IsSilentOrLame)) {
      Forget(request, location);
    }
    if (by_parent && round.moved) {
      by_parent = false;
      continue;
    }
    report.resolved_name = location.name;
    report.zone = location.zone;
    report.propagated = Evaluate(round.findings);
    report.findings = std::move(round.findings);
    co_return absl::OkStatus();
  }
}

runtime::Awaitable<absl::StatusOr<PropagationChecker::Round>>
PropagationChecker::AskNameservers(runtime::Context context, const PropagationRequest& request,
                                   const Location& location) {
  Round round;
  std::vector<runtime::Awaitable<absl::StatusOr<Verdict>>> tasks;
  auto ask = [&](const std::string& nameserver, const std::string& address) {
    if (tasks.size() + round.findings.size() >= kMaxAddresses) return;
    tasks.push_back(
        Ask(context, resolver_, request, location.name, nameserver, address, false));
  };
  for (const std::string& address : request.authoritative_servers) ask("", address);
  if (request.authoritative_servers.empty()) {
    CW_CO_ASSIGN_OR_RETURN(
        const std::vector<Nameserver> nameservers,
        co_await nameservers_.Find(context, location.zone, request.recursive_nameservers));
    for (const Nameserver& nameserver : nameservers) {
      for (const std::string& ip : nameserver.ips) {
        ServerAddress address;
        address.ip = ip;
        address.port = static_cast<uint16_t>(request.authoritative_port);
        if (const absl::Status allowed = policy_.CheckAddress(address); !allowed.ok()) {
          if (round.findings.size() >= kMaxAddresses) break;
          round.findings.push_back(Forbidden(nameserver.name, address, allowed));
        } else {
          ask(nameserver.name, address.ToString());
        }
      }
      if (!nameserver.ips.empty()) continue;
      Finding& finding = round.findings.emplace_back();
      finding.nameserver = nameserver.name;
      finding.detail =
          nameserver.status.ok() ? "has no address" : std::string(nameserver.status.message());
    }
  }
  std::vector<absl::StatusOr<Verdict>> verdicts = co_await runtime::WhenAll(std::move(tasks));
  CW_CO_RETURN_IF_ERROR(context.Check());
  for (absl::StatusOr<Verdict>& verdict : verdicts) {
    CW_CO_RETURN_IF_ERROR(verdict);
    round.moved = round.moved || verdict->moved;
    round.findings.push_back(std::move(verdict->finding));
  }
  co_return round;
}

runtime::Awaitable<absl::Status> PropagationChecker::CheckRecursive(
    runtime::Context context, const PropagationRequest& request, PropagationReport& report) {
  std::vector<std::string> servers = request.recursive_nameservers;
  if (servers.empty()) servers.push_back("");
  std::vector<runtime::Awaitable<absl::StatusOr<Verdict>>> tasks;
  tasks.reserve(servers.size());
  for (const std::string& server : servers) {
    tasks.push_back(Ask(context, resolver_, request, request.name, "", server, true));
  }
  std::vector<absl::StatusOr<Verdict>> verdicts = co_await runtime::WhenAll(std::move(tasks));
  CW_CO_RETURN_IF_ERROR(context.Check());
  std::vector<Finding> findings;
  for (absl::StatusOr<Verdict>& verdict : verdicts) {
    CW_CO_RETURN_IF_ERROR(verdict);
    if (request.mode == PropagationMode::kRecursive &&
        verdict->finding.outcome == Outcome::kPresent) {
      report.resolved_name = verdict->final_name;
    }
    findings.push_back(std::move(verdict->finding));
  }
  report.propagated = Evaluate(findings);
  std::move(findings.begin(), findings.end(), std::back_inserter(report.findings));
  co_return absl::OkStatus();
}

PropagationChecker::CacheKey PropagationChecker::KeyOf(const PropagationRequest& request) {
  return {request.recursive_nameservers, request.zone, request.name, request.follow_aliases};
}

runtime::Awaitable<absl::StatusOr<PropagationChecker::Location>> PropagationChecker::Locate(
    runtime::Context context, const PropagationRequest& request, bool by_parent) {
  if (std::optional<Location> known = locations_.Get(KeyOf(request))) {
    co_return *std::move(known);
  }
  if (request.follow_aliases && !by_parent) co_return co_await Walk(context, request);
  Location location{request.name, request.zone};
  const bool known = !request.zone.empty() || !request.authoritative_servers.empty();
  if (known) co_return location;
  if (by_parent) {
    CW_CO_ASSIGN_OR_RETURN(const Zone zone, co_await FindZone(context, resolver_,
                                                              std::string(Parent(request.name)),
                                                              request.recursive_nameservers));
    location.zone = zone.name;
    co_return location;
  }
  CW_CO_ASSIGN_OR_RETURN(location.zone, co_await FindZoneFromAbove(context, request));
  locations_.Put(KeyOf(request), location, kMaxDnsCacheLife);
  co_return location;
}

runtime::Awaitable<absl::StatusOr<PropagationChecker::Location>> PropagationChecker::Walk(
    runtime::Context context, const PropagationRequest& request) {
  const bool given = !request.authoritative_servers.empty();
  const bool ask_given = given && request.recursive_nameservers.empty();
  Location location;
  CW_CO_ASSIGN_OR_RETURN(
      const CnameTarget target,
      co_await FollowCnames(
          context, resolver_, request.name, ask_given ? RecordType::kTxt : RecordType::kCname,
          ask_given ? request.authoritative_servers : request.recursive_nameservers));
  location.name = target.name;
  if (given) co_return location;
  absl::Duration life = kMaxDnsCacheLife;
  if (!request.zone.empty() && IsSubdomain(target.name, request.zone)) {
    location.zone = request.zone;
  } else {
    std::optional<Zone> zone = ZoneFromAnswer(target.answer.message, target.name);
    if (!zone.has_value()) {
      CW_CO_ASSIGN_OR_RETURN(
          zone, co_await FindZone(context, resolver_, std::string(Parent(target.name)),
                                  request.recursive_nameservers));
    }
    location.zone = zone->name;
    life = std::min(life, absl::Seconds(zone->ttl));
  }
  locations_.Put(KeyOf(request), location, life);
  co_return location;
}

runtime::Awaitable<absl::StatusOr<std::string>> PropagationChecker::FindZoneFromAbove(
    runtime::Context context, PropagationRequest request) {
  CW_CO_RETURN_IF_ERROR(CheckRequest(request));
  CW_CO_ASSIGN_OR_RETURN(request.name, Normalize(request.name));
  CW_CO_ASSIGN_OR_RETURN(
      const Zone above, co_await FindZone(context, resolver_, std::string(Parent(request.name)),
                                          request.recursive_nameservers));
  std::string zone = above.name;
  while (true) {
    CW_CO_ASSIGN_OR_RETURN(std::string below, co_await FindZoneBelow(context, request, zone));
    if (below.empty()) co_return zone;
    zone = std::move(below);
    if (zone == request.name) co_return zone;
  }
}

runtime::Awaitable<absl::StatusOr<std::string>> PropagationChecker::FindZoneBelow(
    runtime::Context context, const PropagationRequest& request, const std::string& zone) {
  const absl::StatusOr<std::vector<Nameserver>> nameservers =
      co_await nameservers_.Find(context, zone, request.recursive_nameservers);
  std::vector<std::string> addresses;
  for (const Nameserver& nameserver : nameservers.value_or(std::vector<Nameserver>())) {
    for (const std::string& ip : nameserver.ips) {
      const ServerAddress address{ip, static_cast<uint16_t>(request.authoritative_port)};
      if (addresses.size() == kMaxTries || !policy_.CheckAddress(address).ok()) continue;
      addresses.push_back(address.ToString());
    }
  }
  for (const std::string& address : addresses) {
    Query query;
    query.name = request.name;
    query.type = RecordType::kSoa;
    query.servers.push_back(address);
    query.recursion_desired = false;
    query.timeout = request.timeout;
    query.attempts = request.attempts;
    const absl::StatusOr<Answer> answer = co_await resolver_.Resolve(context, query);
    CW_CO_RETURN_IF_ERROR(context.Check());
    if (answer.ok() && TellsOfZones(answer->message, request.name)) {
      co_return ZoneBelow(answer->message, request.name, zone);
    }
  }
  co_return std::string();
}

void PropagationChecker::Forget(const PropagationRequest& request, const Location& location) {
  locations_.Erase(KeyOf(request));
  nameservers_.Forget(location.zone, request.recursive_nameservers);
}

}  // namespace certwright::dns
