#include "lib/store/sealing_migration.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/pki/digest.h"
#include "lib/store/sealed_record.h"

namespace certwright::store {
namespace {

// Records, that is memory, per read of the store and per commit.
constexpr int64_t kPage = 100;
constexpr std::size_t kPerCommit = 16;

std::string HashOf(absl::string_view key, absl::string_view value) {
  const base::Secret bytes(absl::StrCat(key.size(), " ", key, value));
  return pki::Sha256(bytes.Reveal());
}

}  // namespace

runtime::Awaitable<absl::StatusOr<SealingMigration>> SealingMigration::Plan(
    runtime::Context context, Store& store, std::string prefix, const SealingCodec& codec) {
  SealingMigration migration(store, codec);
  std::string hashes;
  ListRequest request;
  request.prefix = std::move(prefix);
  request.limit = kPage;
  while (true) {
    CW_CO_ASSIGN_OR_RETURN(const ListResult page, co_await store.List(context, request));
    for (const Record& record : page.records) {
      request.start_after = record.key;
      std::string hash;
      if (IsSealed(record.value)) {
        const absl::StatusOr<base::Secret> value = codec.Open(record.key, record.value);
        if (!value.ok()) co_return base::Annotate(value.status(), record.key);
        hash = HashOf(record.key, value->Reveal());
      } else {
        hash = HashOf(record.key, record.value);
        migration.unsealed_.push_back({record.key, hash});
      }
      hashes += hash;
    }
    request.at_revision = page.revision;
    if (!page.more) break;
  }
  migration.digest_ = absl::BytesToHexString(pki::Sha256(hashes));
  co_return migration;
}

runtime::Awaitable<absl::Status> SealingMigration::Run(runtime::Context context) {
  std::vector<Mutation> mutations;
  for (std::size_t i = 0; i < unsealed_.size(); ++i) {
    CW_CO_ASSIGN_OR_RETURN(Mutation mutation, co_await Seal(context, unsealed_[i]));
    mutations.push_back(std::move(mutation));
    if (mutations.size() < kPerCommit && i + 1 < unsealed_.size()) continue;
    const auto committed = co_await store_->Commit(context, std::exchange(mutations, {}));
    CW_CO_RETURN_IF_ERROR(committed.status());
  }
  co_return co_await store_->Scrub(context);
}

runtime::Awaitable<absl::StatusOr<Mutation>> SealingMigration::Seal(runtime::Context context,
                                                                    Unsealed unsealed) {
  CW_CO_ASSIGN_OR_RETURN(const Record record, co_await store_->Get(context, unsealed.key));
  if (HashOf(record.key, record.value) != unsealed.hash) {
    co_return absl::AbortedError(absl::StrCat(
        record.key, ": has been changed while it was to be sealed; start the service again"));
  }
  CW_CO_ASSIGN_OR_RETURN(std::string sealed, codec_->Seal(record.key, record.value));
  co_return Mutation::Put(record.key, std::move(sealed), record.mod_revision);
}

}  // namespace certwright::store
