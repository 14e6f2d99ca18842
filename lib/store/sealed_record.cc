#include "lib/store/sealed_record.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace certwright::store {
namespace {

constexpr absl::string_view kMark("\0CWS", 4);
constexpr char kVersion = 1;

}  // namespace

bool IsSealed(absl::string_view stored) { return absl::StartsWith(stored, kMark); }

absl::StatusOr<SealedRecord> ParseSealedRecord(absl::string_view stored) {
  if (stored.size() < kSealingOverhead) {
    return absl::DataLossError("the sealed record is cut short");
  }
  if (stored[kMark.size()] != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the record is sealed in format ", static_cast<int>(stored[kMark.size()]),
                     ", this program knows format ", static_cast<int>(kVersion),
                     "; run the version of the program that wrote it, or a newer one"));
  }
  const std::size_t id_at = kMark.size() + 1;
  const std::size_t wrapped_at = id_at + kSealingKeyIdBytes;
  const std::size_t value_at = wrapped_at + kWrappedKeyBytes;
  return SealedRecord{stored.substr(id_at, kSealingKeyIdBytes),
                      stored.substr(wrapped_at, kWrappedKeyBytes), stored.substr(0, value_at),
                      stored.substr(value_at)};
}

std::string SealedHeader(absl::string_view key_id, absl::string_view wrapped_key) {
  return absl::StrCat(kMark, absl::string_view(&kVersion, 1), key_id, wrapped_key);
}

}  // namespace certwright::store
