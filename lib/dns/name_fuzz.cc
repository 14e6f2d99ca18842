// Domain names that users and other services give.
#include <string>

#include "lib/base/fuzz.h"
#include "lib/dns/message.h"
#include "lib/dns/message_builder.h"
#include "lib/dns/name.h"

namespace certwright::dns {
namespace {

// What fits the text fits the wire.
void CheckOnTheWire(const std::string& name) {
  CW_FUZZ_CHECK(WireName(name).size() <= 255 && WireName(name) == BuildName(name));
  Message message;
  message.questions.push_back(Question{name, RecordType::kTxt, kClassIn});
  const absl::StatusOr<Message> parsed = ParseMessage(BuildMessage(message));
  CW_FUZZ_CHECK(parsed.ok() && parsed->questions[0].name == name);
}

void Check(absl::string_view text) {
  const absl::StatusOr<std::string> name = Normalize(text);
  if (!name.ok()) {
    CW_FUZZ_CHECK(name.status().message().size() < 2048);
    return;
  }
  CW_FUZZ_CHECK(Normalize(*name) == name);
  CW_FUZZ_CHECK(Normalize(*name + ".") == name);
  CW_FUZZ_CHECK(!DisplayName(*name).empty());
  CheckOnTheWire(*name);
  // Every zone above it holds it, down from the root.
  absl::string_view zone = *name;
  int labels = 0;
  while (!zone.empty()) {
    CW_FUZZ_CHECK(IsSubdomain(*name, zone));
    CW_FUZZ_CHECK(!IsSubdomain(Parent(zone), zone));
    zone = Parent(zone);
    CW_FUZZ_CHECK(++labels <= 127);
  }
  CW_FUZZ_CHECK(IsSubdomain(*name, ""));
}

}  // namespace
}  // namespace certwright::dns

CW_FUZZ_TARGET(input) { certwright::dns::Check(input); }
