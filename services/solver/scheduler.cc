#include "services/solver/scheduler.h"

#include <algorithm>
#include <utility>

namespace certwright::solver {
namespace {

// How many times as much as stays free a namespace may take.
constexpr int kTimesWhatIsFree = 3;

std::string NamespaceOf(const std::string& key) { return key.substr(0, key.find('/')); }

}  // namespace

bool Scheduler::Share::Admits(const std::string& name_space, int limit) const {
  const auto its = by_namespace_.find(name_space);
  const int64_t taken_by_it = its == by_namespace_.end() ? 0 : its->second;
  return taken_by_it < kTimesWhatIsFree * (int64_t{limit} - taken_);
}

void Scheduler::Share::Take(const std::string& name_space) {
  ++taken_;
  ++by_namespace_[name_space];
}

void Scheduler::Share::Release(const std::string& name_space) {
  --taken_;
  const auto its = by_namespace_.find(name_space);
  if (--its->second == 0) by_namespace_.erase(its);
}

void Scheduler::ReleaseIn(Shares& shares, const std::string& whose,
                          const std::string& name_space) {
  const auto share = shares.find(whose);
  share->second.Release(name_space);
  if (share->second.empty()) shares.erase(share);
}

bool Scheduler::TryAcquire(const Candidate& candidate) {
  base::MutexLock lock(mutex_);
  if (holders_.count(candidate.key) > 0) return true;
  // Those that wait cannot run, or they would have been given a slot: so there is nobody to
  // overtake.
  const bool record_is_free =
      candidate.exclusion.empty() || exclusive_.count(candidate.exclusion) == 0;
  if (record_is_free &&
      HasRoom(candidate.issuer, candidate.account, NamespaceOf(candidate.key))) {
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
    const std::string name_space = NamespaceOf(key);
    all_.Release(name_space);
    ReleaseIn(issuers_, candidate.issuer, name_space);
    if (!candidate.account.empty()) ReleaseIn(accounts_, candidate.account, name_space);
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

bool Scheduler::HasRoom(const std::string& issuer, const std::string& account,
                        const std::string& name_space) const {
  const auto admits = [&name_space](const Shares& shares, const std::string& whose, int limit) {
    const auto share = shares.find(whose);
    return share == shares.end() ? limit > 0 : share->second.Admits(name_space, limit);
  };
  return all_.Admits(name_space, limits_.total) &&
         admits(issuers_, issuer, limits_.per_issuer) &&
         (account.empty() || admits(accounts_, account, limits_.per_account));
}

void Scheduler::Grant(const Candidate& candidate) {
  const std::string name_space = NamespaceOf(candidate.key);
  holders_[candidate.key] = candidate;
  all_.Take(name_space);
  issuers_[candidate.issuer].Take(name_space);
  if (!candidate.account.empty()) accounts_[candidate.account].Take(name_space);
  if (!candidate.exclusion.empty()) exclusive_.emplace(candidate.exclusion, candidate.key);
  last_issuer_ = candidate.issuer;
}

void Scheduler::Enqueue(const Candidate& candidate) {
  const uint64_t number = next_number_++;
  places_[candidate.key] = Place{candidate, number};
  waiting_[candidate.issuer][{candidate.account, NamespaceOf(candidate.key)}].insert(
      Waiting{candidate.deadline, number, candidate.key, candidate.exclusion});
}

void Scheduler::Dequeue(const std::string& key) {
  auto place = places_.find(key);
  if (place == places_.end()) return;
  const Candidate& candidate = place->second.candidate;
  const auto queues = waiting_.find(candidate.issuer);
  const auto queue = queues->second.find({candidate.account, NamespaceOf(key)});
  queue->second.erase(Waiting{candidate.deadline, place->second.number, key, ""});
  if (queue->second.empty()) queues->second.erase(queue);
  if (queues->second.empty()) waiting_.erase(queues);
  places_.erase(place);
}

std::string Scheduler::FirstOf(const std::string& issuer, const Queues& queues) const {
  const Waiting* first = nullptr;
  for (const auto& [whose, queue] : queues) {
    const auto& [account, name_space] = whose;
    if (!HasRoom(issuer, account, name_space)) continue;
    auto free = std::find_if(
        queue.begin(), queue.end(), [this](const Waiting& waiting) CW_REQUIRES(mutex_) {
          return waiting.exclusion.empty() || exclusive_.count(waiting.exclusion) == 0;
        });
    if (free != queue.end() && (first == nullptr || *free < *first)) first = &*free;
  }
  return first == nullptr ? "" : first->key;
}

std::string Scheduler::Next() const {
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
