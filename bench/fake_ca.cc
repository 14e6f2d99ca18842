// fake_ca: how fast the CA for tests issues, what of the time is the CA's and what the
// client's, both in this process, and what the signatures alone allow.
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

// Signatures of one issuance: the five requests', the certificate's, and that of the request
// for it, which is made beforehand.
constexpr int kRequests = 5;
constexpr int kMadeByCa = 1;
constexpr int kCheckedByCa = kRequests + 1;

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
  const double ca_crypto = kMadeByCa / rates.signatures + kCheckedByCa / rates.verifications;
  const double crypto = ca_crypto + kRequests / rates.signatures;
  const double ca_cpu = absl::ToDoubleSeconds(load.ca_cpu) / flags.certificates;
  const double client_cpu = absl::ToDoubleSeconds(load.client_cpu) / flags.certificates;

  boost::json::object result;
  result["certificates"] = flags.certificates;
  result["connections"] = flags.connections;
  result["seconds"] = seconds;
  result["certificates_per_second"] = flags.certificates / seconds;
  result["ca_cpu_ms_per_certificate"] = ca_cpu * 1000;
  result["client_cpu_ms_per_certificate"] = client_cpu * 1000;
  result["requests_per_second"] = load.requests / seconds;
  result["latency_ms"] = {{"p50", percentile(0.5)}, {"p99", percentile(0.99)}};
  result["reused_nonces"] = ca->reused_nonces();
  result["signatures_per_core_second"] = rates.signatures;
  result["verifications_per_core_second"] = rates.verifications;
  result["cores"] = cores;
  // What all cores would do: with nothing else on them, by the CPU times above, and with
  // nothing to do but the signatures.
  result["possible_per_second"] = {{"ca", cores / ca_cpu},
                                   {"ca_and_client", cores / (ca_cpu + client_cpu)}};
  result["ceiling_by_signatures"] = {{"ca", cores / ca_crypto},
                                     {"ca_and_client", cores / crypto}};
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
  app.footer("Example:\n  bazel run --config=opt //bench:fake_ca -- --certificates=20000");
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
