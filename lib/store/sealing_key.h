// SealingKey: the key of one key file, under which data keys are wrapped.
//
// A key file holds 32 octets in base64, as "openssl rand -base64 32" writes them. As with
// SSH's and PostgreSQL's keys, others must not be able to read it: a file of the process's own
// user may have mode 0600 at most, one of root's 0640, as Kubernetes mounts it for a group.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/secret.h"

namespace certwright::store {

class SealingKey {
 public:
  // `key` has 32 octets.
  explicit SealingKey(const base::Secret& key);

  // Derived from the key, 8 octets: it names the key in records and is no secret.
  const std::string& id() const { return id_; }

  // Data keys sealed with this key, and back; DATA_LOSS if that fails.
  std::string Wrap(const base::Secret& data_key) const;
  absl::StatusOr<base::Secret> Unwrap(absl::string_view wrapped) const;

  // HMAC-SHA256 of `statement`, 32 octets: only who has the key can have made it.
  std::string Attest(absl::string_view statement) const;

 private:
  std::string id_;
  base::Secret wrapping_key_;
  base::Secret attesting_key_;
};

// "sealing key 0123456789abcdef", for messages.
std::string SealingKeyName(absl::string_view id);

// Errors name the file and what to do: NOT_FOUND, FAILED_PRECONDITION (owner, mode),
// INVALID_ARGUMENT (content), UNAVAILABLE (it cannot be read).
absl::StatusOr<SealingKey> ReadSealingKey(const std::string& path);

// A new key in a new file of mode 0600, on disk before this returns. ALREADY_EXISTS if there
// is one.
absl::Status MakeSealingKey(const std::string& path);

}  // namespace certwright::store
