// Scheduler: decides which challenges are worked on now, and which wait.
//
// A challenge that wants to be worked on asks for a slot. While a limit is reached, or another
// challenge holds the one record that both need, it waits; a slot that gets free goes to a
// waiting challenge at once, and `wake` tells whose. Issuers take turns, so that one with ten
// thousand names does not hold up one with a single name; within an issuer the nearest
// deadline is first. Of what a limit allows, a namespace gets no more than three times what
// stays free: so there is room for others however many challenges it has that do not come to
// an end. Nothing is kept on disk: after a restart every challenge asks anew.
//
// Threading: safe from any thread. `wake` is called without locks, from within the call that
// freed the slot; it must be quick.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "lib/base/mutex.h"

namespace certwright::solver {

struct Candidate {
  // "<namespace>/<name>" of the challenge.
  std::string key;
  std::string issuer;
  // The account at a DNS provider; empty where there is none: no limit.
  std::string account;
  // What only one challenge can have at a time: the resolved record name at a provider that
  // holds one value per name. Empty: nothing.
  std::string exclusion;
  absl::Time deadline = absl::InfiniteFuture();
};

class Scheduler {
 public:
  struct Limits {
    int total = 500;
    int per_issuer = 250;
    int per_account = 250;
  };
  // Gets the key of a challenge that has just got a slot.
  using Wake = std::function<void(const std::string& key)>;

  Scheduler(const Limits& limits, Wake wake) : limits_(limits), wake_(std::move(wake)) {}

  // True if the challenge has a slot, now or already. Otherwise it waits from now on, as this
  // candidate says, until Release() or its turn.
  bool TryAcquire(const Candidate& candidate);

  // Takes a slot whatever the limits say: for a challenge whose proof the CA is looking at.
  void Hold(const Candidate& candidate);

  // The challenge gives its slot back, or waits no longer. Nothing happens if it did neither.
  void Release(const std::string& key);

  bool HasSlot(const std::string& key) const;
  int in_flight() const;
  int queued() const;

 private:
  // The slots that count against one limit.
  class Share {
   public:
    bool Admits(const std::string& name_space, int limit) const;
    void Take(const std::string& name_space);
    void Release(const std::string& name_space);
    bool empty() const { return taken_ == 0; }

   private:
    int taken_ = 0;
    std::map<std::string, int> by_namespace_;
  };
  using Shares = std::map<std::string, Share>;

  struct Waiting {
    absl::Time deadline;
    uint64_t number = 0;  // who came first
    std::string key;
    std::string exclusion;
    friend bool operator<(const Waiting& a, const Waiting& b) {
      return a.deadline != b.deadline ? a.deadline < b.deadline : a.number < b.number;
    }
  };
  using Queue = std::set<Waiting>;
  // By account and namespace, so that those at one's limit are passed over together.
  using Queues = std::map<std::pair<std::string, std::string>, Queue>;
  struct Place {
    Candidate candidate;
    uint64_t number = 0;
  };

  static void ReleaseIn(Shares& shares, const std::string& whose,
                        const std::string& name_space);
  // Whether the limits allow a slot for one of that issuer, account and namespace.
  bool HasRoom(const std::string& issuer, const std::string& account,
               const std::string& name_space) const CW_REQUIRES(mutex_);
  void Grant(const Candidate& candidate) CW_REQUIRES(mutex_);
  void Enqueue(const Candidate& candidate) CW_REQUIRES(mutex_);
  void Dequeue(const std::string& key) CW_REQUIRES(mutex_);
  // Whose turn it is among the waiting of one issuer; empty for nobody.
  std::string FirstOf(const std::string& issuer, const Queues& queues) const
      CW_REQUIRES(mutex_);
  // The next to get a slot; empty for nobody.
  std::string Next() const CW_REQUIRES(mutex_);
  // Gives out slots while there are any.
  std::vector<std::string> GrantWaiting() CW_REQUIRES(mutex_);

  const Limits limits_;
  const Wake wake_;
  mutable base::Mutex mutex_;
  uint64_t next_number_ CW_GUARDED_BY(mutex_) = 1;
  // The issuer that had its turn last.
  std::string last_issuer_ CW_GUARDED_BY(mutex_);
  std::map<std::string, Candidate> holders_ CW_GUARDED_BY(mutex_);
  std::map<std::string, Place> places_ CW_GUARDED_BY(mutex_);
  std::map<std::string, Queues> waiting_ CW_GUARDED_BY(mutex_);  // by issuer
  Share all_ CW_GUARDED_BY(mutex_);
  Shares issuers_ CW_GUARDED_BY(mutex_);
  Shares accounts_ CW_GUARDED_BY(mutex_);
  std::map<std::string, std::string> exclusive_ CW_GUARDED_BY(mutex_);  // → its holder
};

}  // namespace certwright::solver
