// How fast, and at what cost, the suite issues certificates from a real CA (Pebble) that
// validates for real. Prints one JSON object.
#include <algorithm>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "boost/json/object.hpp"
#include "boost/json/serialize.hpp"
#include "lib/base/status_macros.h"
#include "lib/service/conditions.h"
#include "tests/harness/world.h"

namespace certwright::bench {
namespace {

using harness::Service;
using harness::World;

constexpr absl::Duration kLimit = absl::Minutes(20);

struct Flags {
  std::string challenge = "http01";
  int certificates = 100;
  int concurrency = 32;
  std::string pebble = "pebble";
  int pebble_processors = 1;
};

struct Cpu {
  absl::Duration suite;
  absl::Duration ca;
};

Cpu CpuTime(World& world) {
  Cpu cpu;
  for (const Service service : harness::kServices) {
    cpu.suite += world.suite().process(service).CpuTime();
  }
  cpu.ca = world.pebble().process().CpuTime();
  return cpu;
}

std::string Name(int index) { return absl::StrCat("c", index); }

absl::Status Create(World& world, int index) {
  return world.CreateCertificate(
      World::MakeCertificate(Name(index), {absl::StrCat(Name(index), ".example.test")}));
}

// Keeps `concurrency` issuances going until all are done; latencies in order of completion.
absl::StatusOr<std::vector<absl::Duration>> Issue(World& world, const Flags& flags) {
  const auto context = harness::MakeContext(kLimit);
  auto stream = world.certificates().WatchCertificates(context.get(), {});
  std::map<std::string, absl::Time> running;
  std::vector<absl::Duration> latencies;
  int created = 0;
  const auto create_next = [&]() -> absl::Status {
    if (created == flags.certificates) return absl::OkStatus();
    running[Name(created)] = absl::Now();
    return Create(world, created++);
  };
  while (created < std::min(flags.concurrency, flags.certificates)) {
    CW_RETURN_IF_ERROR(create_next());
  }
  issuer::v1::WatchCertificatesResponse event;
  while (!running.empty() && stream->Read(&event)) {
    const auto it = running.find(event.certificate().metadata().name());
    if (it == running.end() ||
        !service::IsTrue(event.certificate().status().conditions(), "Ready")) {
      continue;
    }
    latencies.push_back(absl::Now() - it->second);
    running.erase(it);
    CW_RETURN_IF_ERROR(create_next());
  }
  context->TryCancel();
  const absl::Status ended = harness::FromGrpc(stream->Finish());
  if (!running.empty()) {
    return absl::DeadlineExceededError(
        absl::StrCat(running.size(), " certificates did not get Ready: ", ended.message()));
  }
  return latencies;
}

double Percentile(const std::vector<absl::Duration>& sorted, double fraction) {
  const auto index =
      static_cast<std::size_t>(fraction * static_cast<double>(sorted.size() - 1));
  return absl::ToDoubleMilliseconds(sorted[index]);
}

absl::Status Run(const Flags& flags) {
  harness::WorldOptions options;
  options.pebble_program = flags.pebble;
  options.pebble_processors = flags.pebble_processors;
  options.order_workers = 0;
  options.folder = harness::MakeFolder("bench");
  CW_ASSIGN_OR_RETURN(const auto world, World::Start(std::move(options)));
  const std::vector<std::string> zones = flags.challenge == "dns01"
                                             ? std::vector<std::string>{"example.test"}
                                             : std::vector<std::string>{"dns.example.test"};
  CW_RETURN_IF_ERROR(world->CreateClusterIssuer(world->MakeClusterIssuer({}, zones)));

  const Cpu before = CpuTime(*world);
  const absl::Time start = absl::Now();
  CW_ASSIGN_OR_RETURN(std::vector<absl::Duration> latencies, Issue(*world, flags));
  const absl::Duration elapsed = absl::Now() - start;
  const Cpu after = CpuTime(*world);
  std::sort(latencies.begin(), latencies.end());

  boost::json::object latency;
  latency["p50"] = Percentile(latencies, 0.5);
  latency["p90"] = Percentile(latencies, 0.9);
  latency["p99"] = Percentile(latencies, 0.99);
  boost::json::object rss;
  for (const Service service : harness::kServices) {
    rss[harness::ServiceName(service)] =
        static_cast<double>(world->suite().process(service).PeakRssKib()) / 1024;
  }
  boost::json::object result;
  result["challenge"] = flags.challenge;
  result["certificates"] = flags.certificates;
  result["concurrency"] = flags.concurrency;
  result["seconds"] = absl::ToDoubleSeconds(elapsed);
  result["certificates_per_second"] = flags.certificates / absl::ToDoubleSeconds(elapsed);
  result["latency_ms"] = std::move(latency);
  result["suite_cpu_ms_per_certificate"] =
      absl::ToDoubleMilliseconds(after.suite - before.suite) / flags.certificates;
  result["ca_cpu_ms_per_certificate"] =
      absl::ToDoubleMilliseconds(after.ca - before.ca) / flags.certificates;
  result["peak_rss_mib"] = std::move(rss);
  std::cout << boost::json::serialize(result) << std::endl;
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Measures issuance and prints one JSON object.", "issuance");
  app.add_option("--challenge", flags.challenge, "http01 or dns01")
      ->check(CLI::IsMember({"http01", "dns01"}));
  app.add_option("--certificates", flags.certificates, "How many")
      ->check(CLI::Range(1, 100000));
  app.add_option("--concurrency", flags.concurrency, "How many at once")
      ->check(CLI::Range(1, 10000));
  app.add_option("--pebble", flags.pebble, "Path of another Pebble");
  app.add_option("--pebble_processors", flags.pebble_processors,
                 "How many processors Pebble uses; with more than one it may lock up")
      ->check(CLI::Range(1, 1024));
  app.footer(
      "Example:\n  bazel run --config=opt //bench:issuance -- --challenge=dns01 "
      "--certificates=500 "
      "--concurrency=64");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = Run(flags);
  if (status.ok()) return 0;
  std::cerr << "issuance: " << status.message() << "\n";
  return 1;
}

}  // namespace
}  // namespace certwright::bench

int main(int argc, char** argv) { return certwright::bench::Main(argc, argv); }
