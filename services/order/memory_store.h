// MemoryStore: a Store for tests that answers at once. Neither watches nor history.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "lib/store/store.h"

namespace certwright::order {

class MemoryStore final : public store::Store {
 public:
  runtime::Awaitable<absl::StatusOr<store::Record>> Get(runtime::Context,
                                                        std::string key) override {
    auto it = records_.find(key);
    if (it == records_.end()) co_return absl::NotFoundError(key);
    co_return it->second;
  }

  runtime::Awaitable<absl::StatusOr<store::ListResult>> List(
      runtime::Context, store::ListRequest request) override {
    store::ListResult result;
    result.revision = revision_;
    std::size_t bytes = 0;
    for (auto it = records_.upper_bound(request.start_after); it != records_.end(); ++it) {
      if (!absl::StartsWith(it->first, request.prefix)) continue;
      result.more =
          request.limit > 0 && (static_cast<int64_t>(result.records.size()) == request.limit ||
                                bytes >= store::kMaxListBytes);
      if (result.more) break;
      result.records.push_back(it->second);
      bytes += store::SizeOf(it->second);
    }
    co_return result;
  }

  runtime::Awaitable<absl::StatusOr<int64_t>> Commit(
      runtime::Context, std::vector<store::Mutation> mutations) override {
    const absl::Status valid = store::ValidateMutations(mutations);
    if (!valid.ok()) co_return valid;
    for (const store::Mutation& mutation : mutations) {
      const absl::Status allowed = Check(mutation);
      if (!allowed.ok()) co_return allowed;
    }
    ++revision_;
    for (store::Mutation& mutation : mutations) Apply(std::move(mutation));
    co_return revision_;
  }

  std::unique_ptr<store::WatchHandle> Watch(std::string, int64_t, store::WatchCallback,
                                            runtime::Executor) override {
    return nullptr;
  }
  runtime::Awaitable<absl::StatusOr<int64_t>> CurrentRevision(runtime::Context) override {
    co_return revision_;
  }
  runtime::Awaitable<absl::Status> Compact(runtime::Context, int64_t) override {
    co_return absl::OkStatus();
  }
  runtime::Awaitable<absl::Status> Scrub(runtime::Context) override {
    co_return absl::OkStatus();
  }

 private:
  absl::Status Check(const store::Mutation& mutation) const {
    auto it = records_.find(mutation.key);
    const int64_t present = it == records_.end() ? 0 : it->second.mod_revision;
    if (!mutation.value.has_value() && present == 0) return absl::NotFoundError(mutation.key);
    if (!mutation.expected_revision.has_value() || *mutation.expected_revision == present) {
      return absl::OkStatus();
    }
    if (*mutation.expected_revision == 0) return absl::AlreadyExistsError(mutation.key);
    return absl::AbortedError(mutation.key);
  }

  void Apply(store::Mutation mutation) {
    if (!mutation.value.has_value()) {
      records_.erase(mutation.key);
      return;
    }
    store::Record& record = records_[mutation.key];
    if (record.create_revision == 0) record.create_revision = revision_;
    record.key = mutation.key;
    record.value = *std::move(mutation.value);
    record.mod_revision = revision_;
  }

  std::map<std::string, store::Record> records_;
  int64_t revision_ = 0;
};

}  // namespace certwright::order
