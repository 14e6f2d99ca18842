// Whoever comes to a port has bytes of theirs looked at by libraries that log by themselves. No
// such byte may make a line of the log or of the audit log, and nobody may fill them.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/attacks/attacked_suite.h"
#include "tests/attacks/log_lines.h"

namespace certwright::attacks {
namespace {

using harness::Service;

// Sends each over a connection of its own, and gives the server a moment to end them.
void SendEach(const Target& target, const std::vector<std::string>& all) {
  std::vector<std::unique_ptr<Connection>> connections;
  for (const std::string& bytes : all) {
    auto connection = Connection::Open(target);
    if (!connection.ok()) continue;
    (*connection)->Send(bytes).IgnoreError();
    connections.push_back(*std::move(connection));
  }
  const absl::Time end = absl::Now() + absl::Milliseconds(500);
  for (const auto& connection : connections) {
    connection->WaitUntilClosed(end - absl::Now()).IgnoreError();
  }
}

// Headers that carry a line, everywhere where a header can.
std::vector<Headers> ForgingCalls() {
  const std::string line = ForgedLine();
  std::vector<Headers> calls;
  for (const char* name : {"te",
                           ":path",
                           ":authority",
                           ":scheme",
                           ":method",
                           ":status",
                           "host",
                           "content-type",
                           "user-agent",
                           "grpc-timeout",
                           "grpc-encoding",
                           "grpc-accept-encoding",
                           "grpc-message",
                           "grpc-status",
                           "grpc-internal-encoding-request",
                           "grpc-previous-rpc-attempts",
                           "grpc-retry-pushback-ms",
                           "grpclb_client_stats",
                           "lb-cost-bin",
                           "grpc-trace-bin",
                           "authorization",
                           "x-bin",
                           "x"}) {
    Headers headers = CallHeaders(kHealthCheck);
    std::erase_if(headers, [name](const Header& header) { return header.name == name; });
    headers.insert(headers.begin(), {name, absl::StrCat("x", line)});
    calls.push_back(headers);
    headers.front() = {absl::StrCat(name, line), "x"};
    calls.push_back(headers);
  }
  Headers padded = CallHeaders(absl::StrCat("/", line));
  padded.push_back({absl::StrCat("x", line), std::string(20'000, 'x')});
  calls.push_back(padded);
  return calls;
}

std::vector<std::string> BadConnections() {
  const std::string line = ForgedLine();
  const std::string start = absl::StrCat(kPreface, Serialize(SettingsFrame({})));
  std::vector<std::string> all = {
      line,
      absl::StrCat("GET /", line, " HTTP/1.1\r\nHost: ", line, "\r\n\r\n"),
      absl::StrCat("POST / HTTP/1.0\r\n\r\n", line),
      absl::StrCat("PRI * HTTP/2.0\r\n\r\nSM\r\n\r", line),
      // A record of TLS that is none, and an alert.
      absl::StrCat("\x16\x03\x01", line),
      std::string("\x15\x03\x01\x00\x02\x02\x00", 7),
      // HPACK: an index that is not there, and a size of the table that is not allowed.
      start + Serialize({FrameType::kHeaders, kEndHeaders, 1, IndexedField(4000)}),
      start + Serialize({FrameType::kHeaders, kEndHeaders, 1, TableSizeUpdate(1 << 30)}),
      start + Serialize({FrameType::kGoAway, 0, 0, absl::StrCat(std::string(8, '\0'), line)}),
      start + Serialize({FrameType::kPing, 0, 0, line}),
      start + Serialize({FrameType::kSettings, 0, 0, line}),
  };
  // Every type of frame that there is, and some that there are not, with and without a stream.
  for (int type = 0; type < 16; ++type) {
    for (const uint32_t stream : {0U, 1U, 2U}) {
      all.push_back(start + Serialize({static_cast<FrameType>(type), 0xff, stream, line}));
      all.push_back(start + Serialize({static_cast<FrameType>(type), 0, stream, line}));
    }
  }
  return all;
}

void SendCalls(const Target& target, const std::vector<Headers>& calls) {
  for (const Headers& headers : calls) {
    const auto attacker = Http2Attacker::Connect(target);
    if (!attacker.ok()) continue;
    const auto stream = (*attacker)->StartCall(headers, "");
    if (stream.ok()) (*attacker)->WaitFor(*stream, absl::Seconds(2)).IgnoreError();
  }
}

std::vector<Target> PortsOf(const AttackedSuite& suite, Service service) {
  std::vector<Target> targets = {suite.ToGrpc(service), suite.ToHealth(service)};
  // What ought to be TLS, without.
  if (targets[0].tls != nullptr) {
    targets.push_back(targets[0]);
    targets.back().tls = nullptr;
  }
  return targets;
}

class LogAttacks : public testing::TestWithParam<Mode> {
 protected:
  void SetUp() override { CW_ASSERT_OK_AND_ASSIGN(suite_, AttackedSuite::Start(GetParam())); }

  void ExpectLogsAreOurs() {
    for (const Service service : harness::kServices) {
      for (const std::string& path : {suite_->log_file(service), suite_->audit_file(service)}) {
        const LogLines lines = ReadLog(path);
        EXPECT_EQ(lines.foreign.size(), 0U) << path << ":\n"
                                            << absl::StrJoin(lines.foreign, "\n");
      }
      EXPECT_TRUE(suite_->Serves(service));
    }
  }

  std::unique_ptr<AttackedSuite> suite_;
};

TEST_P(LogAttacks, NoHeaderMakesALine) {
  const std::vector<Headers> calls = ForgingCalls();
  for (const Door& door : suite_->Doors()) {
    std::vector<Headers> with_credentials = calls;
    for (Headers& headers : with_credentials) {
      headers.insert(headers.end(), door.credentials.begin(), door.credentials.end());
    }
    SendCalls(door.target, with_credentials);
  }
  ExpectLogsAreOurs();
}

TEST_P(LogAttacks, NoRequestThatIsLoggedMakesALine) {
  // GetCertificateRequest{namespace, name}
  const std::string line = ForgedLine();
  std::string request = "\x0a";
  request += static_cast<char>(line.size());
  absl::StrAppend(&request, line, "\x12", std::string(1, static_cast<char>(line.size())), line);
  CW_ASSERT_OK_AND_ASSIGN(const auto attacker,
                          Http2Attacker::Connect(suite_->ToGrpc(Service::kIssuer)));
  for (const char* method : {"GetCertificate", "DeleteCertificate", "RenewCertificate"}) {
    CW_EXPECT_OK(attacker->Call(
        absl::StrCat("/certwright.issuer.v1.CertificateService/", method), {}, request));
  }
  ExpectLogsAreOurs();
}

TEST_P(LogAttacks, NothingThatIsNoHttp2MakesALine) {
  for (const Service service : harness::kServices) {
    for (const Target& target : PortsOf(*suite_, service)) SendEach(target, BadConnections());
  }
  for (const Target& target : suite_->ToHttp()) SendEach(target, BadConnections());
  ExpectLogsAreOurs();
}

TEST_P(LogAttacks, TheLogCannotBeFilled) {
  constexpr std::size_t kConnections = 2000;
  constexpr std::size_t kAtOnce = 100;
  constexpr std::size_t kLinesPerSecond = 20;
  const std::size_t before = ReadLog(suite_->log_file(Service::kIssuer)).count;
  const absl::Time start = absl::Now();
  std::vector<Headers> calls = ForgingCalls();
  const std::vector<std::string> bad = BadConnections();
  Target plain = suite_->ToGrpc(Service::kIssuer);
  plain.tls = nullptr;
  for (std::size_t i = 0; i < kConnections; ++i) {
    const auto connection = Connection::Open(plain);
    if (connection.ok()) (*connection)->Send(bad[i % bad.size()]).IgnoreError();
  }
  for (std::size_t i = 0; i < kConnections; i += kAtOnce) {
    const auto attacker = Http2Attacker::Connect(suite_->ToGrpc(Service::kIssuer));
    if (!attacker.ok()) continue;
    for (std::size_t j = 0; j < kAtOnce; ++j) {
      (*attacker)->StartCall(calls[j % calls.size()], "").IgnoreError();
    }
  }
  EXPECT_TRUE(suite_->Serves(Service::kIssuer));
  const auto seconds = static_cast<std::size_t>(absl::ToInt64Seconds(absl::Now() - start)) + 1;
  const std::size_t lines = ReadLog(suite_->log_file(Service::kIssuer)).count - before;
  EXPECT_LE(lines, kLinesPerSecond * seconds + 100) << "in " << seconds << " s";
}

INSTANTIATE_TEST_SUITE_P(Modes, LogAttacks,
                         testing::Values(Mode::kPlaintext, Mode::kMutualTls, Mode::kTokens),
                         [](const auto& info) { return TestNameOf(info.param); });

}  // namespace
}  // namespace certwright::attacks
