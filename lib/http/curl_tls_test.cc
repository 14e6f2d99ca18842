#include <atomic>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lib/http/curl_test_fixture.h"
#include "lib/http/test_server.h"

namespace certwright::http {
namespace {

using absl::StatusCode;
using base::StatusIs;
using testing::HasSubstr;

void Echo(TestConnection& connection) {
  while (true) {
    const std::string request = connection.ReadRequest();
    if (request.empty() || !connection.Answer(200, request)) return;
  }
}

pki::SubjectAltNames Names(std::vector<std::string> dns_names,
                           std::vector<std::string> ip_addresses) {
  pki::SubjectAltNames names;
  names.dns_names = std::move(dns_names);
  names.ip_addresses = std::move(ip_addresses);
  return names;
}

class CurlTlsTest : public CurlClientTest {
 protected:
  HttpRequest Trusting(HttpRequest request) const {
    request.trust.ca_bundle_pem = ca_.root().Pem();
    return request;
  }
  TestServer::Tls ServerTls(const std::string& protocol = "http/1.1") const {
    return {ca_.Issue(loopback_), protocol};
  }

  const pki::TestCa ca_;
  const pki::SubjectAltNames loopback_ = Names({"localhost"}, {"127.0.0.1"});
  const pki::SubjectAltNames other_ = Names({"other.test"}, {});
};

TEST_F(CurlTlsTest, TrustsItsOwnBundleAndKeepsTheConnection) {
  TestServer server(Echo, ServerTls());
  for (int i = 0; i < 3; ++i) CW_ASSERT_OK(Send(Trusting(Get(server.Url("/")))));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlTlsTest, RefusesWhatItsBundleDoesNotVouchFor) {
  TestServer server(Echo, ServerTls());
  EXPECT_THAT(Send(Get(server.Url("/"))),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("https://127.0.0.1:")));
  HttpRequest request = Get(server.Url("/"));
  request.trust.ca_bundle_pem = pki::TestCa().root().Pem();
  EXPECT_THAT(Send(request), StatusIs(StatusCode::kFailedPrecondition));
  request.trust.ca_bundle_pem = "not a certificate";
  EXPECT_THAT(Send(request), StatusIs(StatusCode::kFailedPrecondition));
}

// Faults 15 and 119.
TEST_F(CurlTlsTest, RefusesAnotherNameAndAnExpiredCertificate) {
  TestServer other(Echo, TestServer::Tls{ca_.Issue(other_)});
  EXPECT_THAT(Send(Trusting(Get(other.Url("/")))), StatusIs(StatusCode::kFailedPrecondition));
  TestServer expired(Echo,
                     TestServer::Tls{ca_.Issue(loopback_, absl::Now() - absl::Hours(24))});
  EXPECT_THAT(Send(Trusting(Get(expired.Url("/")))),
              StatusIs(StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("expired"), HasSubstr("check this machine's clock"))));
}

TEST_F(CurlTlsTest, AnUnverifiedConnectionIsNeverReusedByOneThatVerifies) {
  TestServer server(Echo, TestServer::Tls{ca_.Issue(other_)});
  HttpRequest request = Get(server.Url("/"));
  request.trust.skip_verify = true;
  CW_ASSERT_OK(Send(request));
  CW_ASSERT_OK(Send(request));
  EXPECT_EQ(server.connections(), 1);
  EXPECT_THAT(Send(Get(server.Url("/"))), StatusIs(StatusCode::kFailedPrecondition));
  EXPECT_THAT(Send(Trusting(Get(server.Url("/")))), StatusIs(StatusCode::kFailedPrecondition));
}

TEST_F(CurlTlsTest, AServerWithoutTlsIsUnavailable) {
  TestServer server([](TestConnection& connection) {
    connection.Write("HTTP/1.1 400 Bad\r\n\r\n");
    connection.WaitForEnd();
  });
  EXPECT_THAT(Send(Get(absl::StrCat("https://127.0.0.1:", server.port(), "/"))),
              StatusIs(StatusCode::kUnavailable));
}

// Fault 13.
TEST_F(CurlTlsTest, NoStepOfARedirectIsPlainHttpWhereOnlyHttpsIsAllowed) {
  TestServer server(
      [](TestConnection& connection) {
        while (!connection.ReadRequest().empty()) connection.Answer(200, "home");
      },
      ServerTls());
  TestServer plain([&](TestConnection& connection) {
    connection.ReadRequest();
    connection.Answer(302, "", absl::StrCat("Location: ", server.Url("/"), "\r\n"));
  });
  TestServer start(
      [&](TestConnection& connection) {
        connection.ReadRequest();
        connection.Answer(302, "", absl::StrCat("Location: ", plain.Url("/"), "\r\n"));
      },
      ServerTls());
  for (const std::string& url : {start.Url("/"), plain.Url("/")}) {
    HttpRequest request = Trusting(Get(url));
    request.max_redirects = 3;
    CW_EXPECT_OK(Send(request));
    const int before = plain.connections();
    request.https_only = true;
    EXPECT_THAT(Send(request), StatusIs(StatusCode::kFailedPrecondition, HasSubstr("https")));
    EXPECT_EQ(plain.connections(), before);
  }
}

// --- HTTP/2 ---

struct Frame {
  int type = 0;
  int flags = 0;
  uint32_t stream = 0;
  std::string payload;
};

constexpr int kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kGoAway = 7;
constexpr int kEndStream = 1, kEndHeaders = 4, kAck = 1;

std::string Encode(uint32_t number, int size) {
  std::string bytes;
  for (int i = size - 1; i >= 0; --i) bytes += static_cast<char>(number >> (8 * i));
  return bytes;
}

bool WriteFrame(TestConnection& connection, const Frame& frame) {
  return connection.Write(absl::StrCat(Encode(frame.payload.size(), 3), Encode(frame.type, 1),
                                       Encode(frame.flags, 1), Encode(frame.stream, 4),
                                       frame.payload));
}

bool ReadFrame(TestConnection& connection, Frame& frame) {
  const std::string head = connection.ReadExactly(9);
  if (head.empty()) return false;
  const auto byte = [&](int i) { return static_cast<unsigned char>(head[i]); };
  frame.type = byte(3);
  frame.flags = byte(4);
  frame.stream = byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8);
  const std::size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
  frame.payload = connection.ReadExactly(size);
  return frame.payload.size() == size;
}

// Reads up to the end of the next request and returns its stream, 0 at the end.
uint32_t ReadRequestFrames(TestConnection& connection) {
  Frame frame;
  while (ReadFrame(connection, frame)) {
    if (frame.type == kSettings && (frame.flags & kAck) == 0) {
      WriteFrame(connection, {kSettings, kAck, 0, ""});
    }
    const bool of_request = frame.type == kHeaders || frame.type == kData;
    if (of_request && (frame.flags & kEndStream) != 0) return frame.stream;
  }
  return 0;
}

bool BeginHttp2(TestConnection& connection) {
  return !connection.ReadExactly(24).empty() && WriteFrame(connection, {kSettings, 0, 0, ""});
}

// 0x88 is ":status: 200" in HPACK.
void AnswerStream(TestConnection& connection, uint32_t stream, const std::string& body) {
  WriteFrame(connection, {kHeaders, kEndHeaders, stream, "\x88"});
  WriteFrame(connection, {kData, kEndStream, stream, body});
}

TEST_F(CurlTlsTest, SendsParallelRequestsOverOneHttp2Connection) {
  // None is answered before all have come.
  TestServer server(
      [](TestConnection& connection) {
        if (!BeginHttp2(connection)) return;
        std::vector<uint32_t> streams;
        while (streams.size() < 64) streams.push_back(ReadRequestFrames(connection));
        for (auto stream = streams.rbegin(); stream != streams.rend(); ++stream) {
          AnswerStream(connection, *stream, absl::StrCat("stream ", *stream));
        }
        connection.WaitForEnd();
      },
      ServerTls("h2"));
  std::vector<std::future<Result>> results;
  for (int i = 0; i < 64; ++i) {
    results.push_back(Start(Trusting(Post(server.Url("/"), "request"))));
  }
  std::set<std::string> bodies;
  for (auto& result : results) {
    CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, result.get());
    EXPECT_EQ(response.status, 200);
    bodies.insert(response.body);
  }
  EXPECT_EQ(bodies.size(), 64u);
  EXPECT_EQ(server.connections(), 1);
}

// Fault 26.
TEST_F(CurlTlsTest, AnHttp2ConnectionThatGoesAwayIsReplaced) {
  TestServer server(
      [](TestConnection& connection) {
        if (!BeginHttp2(connection)) return;
        AnswerStream(connection, ReadRequestFrames(connection), "first");
        // No stream after 1 will be served.
        WriteFrame(connection, {kGoAway, 0, 0, Encode(1, 4) + Encode(0, 4)});
        connection.WaitForEnd();
      },
      ServerTls("h2"));
  for (int i = 0; i < 3; ++i) {
    CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send(Trusting(Post(server.Url("/"), "x"))));
    EXPECT_EQ(response.body, "first");
  }
  EXPECT_EQ(server.connections(), 3);
}

TEST_F(CurlTlsTest, AnHttp2ConnectionClosedUnansweredIsReplaced) {
  TestServer server(
      [](TestConnection& connection) {
        if (!BeginHttp2(connection)) return;
        AnswerStream(connection, ReadRequestFrames(connection), "first");
        ReadRequestFrames(connection);
      },
      ServerTls("h2"));
  CW_ASSERT_OK(Send(Trusting(Post(server.Url("/"), "x"))));
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send(Trusting(Post(server.Url("/"), "x"))));
  EXPECT_EQ(response.body, "first");
  EXPECT_TRUE(response.sent_twice);
  EXPECT_EQ(server.connections(), 2);
}

// Fault 123.
TEST_F(CurlTlsTest, WhatIsRepeatedInVainOverHttp2MayHaveBeenActedUponBefore) {
  std::atomic<int> connects = 0;
  MakeClient({.allow_address = [&](absl::string_view, uint16_t) { return ++connects == 1; }});
  TestServer server(
      [](TestConnection& connection) {
        if (!BeginHttp2(connection)) return;
        AnswerStream(connection, ReadRequestFrames(connection), "first");
        ReadRequestFrames(connection);
      },
      ServerTls("h2"));
  CW_ASSERT_OK(Send(Trusting(Post(server.Url("/"), "x"))));
  const absl::Status status = Send(Trusting(Post(server.Url("/"), "x"))).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_TRUE(WasSent(status));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlTlsTest, CancellingOneHttp2RequestLeavesTheOthers) {
  std::promise<void> both_came;
  std::promise<void> cancelled;
  TestServer server(
      [&](TestConnection& connection) {
        if (!BeginHttp2(connection)) return;
        const uint32_t first = ReadRequestFrames(connection);
        const uint32_t second = ReadRequestFrames(connection);
        both_came.set_value();
        cancelled.get_future().wait();
        AnswerStream(connection, first, "first");
        AnswerStream(connection, second, "second");
        AnswerStream(connection, ReadRequestFrames(connection), "third");
        connection.WaitForEnd();
      },
      ServerTls("h2"));
  std::future<Result> kept = Start(Trusting(Get(server.Url("/"))));
  const auto kept_cancellation =
      std::exchange(cancellation_, std::make_shared<runtime::Cancellation>());
  std::future<Result> dropped = Start(Trusting(Get(server.Url("/"))));
  both_came.get_future().wait();
  cancellation_->Cancel();
  EXPECT_THAT(dropped.get(), StatusIs(StatusCode::kCancelled));
  cancelled.set_value();
  CW_EXPECT_OK(kept.get());
  cancellation_ = kept_cancellation;
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse third, Send(Trusting(Get(server.Url("/")))));
  EXPECT_EQ(third.body, "third");
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlTlsTest, AResetHttp2StreamIsUnavailable) {
  TestServer server(
      [](TestConnection& connection) {
        if (!BeginHttp2(connection)) return;
        const uint32_t stream = ReadRequestFrames(connection);
        WriteFrame(connection, {kHeaders, kEndHeaders, stream, "\x88"});
        WriteFrame(connection, {kData, 0, stream, "partial"});
        WriteFrame(connection, {kReset, 0, stream, Encode(2, 4)});
        connection.WaitForEnd();
      },
      ServerTls("h2"));
  EXPECT_THAT(Send(Trusting(Get(server.Url("/")))), StatusIs(StatusCode::kUnavailable));
}

}  // namespace
}  // namespace certwright::http
