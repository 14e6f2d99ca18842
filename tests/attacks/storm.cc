// Attacks the suite while it issues, and says what became of it.
#include <iostream>
#include <string>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/time/time.h"
#include "tests/attacks/storm_run.h"

namespace certwright::attacks {
namespace {

// How much longer the slowest issuances may take under attack than in peace.
constexpr double kMaxP99Ratio = 2;

int Main(int argc, char** argv) {
  StormOptions options;
  double seconds = 60;
  CLI::App app(
      "Issues certificates of our own CA, twenty a second: in peace, then while somebody\n"
      "without credentials attacks all services, then while a requester of another\n"
      "namespace does, and in peace again. Prints one JSON object. Exits 1 if a service\n"
      "ended, used more memory than the manifests give it, had lines of others in its log,\n"
      "or if p99 more than doubled.",
      "storm");
  app.add_option("--seconds", seconds, "How long each of the four parts is")
      ->check(CLI::Range(1.0, 100'000.0));
  app.add_option("--connections", options.connections, "Of the attacker, at once")
      ->check(CLI::Range(1, 1000));
  app.footer("Example:\n  bazel run --config=opt //tests/attacks:storm -- --seconds=60");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  options.duration = absl::Seconds(seconds);
  const absl::StatusOr<StormReport> report = RunStorm(options);
  if (!report.ok()) {
    std::cerr << "storm: " << report.status().message() << "\n";
    return 1;
  }
  std::cout << ToJson(*report) << std::endl;
  return report->failures.empty() && report->p99_ratio() <= kMaxP99Ratio ? 0 : 1;
}

}  // namespace
}  // namespace certwright::attacks

int main(int argc, char** argv) { return certwright::attacks::Main(argc, argv); }
