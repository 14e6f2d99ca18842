// Knot: a real authoritative nameserver that takes TSIG-signed updates, as a child process.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/harness/process.h"

namespace certwright::harness {

struct KnotZone {
  // "example.test"
  std::string name;
  // The zone file's text; empty: SOA, NS and addresses 127.0.0.1 for every name below it.
  std::string text;
};

class Knot;

struct KnotOptions {
  // A folder of its own, which exists.
  std::string folder;
  std::vector<KnotZone> zones;
  // 0: a free one.
  int port = 0;
  std::string address = "127.0.0.1";
  // Serve what this one serves, and look for changes every 3 s, untold.
  Knot* primary = nullptr;
};

// "certwright-key", with a secret made on the spot.
class Knot {
 public:
  // Returns once it answers.
  static absl::StatusOr<std::unique_ptr<Knot>> Start(KnotOptions options);

  // "127.0.0.1:PORT"
  std::string address() const;
  int port() const { return port_; }
  const std::string& tsig_key_name() const { return tsig_key_name_; }
  // base64
  const std::string& tsig_secret() const { return tsig_secret_; }
  Process& process() { return *process_; }

 private:
  Knot() = default;

  std::unique_ptr<Process> process_;
  std::string host_;
  int port_ = 0;
  std::string tsig_key_name_;
  std::string tsig_secret_;
};

// A zone whose every name has the address 127.0.0.1, served by ns.<name>.
std::string LoopbackZone(const std::string& name);

// 32 random bytes in base64.
std::string MakeTsigSecret();

}  // namespace certwright::harness
