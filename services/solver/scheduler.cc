#include "services/solver/scheduler.h"

#include <algorithm>
#include <utility>

namespace certwright::solver {
namespace {

int Count(const std::map<std::string, int>& counts, const std::string& key) {
  auto it = counts.find(key);
  return it == counts.end() ? 0 : it->second;
}

void Decrement(std::map<std::string, int>& counts, const std::string& key) {
  auto it = counts.find(key);
  if (it != counts.end() && --it->second == 0) counts.erase(it);
}

}  // namespace

bool Scheduler::TryAcquire(const Candidate& candidate) {
  base::MutexLock lock(mutex_);
  if (holders_.count(candidate.key) > 0) return true;
  // Those that wait cannot run, or they would have been given a slot: so there is nobody to
  // overtake.
  if (Admits(candidate)) {
    Dequeue(candidate.key);
    Grant(candidate);
    return true;
  }
  auto place = places_.find(candidate.key);
  if (place != places_.end()) {
    const Candidate& waiting = place->second.candidate;
    const bool same =
        waiting.issuer == candidate.issuer && waiting.account == candidate.account &&
        waiting.exclusion == candidate.exclusion && waiting.deadline == candidate.deadline;
    if (same) return false;
    Dequeue(candidate.key);
  }
  Enqueue(candidate);
  return false;
}

void Scheduler::Hold(const Candidate& candidate) {
  base::MutexLock lock(mutex_);
  if (holders_.count(candidate.key) > 0) return;
  Dequeue(candidate.key);
  Grant(candidate);
}

void Scheduler::Release(const std::string& key) {
  std::vector<std::string> granted;
  {
    base::MutexLock lock(mutex_);
    Dequeue(key);
    auto holder = holders_.find(key);
    if (holder == holders_.end()) return;
    const Candidate candidate = std::move(holder->second);
    holders_.erase(holder);
    Decrement(per_issuer_, candidate.issuer);
    if (!candidate.account.empty()) Decrement(per_account_, candidate.account);
    auto exclusive = exclusive_.find(candidate.exclusion);
    if (exclusive != exclusive_.end() && exclusive->second == key) exclusive_.erase(exclusive);
    granted = GrantWaiting();
  }
  for (const std::string& next : granted) wake_(next);
}

bool Scheduler::HasSlot(const std::string& key) const {
  base::MutexLock lock(mutex_);
  return holders_.count(key) > 0;
}

int Scheduler::in_flight() const {
  base::MutexLock lock(mutex_);
  return static_cast<int>(holders_.size());
}

int Scheduler::queued() const {
  base::MutexLock lock(mutex_);
  return static_cast<int>(places_.size());
}

bool Scheduler::Admits(const Candidate& candidate) const {
  if (static_cast<int>(holders_.size()) >= limits_.total) return false;
  if (Count(per_issuer_, candidate.issuer) >= limits_.per_issuer) return false;
  if (!candidate.account.empty() &&
      Count(per_account_, candidate.account) >= limits_.per_account) {
    return false;
  }
  return candidate.exclusion.empty() || exclusive_.count(candidate.exclusion) == 0;
}

void Scheduler::Grant(const Candidate& candidate) {
  holders_[candidate.key] = candidate;
  ++per_issuer_[candidate.issuer];
  if (!candidate.account.empty()) ++per_account_[candidate.account];
  if (!candidate.exclusion.empty()) exclusive_.emplace(candidate.exclusion, candidate.key);
  last_issuer_ = candidate.issuer;
}

void Scheduler::Enqueue(const Candidate& candidate) {
  const uint64_t number = next_number_++;
  places_[candidate.key] = Place{candidate, number};
  waiting_[candidate.issuer][candidate.account].insert(
      Waiting{candidate.deadline, number, candidate.key, candidate.exclusion});
}

void Scheduler::Dequeue(const std::string& key) {
  auto place = places_.find(key);
  if (place == places_.end()) return;
  const Candidate& candidate = place->second.candidate;
  AccountQueues& accounts = waiting_[candidate.issuer];
  Queue& queue = accounts[candidate.account];
  queue.erase(Waiting{candidate.deadline, place->second.number, key, ""});
  if (queue.empty()) accounts.erase(candidate.account);
  if (accounts.empty()) waiting_.erase(candidate.issuer);
  places_.erase(place);
}

std::string Scheduler::FirstOf(const std::string& issuer, const AccountQueues& accounts) const {
  if (Count(per_issuer_, issuer) >= limits_.per_issuer) return "";
  const Waiting* first = nullptr;
  for (const auto& [account, queue] : accounts) {
    if (!account.empty() && Count(per_account_, account) >= limits_.per_account) continue;
    auto free = std::find_if(
        queue.begin(), queue.end(), [this](const Waiting& waiting) CW_REQUIRES(mutex_) {
          return waiting.exclusion.empty() || exclusive_.count(waiting.exclusion) == 0;
        });
    if (free != queue.end() && (first == nullptr || *free < *first)) first = &*free;
  }
  return first == nullptr ? "" : first->key;
}

std::string Scheduler::Next() const {
  if (static_cast<int>(holders_.size()) >= limits_.total) return "";
  auto turn = waiting_.upper_bound(last_issuer_);
  for (std::size_t i = 0; i < waiting_.size(); ++i, ++turn) {
    if (turn == waiting_.end()) turn = waiting_.begin();
    std::string key = FirstOf(turn->first, turn->second);
    if (!key.empty()) return key;
  }
  return "";
}

std::vector<std::string> Scheduler::GrantWaiting() {
  std::vector<std::string> granted;
  for (std::string key = Next(); !key.empty(); key = Next()) {
    const Candidate candidate = places_.at(key).candidate;
    Dequeue(key);
    Grant(candidate);
    granted.push_back(std::move(key));
  }
  return granted;
}

}  // namespace certwright::solver
