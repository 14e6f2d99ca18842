// What DNS servers send.
#include <string>
#include <vector>

#include "lib/base/fuzz.h"
#include "lib/dns/message.h"
#include "lib/dns/message_builder.h"
#include "lib/dns/name.h"
#include "lib/dns/zone.h"

namespace certwright::dns {
namespace {

constexpr std::size_t kMaxPacket = 65535;

// What names promise: dots only separate, and nothing unprintable is left.
void CheckName(const std::string& name) {
  // 255 octets on the wire, each at most written \DDD.
  CW_FUZZ_CHECK(name.size() <= 4 * 255);
  for (const char c : name) CW_FUZZ_CHECK(c > ' ' && c <= '~');
  CW_FUZZ_CHECK(name.find("..") == std::string::npos);
  CW_FUZZ_CHECK(name.empty() || (name.front() != '.' && name.back() != '.'));
}

void CheckSame(const std::vector<Record>& a, const std::vector<Record>& b) {
  CW_FUZZ_CHECK(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CW_FUZZ_CHECK(a[i].name == b[i].name && a[i].type == b[i].type);
    CW_FUZZ_CHECK(a[i].record_class == b[i].record_class && a[i].ttl == b[i].ttl);
    CW_FUZZ_CHECK(a[i].data == b[i].data);
  }
}

// What was read is written so that it reads as the same.
void CheckRoundTrip(const Message& message) {
  const std::string packet = BuildMessage(message);
  // Without compression it may be too large.
  if (packet.size() > kMaxPacket) return;
  const absl::StatusOr<Message> again = ParseMessage(packet);
  CW_FUZZ_CHECK(again.ok());
  CW_FUZZ_CHECK(again->id == message.id && again->rcode == message.rcode);
  CW_FUZZ_CHECK(again->questions.size() == message.questions.size());
  CheckSame(message.answers, again->answers);
  CheckSame(message.authority, again->authority);
  CheckSame(message.additional, again->additional);
}

void CheckZone(const Message& message, const std::string& name) {
  const std::optional<Zone> zone = ZoneFromAnswer(message, name);
  if (zone.has_value()) CW_FUZZ_CHECK(IsSubdomain(name, zone->name));
}

void Check(absl::string_view packet) {
  const absl::StatusOr<Message> message = ParseMessage(packet);
  if (!message.ok()) return;
  CW_FUZZ_CHECK(packet.size() <= kMaxPacket);
  for (const Question& question : message->questions) {
    CheckName(question.name);
    CheckZone(*message, question.name);
  }
  for (const auto* section : {&message->answers, &message->authority, &message->additional}) {
    for (const Record& record : *section) {
      CheckName(record.name);
      const auto* alias = std::get_if<NameData>(&record.data);
      if (alias != nullptr) CheckName(alias->name);
      if (record.record_class == kClassIn) {
        CW_FUZZ_CHECK(FindRecord(*section, record.name, record.type) != nullptr);
      }
    }
  }
  CW_FUZZ_CHECK(message->last_record < packet.size());
  CheckRoundTrip(*message);
}

}  // namespace
}  // namespace certwright::dns

CW_FUZZ_TARGET(input) { certwright::dns::Check(input); }
