// Arbitrary text as every kind of name: what is accepted must be its own normal spelling.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "lib/pki/names.h"

namespace certwright::pki {
namespace {

template <typename Normalize>
void CheckIdempotent(absl::string_view text, Normalize normalize) {
  absl::StatusOr<std::string> once = normalize(text);
  if (!once.ok()) return;
  absl::StatusOr<std::string> twice = normalize(*once);
  if (!twice.ok() || *twice != *once) std::abort();
  for (char c : *once) {
    if (c <= ' ' || c > '~') std::abort();
  }
}

}  // namespace
}  // namespace certwright::pki

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace certwright::pki;
  absl::string_view text(reinterpret_cast<const char*>(data), size);
  CheckIdempotent(text, NormalizeDnsName);
  CheckIdempotent(text, NormalizeIpAddress);
  CheckIdempotent(text, NormalizeEmail);
  CheckIdempotent(text, NormalizeUri);
  SubjectAltNames names;
  names.dns_names = {std::string(text)};
  if (NameSetDifference(names, {}).empty()) std::abort();
  return 0;
}
