// OrderMemory: what the order service remembers between the passes of one order without
// writing it down. All of it can be lost in a restart without harm.
//
// Threading: safe from any thread.
#pragma once

#include <map>
#include <string>

#include "absl/time/time.h"
#include "lib/base/mutex.h"

namespace certwright::order {

class OrderMemory {
 public:
  struct Polls {
    int count = 0;
    absl::Time next = absl::InfinitePast();
  };

  // How often the CA was asked whether it is done, and when it is to be asked next.
  Polls polls(const std::string& key) const;
  void SetPolls(const std::string& key, const Polls& polls);

  // A CA answers a second newOrder for the same names with the same order. The first of our
  // orders to claim its URL has it: empty then, else the key of the order that has it.
  std::string ClaimUrl(const std::string& url, const std::string& key);

  // The order is final or gone.
  void Forget(const std::string& key);

 private:
  mutable base::Mutex mutex_;
  std::map<std::string, Polls> polls_ CW_GUARDED_BY(mutex_);
  std::map<std::string, std::string> key_of_url_ CW_GUARDED_BY(mutex_);
  std::map<std::string, std::string> url_of_key_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::order
