// Has the suite issue for a long time under faults and kills, and says what became of it.
#include <iostream>
#include <string>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/time/time.h"
#include "tests/soak/soak_run.h"

namespace certwright::soak {
namespace {

void PrintText(const SoakReport& report) {
  std::cout << report.issuances << " certificates in "
            << absl::FormatDuration(absl::Trunc(report.duration, absl::Seconds(1))) << ", "
            << report.faults << " faults, " << report.retried << " issuances asked for again\n";
  for (const harness::Service service : harness::kServices) {
    const ServiceReport& from = report.services[static_cast<std::size_t>(service)];
    std::cout << harness::ServiceName(service) << ": " << from.kills << " kills, memory "
              << from.rss_mib.min << " to " << from.rss_mib.max << " MiB, open files "
              << from.files.min << " to " << from.files.max << ", store " << from.store_mib
              << " MiB\n";
  }
  for (const std::string& failure : report.failures) std::cout << "wrong: " << failure << "\n";
  if (report.failures.empty()) std::cout << "nothing was wrong\n";
}

int Main(int argc, char** argv) {
  SoakOptions options;
  double minutes = 30;
  std::string kill_every = "60s";
  bool json = false;
  CLI::App app(
      "Renews certificates of our own CA over and over, at an even pace, while the CA's\n"
      "answers go wrong by chance and the services are killed in turn. Then all must be "
      "Ready,\n"
      "every Secret right, nothing left behind, and memory and open files flat. Exits 1 if "
      "not.",
      "soak");
  app.add_option("--minutes", minutes, "How long")->check(CLI::Range(0.1, 100000.0));
  app.add_option("--issuances", options.issuances, "How many, spread over that time")
      ->check(CLI::Range(1, 100'000'000));
  app.add_option("--certificates", options.population, "How many there are at a time")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--concurrency", options.concurrency, "Issuances at once")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--fault-percent", options.fault_percent, "Of the CA's answers")
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--kill-every", kill_every,
                 "Time between kills, the three services in turn; 0: none");
  app.add_flag("--json", json, "Print one JSON object");
  app.footer(
      "Example:\n  bazel run --config=opt //tests/soak -- --minutes=30 --issuances=20000 "
      "--fault-percent=5 --kill-every=60s --json");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!absl::ParseDuration(kill_every, &options.kill_every)) {
    std::cerr << "soak: --kill-every: \"" << kill_every << "\" is no duration like 60s\n";
    return 2;
  }
  options.duration = absl::Minutes(minutes);
  const absl::StatusOr<SoakReport> report = RunSoak(options);
  if (!report.ok()) {
    std::cerr << "soak: " << report.status().message() << "\n";
    return 1;
  }
  if (json) {
    std::cout << ToJson(*report) << std::endl;
  } else {
    PrintText(*report);
  }
  return report->failures.empty() ? 0 : 1;
}

}  // namespace
}  // namespace certwright::soak

int main(int argc, char** argv) { return certwright::soak::Main(argc, argv); }
