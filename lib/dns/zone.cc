#include "lib/dns/zone.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dns/name.h"

namespace certwright::dns {
namespace {

// An rcode that says neither "here it is" nor "there is none".
absl::Status CheckRcode(const Answer& answer, absl::string_view name, RecordType type) {
  const Rcode rcode = answer.message.rcode;
  if (rcode == Rcode::kNoError || rcode == Rcode::kNxDomain) return absl::OkStatus();
  const std::string what =
      absl::StrCat("the DNS server ", answer.server, " answered ", RcodeName(rcode),
                   " when asked for ", TypeName(type), " of ", DisplayName(name));
  if (rcode == Rcode::kServFail) return absl::UnavailableError(what);
  return absl::FailedPreconditionError(
      absl::StrCat(what, "; configure recursive nameservers that answer such questions"));
}

runtime::Awaitable<absl::StatusOr<Answer>> Ask(runtime::Context context, DnsResolver& resolver,
                                               const std::string& name, RecordType type,
                                               const std::vector<std::string>& servers) {
  Query query;
  query.name = name;
  query.type = type;
  query.servers = servers;
  return resolver.Resolve(std::move(context), std::move(query));
}

runtime::Awaitable<absl::StatusOr<Answer>> AskRecursive(runtime::Context context,
                                                        DnsResolver& resolver, std::string name,
                                                        RecordType type,
                                                        std::vector<std::string> servers) {
  CW_CO_ASSIGN_OR_RETURN(Answer answer, co_await Ask(context, resolver, name, type, servers));
  CW_CO_RETURN_IF_ERROR(CheckRcode(answer, name, type));
  co_return answer;
}

runtime::Awaitable<absl::StatusOr<Answer>> AskForZone(runtime::Context context,
                                                      DnsResolver& resolver, std::string name,
                                                      std::vector<std::string> servers) {
  CW_CO_ASSIGN_OR_RETURN(Answer soa,
                         co_await Ask(context, resolver, name, RecordType::kSoa, servers));
  const absl::Status refused = CheckRcode(soa, name, RecordType::kSoa);
  if (refused.ok()) co_return soa;
  absl::StatusOr<Answer> alias =
      co_await AskRecursive(context, resolver, name, RecordType::kCname, servers);
  if (!alias.ok()) co_return refused;
  co_return alias;
}

Zone ZoneOf(const Record& record) {
  Zone zone;
  zone.name = record.name;
  zone.ttl = record.ttl;
  if (const auto* soa = std::get_if<SoaData>(&record.data)) zone.soa = *soa;
  return zone;
}

const NameData* AliasOf(const Message& message, absl::string_view name) {
  const Record* record = FindRecord(message.answers, name, RecordType::kCname);
  return record == nullptr ? nullptr : std::get_if<NameData>(&record->data);
}

// True if the message has said all there is about `name`, so that asking again, for the name
// alone, would tell no more.
bool IsFinal(const Message& message, absl::string_view name, RecordType type) {
  if (message.rcode == Rcode::kNxDomain) return true;
  if (FindRecord(message.answers, name, type) != nullptr) return true;
  return std::any_of(message.authority.begin(), message.authority.end(),
                     [name](const Record& record) {
                       return record.type == RecordType::kSoa && IsSubdomain(name, record.name);
                     });
}

}  // namespace

std::optional<Zone> ZoneFromAnswer(const Message& message, absl::string_view name) {
  if (const Record* soa = FindRecord(message.answers, name, RecordType::kSoa)) {
    return ZoneOf(*soa);
  }
  // What follows an alias is about its target.
  if (AliasOf(message, name) != nullptr) return std::nullopt;
  for (const Record& record : message.authority) {
    if (record.type == RecordType::kSoa && record.record_class == kClassIn &&
        IsSubdomain(name, record.name)) {
      return ZoneOf(record);
    }
  }
  return std::nullopt;
}

runtime::Awaitable<absl::StatusOr<Zone>> FindZone(runtime::Context context,
                                                  DnsResolver& resolver, std::string name,
                                                  std::vector<std::string> servers) {
  CW_CO_ASSIGN_OR_RETURN(const std::string wanted, Normalize(name));
  std::string candidate = wanted;
  std::string last_server;
  while (true) {
    CW_CO_ASSIGN_OR_RETURN(const Answer answer,
                           co_await AskForZone(context, resolver, candidate, servers));
    if (std::optional<Zone> zone = ZoneFromAnswer(answer.message, candidate)) {
      co_return *std::move(zone);
    }
    if (candidate.empty()) {
      last_server = answer.server;
      break;
    }
    candidate = std::string(Parent(candidate));
  }
  co_return absl::NotFoundError(
      absl::StrCat("no DNS zone holds ", DisplayName(wanted), ": the server ", last_server,
                   " has no SOA record for it, nor for anything above it"));
}

runtime::Awaitable<absl::StatusOr<CnameTarget>> FollowCnames(runtime::Context context,
                                                             DnsResolver& resolver,
                                                             std::string name, RecordType type,
                                                             std::vector<std::string> servers,
                                                             int max_hops) {
  CnameTarget target;
  CW_CO_ASSIGN_OR_RETURN(target.name, Normalize(name));
  std::set<std::string> seen = {target.name};
  while (true) {
    absl::StatusOr<Answer> answer =
        co_await AskRecursive(context, resolver, target.name, type, servers);
    if (!answer.ok() && target.hops > 0) {
      co_return base::Annotate(answer.status(),
                               absl::StrCat(name, " is an alias of ", target.name));
    }
    if (!answer.ok()) co_return answer.status();
    target.answer = *std::move(answer);
    bool moved = false;
    while (const NameData* alias = AliasOf(target.answer.message, target.name)) {
      moved = true;
      target.name = alias->name;
      ++target.hops;
      if (!seen.insert(target.name).second) {
        co_return absl::FailedPreconditionError(
            absl::StrCat("the CNAME records of ", name, " form a loop at ", target.name));
      }
      if (target.hops > max_hops) {
        co_return absl::FailedPreconditionError(absl::StrCat(
            name, " leads to more than ", max_hops, " CNAME records; shorten the chain"));
      }
    }
    if (!moved || IsFinal(target.answer.message, target.name, type)) co_return target;
  }
}

}  // namespace certwright::dns
