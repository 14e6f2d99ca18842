#include "lib/store/sealing_codec.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/pki/aes_gcm.h"
#include "lib/store/sealed_record.h"

namespace certwright::store {
namespace {

constexpr int64_t kRecordsPerDataKey = int64_t{1} << 30;
// There is one for each start of the process since the oldest record was written.
constexpr std::size_t kRememberedDataKeys = 1024;

std::string NoteOf(const SealingKey& key) {
  return absl::StrCat(absl::BytesToHexString(key.id()), " ",
                      absl::BytesToHexString(key.Attest("all is sealed")));
}

}  // namespace

SealingCodec::SealingCodec(std::vector<SealingKey> keys) : keys_(std::move(keys)) {}

absl::StatusOr<std::string> SealingCodec::Seal(absl::string_view key,
                                               absl::string_view value) const {
  const Sealer sealer = TakeSealer();
  const std::string associated = absl::StrCat(sealer.header, key);
  return absl::StrCat(sealer.header, pki::AesGcmSeal(*sealer.key, associated, value));
}

absl::StatusOr<base::Secret> SealingCodec::Open(absl::string_view key,
                                                absl::string_view stored) const {
  if (!IsSealed(stored)) {
    return absl::DataLossError(
        "the stored record is not sealed, although all of this store are: something else has "
        "written to its file; restore the store from a backup, or delete the resource");
  }
  CW_ASSIGN_OR_RETURN(const SealedRecord record, ParseSealedRecord(stored));
  CW_ASSIGN_OR_RETURN(const DataKey data_key, Unwrap(record.key_id, record.wrapped_key));
  auto value = pki::AesGcmOpen(*data_key, absl::StrCat(record.header, key), record.value);
  if (value.has_value()) return *std::move(value);
  return absl::DataLossError(
      "the sealed record has been changed, or was moved from another resource; restore the "
      "store from a backup, or delete the resource and create it again");
}

std::string SealingCodec::Note() const { return NoteOf(keys_.front()); }

std::optional<std::string> SealingCodec::NotedKey(absl::string_view note) const {
  for (const SealingKey& key : keys_) {
    if (note == NoteOf(key)) return key.id();
  }
  return std::nullopt;
}

const SealingKey* SealingCodec::FindKey(absl::string_view id) const {
  for (const SealingKey& key : keys_) {
    if (key.id() == id) return &key;
  }
  return nullptr;
}

SealingCodec::Sealer SealingCodec::TakeSealer() const {
  base::MutexLock lock(mutex_);
  if (sealer_.key == nullptr || sealer_.records >= kRecordsPerDataKey) {
    auto key = std::make_shared<const base::Secret>(pki::NewAesKey());
    const std::string wrapped = keys_.front().Wrap(*key);
    sealer_ = Sealer{std::move(key), SealedHeader(current_key_id(), wrapped), 0};
  }
  ++sealer_.records;
  return sealer_;
}

absl::StatusOr<SealingCodec::DataKey> SealingCodec::Unwrap(absl::string_view key_id,
                                                           absl::string_view wrapped) const {
  const SealingKey* key = FindKey(key_id);
  if (key == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("the record is sealed with ", SealingKeyName(key_id),
                     ", which is in none of sealing.keyFiles; add the file that holds it"));
  }
  {
    base::MutexLock lock(mutex_);
    if (auto found = data_keys_.find(wrapped); found != data_keys_.end()) return found->second;
  }
  CW_ASSIGN_OR_RETURN(base::Secret unwrapped, key->Unwrap(wrapped));
  auto data_key = std::make_shared<const base::Secret>(std::move(unwrapped));
  base::MutexLock lock(mutex_);
  if (data_keys_.size() >= kRememberedDataKeys) data_keys_.clear();
  data_keys_.emplace(std::string(wrapped), data_key);
  return data_key;
}

}  // namespace certwright::store
