// DNS UPDATE: what servers answer, and what users want to be written. The first octet of the
// input says which.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "lib/base/fuzz.h"
#include "lib/dns/name.h"
#include "lib/dns/update_message.h"

namespace certwright::dns {
namespace {

constexpr char kZone[] = "example.test";

const TsigKey& Key() {
  static const TsigKey& key = *[] {
    auto* made = new TsigKey;
    made->name = "acme-key";
    made->secret = base::Secret(std::string("dGhpcyBpcyBubyBzZWNyZXQ="));
    return made;
  }();
  return key;
}

const UpdateMessage& SignedUpdate() {
  static const UpdateMessage& update = *[] {
    TxtChange change;
    change.name = "_acme-challenge.example.test";
    change.value = "value";
    return new UpdateMessage(*BuildUpdate(kZone, {change}, &Key()));
  }();
  return update;
}

// `wire` with the id of the update, which no seed can know.
std::string Answering(absl::string_view wire, const UpdateMessage& update) {
  std::string answer(wire);
  if (answer.size() >= 2) {
    answer[0] = static_cast<char>(update.id >> 8);
    answer[1] = static_cast<char>(update.id & 0xFF);
  }
  return answer;
}

void CheckReply(absl::string_view wire) {
  const UpdateMessage& update = SignedUpdate();
  const std::string answer = Answering(wire, update);
  const absl::StatusOr<UpdateReply> trusted =
      ReadReply(answer, update, nullptr, absl::FromUnixSeconds(1700000000));
  const absl::StatusOr<UpdateReply> reply =
      ReadReply(answer, update, &Key(), absl::FromUnixSeconds(1700000000));
  // Who does not know the key can refuse, but not consent.
  if (reply.ok()) {
    CW_FUZZ_CHECK(reply->rcode != Rcode::kNoError || reply->truncated);
    CW_FUZZ_CHECK(trusted.ok() && trusted->truncated == reply->truncated);
    CW_FUZZ_CHECK(!UpdateStatus(reply->rcode, "192.0.2.1:53", kZone).ok() || reply->truncated);
  }
  if (trusted.ok()) {
    const absl::Status status = UpdateStatus(trusted->rcode, "192.0.2.1:53", kZone);
    CW_FUZZ_CHECK(status.ok() == (trusted->rcode == Rcode::kNoError));
    if (!status.ok()) CW_FUZZ_CHECK(UpdateRcode(status) == trusted->rcode);
  }
}

// Whether the one record of `message` says what `change` wants.
bool Says(const Message& message, const TxtChange& change) {
  if (message.authority.size() != 1) return false;
  const Record& record = message.authority[0];
  if (record.type != RecordType::kTxt || record.name != *Normalize(change.name)) return false;
  const auto* text = std::get_if<TextData>(&record.data);
  if (change.kind == TxtChange::Kind::kAdd) {
    return text != nullptr && text->text == change.value && record.ttl == change.ttl;
  }
  const auto* raw = std::get_if<RawData>(&record.data);
  return raw != nullptr && raw->bytes.size() > change.value.size() && record.ttl == 0;
}

// "zone\nname\nvalue"
void CheckUpdate(absl::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits('\n', 2));
  if (parts.size() != 3) return;
  for (const auto kind : {TxtChange::Kind::kAdd, TxtChange::Kind::kRemove}) {
    TxtChange change;
    change.kind = kind;
    change.name = parts[1];
    change.value = parts[2];
    const absl::StatusOr<UpdateMessage> update = BuildUpdate(parts[0], {change}, nullptr);
    CW_FUZZ_CHECK(!update.ok() || CheckChange(change).ok());
    if (!update.ok()) {
      CW_FUZZ_CHECK(!CheckChange(change).ok() || !Normalize(parts[0]).ok());
      continue;
    }
    const absl::StatusOr<Message> message = ParseMessage(update->wire);
    CW_FUZZ_CHECK(message.ok() && message->id == update->id);
    CW_FUZZ_CHECK(message->questions.size() == 1);
    CW_FUZZ_CHECK(message->questions[0].name == *Normalize(parts[0]));
    CW_FUZZ_CHECK(Says(*message, change));
  }
}

void CheckSettings(absl::string_view text) {
  (void)ParseTsigAlgorithm(text);
  const absl::StatusOr<base::Secret> secret = ParseTsigSecret(text);
  if (!secret.ok()) return;
  const absl::StatusOr<base::Secret> again = ParseTsigSecret(secret->Reveal());
  CW_FUZZ_CHECK(again.ok() && again->Reveal() == secret->Reveal());
}

}  // namespace
}  // namespace certwright::dns

CW_FUZZ_TARGET(input) {
  using namespace certwright::dns;
  if (input.empty()) return;
  const char choice = input.front();
  input.remove_prefix(1);
  if (choice == 'u') {
    CheckUpdate(input);
  } else if (choice == 's') {
    CheckSettings(input);
  } else {
    CheckReply(input);
  }
}
