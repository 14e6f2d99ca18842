// SealingCodec: seals the values of a kind of resource on their way to the store and opens
// them on their way back. What is secret is sealed before the store sees it, so that neither
// its tables, its change log, its write-ahead log nor its watches hold it in the clear.
//
// The value is sealed with a data key, and the data key, wrapped with the first sealing key,
// stands beside it (sealed_record.h), so that a record opens with the key file alone. One data
// key serves from the start of the process to its end, or for 2^30 records, well below the
// 2^32 that one key with random nonces may seal (NIST SP 800-38D §8.3): a record costs one
// encryption, and reading it back one decryption, for its data key is remembered.
//
// What is not sealed is never opened. Records of versions of this program that did not seal are
// sealed by sealing_migration.h.
//
// Threading: safe from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/mutex.h"
#include "lib/base/secret.h"
#include "lib/store/resource_store.h"
#include "lib/store/sealing_key.h"

namespace certwright::store {

class SealingCodec final : public ValueCodec {
 public:
  // The first key seals, all of them open. At least one.
  explicit SealingCodec(std::vector<SealingKey> keys);

  absl::StatusOr<std::string> Seal(absl::string_view key,
                                   absl::string_view value) const override;

  // FAILED_PRECONDITION without the sealing key that the record names; DATA_LOSS if the
  // record has been changed, is another key's, or is not sealed.
  absl::StatusOr<base::Secret> Open(absl::string_view key,
                                    absl::string_view stored) const override;

  // A note, for a file, that all of a store is sealed with the first key, which only who has
  // that key can write.
  std::string Note() const;
  // The id of the key with which this note was written; nothing if it is none of these keys.
  std::optional<std::string> NotedKey(absl::string_view note) const;

  // Of the first key.
  const std::string& current_key_id() const { return keys_.front().id(); }
  bool HasKey(absl::string_view id) const { return FindKey(id) != nullptr; }

 private:
  using DataKey = std::shared_ptr<const base::Secret>;
  struct Sealer {
    DataKey key;
    std::string header;
    int64_t records = 0;
  };

  struct Found;
  const SealingKey* FindKey(absl::string_view id) const;
  Sealer TakeSealer() const;
  absl::StatusOr<DataKey> Unwrap(absl::string_view key_id, absl::string_view wrapped) const;

  const std::vector<SealingKey> keys_;
  mutable base::Mutex mutex_;
  mutable Sealer sealer_ CW_GUARDED_BY(mutex_);
  // By their wrapped form.
  mutable std::map<std::string, DataKey, std::less<>> data_keys_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::store
