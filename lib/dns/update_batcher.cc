#include "lib/dns/update_batcher.h"

#include <openssl/evp.h>

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/mutex.h"
#include "lib/base/status_macros.h"
#include "lib/dns/name.h"
#include "lib/dns/pending_result.h"
#include "lib/dns/update_message.h"

namespace certwright::dns {
namespace {

// A record's fixed fields and the lengths within name and value, generously.
constexpr std::size_t kRecordOverhead = 32;

std::size_t WireSize(const TxtChange& change) {
  return kRecordOverhead + change.name.size() + change.value.size() + change.value.size() / 255;
}

// Whether other changes of the batch might do without the one that this is the fault of.
bool MayBeOneChangesFault(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kInvalidArgument) return true;
  const std::optional<Rcode> rcode = UpdateRcode(status);
  if (!rcode.has_value()) return false;
  switch (*rcode) {
    case Rcode::kFormErr:
    case Rcode::kRefused:
    case Rcode::kNotZone:
    // So Knot says when its ACL does not allow this key to change one of the names.
    case Rcode::kBadKey:
    case Rcode::kNxDomain:
    case Rcode::kYxDomain:
    case Rcode::kYxRrset:
    case Rcode::kNxRrset:
      return true;
    default:
      return false;
  }
}

// What sets a queue apart. The secret is part of it, as a digest: who knows only a key's name
// must not get a change signed with another's secret.
std::string QueueKey(const UpdateTarget& target) {
  std::string key =
      absl::StrCat(absl::StrJoin(target.servers, ","), "|", target.zone, "|",
                   target.tcp_only ? "tcp" : "udp", "|", absl::FormatDuration(target.timeout));
  if (target.key == nullptr) return key;
  const absl::string_view secret = target.key->secret.Reveal();
  unsigned char digest[EVP_MAX_MD_SIZE] = {};
  unsigned size = 0;
  EVP_Digest(secret.data(), secret.size(), digest, &size, EVP_sha256(), nullptr);
  absl::StrAppend(&key, "|", target.key->name, "|", static_cast<int>(target.key->algorithm),
                  "|", absl::string_view(reinterpret_cast<const char*>(digest), size));
  return key;
}

}  // namespace

// Shared with the timers and coroutines that work on the queues.
class UpdateBatcher::Queues : public std::enable_shared_from_this<Queues> {
 public:
  using Result = PendingResult<absl::Status>;

  Queues(runtime::Executor executor, runtime::Timers& timers, TxtUpdater& updater,
         Options options)
      : executor_(std::move(executor)), timers_(timers), updater_(updater), options_(options) {}

  runtime::Timers& timers() { return timers_; }

  void Add(const UpdateTarget& target, TxtChange change, std::shared_ptr<Result> result) {
    const std::string key = QueueKey(target);
    bool start = false;
    bool closed = false;
    {
      base::MutexLock lock(mutex_);
      closed = closed_;
      if (!closed) {
        Queue& queue = queues_[key];
        queue.target = target;
        queue.bytes += WireSize(change);
        queue.waiting.push_back({std::move(change), result});
        start = AddLocked(key, queue);
      }
    }
    if (closed) result->Complete(absl::CancelledError("the batcher was closed"));
    if (start) Start(key);
  }

  void Close() {
    std::map<std::string, Queue> queues;
    {
      base::MutexLock lock(mutex_);
      closed_ = true;
      queues.swap(queues_);
    }
    for (auto& [key, queue] : queues) {
      if (!queue.running) timers_.Cancel(queue.timer);
      for (Waiting& waiting : queue.waiting) {
        waiting.result->Complete(absl::CancelledError("the batcher was closed"));
      }
    }
  }

 private:
  struct Waiting {
    TxtChange change;
    std::shared_ptr<Result> result;
  };
  struct Queue {
    UpdateTarget target;
    std::deque<Waiting> waiting;
    std::size_t bytes = 0;
    // A coroutine sends from this queue; else the timer will start one.
    bool running = false;
    bool timed = false;
    runtime::Timers::TimerId timer = 0;
  };

  // True if sending is to start now, because the batch is full.
  bool AddLocked(const std::string& key, Queue& queue) CW_REQUIRES(mutex_) {
    if (queue.running) return false;
    const bool full =
        queue.waiting.size() >= options_.max_changes || queue.bytes >= options_.max_bytes;
    if (!queue.timed) {
      queue.timed = true;
      queue.timer = timers_.ScheduleAfter(
          options_.window, [self = shared_from_this(), key] { self->OnTimer(key); });
    }
    if (!full || !timers_.Cancel(queue.timer)) return false;
    queue.running = true;
    return true;
  }

  void OnTimer(const std::string& key) {
    {
      base::MutexLock lock(mutex_);
      auto it = queues_.find(key);
      if (it == queues_.end() || it->second.running) return;
      it->second.running = true;
    }
    Start(key);
  }

  void Start(const std::string& key) {
    runtime::Spawn(executor_, SendAll(shared_from_this(), key));
  }

  static runtime::Awaitable<void> SendAll(std::shared_ptr<Queues> self, std::string key) {
    while (true) {
      UpdateTarget target;
      std::vector<Waiting> batch = self->Take(key, target);
      if (batch.empty()) co_return;
      co_await self->Send(std::move(target), std::move(batch));
    }
  }

  // The next batch; when there is none, the queue is gone.
  std::vector<Waiting> Take(const std::string& key, UpdateTarget& target) {
    std::vector<Waiting> batch;
    base::MutexLock lock(mutex_);
    auto it = queues_.find(key);
    if (it == queues_.end()) return batch;
    Queue& queue = it->second;
    std::size_t bytes = 0;
    while (!queue.waiting.empty() && batch.size() < options_.max_changes) {
      Waiting& next = queue.waiting.front();
      const std::size_t size = WireSize(next.change);
      if (next.result->pending()) {
        if (!batch.empty() && bytes + size > options_.max_bytes) break;
        bytes += size;
        batch.push_back(std::move(next));
      }
      queue.bytes -= size;
      queue.waiting.pop_front();
    }
    target = queue.target;
    if (batch.empty()) queues_.erase(it);
    return batch;
  }

  runtime::Awaitable<absl::Status> UpdateOnce(const UpdateTarget& target,
                                              std::vector<TxtChange> changes) {
    const runtime::Context context =
        runtime::Context::WithTimeout(timers_.clock(), options_.update_timeout);
    co_return co_await updater_.Update(context, target, std::move(changes));
  }

  runtime::Awaitable<void> Send(UpdateTarget target, std::vector<Waiting> batch) {
    std::vector<TxtChange> changes;
    changes.reserve(batch.size());
    for (const Waiting& waiting : batch) changes.push_back(waiting.change);
    absl::Status status = co_await UpdateOnce(target, std::move(changes));
    const bool alone = batch.size() > 1 && MayBeOneChangesFault(status);
    for (Waiting& waiting : batch) {
      // A caller that has gone has no use for a change that is not made yet.
      if (alone && !waiting.result->pending()) continue;
      // Once it is everybody's fault, the rest is spared the same attempt.
      if (alone && (status.ok() || MayBeOneChangesFault(status))) {
        std::vector<TxtChange> one = {waiting.change};
        status = co_await UpdateOnce(target, std::move(one));
      }
      waiting.result->Complete(status);
    }
  }

  const runtime::Executor executor_;
  runtime::Timers& timers_;
  TxtUpdater& updater_;
  const Options options_;
  base::Mutex mutex_;
  bool closed_ CW_GUARDED_BY(mutex_) = false;
  std::map<std::string, Queue> queues_ CW_GUARDED_BY(mutex_);
};

UpdateBatcher::UpdateBatcher(runtime::Executor executor, runtime::Timers& timers,
                             TxtUpdater& updater)
    : UpdateBatcher(std::move(executor), timers, updater, Options()) {}

UpdateBatcher::UpdateBatcher(runtime::Executor executor, runtime::Timers& timers,
                             TxtUpdater& updater, Options options)
    : queues_(std::make_shared<Queues>(std::move(executor), timers, updater, options)) {}

UpdateBatcher::~UpdateBatcher() { queues_->Close(); }

runtime::Awaitable<absl::Status> UpdateBatcher::Apply(runtime::Context context,
                                                      UpdateTarget target, TxtChange change) {
  return Run(queues_, std::move(context), std::move(target), std::move(change));
}

runtime::Awaitable<absl::Status> UpdateBatcher::Run(std::shared_ptr<Queues> queues,
                                                    runtime::Context context,
                                                    UpdateTarget target, TxtChange change) {
  CW_CO_ASSIGN_OR_RETURN(target.zone, Normalize(target.zone));
  CW_CO_ASSIGN_OR_RETURN(change.name, Normalize(change.name));
  CW_CO_RETURN_IF_ERROR(CheckChange(change));
  auto start = [&](std::shared_ptr<PendingResult<absl::Status>> result) {
    queues->Add(target, std::move(change), std::move(result));
  };
  co_return co_await AwaitResult<absl::Status>(queues->timers(), context, std::move(start));
}

}  // namespace certwright::dns
