// Sealed records, as someone who can write to the store's file may have changed them.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/fuzz.h"
#include "lib/store/sealed_record.h"
#include "lib/store/sealing_codec.h"

namespace certwright::store {
namespace {

const SealingCodec& Codec() {
  static const auto& codec = *[] {
    std::vector<SealingKey> keys;
    keys.emplace_back(base::Secret(std::string(32, 'k')));
    return new SealingCodec(std::move(keys));
  }();
  return codec;
}

void CheckParsing(absl::string_view stored) {
  if (!IsSealed(stored)) return;
  const auto record = ParseSealedRecord(stored);
  if (!record.ok()) return;
  CW_FUZZ_CHECK(record->key_id.size() == kSealingKeyIdBytes);
  CW_FUZZ_CHECK(SealedHeader(record->key_id, record->wrapped_key) == record->header);
  CW_FUZZ_CHECK(absl::StrCat(record->header, record->value) == stored);
}

// Nobody without the key makes a record that opens.
void CheckForgery(absl::string_view stored) {
  CW_FUZZ_CHECK(!Codec().Open("secrets/ns/name", stored).ok());
}

// The input is what is secret, and says which octet of the record is changed.
void CheckRoundTrip(absl::string_view value) {
  if (value.size() > 4096) return;
  std::string stored = *Codec().Seal("secrets/ns/name", value);
  CW_FUZZ_CHECK(IsSealed(stored) && stored.size() == value.size() + kSealingOverhead);
  CW_FUZZ_CHECK(Codec().Open("secrets/ns/name", stored)->Reveal() == value);
  CW_FUZZ_CHECK(!Codec().Open("secrets/ns/other", stored).ok());
  const auto first = static_cast<unsigned char>(value.empty() ? 0 : value.front());
  stored[first % stored.size()] ^= 1;
  CW_FUZZ_CHECK(!Codec().Open("secrets/ns/name", stored).ok());
}

}  // namespace
}  // namespace certwright::store

CW_FUZZ_TARGET(input) {
  certwright::store::CheckParsing(input);
  certwright::store::CheckForgery(input);
  certwright::store::CheckRoundTrip(input);
}
