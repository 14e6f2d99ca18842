// Unbound: a recursive resolver that knows where the test zones are served.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tests/harness/process.h"

namespace certwright::harness {

struct UnboundOptions {
  // A folder of its own, which exists.
  std::string folder;
  // Zone → port of its nameserver on 127.0.0.1.
  std::map<std::string, int> zones;
  // Whether it remembers answers, that there is none too, as resolvers do. Else no test waits
  // for a time to live.
  bool remembers = false;
};

class Unbound {
 public:
  // Returns once it answers.
  static absl::StatusOr<std::unique_ptr<Unbound>> Start(UnboundOptions options);

  // "127.0.0.1:PORT"
  std::string address() const;
  Process& process() { return *process_; }

 private:
  Unbound() = default;

  std::unique_ptr<Process> process_;
  int port_ = 0;
};

}  // namespace certwright::harness
