// LimitLedger: LimitBuckets that survive restarts. What a request takes is on disk before its
// order is asked for.
//
// One record for each request, which only the worker of that request writes. Records of which
// nothing counts any more go along with later commits.
// Threading: safe from any thread, calls about one request one at a time.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/mutex.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/store/store.h"
#include "services/issuer/limit_buckets.h"

namespace certwright::issuer_service {

// What the keys of its records begin with in the store.
inline constexpr char kLimitRecordsPrefix[] = "limitrecords/";

class LimitLedger {
 public:
  // `store` must outlive this.
  explicit LimitLedger(store::Store& store) : store_(store) {}

  // Reads what is kept, once; must have succeeded before the other calls.
  runtime::Awaitable<absl::Status> Load(runtime::Context context, absl::Time now);

  // As LimitBuckets::Ask(). After an error the request has its turn or its place all the same.
  runtime::Awaitable<absl::StatusOr<LimitBuckets::Turn>> Ask(runtime::Context context,
                                                             LimitBuckets::Request request,
                                                             std::vector<Draw> draws,
                                                             absl::Time now);
  runtime::Awaitable<absl::Status> Placed(runtime::Context context, std::string uid,
                                          absl::Time now);
  runtime::Awaitable<absl::StatusOr<std::vector<std::string>>> End(
      runtime::Context context, std::string uid, LimitBuckets::Outcome outcome,
      std::set<std::string> failed, absl::Time now);
  runtime::Awaitable<absl::Status> Close(runtime::Context context, std::string uid,
                                         std::string bucket, absl::Time until, absl::Time now);
  bool AnyClosed(absl::Time now) const { return buckets_.AnyClosed(now); }

 private:
  struct Kept {
    std::string value;
    int64_t revision = 0;
  };

  // Deletions of records of which nothing counts, `but` that of this request, at the revision
  // at which that was seen: a request may take something anew meanwhile.
  std::vector<store::Mutation> DropOver(const std::string& but, absl::Time now)
      CW_REQUIRES(mutex_);
  // `drop` was committed.
  void ForgetDropped(const store::Mutation& drop) CW_REQUIRES(mutex_);
  // Brings the kept record of the request in line with the buckets.
  runtime::Awaitable<absl::Status> Save(runtime::Context context, std::string uid,
                                        absl::Time now);

  store::Store& store_;
  LimitBuckets buckets_;
  base::Mutex mutex_;
  bool loaded_ CW_GUARDED_BY(mutex_) = false;
  // What is on disk, by uid.
  std::unordered_map<std::string, Kept> kept_ CW_GUARDED_BY(mutex_);
  // Uids of records that are to go.
  std::set<std::string> over_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::issuer_service
