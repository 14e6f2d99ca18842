// The layout of a sealed record:
//
//   octets  what
//   5       00 'C' 'W' 'S' 01: a mark that no protobuf message begins with, and the version
//   8       the id of the sealing key
//   60      the data key, sealed with the sealing key: nonce (12), ciphertext (32), tag (16)
//   28 + n  the record's value, sealed with the data key: nonce (12), ciphertext (n), tag (16)
//
// All of it is AES-256-GCM. The value's associated data are the octets before it and the
// record's key, so that neither part can be put into another record.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace certwright::store {

inline constexpr std::size_t kSealingKeyIdBytes = 8;
inline constexpr std::size_t kWrappedKeyBytes = 60;
// What sealing adds to a value.
inline constexpr std::size_t kSealingOverhead = 5 + kSealingKeyIdBytes + kWrappedKeyBytes + 28;

// Views into the record.
struct SealedRecord {
  absl::string_view key_id;
  absl::string_view wrapped_key;
  absl::string_view header;  // the mark and the two before
  absl::string_view value;   // nonce, ciphertext, tag
};

// Whether `stored` begins with the mark, of whatever version.
bool IsSealed(absl::string_view stored);

// For a record that IsSealed(). DATA_LOSS if it is too short, FAILED_PRECONDITION if it is of
// a version that this program does not know.
absl::StatusOr<SealedRecord> ParseSealedRecord(absl::string_view stored);

// What comes before the sealed value.
std::string SealedHeader(absl::string_view key_id, absl::string_view wrapped_key);

}  // namespace certwright::store
