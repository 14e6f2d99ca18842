// SealingMigration: seals what a version of this program that did not seal has left in a store.
//
// Whoever can write the store's file can plant a record that is not sealed, and take out
// whatever in the file says that there should be none. So nothing that is not sealed is ever
// taken for what it is but here, and here only if an operator has named the whole content by
// its digest. The digest is over what the records mean, sealed or not, so that a migration that
// was cut short goes on under the same one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/store/sealing_codec.h"
#include "lib/store/store.h"

namespace certwright::store {

class SealingMigration {
 public:
  // Reads everything below `prefix`; `store` and `codec` must outlive this. DATA_LOSS,
  // FAILED_PRECONDITION if a sealed record does not open.
  static runtime::Awaitable<absl::StatusOr<SealingMigration>> Plan(runtime::Context context,
                                                                   Store& store,
                                                                   std::string prefix,
                                                                   const SealingCodec& codec);

  // SHA-256 of what is there, in hexadecimal.
  const std::string& digest() const { return digest_; }

  // Seals what is not sealed and leaves nothing of it on the disk. ABORTED if it has changed
  // since Plan().
  runtime::Awaitable<absl::Status> Run(runtime::Context context);

 private:
  struct Unsealed {
    std::string key;
    std::string hash;
  };

  SealingMigration(Store& store, const SealingCodec& codec) : store_(&store), codec_(&codec) {}
  runtime::Awaitable<absl::StatusOr<Mutation>> Seal(runtime::Context context,
                                                    Unsealed unsealed);

  Store* store_;
  const SealingCodec* codec_;
  std::vector<Unsealed> unsealed_;
  std::string digest_;
};

}  // namespace certwright::store
