// AttackedSuite: the three real services, in one of the ways in which they can be set up, with
// every port that an attacker may come to; and what must be true of them after any attack.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/attacks/http2_attacker.h"
#include "tests/attacks/identities.h"
#include "tests/harness/suite.h"

namespace certwright::attacks {

enum class Mode {
  // No TLS, on loopback.
  kPlaintext,
  // Who has no certificate does not get through the handshake.
  kMutualTls,
  // Certificates are optional, as there are bearer tokens.
  kTokens,
};

// "MutualTls": for names of tests.
std::string TestNameOf(Mode mode);

// From where attacks come, and from where others call meanwhile.
inline constexpr char kAttackersAddress[] = "127.0.0.2";
inline constexpr char kOthersAddress[] = "127.0.0.9";

// How much memory a service may have used at its worst. The manifests give it 256 MiB.
inline constexpr int64_t kMaxRssKib = 160 * 1024;

// A gRPC port, and how an attacker comes to it.
struct Door {
  // For messages.
  std::string name;
  harness::Service service = harness::Service::kIssuer;
  Target target;
  // What every call shows besides.
  Headers credentials = {};
  // Whether health is all that is served there.
  bool health_only = false;
};

class AttackedSuite {
 public:
  // `limits` is what is in "server.limits" of each configuration, as YAML; may be empty.
  static absl::StatusOr<std::unique_ptr<AttackedSuite>> Start(Mode mode,
                                                              const std::string& limits = "");

  harness::Suite& suite() { return *suite_; }
  harness::Process& process(harness::Service service) { return suite_->process(service); }
  const Identities& identities() const { return identities_; }
  Mode mode() const { return mode_; }

  // The gRPC port as strangers come to it: under mutual TLS with a certificate without any
  // role.
  Target ToGrpc(harness::Service service) const;
  // The plaintext port that serves health alone.
  Target ToHealth(harness::Service service) const;
  // HTTP/1 ports: metrics of every service, and the solver's for HTTP-01.
  std::vector<Target> ToHttp() const;
  // Every gRPC port with all that one can show there in this mode.
  std::vector<Door> Doors() const;

  std::string log_file(harness::Service service) const;
  std::string audit_file(harness::Service service) const;

  // Whether the service is the process that was started and serves others, on both of its gRPC
  // ports.
  testing::AssertionResult Serves(harness::Service service);

 private:
  explicit AttackedSuite(Mode mode) : mode_(mode), identities_(Identities::Make()) {}
  int GrpcPort(harness::Service service) const;

  const Mode mode_;
  const Identities identities_;
  std::map<harness::Service, int> health_ports_;
  std::map<harness::Service, int> metrics_ports_;
  std::unique_ptr<harness::Suite> suite_;
};

// Whether its memory was never more than kMaxRssKib; always with a sanitizer, which has its
// own.
testing::AssertionResult StayedSmall(const harness::Process& process);

}  // namespace certwright::attacks
