#include "lib/http/curl_http_client.h"

#include <atomic>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/http/curl_test_fixture.h"
#include "lib/http/test_server.h"

namespace certwright::http {
namespace {

using absl::StatusCode;
using base::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Answers each request with 200 and what it was.
void Echo(TestConnection& connection) {
  while (true) {
    const std::string request = connection.ReadRequest();
    if (request.empty() || !connection.Answer(200, request)) return;
  }
}

TEST_F(CurlClientTest, GetReturnsStatusHeadersAndBody) {
  TestServer server([](TestConnection& connection) {
    connection.ReadRequest();
    connection.Answer(404, "gone", "Link: <a>;rel=\"up\"\r\nx-Empty:\r\nLINK:  <b> \r\n");
  });
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send(Get(server.Url("/x"))));
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.body, "gone");
  EXPECT_EQ(response.url, server.Url("/x"));
  EXPECT_THAT(FindHeaders(response.headers, "link"), ElementsAre("<a>;rel=\"up\"", "<b>"));
  EXPECT_EQ(FindHeader(response.headers, "X-EMPTY"), "");
  EXPECT_EQ(FindHeader(response.headers, "Location"), std::nullopt);
}

// Fault 28.
TEST_F(CurlClientTest, SendsThePathAsWrittenAndAsksForNoCompression) {
  TestServer server(Echo);
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send(Get(server.Url("/a/../b%2f?q"))));
  EXPECT_THAT(response.body, AllOf(HasSubstr("GET /a/../b%2f?q HTTP/1.1\r\n"),
                                   HasSubstr("Accept-Encoding: identity\r\n"),
                                   HasSubstr("User-Agent: certwright\r\n")));
}

// Fault 28.
TEST_F(CurlClientTest, UsesTheProxyOfItsOptionsUnlessTheRequestHasAPolicyOrATarget) {
  TestServer proxy(Echo);
  TestServer server(Echo);
  CurlHttpClientOptions options;
  options.proxy = *Proxy::Make(proxy.Url(""), {"direct.invalid"});
  MakeClient(options);
  CW_ASSERT_OK_AND_ASSIGN(const HttpResponse there, Send(Get("http://ca.invalid/x")));
  EXPECT_THAT(there.body, HasSubstr("GET http://ca.invalid/x HTTP/1.1\r\n"));
  EXPECT_EQ(proxy.connections(), 1);

  HttpRequest judged = Get(server.Url("/y"));
  judged.allow_address = [](absl::string_view, uint16_t) { return true; };
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse here, Send(judged));
  EXPECT_THAT(here.body, HasSubstr("GET /y HTTP/1.1\r\n"));
  HttpRequest aimed = Get("http://ca.invalid/z");
  aimed.connect_to = absl::StrCat("127.0.0.1:", server.port());
  CW_ASSERT_OK_AND_ASSIGN(here, Send(aimed));
  EXPECT_THAT(here.body, HasSubstr("GET /z HTTP/1.1\r\n"));
  EXPECT_THAT(Send(Get("http://direct.invalid/")), StatusIs(StatusCode::kUnavailable));
  EXPECT_EQ(proxy.connections(), 1);
}

// Fault 28.
TEST_F(CurlClientTest, WhatTheEnvironmentSaysOfProxiesChangesNothing) {
  TestServer proxy(Echo);
  TestServer other(Echo);
  for (const char* variable : {"http_proxy", "all_proxy", "ALL_PROXY"}) {
    ASSERT_EQ(setenv(variable, other.Url("").c_str(), 1), 0);
  }
  ASSERT_EQ(setenv("no_proxy", "*", 1), 0);
  CurlHttpClientOptions options;
  options.allow_address = [](absl::string_view, uint16_t) { return false; };
  MakeClient(options);
  TestServer inside(Echo);
  EXPECT_THAT(Send(Get(inside.Url("/"))),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("address policy")));
  EXPECT_EQ(inside.connections() + other.connections(), 0);
  options.proxy = *Proxy::Make(proxy.Url(""), {});
  MakeClient(options);
  CW_EXPECT_OK(Send(Get("http://ca.invalid/x")));
  EXPECT_EQ(proxy.connections(), 1);
  for (const char* variable : {"http_proxy", "all_proxy", "ALL_PROXY", "no_proxy"}) {
    unsetenv(variable);
  }
}

TEST_F(CurlClientTest, TheProxyIsNotAskedForAddressesThatThePolicyForbids) {
  TestServer proxy(Echo);
  CurlHttpClientOptions options;
  options.proxy = *Proxy::Make(proxy.Url(""), {"direct.test", "192.0.2.0/24"});
  options.allow_address = [](absl::string_view address, uint16_t) {
    return address == "203.0.113.9";
  };
  options.address_advice = "ask the administrator";
  MakeClient(options);
  for (const char* url :
       {"http://127.0.0.1:1/", "http://0x7f.1/", "http://[::1]/", "http://[::ffff:10.0.0.1]/",
        "http://localhost/", "http://a.localhost./", "https://169.254.169.254/"}) {
    EXPECT_THAT(Send(Get(url)), StatusIs(StatusCode::kFailedPrecondition,
                                         AllOf(HasSubstr("forbids to connect to"),
                                               HasSubstr("; ask the administrator"))))
        << url;
  }
  // One that is reached without the proxy is judged as it is connected to.
  EXPECT_THAT(Send(Get("http://192.0.2.1/")), StatusIs(StatusCode::kFailedPrecondition));
  EXPECT_EQ(proxy.connections(), 0);
  for (const char* url : {"http://203.0.113.9/", "http://ca.invalid/"}) {
    CW_ASSERT_OK_AND_ASSIGN(const HttpResponse response, Send(Get(url)));
    EXPECT_THAT(response.body, HasSubstr(absl::StrCat("GET ", url)));
  }
}

TEST_F(CurlClientTest, ARedirectWithinTheProxyIsJudgedToo) {
  TestServer proxy([](TestConnection& connection) {
    while (!connection.ReadRequest().empty()) {
      connection.Answer(302, "", "Location: http://127.0.0.1/latest\r\n");
    }
  });
  CurlHttpClientOptions options;
  options.proxy = *Proxy::Make(proxy.Url(""), {});
  options.allow_address = [](absl::string_view, uint16_t) { return false; };
  MakeClient(options);
  HttpRequest request = Get("http://ca.invalid/");
  request.max_redirects = 3;
  EXPECT_THAT(Send(request), StatusIs(StatusCode::kFailedPrecondition,
                                      HasSubstr("forbids to connect to 127.0.0.1:80")));
  EXPECT_EQ(proxy.connections(), 1);
}

TEST_F(CurlClientTest, HttpsTargetsAreReachedByATunnelThroughTheProxy) {
  std::string asked;
  TestServer proxy([&](TestConnection& connection) {
    asked = connection.ReadRequest();
    connection.Answer(403, "not there");
  });
  CurlHttpClientOptions options;
  options.proxy = *Proxy::Make(proxy.Url(""), {});
  MakeClient(options);
  HttpRequest request = Get("https://ca.invalid/x");
  request.headers = {{"Authorization", "Bearer x"}};
  EXPECT_THAT(Send(request), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(
      asked, AllOf(HasSubstr("CONNECT ca.invalid:443 HTTP/1.1\r\n"), Not(HasSubstr("Bearer"))));
}

TEST_F(CurlClientTest, PostHasContentLengthAndNothingUnasked) {
  TestServer server(Echo);
  HttpRequest request = Post(server.Url("/"), std::string(2000000, 'x'));
  request.max_response_bytes = 4000000;
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send(request));
  const std::string head = response.body.substr(0, response.body.find("\r\n\r\n"));
  EXPECT_THAT(head, AllOf(HasSubstr("Content-Length: 2000000"), Not(HasSubstr("Expect")),
                          Not(HasSubstr("Content-Type")), Not(HasSubstr("Transfer-Encoding"))));

  request.body.clear();
  request.headers = {{"Content-Type", "application/jose+json"}, {"X-None", ""}};
  CW_ASSERT_OK_AND_ASSIGN(response, Send(request));
  EXPECT_THAT(response.body, AllOf(HasSubstr("Content-Length: 0\r\n"), HasSubstr("X-None:\r\n"),
                                   HasSubstr("Content-Type: application/jose+json\r\n")));
}

TEST_F(CurlClientTest, OtherMethodsAreSentAsSuch) {
  TestServer server([](TestConnection& connection) {
    for (std::string request; !(request = connection.ReadRequest()).empty();) {
      const bool head = request.substr(0, 4) == "HEAD";
      connection.Write(absl::StrCat(
          "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nReplay-Nonce: n\r\n",
          "X-Got: ", request.substr(0, request.find(' ')), "\r\n\r\n", head ? "" : "answer"));
    }
  });
  for (const char* method : {"HEAD", "DELETE", "PUT", "PATCH", "GET", "HEAD"}) {
    HttpRequest request = Get(server.Url("/"));
    request.method = method;
    CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send(request));
    EXPECT_EQ(FindHeader(response.headers, "X-Got"), method);
    EXPECT_EQ(response.body, absl::string_view(method) == "HEAD" ? "" : "answer");
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlClientTest, InformationalAnswersAndTrailersAreNotTheAnswersHeaders) {
  TestServer server([](TestConnection& connection) {
    connection.ReadRequest();
    connection.Write(
        "HTTP/1.1 103 Early\r\nLink: early\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n"
        "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nReplay-Nonce: forged\r\n\r\n");
    connection.WaitForEnd();
  });
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send(Get(server.Url("/"))));
  EXPECT_EQ(response.body, "x");
  EXPECT_EQ(FindHeader(response.headers, "Link"), std::nullopt);
  EXPECT_EQ(FindHeader(response.headers, "Replay-Nonce"), std::nullopt);
  EXPECT_EQ(FindHeader(response.headers, "a"), "b");
}

TEST_F(CurlClientTest, KeepsAConnectionForTheNextRequest) {
  TestServer server(Echo);
  for (int i = 0; i < 5; ++i) CW_ASSERT_OK(Send(Post(server.Url("/"), "x")));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlClientTest, FreshConnectionIsNotSharedAndClosedAfterwards) {
  TestServer server(Echo);
  HttpRequest request = Get(server.Url("/"));
  CW_ASSERT_OK(Send(request));
  request.fresh_connection = true;
  CW_ASSERT_OK(Send(request));
  EXPECT_EQ(server.connections(), 2);
  request.fresh_connection = false;
  CW_ASSERT_OK(Send(request));
  EXPECT_EQ(server.connections(), 2);
}

// The server closes a kept-alive connection just when the next request arrives.
// Fault 26.
TEST_F(CurlClientTest, RepeatsAPostOnAFreshConnectionIfAReusedOneEndsUnanswered) {
  std::atomic<int> requests = 0;
  TestServer server([&](TestConnection& connection) {
    if (connection.ReadRequest().empty()) return;
    ++requests;
    connection.Answer(200, "first of its connection");
    if (!connection.ReadRequest().empty()) ++requests;
  });
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send(Post(server.Url("/"), "one")));
  EXPECT_FALSE(response.sent_twice);
  CW_ASSERT_OK_AND_ASSIGN(response, Send(Post(server.Url("/"), "two")));
  EXPECT_EQ(response.body, "first of its connection");
  EXPECT_TRUE(response.sent_twice);
  EXPECT_EQ(server.connections(), 2);
  EXPECT_EQ(requests, 3);
}

TEST_F(CurlClientTest, DoesNotRepeatOnAConnectionThatWasFreshAlready) {
  TestServer server([](TestConnection& connection) { connection.ReadRequest(); });
  EXPECT_THAT(Send(Post(server.Url("/"), "x")), StatusIs(StatusCode::kUnavailable));
  EXPECT_EQ(server.connections(), 1);
}

// Fault 123.
TEST_F(CurlClientTest, TellsWhetherTheServerMayHaveActed) {
  TestServer silent([](TestConnection& connection) { connection.ReadRequest(); });
  EXPECT_TRUE(WasSent(Send(Post(silent.Url("/"), "x")).status()));
  TestServer cut([](TestConnection& connection) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 201 Cre");
  });
  EXPECT_TRUE(WasSent(Send(Post(cut.Url("/"), "x")).status()));

  std::string nobody;
  {
    TestServer gone(Echo);
    nobody = gone.Url("/");
  }
  EXPECT_FALSE(WasSent(Send(Post(nobody, "x")).status()));
  EXPECT_FALSE(WasSent(Send(Post("http://nowhere.invalid/", "x")).status()));
  TestServer plain([](TestConnection& connection) { connection.ReadRequest(); });
  EXPECT_FALSE(
      WasSent(Send(Post(absl::StrCat("https://127.0.0.1:", plain.port()), "x")).status()))
      << "no request is sent before the handshake is over";
}

// Fault 123.
TEST_F(CurlClientTest, WhatIsRepeatedInVainMayHaveBeenActedUponBefore) {
  std::atomic<int> connects = 0;
  MakeClient({.allow_address = [&](absl::string_view, uint16_t) { return ++connects == 1; }});
  TestServer server([](TestConnection& connection) {
    connection.ReadRequest();
    connection.Answer(200, "first of its connection");
    connection.ReadRequest();
  });
  CW_ASSERT_OK(Send(Post(server.Url("/"), "one")));
  const absl::Status status = Send(Post(server.Url("/"), "two")).status();
  EXPECT_THAT(status, StatusIs(StatusCode::kFailedPrecondition));
  EXPECT_TRUE(WasSent(status));
  EXPECT_EQ(server.connections(), 1);
}

struct BrokenAnswer {
  const char* name;
  const char* bytes;
  bool reset;
};

class CurlClientBrokenAnswerTest : public CurlClientTest,
                                   public testing::WithParamInterface<BrokenAnswer> {};

// Fault 18.
TEST_P(CurlClientBrokenAnswerTest, IsUnavailable) {
  TestServer server([](TestConnection& connection) {
    connection.ReadRequest();
    connection.Write(GetParam().bytes);
    if (GetParam().reset) connection.Reset();
  });
  EXPECT_THAT(Send(Get(server.Url("/secret"))),
              StatusIs(StatusCode::kUnavailable,
                       AllOf(HasSubstr(absl::StrCat("GET http://127.0.0.1:", server.port())),
                             Not(HasSubstr("secret")), Not(HasSubstr("partial")))));
}

INSTANTIATE_TEST_SUITE_P(
    All, CurlClientBrokenAnswerTest,
    testing::Values(
        BrokenAnswer{"Truncated", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial",
                     false},
        BrokenAnswer{"ResetMidBody", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial",
                     true},
        BrokenAnswer{"ChunkCut",
                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\npart", false},
        BrokenAnswer{"ChunksWithoutEnd",
                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
                     false},
        BrokenAnswer{"Nothing", "", false}, BrokenAnswer{"NotHttp", "SSH-2.0-x\r\n", false},
        BrokenAnswer{"HeaderCut", "HTTP/1.1 200 OK\r\nContent-Le", false}),
    [](const auto& info) { return info.param.name; });

// Fault 103.
TEST_F(CurlClientTest, TheHeaderOfASuccessSufficesWhereThatIsWanted) {
  struct Case {
    const char* bytes;
    bool suffices;
  };
  for (const Case& c : {
           Case{"HTTP/1.1 201 Created\r\nLocation: /1\r\nContent-Length: 9\r\n\r\npart", true},
           Case{"HTTP/1.1 201 Created\r\nLocation: /1\r\nTransfer-Encoding: chunked\r\n\r\n"
                "9\r\npart",
                true},
           Case{"HTTP/1.1 201 Created\r\nLocation: /1\r\nContent-Length: 104857600\r\n\r\n",
                true},
           Case{"HTTP/1.1 201 Created\r\nLocation: /1\r\nContent-Le", false},
           Case{"HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\npart", false},
           Case{"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\npart", false},
           Case{"", false},
       }) {
    TestServer server([&c](TestConnection& connection) {
      connection.ReadRequest();
      connection.Write(c.bytes);
    });
    HttpRequest request = Get(server.Url("/"));
    EXPECT_FALSE(Send(request).ok()) << c.bytes;
    request.header_suffices = true;
    const absl::StatusOr<HttpResponse> response = Send(request);
    ASSERT_EQ(response.ok(), c.suffices) << c.bytes;
    if (!response.ok()) continue;
    EXPECT_EQ(response->status, 201);
    EXPECT_EQ(response->body, "");
    EXPECT_EQ(FindHeader(response->headers, "Location"), "/1");
    EXPECT_EQ(response->url, server.Url("/"));
  }
}

TEST_F(CurlClientTest, RefusesABodyAnnouncedAsTooLarge) {
  TestServer server([](TestConnection& connection) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
    connection.WaitForEnd();
  });
  EXPECT_THAT(Send(Get(server.Url("/"))), StatusIs(StatusCode::kResourceExhausted));
}

// Fault 20.
TEST_F(CurlClientTest, StopsReadingABodyThatGrowsTooLarge) {
  std::atomic<std::size_t> written = 0;
  TestServer server([&](TestConnection& connection) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = absl::StrCat("1000\r\n", std::string(4096, 'x'), "\r\n");
    while (connection.Write(chunk)) written += 4096;
  });
  HttpRequest request = Get(server.Url("/"));
  request.max_response_bytes = 10000;
  EXPECT_THAT(Send(request), StatusIs(StatusCode::kResourceExhausted, HasSubstr("10000")));
}

TEST_F(CurlClientTest, TakesABodyOfExactlyTheCap) {
  TestServer server([](TestConnection& connection) {
    connection.ReadRequest();
    connection.Answer(200, std::string(10000, 'x'));
  });
  HttpRequest request = Get(server.Url("/"));
  request.max_response_bytes = 10000;
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send(request));
  EXPECT_EQ(response.body.size(), 10000u);
}

TEST_F(CurlClientTest, RefusesHeadersBeyondTheirCap) {
  TestServer many([](TestConnection& connection) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\n");
    while (connection.Write("X-Filler: 0123456789012345678901234567890123456789\r\n")) {
    }
  });
  EXPECT_THAT(Send(Get(many.Url("/"))), StatusIs(StatusCode::kResourceExhausted));
  TestServer one([](TestConnection& connection) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nX: ");
    while (connection.Write(std::string(1000, 'x'))) {
    }
  });
  EXPECT_THAT(Send(Get(one.Url("/"))), StatusIs(StatusCode::kResourceExhausted));
}

// Fault 20.
TEST_F(CurlClientTest, ADrippingServerMeetsTheDeadline) {
  std::promise<void> dripping;
  TestServer server([&](TestConnection& connection) {
    connection.ReadRequest();
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    for (int i = 0; connection.Write("x") && !connection.WaitReadable(1); ++i) {
      if (i == 20) dripping.set_value();
    }
  });
  std::future<Result> result = Start(Get(server.Url("/")));
  dripping.get_future().wait();
  clock_.Advance(absl::Seconds(29));
  EXPECT_EQ(result.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  clock_.Advance(absl::Seconds(1));
  const absl::Status late = result.get().status();
  EXPECT_THAT(late, StatusIs(StatusCode::kDeadlineExceeded, HasSubstr("127.0.0.1")));
  EXPECT_TRUE(WasSent(late));
  EXPECT_EQ(timers_.pending(), 0u);
}

TEST_F(CurlClientTest, CancellationEndsARequestUnderWay) {
  std::promise<void> asked;
  TestServer server([&](TestConnection& connection) {
    connection.ReadRequest();
    asked.set_value();
    connection.WaitForEnd();
  });
  std::future<Result> result = Start(Get(server.Url("/")));
  asked.get_future().wait();
  cancellation_->Cancel();
  EXPECT_THAT(result.get(), StatusIs(StatusCode::kCancelled));
  EXPECT_EQ(timers_.pending(), 0u);
  EXPECT_THAT(Send(Get(server.Url("/"))), StatusIs(StatusCode::kCancelled));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlClientTest, DestructionCancelsRequestsUnderWay) {
  std::promise<void> asked;
  TestServer server([&](TestConnection& connection) {
    connection.ReadRequest();
    asked.set_value();
    connection.WaitForEnd();
  });
  std::future<Result> result = Start(Get(server.Url("/")));
  asked.get_future().wait();
  client_.reset();
  EXPECT_THAT(result.get(), StatusIs(StatusCode::kCancelled));
}

TEST_F(CurlClientTest, RunsManyRequestsOverFewConnections) {
  MakeClient({.max_connections_per_host = 4});
  TestServer server(Echo);
  std::vector<std::future<Result>> results;
  for (int i = 0; i < 64; ++i) results.push_back(Start(Get(server.Url(absl::StrCat("/", i)))));
  for (int i = 0; i < 64; ++i) {
    CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, results[i].get());
    EXPECT_THAT(response.body, HasSubstr(absl::StrCat("GET /", i, " ")));
  }
  EXPECT_LE(server.connections(), 4);
}

TEST_F(CurlClientTest, RefusesWhatCannotBeSent) {
  for (const char* url : {"", "nonsense", "ftp://127.0.0.1/", "file:///etc/passwd", "http://",
                          "http://user:password@127.0.0.1/", "http://a b/", "http://[::1/"}) {
    EXPECT_THAT(Send(Get(url)), StatusIs(StatusCode::kInvalidArgument)) << url;
  }
  HttpRequest request = Get("http://127.0.0.1:1/");
  request.method = "GET /";
  EXPECT_THAT(Send(request), StatusIs(StatusCode::kInvalidArgument));
  for (const Header& header : std::vector<Header>{{"A", "b\r\nC: d"},
                                                  {"A\r\nB", "c"},
                                                  {"", "x"},
                                                  {"A:", "x"},
                                                  {"A", std::string(1, '\0')}}) {
    request = Get("http://127.0.0.1:1/");
    request.headers = {header};
    EXPECT_THAT(Send(request), StatusIs(StatusCode::kInvalidArgument));
  }
}

TEST_F(CurlClientTest, ARefusedConnectionIsUnavailable) {
  std::string url;
  {
    TestServer server(Echo);
    url = server.Url("/");
  }
  EXPECT_THAT(Send(Get(url)), StatusIs(StatusCode::kUnavailable, HasSubstr("127.0.0.1:")));
}

TEST_F(CurlClientTest, ConnectToKeepsHostHeader) {
  TestServer server(Echo);
  HttpRequest request = Get("http://name.invalid:8080/x");
  request.connect_to = absl::StrCat("127.0.0.1:", server.port());
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send(request));
  EXPECT_THAT(response.body, HasSubstr("Host: name.invalid:8080\r\n"));
}

// Answers /N with a redirect to /N-1, and /0 with what was asked.
void CountDown(TestConnection& connection) {
  while (true) {
    const std::string request = connection.ReadRequest();
    if (request.empty()) return;
    const std::vector<std::string> words = absl::StrSplit(request, absl::MaxSplits(' ', 2));
    const int count = std::atoi(words[1].c_str() + 1);
    if (count == 0) {
      connection.Answer(200, request);
    } else {
      connection.Answer(302, "moved", absl::StrCat("Location: /", count - 1, "\r\n"));
    }
  }
}

TEST_F(CurlClientTest, FollowsRedirectsOnlyAsOftenAsAllowed) {
  TestServer server(CountDown);
  HttpRequest request = Get(server.Url("/3"));
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send(request));
  EXPECT_EQ(response.status, 302);
  EXPECT_EQ(response.body, "moved");
  EXPECT_EQ(FindHeader(response.headers, "Location"), "/2");

  request.max_redirects = 2;
  CW_ASSERT_OK_AND_ASSIGN(response, Send(request));
  EXPECT_EQ(response.status, 302);
  EXPECT_EQ(response.url, server.Url("/1"));

  request.max_redirects = 3;
  request.headers = {{"Authorization", "Bearer x"}};
  CW_ASSERT_OK_AND_ASSIGN(response, Send(request));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.url, server.Url("/0"));
  EXPECT_EQ(FindHeader(response.headers, "Location"), std::nullopt);
  EXPECT_THAT(response.body, HasSubstr("Bearer x"));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlClientTest, PostNeverFollowsARedirect) {
  TestServer server(CountDown);
  HttpRequest request = Post(server.Url("/1"), "x");
  request.max_redirects = 5;
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send(request));
  EXPECT_EQ(response.status, 302);
}

TEST_F(CurlClientTest, ARedirectElsewhereLosesCredentials) {
  TestServer target(Echo);
  TestServer server([&](TestConnection& connection) {
    connection.ReadRequest();
    connection.Answer(302, "", absl::StrCat("Location: ", target.Url("/there"), "\r\n"));
  });
  HttpRequest request = Get(server.Url("/"));
  request.max_redirects = 1;
  request.headers = {{"authorization", "Bearer x"}, {"Cookie", "c=d"}, {"Accept", "a/b"}};
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send(request));
  EXPECT_EQ(response.url, target.Url("/there"));
  EXPECT_THAT(response.body, AllOf(HasSubstr("GET /there "), HasSubstr("Accept: a/b"),
                                   Not(HasSubstr("Bearer")), Not(HasSubstr("c=d"))));
}

TEST_F(CurlClientTest, ARedirectElsewhereDoesNotGoWhereTheFirstRequestWasSentTo) {
  TestServer target(Echo);
  TestServer server([&](TestConnection& connection) {
    const std::string request = connection.ReadRequest();
    const bool first = absl::StartsWith(request, "GET /first ");
    connection.Answer(
        302, "", absl::StrCat("Location: ", first ? "/second" : target.Url("/there"), "\r\n"));
  });
  // Another origin is another name, another port or another scheme; this one is the same.
  HttpRequest request = Get("http://elsewhere.test/first");
  request.connect_to = absl::StrCat("127.0.0.1:", server.port());
  request.max_redirects = 2;
  CW_ASSERT_OK_AND_ASSIGN(const HttpResponse response, Send(request));
  EXPECT_EQ(response.url, target.Url("/there"));
  EXPECT_THAT(response.body, HasSubstr("GET /there "));
  EXPECT_EQ(target.connections(), 1);
}

TEST_F(CurlClientTest, ARedirectToAnotherSchemeFails) {
  TestServer server([](TestConnection& connection) {
    connection.ReadRequest();
    connection.Answer(302, "", "Location: file:///etc/passwd\r\n");
  });
  HttpRequest request = Get(server.Url("/"));
  request.max_redirects = 1;
  EXPECT_THAT(Send(request), StatusIs(StatusCode::kFailedPrecondition));
}

TEST_F(CurlClientTest, AddressPolicyIsAskedBeforeConnecting) {
  TestServer server(Echo);
  HttpRequest request = Get(server.Url("/"));
  // A kept-alive connection is no way around the policy.
  CW_ASSERT_OK(Send(request));
  std::string asked;
  request.allow_address = [&](absl::string_view address, uint16_t port) {
    asked = absl::StrCat(address, " ", port);
    return false;
  };
  EXPECT_THAT(Send(request),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("address policy")));
  EXPECT_EQ(asked, absl::StrCat("127.0.0.1 ", server.port()));
  EXPECT_EQ(server.connections(), 1);

  request.allow_address = [](absl::string_view, uint16_t) { return true; };
  CW_ASSERT_OK(Send(request));
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(CurlClientTest, AClientsPolicyHoldsForEveryRequestAndKeepsConnectionsAlive) {
  bool allowed = true;
  int asked = 0;
  CurlHttpClientOptions options;
  options.allow_address = [&](absl::string_view, uint16_t) {
    ++asked;
    return allowed;
  };
  options.address_advice = "ask the administrator";
  MakeClient(options);
  TestServer server([](TestConnection& connection) {
    while (!connection.ReadRequest().empty()) connection.Answer(200, "here");
  });
  CW_EXPECT_OK(Send(Get(server.Url("/"))));
  CW_EXPECT_OK(Send(Get(server.Url("/"))));
  EXPECT_EQ(asked, 1);

  allowed = false;
  HttpRequest fresh = Get(server.Url("/"));
  fresh.fresh_connection = true;
  EXPECT_THAT(Send(fresh), StatusIs(StatusCode::kFailedPrecondition,
                                    AllOf(HasSubstr("forbids to connect to 127.0.0.1"),
                                          HasSubstr("; ask the administrator"))));
  fresh.allow_address = [](absl::string_view, uint16_t) { return true; };
  CW_EXPECT_OK(Send(fresh));
}

TEST_F(CurlClientTest, AddressPolicyHoldsForRedirectsToo) {
  TestServer inside(Echo);
  // A kept-alive connection to the inside exists already.
  CW_ASSERT_OK(Send(Get(inside.Url("/"))));
  TestServer server([&](TestConnection& connection) {
    connection.ReadRequest();
    connection.Answer(301, "", absl::StrCat("Location: ", inside.Url("/secret"), "\r\n"));
  });
  HttpRequest request = Get(server.Url("/"));
  request.max_redirects = 5;
  request.allow_address = [&](absl::string_view, uint16_t port) {
    return port == server.port();
  };
  EXPECT_THAT(Send(request), StatusIs(StatusCode::kFailedPrecondition,
                                      HasSubstr(absl::StrCat("127.0.0.1:", inside.port()))));
  EXPECT_EQ(inside.connections(), 1);
}

}  // namespace
}  // namespace certwright::http
