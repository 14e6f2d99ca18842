// StoreUsage: how many resources each namespace has in a store, how many bytes they take, and
// what a user may add. Records whose key is no resource's (resource_key.h) are not counted;
// resources of no namespace count together, like one more namespace.
//
// The store's writer keeps it: each commit is counted as it is applied, so that the usage is
// exact however many commits come at once.
//
// Threading: for one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace certwright::store {

// 0 = no bound.
struct Quotas {
  // Of each namespace.
  int64_t namespace_objects = 0;
  int64_t namespace_bytes = 0;
  // Of the whole store.
  int64_t total_objects = 0;
  int64_t total_bytes = 0;
  // What the keys begin with of records that a service keeps for itself, which do not count.
  std::string uncounted_prefix = {};
};

struct Usage {
  int64_t objects = 0;
  // Of keys and values.
  int64_t bytes = 0;

  friend bool operator==(const Usage&, const Usage&) = default;
};

// What a commit adds to each namespace, or takes away.
class UsageChange {
 public:
  // One record that StoreUsage::Counts(), which had `before` and will have `after` bytes of
  // value; -1 = there is none.
  void Note(absl::string_view key, int64_t before, int64_t after, bool by_user);

 private:
  friend class StoreUsage;
  struct Delta {
    Usage usage;
    bool by_user = false;
  };
  std::map<std::string, Delta, std::less<>> deltas_;
};

class StoreUsage {
 public:
  explicit StoreUsage(const Quotas& quotas) : quotas_(quotas) {}

  // Whether this record counts. Whoever notes a change asks first.
  bool Counts(absl::string_view key) const;

  // A record that is there when the store is opened.
  void Add(absl::string_view key, int64_t value_bytes);

  // RESOURCE_EXHAUSTED, naming the quota, if a user's part of `change` adds to what is, or
  // would be, above a quota. What makes less of it is always allowed.
  absl::Status Check(const UsageChange& change) const;

  // Counts a commit that is part of the open transaction.
  void Apply(UsageChange change);
  // The transaction has been made, or has not.
  void Commit() { open_.clear(); }
  void Rollback();

  Usage of(absl::string_view resource_namespace) const;
  const Usage& total() const { return total_; }

 private:
  void Apply(const UsageChange& change, int64_t sign);

  const Quotas quotas_;
  std::map<std::string, Usage, std::less<>> namespaces_;
  Usage total_;
  std::vector<UsageChange> open_;
};

}  // namespace certwright::store
