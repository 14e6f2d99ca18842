// Bind: BIND 9 as an authoritative nameserver that takes TSIG-signed updates.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/harness/knot.h"
#include "tests/harness/process.h"

namespace certwright::harness {

struct BindOptions {
  // A folder of its own, which exists.
  std::string folder;
  std::vector<KnotZone> zones;
};

class Bind {
 public:
  // Returns once it answers.
  static absl::StatusOr<std::unique_ptr<Bind>> Start(BindOptions options);

  int port() const { return port_; }
  // "127.0.0.1:PORT"
  std::string address() const;
  const std::string& tsig_key_name() const { return tsig_key_name_; }
  // base64
  const std::string& tsig_secret() const { return tsig_secret_; }
  Process& process() { return *process_; }

 private:
  Bind() = default;

  std::unique_ptr<Process> process_;
  int port_ = 0;
  std::string tsig_key_name_ = "certwright-key";
  std::string tsig_secret_;
};

}  // namespace certwright::harness
