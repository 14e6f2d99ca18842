#include "lib/rpc/pending_answers.h"

#include <algorithm>

#include "lib/rpc/connection_counts.h"

namespace certwright::rpc {

PendingAnswers::Answer PendingAnswers::Add(std::string connection) {
  std::string too_many;
  {
    base::MutexLock lock(mutex_);
    ++total_;
    if (++pending_[connection] > limits_.per_connection) {
      too_many = connection;
    } else if (total_ > limits_.total) {
      too_many =
          std::max_element(pending_.begin(), pending_.end(), [](const auto& a, const auto& b) {
            return a.second < b.second;
          })->first;
    }
  }
  if (!too_many.empty()) disconnect_(too_many);
  return {shared_from_this(), std::move(connection)};
}

PendingAnswers::Answer PendingAnswers::AddOfStranger(std::string connection) {
  const std::string peer = PeerOfUri(connection);
  if (strangers_->Take(peer) > absl::ZeroDuration()) {
    // Those that came together with this one are to be paid for, too.
    strangers_->Charge(peer, 1);
    disconnect_(connection);
  }
  return Add(std::move(connection));
}

void PendingAnswers::Remove(const std::string& connection) {
  base::MutexLock lock(mutex_);
  --total_;
  const auto found = pending_.find(connection);
  if (--found->second == 0) pending_.erase(found);
}

}  // namespace certwright::rpc
