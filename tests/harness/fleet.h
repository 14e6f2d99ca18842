// Fleet: some Certificates of a World, half of them proven by DNS-01 and half by HTTP-01, and
// what must be true of them however the services were treated in the meantime.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/harness/world.h"

namespace certwright::harness {

class Fleet {
 public:
  // Stores the ClusterIssuer and `size` Certificates, named <prefix>0, <prefix>1 …
  static absl::StatusOr<Fleet> Create(World& world, int size, const std::string& prefix = "c");

  const std::vector<std::string>& names() const { return names_; }

  absl::Status WaitUntilReady(absl::Duration timeout) {
    return world_->WaitUntilReady(names_, timeout);
  }

  // What is wrong, a sentence each; empty if nothing is. Each Secret has a chain of the CA for
  // its key and names; no proof is presented, waited for up to `timeout`, and no TXT record is
  // left.
  std::vector<std::string> Faults(absl::Duration timeout);

 private:
  explicit Fleet(World& world) : world_(&world) {}

  World* world_;
  std::vector<std::string> names_;
  std::vector<std::string> dns_names_;
};

}  // namespace certwright::harness
