#include "services/issuer/limit_buckets.h"

#include <algorithm>
#include <iterator>

#include "google/protobuf/util/time_util.h"
#include "lib/acme/retry_after.h"
#include "lib/service/conditions.h"

namespace certwright::issuer_service {
namespace {

// Whoever waits is told to come back within this, since those before may give up.
constexpr absl::Duration kLongestWait = absl::Hours(1);
constexpr absl::Duration kShortestWait = absl::Milliseconds(10);
// So many more buckets than were left by the last sweep call for another one.
constexpr std::size_t kSweepEvery = 1000;

bool CountsWhole(absl::string_view bucket) { return KindOf(bucket) == LimitKind::kFailures; }

}  // namespace

absl::Time LimitBuckets::OpensAt(const Bucket& bucket, const Draw& draw, int64_t before,
                                 absl::Time now) {
  const absl::Time open = std::max(now, bucket.closed_until);
  if (draw.limit.count <= 0) return open;
  const int64_t wanted = static_cast<int64_t>(bucket.held.size()) + before + 1;
  const int64_t missing = wanted - draw.limit.count;
  if (!CountsWhole(draw.bucket)) {
    return std::max(open, std::max(now, bucket.full_at) + draw.limit.cost() * missing);
  }
  auto counting = bucket.failures.upper_bound(now);
  const int64_t must_end = std::distance(counting, bucket.failures.end()) + missing;
  if (must_end <= 0) return open;
  if (missing > 0) return std::max(open, now + draw.limit.window);
  std::advance(counting, must_end - 1);
  return std::max(open, *counting);
}

void LimitBuckets::Adopt(const Limit& limit, absl::Time now, Bucket& bucket) {
  // What lies further ahead was noted under a clock that has been set back since.
  bucket.closed_until = std::min(bucket.closed_until, now + acme::kMaxRetryAfter);
  const Limit old = std::exchange(bucket.limit, limit);
  if (limit.count <= 0) return;
  if (old != limit && old.count > 0 && bucket.full_at > now) {
    // As many are missing as before.
    bucket.full_at = now + limit.cost() * absl::FDivDuration(bucket.full_at - now, old.cost());
  }
  const absl::Time latest = now + limit.window;
  bucket.full_at = std::min(bucket.full_at, latest);
  for (auto last = bucket.failures.upper_bound(latest); last != bucket.failures.end();
       last = bucket.failures.upper_bound(latest)) {
    bucket.failures.erase(last);
    bucket.failures.insert(latest);
  }
}

bool LimitBuckets::IsIdle(const Bucket& bucket, absl::Time now) {
  return bucket.held.empty() && bucket.waiting.empty() && bucket.full_at <= now &&
         bucket.closed_until <= now &&
         bucket.failures.upper_bound(now) == bucket.failures.end();
}

LimitBuckets::Turn LimitBuckets::Ask(const Request& request, const std::vector<Draw>& draws,
                                     absl::Time now) {
  Turn turn;
  base::MutexLock lock(mutex_);
  Sweep(now);
  const auto taken = taken_.find(request.uid);
  const bool has_turn =
      taken != taken_.end() && std::any_of(taken->second.begin(), taken->second.end(),
                                           [](const Use& use) { return !use.closed; });
  turn.expected = now;
  for (const Draw& draw : draws) {
    if (has_turn) break;
    const auto found = buckets_.find(draw.bucket);
    if (found == buckets_.end()) continue;
    Adopt(draw.limit, now, found->second);
    const auto before = static_cast<int64_t>(
        found->second.waiting.order_of_key({request.needed_by, request.uid}));
    const absl::Time opens = OpensAt(found->second, draw, before, now);
    if (opens <= turn.expected) continue;
    turn.expected = opens;
    turn.waits_for = draw;
    turn.before = before;
    turn.closed = found->second.closed_until >= opens;
  }
  turn.now = turn.expected <= now;
  StopWaiting(request.uid);
  if (!turn.now) {
    Wait(request, turn.waits_for.bucket);
    turn.again = now + std::clamp(turn.expected - now, kShortestWait, kLongestWait);
  } else if (!has_turn) {
    Take(request.uid, draws, now);
  }
  return turn;
}

void LimitBuckets::Take(const std::string& uid, const std::vector<Draw>& draws,
                        absl::Time now) {
  for (const Draw& draw : draws) {
    if (draw.limit.count <= 0) continue;
    Bucket& bucket = buckets_[draw.bucket];
    Adopt(draw.limit, now, bucket);
    bucket.held.insert(uid);
    const absl::Duration cost =
        CountsWhole(draw.bucket) ? draw.limit.window : draw.limit.cost();
    taken_[uid].push_back({draw.bucket, cost});
  }
}

void LimitBuckets::Wait(const Request& request, const std::string& bucket) {
  // It waits in one bucket only, so that it holds up nobody in the others meanwhile.
  buckets_[bucket].waiting.insert({request.needed_by, request.uid});
  waiting_[request.uid] = {request.key, bucket, request.needed_by};
}

void LimitBuckets::StopWaiting(const std::string& uid) {
  const auto waiting = waiting_.find(uid);
  if (waiting == waiting_.end()) return;
  buckets_[waiting->second.bucket].waiting.erase({waiting->second.needed_by, uid});
  waiting_.erase(waiting);
}

void LimitBuckets::Count(const std::string& uid, Use& use, absl::Time now) {
  Bucket& bucket = buckets_[use.bucket];
  bucket.held.erase(uid);
  if (CountsWhole(use.bucket)) {
    bucket.failures.erase(bucket.failures.begin(), bucket.failures.upper_bound(now));
    use.until = now + use.cost;
    bucket.failures.insert(use.until);
  } else {
    bucket.full_at = std::max(bucket.full_at, now) + use.cost;
    use.until = bucket.full_at;
  }
}

void LimitBuckets::Placed(const std::string& uid, absl::Time now) {
  base::MutexLock lock(mutex_);
  const auto taken = taken_.find(uid);
  if (taken == taken_.end()) return;
  for (Use& use : taken->second) {
    const bool held = use.until == absl::InfiniteFuture();
    if (held && KindOf(use.bucket) == LimitKind::kOrders) Count(uid, use, now);
  }
}

std::vector<std::string> LimitBuckets::End(const std::string& uid, Outcome outcome,
                                           const std::set<std::string>& failed,
                                           absl::Time now) {
  std::vector<std::string> may_go_on;
  base::MutexLock lock(mutex_);
  StopWaiting(uid);
  const auto taken = taken_.find(uid);
  if (taken == taken_.end()) return may_go_on;
  std::erase_if(taken->second, [&](Use& use) CW_REQUIRES(mutex_) {
    if (use.until != absl::InfiniteFuture()) return false;
    const LimitKind kind = KindOf(use.bucket);
    const bool counts = kind == LimitKind::kOrders     ? outcome != Outcome::kNotOrdered
                        : kind == LimitKind::kFailures ? failed.contains(use.bucket)
                                                       : outcome == Outcome::kIssued;
    if (counts) {
      Count(uid, use, now);
      return false;
    }
    Bucket& bucket = buckets_[use.bucket];
    bucket.held.erase(uid);
    if (!bucket.waiting.empty()) {
      may_go_on.push_back(waiting_[bucket.waiting.begin()->second].key);
    }
    return true;
  });
  if (taken->second.empty()) {
    taken_.erase(taken);
  } else {
    NoteEnd(uid);
  }
  return may_go_on;
}

void LimitBuckets::NoteEnd(const std::string& uid) {
  absl::Time end = absl::InfinitePast();
  for (const Use& use : taken_[uid]) end = std::max(end, use.until);
  if (end != absl::InfiniteFuture()) over_at_.insert({end, uid});
}

void LimitBuckets::Close(const std::string& uid, const std::string& bucket, absl::Time until) {
  base::MutexLock lock(mutex_);
  Bucket& closed = buckets_[bucket];
  if (closed.closed_until >= until) return;
  closed.closed_until = until;
  closed_until_ = std::max(closed_until_, until);
  std::vector<Use>& uses = taken_[uid];
  std::erase_if(uses, [&](const Use& use) { return use.closed && use.bucket == bucket; });
  uses.push_back({bucket, absl::ZeroDuration(), until, true});
  NoteEnd(uid);
}

bool LimitBuckets::AnyClosed(absl::Time now) const {
  base::MutexLock lock(mutex_);
  return closed_until_ > now;
}

LimitRecord LimitBuckets::RecordOf(const std::string& uid) const {
  LimitRecord record;
  base::MutexLock lock(mutex_);
  const auto taken = taken_.find(uid);
  if (taken == taken_.end()) return record;
  for (const Use& use : taken->second) {
    LimitUse& kept = *record.add_uses();
    kept.set_bucket(use.bucket);
    *kept.mutable_cost() = google::protobuf::util::TimeUtil::NanosecondsToDuration(
        absl::ToInt64Nanoseconds(use.cost));
    if (use.until != absl::InfiniteFuture()) {
      *kept.mutable_until() = service::ToProto(use.until);
    }
    kept.set_closed(use.closed);
  }
  return record;
}

void LimitBuckets::Restore(const std::string& uid, const LimitRecord& record, absl::Time now) {
  base::MutexLock lock(mutex_);
  for (const LimitUse& kept : record.uses()) {
    Use use{kept.bucket(), service::FromProto(kept.cost())};
    use.closed = kept.closed();
    Bucket& bucket = buckets_[use.bucket];
    if (kept.has_until()) use.until = service::FromProto(kept.until());
    if (use.closed) {
      bucket.closed_until = std::max(bucket.closed_until, use.until);
      closed_until_ = std::max(closed_until_, use.until);
    } else if (!kept.has_until()) {
      bucket.held.insert(uid);
    } else if (CountsWhole(use.bucket)) {
      if (use.until > now) bucket.failures.insert(use.until);
    } else {
      bucket.full_at = std::max(bucket.full_at, use.until);
    }
    taken_[uid].push_back(std::move(use));
  }
  NoteEnd(uid);
}

std::vector<std::string> LimitBuckets::ForgetOver(std::size_t most, absl::Time now) {
  std::vector<std::string> over;
  base::MutexLock lock(mutex_);
  while (over.size() < most && !over_at_.empty() && over_at_.begin()->first <= now) {
    const std::string uid = over_at_.begin()->second;
    over_at_.erase(over_at_.begin());
    const auto taken = taken_.find(uid);
    if (taken == taken_.end()) continue;
    const bool counts = std::any_of(taken->second.begin(), taken->second.end(),
                                    [now](const Use& use) { return use.until > now; });
    if (counts) continue;
    taken_.erase(taken);
    over.push_back(uid);
  }
  return over;
}

void LimitBuckets::Sweep(absl::Time now) {
  if (buckets_.size() < 2 * swept_size_ + kSweepEvery) return;
  std::erase_if(buckets_, [now](const auto& entry) { return IsIdle(entry.second, now); });
  swept_size_ = buckets_.size();
}

}  // namespace certwright::issuer_service
