#include "services/issuer/limit_ledger.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/fault_point.h"
#include "lib/base/status_macros.h"
#include "lib/telemetry/log.h"

namespace certwright::issuer_service {
namespace {

constexpr int64_t kListChunk = 1000;
// Records that are deleted along with one commit.
constexpr std::size_t kMostForgotten = 32;

std::string KeyOf(const std::string& uid) {
  return absl::StrCat(kLimitRecordsPrefix, "/", uid);
}

// What brings the record of a request, kept at `revision`, to this value.
store::Mutation ChangeOf(const std::string& uid, const std::string& value, int64_t revision) {
  if (value.empty()) return store::Mutation::Delete(KeyOf(uid), revision);
  return store::Mutation::Put(KeyOf(uid), value);
}

}  // namespace

runtime::Awaitable<absl::Status> LimitLedger::Load(runtime::Context context, absl::Time now) {
  {
    base::MutexLock lock(mutex_);
    if (loaded_) co_return absl::OkStatus();
  }
  store::ListRequest request;
  request.prefix = KeyOf("");
  request.limit = kListChunk;
  std::vector<store::Record> records;
  for (bool more = true; more;) {
    CW_CO_ASSIGN_OR_RETURN(store::ListResult result, co_await store_.List(context, request));
    more = result.more && !result.records.empty();
    request.at_revision = result.revision;
    if (more) request.start_after = result.records.back().key;
    for (store::Record& record : result.records) records.push_back(std::move(record));
  }
  base::MutexLock lock(mutex_);
  // Another worker was faster, and what it read may have changed since.
  if (loaded_) co_return absl::OkStatus();
  loaded_ = true;
  for (store::Record& record : records) {
    const std::string uid = record.key.substr(request.prefix.size());
    LimitRecord parsed;
    if (parsed.ParseFromString(record.value)) {
      buckets_.Restore(uid, parsed, now);
    } else {
      telemetry::LogWarning("a record of rate limits cannot be read", {{"key", record.key}});
    }
    Kept& kept = kept_[uid];
    kept.value = std::move(record.value);
    kept.revision = record.mod_revision;
  }
  co_return absl::OkStatus();
}

runtime::Awaitable<absl::StatusOr<LimitBuckets::Turn>> LimitLedger::Ask(
    runtime::Context context, LimitBuckets::Request request, std::vector<Draw> draws,
    absl::Time now) {
  const LimitBuckets::Turn turn = buckets_.Ask(request, draws, now);
  if (turn.now) CW_CO_RETURN_IF_ERROR(co_await Save(context, request.uid, now));
  co_return turn;
}

runtime::Awaitable<absl::Status> LimitLedger::Placed(runtime::Context context, std::string uid,
                                                     absl::Time now) {
  buckets_.Placed(uid, now);
  co_return co_await Save(context, uid, now);
}

runtime::Awaitable<absl::StatusOr<std::vector<std::string>>> LimitLedger::End(
    runtime::Context context, std::string uid, LimitBuckets::Outcome outcome,
    std::set<std::string> failed, absl::Time now) {
  std::vector<std::string> may_go_on = buckets_.End(uid, outcome, failed, now);
  CW_CO_RETURN_IF_ERROR(co_await Save(context, uid, now));
  co_return may_go_on;
}

runtime::Awaitable<absl::Status> LimitLedger::Close(runtime::Context context, std::string uid,
                                                    std::string bucket, absl::Time until,
                                                    absl::Time now) {
  buckets_.Close(uid, bucket, until);
  co_return co_await Save(context, uid, now);
}

std::vector<store::Mutation> LimitLedger::DropOver(const std::string& but, absl::Time now) {
  for (std::string& uid : buckets_.ForgetOver(kMostForgotten, now))
    over_.insert(std::move(uid));
  std::vector<store::Mutation> drops;
  for (auto it = over_.begin(); it != over_.end() && drops.size() < kMostForgotten;) {
    const auto kept = kept_.find(*it);
    const bool counts_again = !buckets_.RecordOf(*it).SerializeAsString().empty();
    if (*it == but || kept == kept_.end() || counts_again) {
      it = over_.erase(it);
      continue;
    }
    drops.push_back(store::Mutation::Delete(KeyOf(*it), kept->second.revision));
    ++it;
  }
  return drops;
}

runtime::Awaitable<absl::Status> LimitLedger::Save(runtime::Context context, std::string uid,
                                                   absl::Time now) {
  const std::string value = buckets_.RecordOf(uid).SerializeAsString();
  std::vector<store::Mutation> own;
  std::vector<store::Mutation> drops;
  {
    base::MutexLock lock(mutex_);
    const auto kept = kept_.find(uid);
    const bool is_kept = kept != kept_.end();
    if (is_kept ? kept->second.value == value : value.empty()) co_return absl::OkStatus();
    own.push_back(ChangeOf(uid, value, is_kept ? kept->second.revision : 0));
    drops = DropOver(uid, now);
  }
  std::vector<store::Mutation> all = own;
  all.insert(all.end(), drops.begin(), drops.end());
  base::Reach(base::FaultPoint::kLimitsSaving);
  absl::StatusOr<int64_t> committed = co_await store_.Commit(context, std::move(all));
  const auto raced = [&committed] {
    return absl::IsAborted(committed.status()) || absl::IsNotFound(committed.status());
  };
  if (raced()) {
    // What is over goes along with another commit.
    drops.clear();
    committed = co_await store_.Commit(context, own);
    // Somebody else's commit has taken it along.
    if (raced() && value.empty()) co_return absl::OkStatus();
  }
  if (!committed.ok()) co_return committed.status();
  base::Reach(base::FaultPoint::kLimitsSaved);
  base::MutexLock lock(mutex_);
  if (value.empty()) {
    drops.push_back(own.front());
  } else {
    Kept& kept = kept_[uid];
    kept.value = value;
    kept.revision = *committed;
  }
  for (const store::Mutation& drop : drops) ForgetDropped(drop);
  co_return absl::OkStatus();
}

void LimitLedger::ForgetDropped(const store::Mutation& drop) {
  const std::string uid = drop.key.substr(KeyOf("").size());
  const auto kept = kept_.find(uid);
  // It may have been kept anew since.
  if (kept == kept_.end() || kept->second.revision != drop.expected_revision) return;
  kept_.erase(kept);
  over_.erase(uid);
}

}  // namespace certwright::issuer_service
