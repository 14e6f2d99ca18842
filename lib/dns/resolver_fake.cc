#include "lib/dns/resolver_fake.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/dns/server_address.h"

namespace certwright::dns {
namespace {

Record MakeRecord(absl::string_view name, RecordType type) {
  Record record;
  record.name = std::string(name);
  record.type = type;
  record.ttl = 60;
  return record;
}

// As Answer::server writes it, so that "192.0.2.1" and "192.0.2.1:53" are one.
std::string Canonical(absl::string_view server) {
  absl::StatusOr<ServerAddress> address = ParseServerAddress(server);
  return address.ok() ? address->ToString() : std::string(server);
}

}  // namespace

void FakeDnsResolver::Set(absl::string_view server, absl::string_view name, RecordType type,
                          Message message) {
  Question question;
  question.name = std::string(name);
  question.type = type;
  message.response = true;
  message.questions = {question};
  base::MutexLock lock(mutex_);
  script_.insert_or_assign(Key(Canonical(server), name, type), std::move(message));
}

void FakeDnsResolver::SetError(absl::string_view server, absl::string_view name,
                               RecordType type, absl::Status status) {
  base::MutexLock lock(mutex_);
  script_.insert_or_assign(Key(Canonical(server), name, type), std::move(status));
}

void FakeDnsResolver::Clear(absl::string_view server, absl::string_view name, RecordType type) {
  base::MutexLock lock(mutex_);
  script_.erase(Key(Canonical(server), name, type));
}

std::vector<Query> FakeDnsResolver::queries() const {
  base::MutexLock lock(mutex_);
  return queries_;
}

absl::StatusOr<Message> FakeDnsResolver::Lookup(const std::string& server,
                                                const Query& query) const {
  auto it = script_.find(Key(server, query.name, query.type));
  if (it == script_.end()) it = script_.find(Key("", query.name, query.type));
  if (it != script_.end()) return it->second;
  return absl::InternalError(absl::StrCat("FakeDnsResolver has no answer scripted for ",
                                          TypeName(query.type), " ", query.name, " at \"",
                                          server, "\""));
}

runtime::Awaitable<absl::StatusOr<Answer>> FakeDnsResolver::Resolve(runtime::Context context,
                                                                    Query query) {
  if (absl::Status status = context.Check(); !status.ok()) co_return status;
  base::MutexLock lock(mutex_);
  queries_.push_back(query);
  std::vector<std::string> servers = query.servers;
  if (servers.empty()) servers.push_back("");
  std::vector<std::string> failures;
  for (const std::string& server : servers) {
    absl::StatusOr<Message> message = Lookup(Canonical(server), query);
    if (message.ok()) {
      Answer answer;
      answer.message = *std::move(message);
      answer.server = server.empty() ? "system" : Canonical(server);
      co_return answer;
    }
    const bool next = message.status().code() == absl::StatusCode::kUnavailable;
    if (!next || servers.size() == 1) co_return message.status();
    failures.emplace_back(message.status().message());
  }
  co_return absl::UnavailableError(absl::StrJoin(failures, "; "));
}

Record AddressRecord(absl::string_view name, absl::string_view ip) {
  const bool v6 = ip.find(':') != absl::string_view::npos;
  Record record = MakeRecord(name, v6 ? RecordType::kAaaa : RecordType::kA);
  record.data = AddressData{std::string(ip)};
  return record;
}

Record NsRecord(absl::string_view zone, absl::string_view nameserver) {
  Record record = MakeRecord(zone, RecordType::kNs);
  record.data = NameData{std::string(nameserver)};
  return record;
}

Record CnameRecord(absl::string_view name, absl::string_view target) {
  Record record = MakeRecord(name, RecordType::kCname);
  record.data = NameData{std::string(target)};
  return record;
}

Record TxtRecord(absl::string_view name, absl::string_view text) {
  Record record = MakeRecord(name, RecordType::kTxt);
  record.data = TextData{std::string(text)};
  return record;
}

Record SoaRecord(absl::string_view zone) {
  Record record = MakeRecord(zone, RecordType::kSoa);
  SoaData data;
  data.primary = absl::StrCat("ns1.", zone);
  data.mailbox = absl::StrCat("hostmaster.", zone);
  data.serial = 1;
  data.refresh = 3600;
  data.retry = 600;
  data.expire = 86400;
  data.minimum = 60;
  record.data = std::move(data);
  return record;
}

Message Answering(std::vector<Record> answers) {
  Message message;
  message.response = true;
  message.authoritative = true;
  message.answers = std::move(answers);
  return message;
}

Message NoData(absl::string_view zone) {
  Message message = Answering({});
  message.authority.push_back(SoaRecord(zone));
  return message;
}

Message NxDomain(absl::string_view zone) {
  Message message = NoData(zone);
  message.rcode = Rcode::kNxDomain;
  return message;
}

Message Failing(Rcode rcode) {
  Message message;
  message.response = true;
  message.rcode = rcode;
  return message;
}

}  // namespace certwright::dns
