#include "lib/dns/nameservers.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dns/name.h"

namespace certwright::dns {
namespace {

constexpr std::size_t kMaxCacheEntries = 4096;

}  // namespace

NameserverFinder::NameserverFinder(DnsResolver& resolver, const base::Clock& clock)
    : resolver_(resolver), known_(clock, kMaxCacheEntries) {}

runtime::Awaitable<absl::StatusOr<std::vector<Nameserver>>> NameserverFinder::Find(
    runtime::Context context, std::string zone, std::vector<std::string> servers) {
  const Key key(servers, zone);
  if (auto known = known_.Get(key)) co_return *std::move(known);
  Query query;
  query.name = zone;
  query.type = RecordType::kNs;
  query.servers = servers;
  CW_CO_ASSIGN_OR_RETURN(const Answer answer,
                         co_await resolver_.Resolve(context, std::move(query)));
  uint32_t ttl = absl::ToInt64Seconds(kMaxDnsCacheLife);
  std::vector<runtime::Awaitable<Nameserver>> tasks;
  for (const Record& record : answer.message.answers) {
    const auto* data = std::get_if<NameData>(&record.data);
    if (record.type != RecordType::kNs || record.name != zone || data == nullptr) continue;
    if (tasks.size() >= kMaxNameservers) break;
    ttl = std::min(ttl, record.ttl);
    tasks.push_back(FindAddresses(context, data->name, servers));
  }
  if (tasks.empty()) {
    const std::string what =
        absl::StrCat("the DNS server ", answer.server, " knows no nameservers of the zone ",
                     DisplayName(zone), " (", RcodeName(answer.message.rcode), ")");
    const bool failed = answer.message.rcode == Rcode::kServFail;
    co_return failed ? absl::UnavailableError(what) : absl::NotFoundError(what);
  }
  std::vector<Nameserver> nameservers = co_await runtime::WhenAll(std::move(tasks));
  CW_CO_RETURN_IF_ERROR(context.Check());
  const bool complete =
      std::all_of(nameservers.begin(), nameservers.end(), [](const Nameserver& nameserver) {
        return nameserver.status.ok() && !nameserver.ips.empty();
      });
  if (complete) {
    known_.Put(key, nameservers, std::min(absl::Seconds(ttl), kMaxDnsCacheLife));
  }
  co_return nameservers;
}

runtime::Awaitable<Nameserver> NameserverFinder::FindAddresses(
    runtime::Context context, std::string name, std::vector<std::string> servers) {
  Nameserver nameserver;
  nameserver.name = name;
  std::vector<runtime::Awaitable<absl::StatusOr<Answer>>> tasks;
  for (const RecordType type : {RecordType::kA, RecordType::kAaaa}) {
    Query query;
    query.name = name;
    query.type = type;
    query.servers = servers;
    tasks.push_back(resolver_.Resolve(context, std::move(query)));
  }
  const std::vector<absl::StatusOr<Answer>> answers =
      co_await runtime::WhenAll(std::move(tasks));
  for (const absl::StatusOr<Answer>& answer : answers) {
    if (!answer.ok()) {
      nameserver.status = answer.status();
      continue;
    }
    const Rcode rcode = answer->message.rcode;
    if (rcode != Rcode::kNoError && rcode != Rcode::kNxDomain) {
      nameserver.status = absl::UnavailableError(
          absl::StrCat("the DNS server ", answer->server, " answered ", RcodeName(rcode),
                       " when asked for the addresses of ", name));
    }
    for (const Record& record : answer->message.answers) {
      const auto* data = std::get_if<AddressData>(&record.data);
      if (data != nullptr) nameserver.ips.push_back(data->address);
    }
  }
  co_return nameserver;
}

void NameserverFinder::Forget(const std::string& zone,
                              const std::vector<std::string>& servers) {
  known_.Erase(Key(servers, zone));
}

}  // namespace certwright::dns
