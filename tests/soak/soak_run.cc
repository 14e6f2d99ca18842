#include "tests/soak/soak_run.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "boost/json/array.hpp"
#include "boost/json/object.hpp"
#include "boost/json/serialize.hpp"
#include "lib/base/status_macros.h"
#include "tests/fakes/fake_world.h"
#include "tests/soak/population.h"

namespace certwright::soak {
namespace {

using fakes::FakeWorld;
using harness::Service;

constexpr absl::Duration kSampleEvery = absl::Seconds(5);
// How long finished Orders and Challenges are kept.
constexpr char kRetention[] = "retention: 30s\n";
// Each Certificate is renewed more often here than is polite.
constexpr char kPace[] = "issuancePace: {issuances: 100, window: 1s}\n";
// What is still under way at the end may take so long: a wait of five minutes, and some more.
constexpr absl::Duration kTail = absl::Minutes(10);
constexpr absl::Duration kTidying = absl::Minutes(3);
// Every so many issuances are of a Certificate that takes the place of another.
constexpr int kReplaceEvery = 20;
// A process takes its memory in the first minutes of work.
constexpr FlatnessRule kMemoryRule = {.share = 0.1, .slack = 0};
// Connections come and go.
constexpr FlatnessRule kFilesRule = {.share = 0.1, .slack = 16};
constexpr absl::Duration kLifeWarmUp = absl::Minutes(1);

std::size_t Index(Service service) { return static_cast<std::size_t>(service); }

class Soak {
 public:
  Soak(const SoakOptions& options, FakeWorld& world)
      : options_(options), world_(world), population_(world) {}

  absl::StatusOr<SoakReport> Run();

 private:
  // What is due, again and again: starts issuances, kills, samples.
  absl::Status Turn();
  absl::Status StartWhatIsDue();
  absl::Status KillIfDue();
  void SampleIfDue();
  absl::Status FinishTail();
  void LookForOrphans();
  void JudgeServices();
  double StoreMib(Service service) const;

  const SoakOptions& options_;
  FakeWorld& world_;
  Population population_;
  SoakReport report_;
  absl::Time start_;
  int started_ = 0;
  int kills_ = 0;
  absl::Time next_sample_;
  std::array<std::vector<Life>, 3> memory_;
  std::array<std::vector<Life>, 3> files_;
  std::array<absl::Time, 3> born_;
};

absl::StatusOr<SoakReport> Soak::Run() {
  start_ = next_sample_ = absl::Now();
  born_.fill(start_);
  memory_.fill({Life()});
  files_.fill({Life()});
  world_.ca().SetRandomFaults({.percent = options_.fault_percent});
  absl::Time next_line = start_ + absl::Minutes(1);
  while (started_ < options_.issuances && absl::Now() < start_ + 2 * options_.duration) {
    CW_RETURN_IF_ERROR(Turn());
    if (absl::Now() < next_line) continue;
    next_line += absl::Minutes(1);
    std::cerr << absl::FormatDuration(absl::Now() - start_) << ": " << population_.issued()
              << " issued, " << population_.in_flight() << " under way, " << kills_
              << " kills\n";
  }
  CW_RETURN_IF_ERROR(FinishTail());
  report_.duration = absl::Now() - start_;
  report_.issuances = population_.issued();
  report_.retried = population_.retried();
  report_.ca_orders = world_.ca().orders();
  report_.ca_certificates = world_.ca().finalized();
  if (report_.issuances < options_.issuances) {
    report_.failures.push_back(absl::StrCat("only ", report_.issuances, " were issued"));
  }
  JudgeServices();
  LookForOrphans();
  for (const std::string& fault : population_.Verify()) report_.failures.push_back(fault);
  return std::move(report_);
}

absl::Status Soak::Turn() {
  CW_RETURN_IF_ERROR(StartWhatIsDue());
  CW_RETURN_IF_ERROR(population_.RetryFailed());
  CW_RETURN_IF_ERROR(KillIfDue());
  SampleIfDue();
  harness::Pause();
  return absl::OkStatus();
}

absl::Status Soak::StartWhatIsDue() {
  const double part = absl::FDivDuration(absl::Now() - start_, options_.duration);
  const int due = std::min(options_.issuances, static_cast<int>(part * options_.issuances) + 1);
  while (started_ < due && population_.in_flight() < options_.concurrency) {
    if (started_ < std::min(options_.population, options_.issuances)) {
      CW_RETURN_IF_ERROR(population_.Add());
    } else {
      CW_ASSIGN_OR_RETURN(const bool is_started, started_ % kReplaceEvery == 0
                                                     ? population_.Replace()
                                                     : population_.Renew());
      if (!is_started) break;
    }
    ++started_;
  }
  return absl::OkStatus();
}

absl::Status Soak::KillIfDue() {
  if (options_.kill_every <= absl::ZeroDuration()) return absl::OkStatus();
  if (absl::Now() < start_ + (kills_ + 1) * options_.kill_every) return absl::OkStatus();
  const Service service = harness::kServices[kills_++ % harness::kServices.size()];
  ++report_.services[Index(service)].kills;
  world_.suite().Kill(service);
  CW_RETURN_IF_ERROR(world_.suite().Restart(service));
  born_[Index(service)] = absl::Now();
  memory_[Index(service)].emplace_back();
  files_[Index(service)].emplace_back();
  return absl::OkStatus();
}

void Soak::SampleIfDue() {
  if (absl::Now() < next_sample_) return;
  next_sample_ = absl::Now() + kSampleEvery;
  for (const Service service : harness::kServices) {
    const std::size_t i = Index(service);
    const int pid = world_.suite().process(service).pid();
    const absl::Duration age = absl::Now() - born_[i];
    memory_[i].back().push_back({age, ResidentMib(pid)});
    files_[i].back().push_back({age, OpenFiles(pid)});
    if (!world_.suite().process(service).Running()) {
      report_.failures.push_back(absl::StrCat(harness::ServiceName(service), " has ended"));
      next_sample_ = absl::InfiniteFuture();
    }
  }
}

// The CA behaves, and nobody is killed, so that what is left can end.
absl::Status Soak::FinishTail() {
  report_.faults = world_.ca().faults();
  world_.ca().ClearFaults();
  absl::Status retried;
  const bool all_came = harness::WaitUntil(
      [&] {
        retried = population_.RetryFailed();
        SampleIfDue();
        return !retried.ok() || population_.in_flight() == 0;
      },
      kTail);
  if (!all_came) {
    report_.failures.push_back(absl::StrCat(population_.in_flight(), " never came"));
  }
  return retried;
}

// Each is kept for a while and then deleted, with what it has put out.
void Soak::LookForOrphans() {
  std::vector<order::v1::Order> orders;
  std::vector<solver::v1::Challenge> challenges;
  const bool all_gone = harness::WaitUntil(
      [&] {
        orders = world_.ListOrders();
        challenges = world_.ListChallenges();
        return orders.empty() && challenges.empty();
      },
      kTidying);
  report_.orphans = static_cast<int>(orders.size() + challenges.size());
  if (all_gone) return;
  report_.failures.push_back(
      absl::StrCat(orders.size(), " Orders and ", challenges.size(), " Challenges remain"));
}

void Soak::JudgeServices() {
  for (const Service service : harness::kServices) {
    const std::size_t i = Index(service);
    ServiceReport& report = report_.services[i];
    const absl::Duration warm_up = memory_[i].size() == 1 ? kMemoryRule.warm_up : kLifeWarmUp;
    report.rss_mib = RangeOf(memory_[i], warm_up);
    report.files = RangeOf(files_[i], warm_up);
    report.memory_flatness = JudgeFlatness(memory_[i], kMemoryRule);
    report.files_flatness = JudgeFlatness(files_[i], kFilesRule);
    report.store_mib = StoreMib(service);
    if (report.memory_flatness.flat == false) {
      report_.failures.push_back(
          absl::StrCat("the memory of ", harness::ServiceName(service), " grows"));
    }
    if (report.files_flatness.flat == false) {
      report_.failures.push_back(
          absl::StrCat("the open files of ", harness::ServiceName(service), " grow"));
    }
  }
}

// With the log that SQLite writes ahead.
double Soak::StoreMib(Service service) const {
  double octets = 0;
  for (const char* suffix : {"", "-wal"}) {
    std::error_code error;
    const auto size =
        std::filesystem::file_size(absl::StrCat(world_.suite().folder(), "/",
                                                harness::ServiceName(service), ".db", suffix),
                                   error);
    if (!error) octets += static_cast<double>(size);
  }
  return octets / (1 << 20);
}

boost::json::object ToObject(const Range& range) {
  boost::json::object object;
  object["min"] = range.min;
  object["max"] = range.max;
  return object;
}

// Null where too little was seen.
boost::json::value ToValue(const Flatness& flatness) {
  if (!flatness.flat.has_value()) return nullptr;
  boost::json::object object;
  object["early"] = flatness.early;
  object["late"] = flatness.late;
  object["flat"] = *flatness.flat;
  return object;
}

}  // namespace

absl::StatusOr<SoakReport> RunSoak(const SoakOptions& options) {
  fakes::FakeWorldOptions world_options;
  world_options.folder = harness::MakeFolder("soak");
  world_options.binaries = options.binaries;
  world_options.ca.max_orders = 20'000;
  world_options.extra_config[Index(Service::kIssuer)] = kPace;
  world_options.extra_config[Index(Service::kOrder)] = kRetention;
  world_options.extra_config[Index(Service::kSolver)] = kRetention;
  CW_ASSIGN_OR_RETURN(const auto world, FakeWorld::Start(std::move(world_options)));
  CW_RETURN_IF_ERROR(world->CreateClusterIssuer(world->MakeClusterIssuer({kDnsZone})));
  return Soak(options, *world).Run();
}

std::string ToJson(const SoakReport& report) {
  boost::json::object object;
  const double seconds = absl::ToDoubleSeconds(report.duration);
  object["issuances"] = report.issuances;
  object["seconds"] = seconds;
  object["per_second"] = report.issuances / std::max(seconds, 0.001);
  object["retried"] = report.retried;
  object["faults"] = report.faults;
  object["ca_orders"] = report.ca_orders;
  object["ca_certificates"] = report.ca_certificates;
  int kills = 0;
  boost::json::object& services = object["services"].emplace_object();
  for (const Service service : harness::kServices) {
    const ServiceReport& from = report.services[Index(service)];
    boost::json::object& to = services[harness::ServiceName(service)].emplace_object();
    to["kills"] = from.kills;
    to["rss_mib"] = ToObject(from.rss_mib);
    to["memory"] = ToValue(from.memory_flatness);
    to["fds"] = ToObject(from.files);
    to["open_files"] = ToValue(from.files_flatness);
    to["store_mib"] = from.store_mib;
    kills += from.kills;
  }
  object["kills"] = kills;
  object["orphans"] = report.orphans;
  object["failures"] = boost::json::array(report.failures.begin(), report.failures.end());
  return boost::json::serialize(object);
}

}  // namespace certwright::soak
