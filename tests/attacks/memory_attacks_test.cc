// What strangers can make a service hold, before anybody has asked who they are: messages,
// streams, connections, and the time that each of these takes.
#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/attacks/attacked_suite.h"

namespace certwright::attacks {
namespace {

using harness::Service;
using testing::Le;

constexpr char kCreate[] = "/certwright.issuer.v1.CertificateService/CreateCertificate";
constexpr uint32_t kMessageBytes = 4 << 20;
// More than any service needs, and than any may grant.
constexpr uint32_t kMaxStreams = 128;

// Limits that a test can wait for. Each test names those that it is about.
constexpr absl::Duration kLimit = absl::Seconds(1);
constexpr char kLimitText[] = "1s";
// What may pass between a limit and its effect on a busy machine.
constexpr absl::Duration kSlack = absl::Seconds(15);

// Services have no "server.limits" yet: tests of them are skipped.
constexpr bool kHasLimits = true;

// Streams on one connection, each with a message that is announced and never finished.
class Hoarder {
 public:
  static absl::StatusOr<Hoarder> Connect(const Target& target) {
    CW_ASSIGN_OR_RETURN(auto attacker, Http2Attacker::Connect(target));
    return Hoarder(std::move(attacker));
  }

  // Opens streams and sends what their windows take; false when the server ends it.
  bool Push(const std::string& path, std::size_t streams) {
    while (streams_.size() < streams) {
      const auto stream = attacker_->StartStream(CallHeaders(path), /*end_stream=*/false);
      if (!stream.ok()) return false;
      streams_.push_back({*stream, Message()});
    }
    for (auto& [stream, left] : streams_) {
      if (attacker_->response(stream).ended) continue;
      if (!attacker_->SendData(stream, left).ok()) return false;
    }
    const absl::Status status = attacker_->Pump(absl::Milliseconds(10));
    return status.ok() || absl::IsDeadlineExceeded(status);
  }

  uint64_t bytes_sent() const {
    uint64_t sum = 0;
    for (const auto& [stream, left] : streams_) sum += Message().size() - left.size();
    return sum;
  }

 private:
  explicit Hoarder(std::unique_ptr<Http2Attacker> attacker) : attacker_(std::move(attacker)) {}

  // All but its last byte.
  static absl::string_view Message() {
    static const auto& message =
        *new std::string(GrpcMessage(std::string(kMessageBytes - 1, 'x'), kMessageBytes));
    return message;
  }

  std::unique_ptr<Http2Attacker> attacker_;
  std::vector<std::pair<uint32_t, absl::string_view>> streams_;
};

// From several addresses, until the time is over or the service has too much.
void Hoard(AttackedSuite& suite, const Target& target, const std::string& path) {
  harness::Process& process = suite.process(Service::kIssuer);
  std::vector<Hoarder> hoarders;
  for (int i = 0; i < 8; ++i) {
    Target from = target;
    from.from = absl::StrCat("127.0.0.", 20 + i % 4);
    auto hoarder = Hoarder::Connect(from);
    if (hoarder.ok()) hoarders.push_back(*std::move(hoarder));
  }
  const absl::Time end = absl::Now() + absl::Seconds(6);
  int rounds = 0;
  while (absl::Now() < end && StayedSmall(process) && !hoarders.empty()) {
    std::erase_if(hoarders, [&path](Hoarder& hoarder) { return !hoarder.Push(path, 100); });
    if (++rounds % 10 == 0) {
      ASSERT_TRUE(suite.Serves(Service::kIssuer));
    }
  }
  uint64_t sent = 0;
  for (const Hoarder& hoarder : hoarders) sent += hoarder.bytes_sent();
  testing::Test::RecordProperty("bytes_sent", absl::StrCat(sent));
  EXPECT_TRUE(StayedSmall(process)) << sent << " bytes were taken";
  EXPECT_TRUE(suite.Serves(Service::kIssuer));
}

TEST(MemoryAttacks, MessagesOfStrangersStaySmallOnTheGrpcPort) {
  CW_ASSERT_OK_AND_ASSIGN(const auto suite, AttackedSuite::Start(Mode::kTokens));
  Hoard(*suite, suite->ToGrpc(Service::kIssuer), kCreate);
}

TEST(MemoryAttacks, MessagesStaySmallOnTheHealthPort) {
  CW_ASSERT_OK_AND_ASSIGN(const auto suite, AttackedSuite::Start(Mode::kTokens));
  Hoard(*suite, suite->ToHealth(Service::kIssuer), kHealthCheck);
}

TEST(MemoryAttacks, MessagesToReflectionAndToNoMethodStaySmall) {
  CW_ASSERT_OK_AND_ASSIGN(const auto suite, AttackedSuite::Start(Mode::kTokens));
  Hoard(*suite, suite->ToGrpc(Service::kIssuer),
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
  Hoard(*suite, suite->ToGrpc(Service::kIssuer), "/no.Such/Method");
}

TEST(MemoryAttacks, AMessageThatIsTooLargeIsRefusedBeforeItHasCome) {
  CW_ASSERT_OK_AND_ASSIGN(const auto suite, AttackedSuite::Start(Mode::kTokens));
  std::vector<std::pair<std::unique_ptr<Http2Attacker>, uint32_t>> calls;
  for (const Target& target :
       {suite->ToGrpc(Service::kIssuer), suite->ToHealth(Service::kIssuer)}) {
    for (const uint32_t claimed : {uint32_t{64} << 20, uint32_t{0x7fffffff}, ~uint32_t{0}}) {
      CW_ASSERT_OK_AND_ASSIGN(auto attacker, Http2Attacker::Connect(target));
      CW_ASSERT_OK_AND_ASSIGN(const uint32_t stream,
                              attacker->StartStream(CallHeaders(kHealthCheck), false));
      const std::string message = GrpcMessage("x", claimed);
      absl::string_view left = message;
      CW_ASSERT_OK(attacker->SendData(stream, left));
      calls.emplace_back(std::move(attacker), stream);
    }
  }
  for (const auto& [attacker, stream] : calls) CW_EXPECT_OK(attacker->WaitFor(stream));
  EXPECT_TRUE(suite->Serves(Service::kIssuer));
}

// gRPC looks at a message's length when all of it is there.
TEST(MemoryAttacks, AMessageOfGigabytesStaysSmall) {
  CW_ASSERT_OK_AND_ASSIGN(const auto suite, AttackedSuite::Start(Mode::kTokens));
  const std::string megabyte(1 << 20, 'x');
  for (const Target& target :
       {suite->ToGrpc(Service::kIssuer), suite->ToHealth(Service::kIssuer)}) {
    CW_ASSERT_OK_AND_ASSIGN(const auto attacker, Http2Attacker::Connect(target));
    CW_ASSERT_OK_AND_ASSIGN(const uint32_t stream,
                            attacker->StartStream(CallHeaders(kHealthCheck), false));
    const std::string start = GrpcMessage("", 0x7fffffff);
    absl::string_view left = start;
    CW_ASSERT_OK(attacker->SendData(stream, left));
    const absl::Time end = absl::Now() + absl::Seconds(5);
    for (int sent = 0; sent < 512 && absl::Now() < end; ++sent) {
      left = megabyte;
      const bool goes_on = attacker->PumpUntil(
          [&] {
            if (attacker->response(stream).ended) return true;
            return !attacker->SendData(stream, left).ok() || left.empty();
          },
          end - absl::Now());
      if (!goes_on || !left.empty() || !StayedSmall(suite->process(Service::kIssuer))) break;
    }
    EXPECT_TRUE(StayedSmall(suite->process(Service::kIssuer)));
  }
  EXPECT_TRUE(suite->Serves(Service::kIssuer));
}

// gRPC applies its limit only to who has acknowledged the settings that say it.
TEST(MemoryAttacks, HeadersAreLimitedForWhoeverDoesNotAcknowledgeTheSettings) {
  CW_ASSERT_OK_AND_ASSIGN(const auto suite, AttackedSuite::Start(Mode::kTokens));
  for (const Target& target :
       {suite->ToGrpc(Service::kIssuer), suite->ToHealth(Service::kIssuer)}) {
    CW_ASSERT_OK_AND_ASSIGN(const auto attacker,
                            Http2Attacker::Connect(target, {.acknowledge_settings = false}));
    const Headers padding = {{"padding", std::string(1 << 20, 'a')}};
    const auto response = attacker->Call(kHealthCheck, padding, "");
    EXPECT_TRUE(!response.ok() || response->grpc_status() != 0);
  }
  EXPECT_TRUE(suite->Serves(Service::kIssuer));
}

TEST(MemoryAttacks, ConcurrentStreamsAreLimitedForWhoeverIgnoresTheSetting) {
  CW_ASSERT_OK_AND_ASSIGN(const auto suite, AttackedSuite::Start(Mode::kTokens));
  for (const Target& target :
       {suite->ToGrpc(Service::kIssuer), suite->ToHealth(Service::kIssuer)}) {
    CW_ASSERT_OK_AND_ASSIGN(const auto attacker, Http2Attacker::Connect(target));
    ASSERT_TRUE(attacker->PumpUntil(
        [&attacker] { return attacker->max_concurrent_streams().has_value(); }));
    EXPECT_THAT(*attacker->max_concurrent_streams(), Le(kMaxStreams));
    std::vector<uint32_t> streams;
    for (uint32_t i = 0; i < 4 * kMaxStreams; ++i) {
      const auto stream = attacker->StartStream(CallHeaders(kHealthCheck), false);
      if (!stream.ok()) break;
      streams.push_back(*stream);
    }
    const auto open = [&] {
      return std::count_if(streams.begin(), streams.end(),
                           [&](uint32_t stream) { return !attacker->response(stream).ended; });
    };
    EXPECT_TRUE(attacker->PumpUntil([&] { return open() <= kMaxStreams; }) ||
                attacker->closed());
  }
  EXPECT_TRUE(suite->Serves(Service::kIssuer));
}

class LimitAttacks : public testing::Test {
 protected:
  void SetUp() override {
    if (!kHasLimits) GTEST_SKIP() << "services have no server.limits";
  }

  // With tokens; the doors of the issuer.
  void Start(const std::string& limits) {
    CW_ASSERT_OK_AND_ASSIGN(suite_, AttackedSuite::Start(Mode::kTokens, limits));
    doors_ = {suite_->ToGrpc(Service::kIssuer), suite_->ToHealth(Service::kIssuer)};
  }
  bool Serves() { return bool{suite_->Serves(Service::kIssuer)}; }

  std::unique_ptr<AttackedSuite> suite_;
  std::vector<Target> doors_;
};

TEST_F(LimitAttacks, AMessageThatTricklesInIsEnded) {
  Start(absl::StrCat("messageTimeout: ", kLimitText));
  for (const Target& target : doors_) {
    CW_ASSERT_OK_AND_ASSIGN(const auto attacker, Http2Attacker::Connect(target));
    CW_ASSERT_OK_AND_ASSIGN(const uint32_t stream,
                            attacker->StartStream(CallHeaders(kHealthCheck), false));
    const std::string message = GrpcMessage(std::string(1'000, '\0'));
    absl::string_view left = message;
    const absl::Time end = absl::Now() + kLimit + kSlack;
    while (!attacker->response(stream).ended && !attacker->closed() && absl::Now() < end) {
      absl::string_view byte = left.substr(0, 1);
      if (!attacker->SendData(stream, byte).ok()) break;
      left.remove_prefix(1);
      attacker->Pump(absl::Milliseconds(50)).IgnoreError();
    }
    EXPECT_TRUE(attacker->response(stream).ended || attacker->closed());
    EXPECT_FALSE(left.empty());
  }
  EXPECT_TRUE(Serves());
}

TEST_F(LimitAttacks, ACallWithoutAnyMessageIsEnded) {
  Start(absl::StrCat("messageTimeout: ", kLimitText));
  for (const char* path : {kCreate, kHealthCheck, "/no.Such/Method",
                           "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
    CW_ASSERT_OK_AND_ASSIGN(const auto attacker, Http2Attacker::Connect(doors_[0]));
    CW_ASSERT_OK_AND_ASSIGN(const uint32_t stream,
                            attacker->StartStream(CallHeaders(path), false));
    const auto response = attacker->WaitFor(stream, kLimit + kSlack);
    EXPECT_TRUE(response.ok() || attacker->closed()) << path;
  }
  EXPECT_TRUE(Serves());
}

TEST_F(LimitAttacks, ConnectionsOfOnePeerAreLimitedAndOthersGetTheirs) {
  constexpr int kAllowed = 16;
  Start(absl::StrCat("maxConnectionsPerPeer: ", kAllowed));
  for (const Target& target : doors_) {
    std::vector<std::unique_ptr<Http2Attacker>> served;
    for (int i = 0; i < 300; ++i) {
      auto attacker = Http2Attacker::Connect(target);
      if (attacker.ok() && (*attacker)->Call(kHealthCheck, {}, "").ok()) {
        served.push_back(*std::move(attacker));
      }
    }
    EXPECT_THAT(served, testing::SizeIs(Le(kAllowed)));
    EXPECT_THAT(served, testing::Not(testing::IsEmpty()));
    EXPECT_TRUE(Serves());
    // Once they go, there is room again.
    served.clear();
    EXPECT_TRUE(harness::WaitUntil([&] { return CheckHealth(target).ok(); }, kPatience));
  }
}

TEST_F(LimitAttacks, ConnectionsOfManyPeersAreLimitedInAll) {
  constexpr int kAllowed = 32;
  Start(absl::StrCat("maxConnections: ", kAllowed, ", maxConnectionsPerPeer: 8"));
  std::vector<std::unique_ptr<Http2Attacker>> served;
  for (int i = 0; i < 100; ++i) {
    Target target = doors_[0];
    target.from = absl::StrCat("127.0.1.", 1 + i % 50);
    auto attacker = Http2Attacker::Connect(target);
    if (attacker.ok() && (*attacker)->Call(kHealthCheck, {}, "").ok()) {
      served.push_back(*std::move(attacker));
    }
  }
  EXPECT_THAT(served, testing::SizeIs(Le(kAllowed)));
  served.clear();
  EXPECT_TRUE(harness::WaitUntil([&] { return Serves(); }, kPatience));
}

TEST_F(LimitAttacks, AHandshakeThatNeverEndsIsClosed) {
  Start(absl::StrCat("handshakeTimeout: ", kLimitText));
  Target plain = doors_[0];
  plain.tls = nullptr;
  // The beginning of a record with a ClientHello.
  const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  for (const std::string& sent : {std::string(), hello}) {
    CW_ASSERT_OK_AND_ASSIGN(const auto connection, Connection::Open(plain));
    CW_ASSERT_OK(connection->Send(sent));
    CW_EXPECT_OK(connection->WaitUntilClosed(kLimit + kSlack));
  }
  EXPECT_TRUE(Serves());
}

TEST_F(LimitAttacks, AConnectionWithoutHttp2IsClosed) {
  Start(absl::StrCat("handshakeTimeout: ", kLimitText));
  const std::string preface = kPreface;
  for (const Target& target : doors_) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{10}, preface.size()}) {
      CW_ASSERT_OK_AND_ASSIGN(const auto connection, Connection::Open(target));
      CW_ASSERT_OK(connection->Send(preface.substr(0, size)));
      CW_EXPECT_OK(connection->WaitUntilClosed(kLimit + kSlack)) << size;
    }
  }
  EXPECT_TRUE(Serves());
}

TEST_F(LimitAttacks, AnIdleConnectionIsClosed) {
  Start(absl::StrCat("maxConnectionIdle: ", kLimitText));
  for (const Target& target : doors_) {
    CW_ASSERT_OK_AND_ASSIGN(const auto attacker, Http2Attacker::Connect(target));
    CW_ASSERT_OK(attacker->Call(kHealthCheck, {}, ""));
    attacker->PumpUntil([] { return false; }, kLimit + kSlack);
    EXPECT_TRUE(attacker->closed());
  }
  EXPECT_TRUE(Serves());
}

TEST_F(LimitAttacks, ABusyConnectionEndsAtItsAgeAndOthersGoOn) {
  Start(absl::StrCat("maxConnectionAge: ", kLimitText));
  for (const Target& target : doors_) {
    CW_ASSERT_OK_AND_ASSIGN(const auto attacker, Http2Attacker::Connect(target));
    const absl::Time end = absl::Now() + kLimit + kSlack;
    while (!attacker->closed() && absl::Now() < end) {
      attacker->Call(kHealthCheck, {}, "").IgnoreError();
    }
    EXPECT_TRUE(attacker->closed());
  }
  EXPECT_TRUE(Serves());
}

TEST_F(LimitAttacks, AWatchDoesNotKeepAConnectionBeyondItsAge) {
  Start(absl::StrCat("maxConnectionAge: ", kLimitText));
  CW_ASSERT_OK_AND_ASSIGN(const auto attacker, Http2Attacker::Connect(doors_[0]));
  Headers headers = CallHeaders("/certwright.issuer.v1.CertificateService/WatchCertificates");
  headers.push_back(suite_->identities().Authorization());
  // WatchCertificatesRequest{namespace: "team-a"}
  CW_ASSERT_OK_AND_ASSIGN(const uint32_t stream,
                          attacker->StartCall(headers, "\x0a\x06team-a"));
  ASSERT_TRUE(attacker->PumpUntil([&] { return !attacker->response(stream).data.empty(); }));
  attacker->PumpUntil([] { return false; }, kLimit + kSlack);
  EXPECT_TRUE(attacker->closed());
  EXPECT_TRUE(Serves());
}

}  // namespace
}  // namespace certwright::attacks
