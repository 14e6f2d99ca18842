#include "tests/fakes/dns_server.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/dns/name.h"
#include "tests/fakes/random_bytes.h"
#include "tests/fakes/tsig_signer.h"

namespace certwright::fakes {
namespace {

using dns::Message;
using dns::Rcode;
using dns::Record;
using dns::RecordType;

constexpr uint8_t kUpdateOpcode = 5;
constexpr uint16_t kClassNone = 254;
constexpr uint16_t kClassAny = 255;
constexpr auto kAnyType = static_cast<RecordType>(255);
// What resolvers take over UDP since 2020 (DNS flag day).
constexpr std::size_t kMaxUdpBytes = 1232;
constexpr int kMaxAliases = 16;
constexpr uint32_t kTtl = 1;

dns::TsigKey MakeKey(dns::TsigAlgorithm algorithm) {
  dns::TsigKey key;
  key.name = "fake-key";
  key.algorithm = algorithm;
  key.secret = base::Secret(absl::Base64Escape(RandomBytes(32)));
  return key;
}

Record MakeRecord(std::string name, RecordType type, decltype(Record::data) data) {
  Record record;
  record.name = std::move(name);
  record.type = type;
  record.ttl = kTtl;
  record.data = std::move(data);
  return record;
}

// Records of class NONE come as octets.
dns::TextData JoinStrings(absl::string_view data) {
  dns::TextData text;
  while (!data.empty()) {
    const auto size = static_cast<uint8_t>(data[0]);
    absl::StrAppend(&text.text, data.substr(1, size));
    data.remove_prefix(std::min<std::size_t>(data.size(), size + 1u));
  }
  return text;
}

}  // namespace

DnsServer::DnsServer(DnsServerOptions options)
    : options_(std::move(options)), key_(MakeKey(options_.tsig_algorithm)) {
  dns::TestDnsServer::Options server;
  server.address = options_.address;
  server.port = options_.port;
  server.delay = [this](const Request& request) { return TakeDelay(request); };
  server_ = std::make_unique<dns::TestDnsServer>(
      [this](const Request& request) { return Handle(request); }, std::move(server));
}

void DnsServer::Inject(DnsFault fault) {
  base::MutexLock lock(mutex_);
  faults_.push_back(std::move(fault));
}

void DnsServer::ClearFaults() {
  base::MutexLock lock(mutex_);
  faults_.clear();
}

void DnsServer::AddRecord(Record record) {
  base::MutexLock lock(mutex_);
  std::string name = record.name;
  records_.emplace(std::move(name), std::move(record));
}

void DnsServer::AddTxt(const std::string& name, const std::string& value) {
  AddRecord(MakeRecord(name, RecordType::kTxt, dns::TextData{value}));
}

void DnsServer::AddCname(const std::string& name, const std::string& target) {
  AddRecord(MakeRecord(name, RecordType::kCname, dns::NameData{target}));
}

void DnsServer::RemoveRecords(const std::string& name) {
  base::MutexLock lock(mutex_);
  records_.erase(name);
}

std::vector<std::string> DnsServer::TxtValues(const std::string& name) const {
  base::MutexLock lock(mutex_);
  std::vector<std::string> values;
  for (auto [it, end] = records_.equal_range(name); it != end; ++it) {
    const auto* text = std::get_if<dns::TextData>(&it->second.data);
    if (text != nullptr) values.push_back(text->text);
  }
  return values;
}

int DnsServer::updates() const {
  base::MutexLock lock(mutex_);
  return updates_;
}

int DnsServer::queries() const {
  base::MutexLock lock(mutex_);
  return queries_;
}

// Called before Handle() for the same request, on the same thread.
absl::Duration DnsServer::TakeDelay(const Request& request) {
  base::MutexLock lock(mutex_);
  current_ = FindFault(request);
  return current_.has_value() ? current_->delay : absl::ZeroDuration();
}

std::optional<DnsFault> DnsServer::FindFault(const Request& request) {
  const bool is_update = request.message.opcode == kUpdateOpcode;
  const std::string name =
      request.message.questions.empty() ? "" : request.message.questions[0].name;
  for (auto fault = faults_.begin(); fault != faults_.end(); ++fault) {
    if (fault->updates != is_update || !dns::IsSubdomain(name, fault->name)) continue;
    if (fault->kind == DnsFault::Kind::kTruncate && request.tcp) continue;
    if (fault->kind == DnsFault::Kind::kBareRcode && request.message.additional.empty())
      continue;
    if (fault->type != DnsFault::kNoType &&
        (request.message.questions.empty() ||
         request.message.questions[0].type != fault->type)) {
      continue;
    }
    const DnsFault found = *fault;
    if (fault->times != DnsFault::kForever && --fault->times == 0) faults_.erase(fault);
    return found;
  }
  return std::nullopt;
}

std::vector<std::string> DnsServer::Handle(const Request& request) {
  base::MutexLock lock(mutex_);
  const DnsFault fault = current_.value_or(DnsFault());
  if (request.message.questions.size() != 1 || request.message.response) return {};
  const bool is_update = request.message.opcode == kUpdateOpcode;
  if (!is_update) ++queries_;
  Message broken;
  Request other = request;
  switch (fault.kind) {
    case DnsFault::Kind::kNone:
      break;
    case DnsFault::Kind::kDrop:
      return {};
    case DnsFault::Kind::kRcode:
      broken.rcode = fault.rcode;
      broken.authoritative = true;
      return {dns::TestDnsServer::Reply(request, broken)};
    case DnsFault::Kind::kBareRcode:
      other.message.questions.clear();
      broken.rcode = fault.rcode;
      return {dns::TestDnsServer::Reply(other, broken)};
    case DnsFault::Kind::kTruncate:
      broken.truncated = true;
      return {dns::TestDnsServer::Reply(request, broken)};
    case DnsFault::Kind::kWrongId:
      ++other.message.id;
      return {AnswerQuery(other)};
    case DnsFault::Kind::kWrongQuestion:
      other.message.questions[0].name = absl::StrCat("other.", options_.zones[0]);
      return {AnswerQuery(other)};
    case DnsFault::Kind::kLame:
      return {dns::TestDnsServer::Reply(request, broken)};
    case DnsFault::Kind::kLoseAnswer:
      if (is_update) AnswerUpdate(request);
      return {};
  }
  return {is_update ? AnswerUpdate(request) : AnswerQuery(request)};
}

std::string DnsServer::ZoneOf(const std::string& name) const {
  std::string zone;
  for (const std::string& candidate : options_.zones) {
    if (dns::IsSubdomain(name, candidate) && candidate.size() > zone.size()) zone = candidate;
  }
  return zone;
}

std::string DnsServer::AnswerQuery(const Request& request) {
  const dns::Question& question = request.message.questions[0];
  Message message;
  if (ZoneOf(question.name).empty()) {
    message.rcode = Rcode::kRefused;
    return dns::TestDnsServer::Reply(request, message);
  }
  message.authoritative = true;
  Look(question.name, question.type, message);
  std::string packet = dns::TestDnsServer::Reply(request, message);
  if (request.tcp || packet.size() <= kMaxUdpBytes) return packet;
  Message truncated;
  truncated.authoritative = true;
  truncated.truncated = true;
  return dns::TestDnsServer::Reply(request, truncated);
}

// Aliases are followed as far as the zones reach (RFC 1034 §4.3.2).
void DnsServer::Look(const std::string& asked, RecordType type, Message& message) const {
  std::string name = asked;
  for (int hops = 0; hops <= kMaxAliases; ++hops) {
    const std::string zone = ZoneOf(name);
    if (zone.empty()) return;
    std::string target;
    const std::size_t before = message.answers.size();
    for (const Record& record : RecordsAt(name)) {
      const bool is_alias = record.type == RecordType::kCname && type != RecordType::kCname;
      if (record.type == type || is_alias) message.answers.push_back(record);
      if (is_alias) target = std::get<dns::NameData>(record.data).name;
    }
    if (target.empty()) {
      if (message.answers.size() == before) {
        for (const Record& record : RecordsAt(zone)) {
          if (record.type == RecordType::kSoa) message.authority.push_back(record);
        }
      }
      return;
    }
    name = target;
  }
}

std::vector<Record> DnsServer::RecordsAt(const std::string& name) const {
  std::vector<Record> records;
  bool has_address_or_alias = false;
  for (auto [it, end] = records_.equal_range(name); it != end; ++it) {
    records.push_back(it->second);
    const RecordType type = it->second.type;
    has_address_or_alias |= type == RecordType::kA || type == RecordType::kCname;
  }
  if (!has_address_or_alias) {
    records.push_back(MakeRecord(name, RecordType::kA, dns::AddressData{"127.0.0.1"}));
  }
  if (std::find(options_.zones.begin(), options_.zones.end(), name) != options_.zones.end()) {
    dns::SoaData soa;
    soa.primary = absl::StrCat("ns.", name);
    soa.mailbox = absl::StrCat("hostmaster.", name);
    soa.serial = serial_;
    soa.refresh = 3600;
    soa.retry = 600;
    soa.expire = 86400;
    soa.minimum = 1;
    records.push_back(MakeRecord(name, RecordType::kSoa, soa));
    if (std::none_of(records.begin(), records.end(),
                     [](const Record& record) { return record.type == RecordType::kNs; })) {
      records.push_back(
          MakeRecord(name, RecordType::kNs, dns::NameData{absl::StrCat("ns.", name)}));
    }
  }
  return records;
}

std::string DnsServer::AnswerUpdate(const Request& request) {
  const std::string& zone = request.message.questions[0].name;
  if (const Rcode error = CheckTsig(request, key_); error != Rcode::kNoError) {
    return TsigErrorAnswer(request, error, key_);
  }
  Message answer;
  if (ZoneOf(zone) != zone) {
    answer.rcode = Rcode::kNotAuth;
    return SignedAnswer(request, answer, key_);
  }
  for (const Record& record : request.message.authority) {
    if (!dns::IsSubdomain(record.name, zone)) answer.rcode = Rcode::kNotZone;
  }
  if (answer.rcode == Rcode::kNoError) {
    for (const Record& record : request.message.authority) Apply(record);
    ++serial_;
    ++updates_;
  }
  return SignedAnswer(request, answer, key_);
}

// RFC 2136 §3.4.2: add a record, remove it, or remove a set, or all sets, of a name.
void DnsServer::Apply(const Record& record) {
  Record removed = record;
  if (record.record_class == kClassNone && record.type == RecordType::kTxt) {
    removed.data = JoinStrings(std::get<dns::RawData>(record.data).bytes);
  }
  auto [it, end] = records_.equal_range(record.name);
  while (it != end) {
    const bool same_type = it->second.type == record.type;
    const bool same = same_type && it->second.data == removed.data;
    const bool any = record.record_class == kClassAny && (same_type || record.type == kAnyType);
    it = same || any ? records_.erase(it) : std::next(it);
  }
  if (record.record_class == dns::kClassIn) records_.emplace(record.name, record);
}

}  // namespace certwright::fakes
