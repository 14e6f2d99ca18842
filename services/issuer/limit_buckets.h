// LimitBuckets: when each request may be made an order at its CA, so that none of the CA's
// limits is reached. Among those that wait for the same bucket, those whose certificates end
// first go first.
//
// What an order takes is held until it counts at the CA: of orders when the order is placed, of
// certificates when one is issued, of failed validations when one has failed; what has not
// come to pass is given back. So an order that takes its time never leads us to believe that
// the CA has forgotten it. From then on a bucket of tokens fills evenly, as at Let's Encrypt;
// failed validations count for a whole window each, so that no window holds more of them.
//
// All of it is in memory; limit_ledger.h keeps it. Threading: safe from any thread.
#pragma once

#include <cstdint>
#include <ext/pb_ds/assoc_container.hpp>
#include <ext/pb_ds/tree_policy.hpp>
#include <functional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "lib/base/mutex.h"
#include "services/issuer/limit_record.pb.h"
#include "services/issuer/rate_limits.h"

namespace certwright::issuer_service {

class LimitBuckets {
 public:
  struct Request {
    // Its uid.
    std::string uid;
    // "<namespace>/<name>".
    std::string key;
    // When its certificate is needed.
    absl::Time needed_by;
  };
  struct Turn {
    // Whether the order may be placed. It has taken from its buckets then.
    bool now = false;
    // Else when to ask again,
    absl::Time again;
    // when its turn comes as far as can be told,
    absl::Time expected;
    // in which bucket, and how many go before.
    Draw waits_for;
    int64_t before = 0;
    // Whether it waits because the CA said so.
    bool closed = false;
  };
  enum class Outcome {
    kIssued,
    kFailed,
    // For certain no order was placed, so that none counts.
    kNotOrdered,
  };

  // A request asks for its turn. It is remembered as waiting until its turn comes or it ends.
  // One whose turn came keeps it, so that a failure to place the order costs no second one.
  Turn Ask(const Request& request, const std::vector<Draw>& draws, absl::Time now);

  // The order is placed at the CA.
  void Placed(const std::string& uid, absl::Time now);

  // The request has its certificate, failed, or was given up. `failed` are the buckets of the
  // names whose validation failed. Requests that may go on now, by key.
  std::vector<std::string> End(const std::string& uid, Outcome outcome,
                               const std::set<std::string>& failed, absl::Time now);

  // The CA says that nothing more fits before `until`; `uid` is the request that was told.
  void Close(const std::string& uid, const std::string& bucket, absl::Time until);
  // Whether any bucket is closed.
  bool AnyClosed(absl::Time now) const;

  // What the request has taken or closed, to be kept; empty if nothing.
  LimitRecord RecordOf(const std::string& uid) const;
  // Takes up a kept record. Before any Ask().
  void Restore(const std::string& uid, const LimitRecord& record, absl::Time now);
  // Forgets requests of which nothing counts any more, at most `most` of them.
  std::vector<std::string> ForgetOver(std::size_t most, absl::Time now);

 private:
  using Place = std::pair<absl::Time, std::string>;
  // A set that can count those before a place without walking over them.
  using Queue =
      __gnu_pbds::tree<Place, __gnu_pbds::null_type, std::less<>, __gnu_pbds::rb_tree_tag,
                       __gnu_pbds::tree_order_statistics_node_update>;

  struct Bucket {
    Limit limit;
    // When all tokens are back.
    absl::Time full_at = absl::InfinitePast();
    // When each failed validation no longer counts.
    std::multiset<absl::Time> failures;
    std::set<std::string> held;
    absl::Time closed_until = absl::InfinitePast();
    Queue waiting;
  };
  struct Use {
    std::string bucket;
    absl::Duration cost;
    // InfiniteFuture() while it is held.
    absl::Time until = absl::InfiniteFuture();
    bool closed = false;
  };
  struct Waiting {
    std::string key;
    std::string bucket;
    absl::Time needed_by;
  };

  // When one more fits into the bucket, behind `before` others.
  static absl::Time OpensAt(const Bucket& bucket, const Draw& draw, int64_t before,
                            absl::Time now);
  static void Adopt(const Limit& limit, absl::Time now, Bucket& bucket);
  static bool IsIdle(const Bucket& bucket, absl::Time now);

  void Take(const std::string& uid, const std::vector<Draw>& draws, absl::Time now)
      CW_REQUIRES(mutex_);
  void Wait(const Request& request, const std::string& bucket) CW_REQUIRES(mutex_);
  void StopWaiting(const std::string& uid) CW_REQUIRES(mutex_);
  // What was held counts from now on.
  void Count(const std::string& uid, Use& use, absl::Time now) CW_REQUIRES(mutex_);
  void Sweep(absl::Time now) CW_REQUIRES(mutex_);
  // Notes when nothing of the request counts any more.
  void NoteEnd(const std::string& uid) CW_REQUIRES(mutex_);

  mutable base::Mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_ CW_GUARDED_BY(mutex_);
  std::unordered_map<std::string, Waiting> waiting_ CW_GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::vector<Use>> taken_ CW_GUARDED_BY(mutex_);
  std::set<std::pair<absl::Time, std::string>> over_at_ CW_GUARDED_BY(mutex_);
  absl::Time closed_until_ CW_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::size_t swept_size_ CW_GUARDED_BY(mutex_) = 0;
};

}  // namespace certwright::issuer_service
