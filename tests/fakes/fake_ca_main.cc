// fake_ca: the CA for tests as a program of its own, for benchmarks and long runs.
#include <signal.h>

#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "tests/fakes/ca_server.h"
#include "tests/harness/process.h"

namespace certwright::fakes {
namespace {

struct Flags {
  CaServerOptions ca;
  std::vector<std::string> profiles;
  std::string lifetime = "2160h";
  std::string processing = "0s";
  std::string root_file;
  std::string tls_ca_file;
  int bad_nonce_percent = 0;
  RandomFaults faults;
};

absl::Status ParseTimes(Flags& flags, Behaviour& behaviour) {
  if (!absl::ParseDuration(flags.lifetime, &flags.ca.lifetime)) {
    return absl::InvalidArgumentError("--lifetime: not a duration, as in 2160h");
  }
  if (!absl::ParseDuration(flags.processing, &behaviour.processing)) {
    return absl::InvalidArgumentError("--processing: not a duration, as in 3s");
  }
  for (const std::string& profile : flags.profiles) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(profile, '=');
    if (!absl::ParseDuration(parts.second, &flags.ca.profiles[parts.first])) {
      return absl::InvalidArgumentError("--profile: not NAME=DURATION, as in brief=144h");
    }
  }
  return absl::OkStatus();
}

// Until SIGINT or SIGTERM.
absl::Status Serve(Flags flags) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  Behaviour behaviour;
  behaviour.bad_nonce_percent = flags.bad_nonce_percent;
  if (absl::Status status = ParseTimes(flags, behaviour); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<CaServer>> ca = CaServer::Start(std::move(flags.ca));
  if (!ca.ok()) return ca.status();
  (*ca)->SetBehaviour(behaviour);
  (*ca)->SetRandomFaults(flags.faults);
  if (!flags.root_file.empty()) harness::WriteFile(flags.root_file, (*ca)->root_pem());
  if (!flags.tls_ca_file.empty()) harness::WriteFile(flags.tls_ca_file, (*ca)->tls_ca_pem());
  std::cout << (*ca)->directory_url() << std::endl;
  int signal = 0;
  sigwait(&signals, &signal);
  std::cerr << "fake_ca: " << (*ca)->finalized() << " orders finalized, "
            << (*ca)->reused_nonces() << " nonces used again\n";
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app(
      "A CA for tests and benchmarks (RFC 8555): prints its directory's URL and serves until "
      "SIGTERM.",
      "fake_ca");
  app.add_option("--port", flags.ca.port, "On 127.0.0.1; 0: a free one");
  app.add_option("--threads", flags.ca.threads, "That serve")->check(CLI::Range(1, 256));
  app.add_option("--tls_ca_file", flags.tls_ca_file, "Write here what clients must trust");
  app.add_option("--root_file", flags.root_file, "Write here the root it issues under");
  app.add_flag("--assume_valid", flags.ca.validation.assume_valid, "Validate nothing");
  app.add_option("--http01", flags.ca.validation.http_address,
                 "HOST:PORT that HTTP-01 is fetched from");
  app.add_option("--resolver", flags.ca.validation.resolver, "HOST:PORT that DNS-01 asks");
  app.add_option("--lifetime", flags.lifetime, "Of certificates");
  app.add_option("--profile", flags.profiles, "NAME=LIFETIME, several times");
  app.add_option("--alternate_roots", flags.ca.alternate_roots, "Beside the first");
  app.add_option("--processing", flags.processing, "From finalize to the certificate");
  app.add_option("--bad_nonces", flags.bad_nonce_percent, "Percent of good ones refused");
  app.add_option("--faults", flags.faults.percent, "Percent of requests that go wrong");
  app.add_option("--seed", flags.faults.seed, "Of those faults");
  app.footer(
      "Example:\n  bazel run --config=opt //tests/fakes:fake_ca -- --assume_valid --faults=5 "
      "--tls_ca_file=/tmp/ca.pem");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = Serve(std::move(flags));
  if (status.ok()) return 0;
  std::cerr << "fake_ca: " << status.message() << "\n";
  return 1;
}

}  // namespace
}  // namespace certwright::fakes

int main(int argc, char** argv) { return certwright::fakes::Main(argc, argv); }
