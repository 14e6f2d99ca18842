// Headers, those that gRPC knows and those that it does not, with values that fit and that do
// not, at every port of the services in every way to set them up. Some have ended gRPC servers:
// CVE-2023-1428 is "te: x", ":scheme: x" or "grpclb_client_stats: x" and then headers beyond
// the limit, for whose refusal gRPC writes down what it has.
#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/attacks/attacked_suite.h"
#include "tests/attacks/log_lines.h"

namespace certwright::attacks {
namespace {

// Who is not known has but few.
constexpr char kManyCalls[] = "maxUnknownCallsPerSecond: 100000";

using harness::Service;

constexpr int kGeneratedHeaders = 10'000;
constexpr int kGeneratedHeadersPerCall = 5;
// More than what services take in one header block.
constexpr std::size_t kBeyondTheLimit = 20'000;
constexpr std::size_t kCallsAtOnce = 50;
// After which the service is looked at.
constexpr std::size_t kCallsPerLook = 1000;
// For an answer, before a connection is given up.
constexpr absl::Duration kAnswerTimeout = absl::Seconds(3);

// What gRPC 1.51 parses into elements of its own (src/core/lib/transport/metadata_batch.h), and
// names like them.
const std::vector<std::string>& SpecialNames() {
  static const auto& names = *new std::vector<std::string>{
      ":path",
      ":authority",
      ":scheme",
      ":method",
      ":status",
      ":protocol",
      ":",
      "host",
      "te",
      "content-type",
      "content-length",
      "connection",
      "transfer-encoding",
      "upgrade",
      "user-agent",
      "grpc-timeout",
      "grpc-encoding",
      "grpc-accept-encoding",
      "accept-encoding",
      "grpc-internal-encoding-request",
      "grpc-internal-stream-encoding-request",
      "grpc-message",
      "grpc-status",
      "grpc-status-details-bin",
      "grpc-previous-rpc-attempts",
      "grpc-retry-pushback-ms",
      "grpc-server-stats-bin",
      "grpc-tags-bin",
      "grpc-trace-bin",
      "grpc-trace-context",
      "grpc-payload-bin",
      "grpclb_client_stats",
      "lb-token",
      "lb-cost-bin",
      "x-envoy-peer-metadata",
      "x-endpoint-load-metrics-bin",
      "endpoint-load-metrics-bin",
      "grpc-status-context",
      "GrpcStreamNetworkState",
      "GrpcStatusFromWire",
      "GrpcCallWasCancelled",
      "PeerString",
      "WaitForReady",
      "authorization",
      "x-google-metadata-bin",
      "-bin",
      "",
  };
  return names;
}

std::vector<std::string> SpecialValues() {
  return {"",
          "x",
          "0",
          "1",
          "-1",
          "1n",
          "0u",
          "99999999999999999999",
          "trailers",
          "gzip, deflate, identity,,",
          "application/grpc;",
          "AAAA",
          "AA=A",
          "!!!!",
          "=",
          std::string("\0\x01\x7f\x80\xff", 5),
          absl::StrCat("x", ForgedLine()),
          std::string(8'000, 'A')};
}

std::vector<std::string> Paths(const Door& door) {
  if (door.health_only) return {kHealthCheck, "/no.Such/Method"};
  const Service service = door.service;
  const std::string name = harness::ServiceName(service);
  const std::string method = service == Service::kIssuer  ? "CertificateService/GetCertificate"
                             : service == Service::kOrder ? "OrderService/GetOrder"
                                                          : "ChallengeService/GetChallenge";
  return {absl::StrCat("/certwright.", name, ".v1.", method), kHealthCheck, "/no.Such/Method",
          "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};
}

// In the place of the header of that name, or besides; pseudo-headers come first.
void Put(const Header& header, bool replace, Headers& headers) {
  const auto same = std::find_if(headers.begin(), headers.end(),
                                 [&header](const Header& h) { return h.name == header.name; });
  if (same != headers.end() && replace) {
    same->value = header.value;
  } else if (!header.name.empty() && header.name[0] == ':') {
    headers.insert(headers.begin(), header);
  } else {
    headers.push_back(header);
  }
}

bool IsUsual(const std::string& name) {
  const Headers usual = CallHeaders("");
  return std::any_of(usual.begin(), usual.end(),
                     [&name](const Header& header) { return header.name == name; });
}

std::vector<Headers> SpecialCalls(const Door& door) {
  std::vector<Headers> calls;
  // These end their connections, so they are kept together.
  std::vector<Headers> beyond;
  for (const std::string& path : Paths(door)) {
    Headers usual = CallHeaders(path);
    usual.insert(usual.end(), door.credentials.begin(), door.credentials.end());
    for (const std::string& name : SpecialNames()) {
      for (const std::string& value : SpecialValues()) {
        calls.push_back(usual);
        Put({name, value}, /*replace=*/false, calls.back());
        if (IsUsual(name)) {
          calls.push_back(usual);
          Put({name, value}, /*replace=*/true, calls.back());
        }
      }
      for (const char* value : {"x", "AAAA"}) {
        Headers headers = usual;
        Put({name, value}, /*replace=*/true, headers);
        beyond.push_back(headers);
        beyond.back().push_back({"padding", std::string(kBeyondTheLimit, 'a')});
        // In one frame; each counts 32 bytes besides its own.
        beyond.push_back(headers);
        beyond.back().insert(beyond.back().end(), kBeyondTheLimit / 32, Header{"p", "v"});
      }
    }
  }
  calls.insert(calls.end(), beyond.begin(), beyond.end());
  return calls;
}

// Names and values from a seed: mostly what a name may be made of, often like one that gRPC
// knows.
class HeaderGenerator {
 public:
  Header Next() {
    Header header;
    const auto& special = SpecialNames();
    if (Below(3) == 0) header.name = special[Below(special.size())];
    const std::size_t more = Below(24);
    for (std::size_t i = 0; i < more; ++i) header.name += NameByte();
    if (Below(4) == 0) header.name += "-bin";
    const std::size_t size = Below(8) == 0 ? Below(4000) : Below(60);
    const bool any_bytes = Below(2) == 0;
    for (std::size_t i = 0; i < size; ++i) {
      header.value += static_cast<char>(any_bytes ? Below(256) : ' ' + Below(95));
    }
    return header;
  }

  std::size_t Below(std::size_t bound) { return random_() % bound; }

 private:
  char NameByte() {
    static constexpr absl::string_view kUsual = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    return Below(50) == 0 ? static_cast<char>(Below(256)) : kUsual[Below(kUsual.size())];
  }

  std::mt19937_64 random_{20'230'614};
};

std::vector<Headers> GeneratedCalls(const Door& door) {
  HeaderGenerator generator;
  const std::vector<std::string> paths = Paths(door);
  std::vector<Headers> calls;
  for (int sent = 0; sent < kGeneratedHeaders; sent += kGeneratedHeadersPerCall) {
    Headers& call = calls.emplace_back(CallHeaders(paths[generator.Below(paths.size())]));
    call.insert(call.end(), door.credentials.begin(), door.credentials.end());
    for (int i = 0; i < kGeneratedHeadersPerCall; ++i) call.push_back(generator.Next());
  }
  return calls;
}

// The server's limits count once its settings have been acknowledged.
absl::StatusOr<std::unique_ptr<Http2Attacker>> ConnectUnderLimits(const Target& target) {
  CW_ASSIGN_OR_RETURN(auto attacker, Http2Attacker::Connect(target));
  attacker->PumpUntil([&attacker] { return attacker->max_concurrent_streams().has_value(); });
  return attacker;
}

// Sends them at once; those that were not answered.
std::vector<const Headers*> SendBatch(Http2Attacker& attacker,
                                      const std::vector<const Headers*>& calls) {
  std::vector<uint32_t> streams;
  for (const Headers* call : calls) {
    streams.push_back(attacker.StartCall(*call, "").value_or(0));
  }
  const auto answered = [&attacker](uint32_t stream) {
    return attacker.response(stream).ended;
  };
  attacker.PumpUntil([&] { return std::all_of(streams.begin(), streams.end(), answered); },
                     kAnswerTimeout);
  std::vector<const Headers*> unanswered;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (!answered(streams[i])) unanswered.push_back(calls[i]);
    attacker.Forget(streams[i]);
  }
  return unanswered;
}

// Sends them all. One that ends a connection takes others with it, which are sent again, ever
// fewer at once: at last each has a connection of its own.
void SendAll(const Door& door, const std::vector<Headers>& calls) {
  std::vector<const Headers*> left;
  for (const Headers& call : calls) left.push_back(&call);
  std::unique_ptr<Http2Attacker> attacker;
  std::size_t at_once = kCallsAtOnce;
  while (!left.empty()) {
    if (attacker == nullptr || attacker->closed()) {
      CW_ASSERT_OK_AND_ASSIGN(attacker, ConnectUnderLimits(door.target));
    }
    const auto end = left.end() - static_cast<std::ptrdiff_t>(std::min(at_once, left.size()));
    const std::vector<const Headers*> batch(end, left.end());
    left.erase(end, left.end());
    const std::vector<const Headers*> unanswered = SendBatch(*attacker, batch);
    if (batch.size() > 1) left.insert(left.end(), unanswered.begin(), unanswered.end());
    if (!unanswered.empty()) attacker = nullptr;
    at_once = unanswered.empty() ? std::min(kCallsAtOnce, at_once * 2) : (at_once + 3) / 4;
  }
}

class HeaderAttacks : public testing::TestWithParam<Mode> {
 protected:
  void SetUp() override {
    CW_ASSERT_OK_AND_ASSIGN(suite_, AttackedSuite::Start(GetParam(), kManyCalls));
  }

  std::unique_ptr<AttackedSuite> suite_;
};

TEST_P(HeaderAttacks, NamesThatGrpcKnowsLeaveEveryPortServing) {
  for (const Door& door : suite_->Doors()) {
    const std::vector<Headers> calls = SpecialCalls(door);
    for (std::size_t i = 0; i < calls.size(); i += kCallsPerLook) {
      const auto begin = calls.begin() + static_cast<std::ptrdiff_t>(i);
      const auto end = calls.begin() +
                       static_cast<std::ptrdiff_t>(std::min(calls.size(), i + kCallsPerLook));
      SendAll(door, {begin, end});
      ASSERT_TRUE(suite_->Serves(door.service)) << door.name << ", calls from " << i;
    }
  }
}

TEST_P(HeaderAttacks, GeneratedHeadersLeaveEveryPortServing) {
  for (const Door& door : suite_->Doors()) {
    SendAll(door, GeneratedCalls(door));
    ASSERT_TRUE(suite_->Serves(door.service)) << door.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, HeaderAttacks,
                         testing::Values(Mode::kPlaintext, Mode::kMutualTls, Mode::kTokens),
                         [](const auto& info) { return TestNameOf(info.param); });

// gRPC 1.51 parses it into an element that it cannot encode again: whatever encodes metadata,
// such as a processor of credentials, ends the process.
TEST(HeaderAttacksTest, StatisticsOfALoadBalancerDoNotEndAService) {
  for (const Mode mode : {Mode::kPlaintext, Mode::kMutualTls, Mode::kTokens}) {
    CW_ASSERT_OK_AND_ASSIGN(const auto suite, AttackedSuite::Start(mode, kManyCalls));
    for (const Door& door : suite->Doors()) {
      CW_ASSERT_OK_AND_ASSIGN(const auto attacker, Http2Attacker::Connect(door.target));
      CW_EXPECT_OK(attacker->Call(kHealthCheck, {{"grpclb_client_stats", "x"}}, ""));
      EXPECT_TRUE(suite->Serves(door.service)) << door.name;
    }
  }
}

TEST(HeaderAttacksTest, WhoHasNoCertificateDoesNotGetToHeadersUnderMutualTls) {
  CW_ASSERT_OK_AND_ASSIGN(const auto suite, AttackedSuite::Start(Mode::kMutualTls, kManyCalls));
  for (const Service service : harness::kServices) {
    Target target = suite->ToGrpc(service);
    target.tls = TlsWithoutCertificate();
    for (const std::string& name : SpecialNames()) {
      const auto attacker = Http2Attacker::Connect(target);
      if (!attacker.ok()) continue;
      EXPECT_FALSE((*attacker)->Call(kHealthCheck, {{name, "x"}}, "").ok()) << name;
    }
    EXPECT_TRUE(suite->Serves(service));
  }
}

// Every few headers a request, over connections that end with it.
TEST(HeaderAttacksTest, PortsOfHttpTakeAnyHeader) {
  CW_ASSERT_OK_AND_ASSIGN(const auto suite, AttackedSuite::Start(Mode::kPlaintext, kManyCalls));
  for (const Target& target : suite->ToHttp()) {
    HeaderGenerator generator;
    for (int sent = 0; sent < kGeneratedHeaders; sent += 10) {
      std::string request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
      for (int i = 0; i < 10; ++i) {
        const Header header = generator.Next();
        absl::StrAppend(&request, header.name, ": ", header.value, "\r\n");
      }
      CW_ASSERT_OK_AND_ASSIGN(const auto connection, Connection::Open(target));
      connection->Send(absl::StrCat(request, "\r\n")).IgnoreError();
      CW_ASSERT_OK(connection->WaitUntilClosed(kPatience)) << absl::CHexEscape(request);
    }
  }
  for (const Service service : harness::kServices) EXPECT_TRUE(suite->Serves(service));
}

}  // namespace
}  // namespace certwright::attacks
