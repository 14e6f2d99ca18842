#include "tests/attacks/storm_run.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <stop_token>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "boost/json/array.hpp"
#include "boost/json/object.hpp"
#include "boost/json/serialize.hpp"
#include "lib/base/status_macros.h"
#include "lib/service/conditions.h"
#include "tests/attacks/identities.h"
#include "tests/attacks/log_lines.h"
#include "tests/attacks/storm_attackers.h"
#include "tests/fakes/fake_world.h"

namespace certwright::attacks {
namespace {

using fakes::FakeWorld;
using harness::Service;

constexpr char kIssuer[] = "fake";
constexpr absl::Duration kIssuanceTimeout = absl::Seconds(60);
// From the beginning of one issuance to that of the next, if it takes no longer: the same load
// in each part, and no more certificates than a store may have.
constexpr absl::Duration kIssuancePause = absl::Milliseconds(50);

// A sanitizer has memory of its own.
#ifdef CERTWRIGHT_SANITIZED
constexpr bool kMemoryCounts = false;
#else
constexpr bool kMemoryCounts = true;
#endif

std::size_t Index(Service service) { return static_cast<std::size_t>(service); }

// An attacker has a machine of its own. Here it has the last processor, and that only as far as
// nobody else needs it.
void LeaveProcessorsToOthers() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 19);
  cpu_set_t processors;
  CPU_ZERO(&processors);
  if (sched_getaffinity(0, sizeof processors, &processors) != 0) return;
  int last = CPU_SETSIZE - 1;
  while (last > 0 && !CPU_ISSET(last, &processors)) --last;
  CPU_ZERO(&processors);
  CPU_SET(last, &processors);
  sched_setaffinity(0, sizeof processors, &processors);
}

// Runs until asked to stop; the number tells attackers apart.
using Attacker = std::function<void(int number, Tally& tally, const std::stop_token& stop)>;

class Storm {
 public:
  explicit Storm(const StormOptions& options)
      : options_(options), identities_(Identities::Make()) {}

  absl::StatusOr<StormReport> Run();

 private:
  absl::Status Start();
  // Issues one after the other while as many attackers are at work as there are connections, in
  // a namespace of the part's own, since what one may hold is bounded.
  void RunPart(const std::string& name, const Attacker& attacker);
  absl::StatusOr<absl::Duration> Issue(const std::string& resource_namespace);
  void CountForeignLines();

  Target To(Service service) const;
  std::vector<Target> StrangersTargets() const;
  std::string LogFile(Service service, const std::string& suffix) const {
    return absl::StrCat(identities_.folder(), "/", harness::ServiceName(service), suffix);
  }

  const StormOptions options_;
  const Identities identities_;
  std::array<int, 3> health_ports_{};
  std::unique_ptr<FakeWorld> world_;
  int next_ = 0;
  StormReport report_;
};

absl::Status Storm::Start() {
  fakes::FakeWorldOptions options;
  options.ca.validation.assume_valid = true;
  options.folder = identities_.folder();
  options.certificates = identities_.certificates();
  options.client = kAdmin;
  for (const Service service : harness::kServices) {
    const std::size_t index = Index(service);
    health_ports_[index] = harness::FreePort();
    options.server_config[index] =
        absl::StrCat("healthListen: \"127.0.0.1:", health_ports_[index], "\"");
    options.extra_config[index] =
        absl::StrCat("log: {auditFile: \"", LogFile(service, "-audit.log"), "\"}\n",
                     identities_.AccessConfig(/*with_tokens=*/true));
  }
  CW_ASSIGN_OR_RETURN(world_, FakeWorld::Start(std::move(options)));
  return world_->CreateClusterIssuer(world_->MakeClusterIssuer({}, kIssuer));
}

Target Storm::To(Service service) const {
  const std::string address = world_->suite().address(service);
  Target target;
  if (!absl::SimpleAtoi(address.substr(address.find(':') + 1), &target.port)) return {};
  target.tls = TlsWithoutCertificate();
  target.from = "127.0.0.2";
  return target;
}

std::vector<Target> Storm::StrangersTargets() const {
  std::vector<Target> targets;
  for (const Service service : harness::kServices) {
    targets.push_back(To(service));
    targets.push_back({health_ports_[Index(service)], nullptr, "127.0.0.2"});
  }
  return targets;
}

absl::StatusOr<absl::Duration> Storm::Issue(const std::string& resource_namespace) {
  const std::string name = absl::StrCat("c", next_++);
  issuer::v1::Certificate certificate =
      FakeWorld::MakeCertificate(name, {absl::StrCat(name, ".example.test")}, kIssuer);
  certificate.mutable_metadata()->set_namespace_(resource_namespace);
  const absl::Time start = absl::Now();
  CW_RETURN_IF_ERROR(world_->CreateCertificate(certificate));
  issuer::v1::WatchCertificatesRequest request;
  request.set_namespace_(resource_namespace);
  request.set_name(name);
  const auto context = harness::MakeContext(kIssuanceTimeout);
  const auto stream = world_->certificates().WatchCertificates(context.get(), request);
  issuer::v1::WatchCertificatesResponse event;
  while (stream->Read(&event)) {
    if (!service::IsTrue(event.certificate().status().conditions(), "Ready")) continue;
    const absl::Duration latency = absl::Now() - start;
    context->TryCancel();
    stream->Finish();
    return latency;
  }
  return harness::FromGrpc(stream->Finish());
}

void Storm::RunPart(const std::string& name, const Attacker& attacker) {
  PartReport part;
  part.name = name;
  Tally tally;
  std::vector<absl::Duration> latencies;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < options_.connections; ++i) {
      threads.emplace_back([&attacker, &tally, i](const std::stop_token& stop) {
        LeaveProcessorsToOthers();
        attacker(i, tally, stop);
      });
    }
    const absl::Time end = absl::Now() + options_.duration;
    for (absl::Time next = absl::Now(); next < end;) {
      absl::SleepFor(next - absl::Now());
      next = std::max(next + kIssuancePause, absl::Now());
      const auto latency = Issue(absl::StrCat("others-", name));
      if (latency.ok()) {
        latencies.push_back(*latency);
      } else if (report_.failures.size() < 10) {
        report_.failures.push_back(
            absl::StrCat(name, ": nothing was issued: ", latency.status().ToString()));
      }
    }
    // All at once: an attacker may take seconds to notice.
    for (std::jthread& thread : threads) thread.request_stop();
  }
  std::sort(latencies.begin(), latencies.end());
  part.issued = static_cast<int>(latencies.size());
  if (latencies.empty()) {
    report_.failures.push_back(absl::StrCat(name, ": nothing was issued"));
  } else {
    part.p50 = latencies[latencies.size() / 2];
    part.p99 = latencies[latencies.size() * 99 / 100];
  }
  part.attackers_calls = tally.counts();
  for (const Service service : harness::kServices) {
    harness::Process& process = world_->suite().process(service);
    const double mib = static_cast<double>(process.PeakRssKib()) / 1024;
    part.rss_mib[Index(service)] = mib;
    if (!process.Running()) {
      report_.failures.push_back(absl::StrCat(name, ": ", process.name(), " has ended"));
    }
    if (kMemoryCounts && mib > kMaxRssMib) {
      report_.failures.push_back(
          absl::StrCat(name, ": ", process.name(), " used ", mib, " MiB"));
    }
  }
  report_.parts.push_back(std::move(part));
}

void Storm::CountForeignLines() {
  for (const Service service : harness::kServices) {
    for (const char* suffix : {".log", "-audit.log"}) {
      const LogLines lines = ReadLog(LogFile(service, suffix));
      if (lines.foreign.empty()) continue;
      report_.foreign_lines += static_cast<int>(lines.foreign.size());
      report_.failures.push_back(absl::StrCat(LogFile(service, suffix), " has ",
                                              lines.foreign.size(),
                                              " lines of others: ", lines.foreign[0]));
    }
  }
}

absl::StatusOr<StormReport> Storm::Run() {
  CW_RETURN_IF_ERROR(Start());
  const Attacker nobody = [](int, Tally&, const std::stop_token&) {};
  RunPart("calm", nobody);
  const std::vector<Target> targets = StrangersTargets();
  RunPart("strangers", [&targets](int number, Tally& tally, const std::stop_token& stop) {
    AttackAsStranger(targets, static_cast<uint64_t>(number), tally, stop);
  });
  const Target with_token = To(Service::kIssuer);
  Target with_certificate = with_token;
  with_certificate.tls = identities_.TlsOf(kRequester);
  RunPart("requester", [&](int number, Tally& tally, const std::stop_token& stop) {
    const bool by_token = number % 4 < 2;
    const Target& target = by_token ? with_token : with_certificate;
    const Headers credentials = by_token ? Headers{identities_.Authorization()} : Headers{};
    if (number % 2 == 0) {
      FloodAsRequester(target, credentials, kIssuer, static_cast<uint64_t>(number), tally,
                       stop);
    } else {
      HoardAsRequester(target, credentials, tally, stop);
    }
  });
  RunPart("calm-again", nobody);
  CountForeignLines();
  return std::move(report_);
}

}  // namespace

double StormReport::p99_ratio() const {
  if (parts.empty()) return 0;
  // Stores grow meanwhile, and other machines share this one.
  const absl::Duration in_peace = (parts.front().p99 + parts.back().p99) / 2;
  if (in_peace <= absl::ZeroDuration()) return 0;
  double ratio = 0;
  for (const PartReport& part : parts) {
    if (part.attackers_calls.empty()) continue;
    ratio = std::max(ratio, absl::FDivDuration(part.p99, in_peace));
  }
  return ratio;
}

absl::StatusOr<StormReport> RunStorm(const StormOptions& options) {
  return Storm(options).Run();
}

std::string ToJson(const StormReport& report) {
  boost::json::array parts;
  for (const PartReport& part : report.parts) {
    boost::json::object calls;
    for (const auto& [name, count] : part.attackers_calls) calls[name] = count;
    parts.push_back({{"name", part.name},
                     {"issued", part.issued},
                     {"p50_ms", absl::ToDoubleMilliseconds(part.p50)},
                     {"p99_ms", absl::ToDoubleMilliseconds(part.p99)},
                     {"peak_rss_mib",
                      {{"issuer", part.rss_mib[0]},
                       {"order", part.rss_mib[1]},
                       {"solver", part.rss_mib[2]}}},
                     {"attackers_calls", calls}});
  }
  boost::json::array failures;
  for (const std::string& failure : report.failures) failures.emplace_back(failure);
  return boost::json::serialize(boost::json::object{{"parts", parts},
                                                    {"p99_ratio", report.p99_ratio()},
                                                    {"foreign_log_lines", report.foreign_lines},
                                                    {"failures", failures}});
}

}  // namespace certwright::attacks
