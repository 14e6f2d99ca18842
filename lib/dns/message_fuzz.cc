// Feeds ParseMessage arbitrary packets. See BUILD.bazel for how to run it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "lib/dns/message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const absl::string_view packet(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<certwright::dns::Message> message =
      certwright::dns::ParseMessage(packet);
  if (!message.ok()) return 0;
  // What names promise: dots only separate, and nothing unprintable is left.
  for (const auto* section : {&message->answers, &message->authority, &message->additional}) {
    for (const certwright::dns::Record& record : *section) {
      for (const char c : record.name) {
        if (c <= ' ' || c > '~') std::abort();
      }
      if (record.name.find("..") != std::string::npos) std::abort();
    }
  }
  return 0;
}
