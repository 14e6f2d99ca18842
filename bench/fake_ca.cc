// fake_ca: how fast the CA for tests issues, client and CA in this process, and what the
// signatures alone allow.
#include <algorithm>
#include <iostream>
#include <thread>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "bench/ca_load.h"
#include "boost/json/object.hpp"
#include "boost/json/serialize.hpp"
#include "lib/base/status_macros.h"

namespace certwright::bench {
namespace {

// Of the requests of one issuance; the request for the certificate and the certificate itself
// are signed too.
constexpr int kRequests = 5;

struct Flags {
  int certificates = 10000;
  int connections = 4;
  int threads = 2;
};

absl::Status Run(const Flags& flags) {
  fakes::CaServerOptions options;
  options.validation.assume_valid = true;
  options.threads = flags.threads;
  CW_ASSIGN_OR_RETURN(const auto ca, fakes::CaServer::Start(std::move(options)));
  CW_RETURN_IF_ERROR(RunCaLoad(*ca, flags.certificates / 10 + 1, flags.connections));
  CW_ASSIGN_OR_RETURN(CaLoadResult load, RunCaLoad(*ca, flags.certificates, flags.connections));
  const CryptoRates rates = MeasureCrypto();
  std::sort(load.latencies.begin(), load.latencies.end());
  const auto percentile = [&load](double fraction) {
    return absl::ToDoubleMilliseconds(load.latencies[static_cast<std::size_t>(
        fraction * static_cast<double>(load.latencies.size() - 1))]);
  };
  const double seconds = absl::ToDoubleSeconds(load.elapsed);
  const double cores = std::max(1u, std::thread::hardware_concurrency());
  const double crypto_seconds =
      (kRequests + 1) / rates.signatures + (kRequests + 1) / rates.verifications;

  boost::json::object result;
  result["certificates"] = flags.certificates;
  result["connections"] = flags.connections;
  result["seconds"] = seconds;
  result["certificates_per_second"] = flags.certificates / seconds;
  // Client and CA. By it, what the machine would do if nothing else ran on it.
  result["cpu_ms_per_certificate"] = absl::ToDoubleMilliseconds(load.cpu) / flags.certificates;
  result["certificates_per_second_alone"] =
      cores * flags.certificates / absl::ToDoubleSeconds(load.cpu);
  result["requests_per_second"] = load.requests / seconds;
  result["latency_ms"] = {{"p50", percentile(0.5)}, {"p99", percentile(0.99)}};
  result["reused_nonces"] = ca->reused_nonces();
  result["signatures_per_core_second"] = rates.signatures;
  result["verifications_per_core_second"] = rates.verifications;
  result["cores"] = cores;
  result["ceiling_certificates_per_second"] = cores / crypto_seconds;
  std::cout << boost::json::serialize(result) << std::endl;
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Measures the CA for tests and prints one JSON object.", "fake_ca");
  app.add_option("--certificates", flags.certificates, "How many")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--connections", flags.connections, "Each with an account, on a thread")
      ->check(CLI::Range(1, 1000));
  app.add_option("--threads", flags.threads, "Of the CA")->check(CLI::Range(1, 256));
  app.footer("Example:\n  bazel run -c opt //bench:fake_ca -- --certificates=20000");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = Run(flags);
  if (status.ok()) return 0;
  std::cerr << "fake_ca: " << status.message() << "\n";
  return 1;
}

}  // namespace
}  // namespace certwright::bench

int main(int argc, char** argv) { return certwright::bench::Main(argc, argv); }
