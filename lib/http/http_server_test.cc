#include "lib/http/http_server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::http {
namespace {

using absl::StatusCode;
using base::StatusIs;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// A blocking client that sends any bytes.
class Peer {
 public:
  // Comes from `from`: all of 127.0.0.0/8 is ours.
  explicit Peer(int port, const std::string& from = "127.0.0.1")
      : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    ::inet_pton(AF_INET, from.c_str(), &address.sin_addr);
    ::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    const timeval limit{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  }
  ~Peer() { ::close(fd_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  bool connected() const { return connected_; }
  bool Send(absl::string_view bytes) {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<long>(bytes.size());
  }
  // All until the server closes its side; "(no end)" is put behind it if that never comes.
  std::string ReadToEnd() {
    while (true) {
      const long size = ReadSome();
      if (size == 0) return std::exchange(unread_, "");
      if (size < 0) return std::exchange(unread_, "") + (errno == EAGAIN ? "(no end)" : "");
    }
  }
  // Up to and with `end`; what there is if the connection ends before.
  std::string ReadTo(absl::string_view end) {
    std::size_t at = 0;
    while ((at = unread_.find(std::string(end))) == std::string::npos) {
      if (ReadSome() <= 0) return std::exchange(unread_, "");
    }
    std::string bytes = unread_.substr(0, at + end.size());
    unread_.erase(0, at + end.size());
    return bytes;
  }

 private:
  long ReadSome() {
    char bytes[4096];
    const long size = ::recv(fd_, bytes, sizeof(bytes), 0);
    if (size > 0) unread_.append(bytes, size);
    return size;
  }

  const int fd_;
  bool connected_ = false;
  std::string unread_;
};

// FakeTimers that let a test wait until a timer is set.
class ObservedTimers final : public runtime::Timers {
 public:
  explicit ObservedTimers(base::FakeClock& clock) : timers_(clock) {}

  const base::Clock& clock() const override { return timers_.clock(); }
  TimerId ScheduleAt(base::MonotonicTime when, absl::AnyInvocable<void()> callback) override {
    const TimerId id = timers_.ScheduleAt(when, std::move(callback));
    std::unique_lock<std::mutex> lock(mutex_);
    scheduled_.push_back(when);
    changed_.notify_all();
    return id;
  }
  bool Cancel(TimerId id) override { return timers_.Cancel(id); }
  std::size_t pending() const { return timers_.pending(); }

  // Until `count` timers were set for `delay` from now.
  void AwaitScheduled(absl::Duration delay, int count = 1) {
    const base::MonotonicTime when = clock().MonotonicNow() + delay;
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(
        lock, [&] { return std::count(scheduled_.begin(), scheduled_.end(), when) >= count; });
  }

 private:
  runtime::FakeTimers timers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<base::MonotonicTime> scheduled_;
};

class HttpServerTest : public testing::Test {
 protected:
  ~HttpServerTest() override {
    if (server_ != nullptr) server_->Stop();
    pool_.Stop();
  }

  // Answers "<method> <path> <query> <host>;".
  static HttpServerResponse Describe(const HttpServerRequest& request) {
    HttpServerResponse response;
    response.body = absl::StrCat(request.method, " ", request.path, " ", request.query, " ",
                                 request.host, ";");
    return response;
  }
  void Start(HttpServer::Handler handler = Describe, HttpServerLimits limits = {}) {
    auto server =
        HttpServer::Start(pool_.executor(), timers_, "127.0.0.1:0", std::move(handler), limits);
    CW_ASSERT_OK(server);
    server_ = *std::move(server);
  }
  // Sends `bytes`, reads to the end.
  std::string Exchange(absl::string_view bytes) {
    Peer peer(server_->port());
    peer.Send(bytes);
    return peer.ReadToEnd();
  }

  base::FakeClock clock_;
  ObservedTimers timers_{clock_};
  runtime::ThreadPool pool_{2};
  std::unique_ptr<HttpServer> server_;
};

constexpr char kClose[] = "Host: a.test\r\nConnection: close\r\n\r\n";

TEST_F(HttpServerTest, AnswersGet) {
  Start();
  EXPECT_EQ(Exchange(absl::StrCat("GET /x HTTP/1.1\r\n", kClose)),
            "HTTP/1.1 200 OK\r\nDate: Fri, 02 Jan 2026 03:04:05 GMT\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
            "Connection: close\r\nContent-Length: 15\r\n\r\nGET /x  a.test;");
}

// Fault 82.
TEST_F(HttpServerTest, HeadHasTheLengthButNoBody) {
  Start();
  const std::string answer = Exchange(absl::StrCat("HEAD /x HTTP/1.1\r\n", kClose));
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("Content-Length: 16\r\n"),
                            EndsWith("\r\n\r\n")));
}

TEST_F(HttpServerTest, StatusTypeAndHeadersAreTheHandlers) {
  Start([](const HttpServerRequest&) {
    HttpServerResponse response;
    response.status = 404;
    response.content_type = "application/octet-stream";
    response.headers = {{"Cache-Control", "no-store"}};
    return response;
  });
  EXPECT_THAT(
      Exchange(absl::StrCat("GET / HTTP/1.1\r\n", kClose)),
      AllOf(StartsWith("HTTP/1.1 404 Not Found\r\n"),
            HasSubstr("Content-Type: application/octet-stream\r\n"),
            HasSubstr("Cache-Control: no-store\r\n"), HasSubstr("Content-Length: 0\r\n")));
}

struct TargetCase {
  const char* head;
  const char* want;
};

// Fault 82.
TEST_F(HttpServerTest, HandsOverPathAndHostAsSent) {
  Start();
  const std::vector<TargetCase> cases = {
      {"GET /a/%2e%2e/../b?q=1?2 HTTP/1.1\r\nHost: A.Test:8080\r\n",
       "GET /a/%2e%2e/../b q=1?2 a.test;"},
      {"GET http://B.test:80/p?q HTTP/1.1\r\nHost: a.test\r\n", "GET /p q b.test;"},
      {"GET https://b.test HTTP/1.1\r\nHost: a.test\r\n", "GET /  b.test;"},
      {"GET / HTTP/1.1\r\nHost: [2001:DB8::1]:80\r\n", "GET /  2001:db8::1;"},
      {"GET / HTTP/1.1\r\nHost:\r\n", "GET /  ;"},
      {"GET //x HTTP/1.1\r\nhost: a.test\r\n", "GET //x  a.test;"},
  };
  for (const TargetCase& test : cases) {
    EXPECT_THAT(Exchange(absl::StrCat(test.head, "Connection: close\r\n\r\n")),
                AllOf(StartsWith("HTTP/1.1 200"), EndsWith(test.want)))
        << test.head;
  }
}

// Fault 82.
TEST_F(HttpServerTest, Http10ClosesAfterTheAnswer) {
  Start();
  EXPECT_THAT(Exchange("GET /x HTTP/1.0\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.0 200"), EndsWith("GET /x  ;")));
}

// Fault 82.
TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  Start();
  const std::string answers = Exchange(absl::StrCat(
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /4 HTTP/1.1\r\n",
      kClose));
  const std::size_t first = answers.find("GET /1  a;");
  const std::size_t third = answers.find("GET /3  a;");
  EXPECT_LT(first, third);
  EXPECT_LT(third, answers.find("GET /4  a.test;"));
  EXPECT_THAT(answers, AllOf(Not(HasSubstr("HEAD /2")), EndsWith("GET /4  a.test;")));
}

TEST_F(HttpServerTest, OtherMethodsAreNotAllowed) {
  std::atomic<int> calls = 0;
  Start([&](const HttpServerRequest& request) {
    ++calls;
    return Describe(request);
  });
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "BREW"}) {
    EXPECT_THAT(Exchange(absl::StrCat(method, " / HTTP/1.1\r\n", kClose)),
                AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("Allow: GET, HEAD\r\n")))
        << method;
  }
  EXPECT_EQ(calls, 0);
}

TEST_F(HttpServerTest, BrokenRequestsAreRefusedAndTheConnectionClosed) {
  Start();
  for (const std::string& bytes : std::vector<std::string>{
           "nonsense\r\n\r\n", std::string("\0\1\2\3\r\n\r\n", 8),
           std::string("\x16\x03\x01\x02\x00\x01", 6), "GET\r\n\r\n",
           "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"}) {
    EXPECT_THAT(Exchange(bytes), AllOf(StartsWith("HTTP/1.1 400"), HasSubstr("close\r\n")))
        << bytes;
  }
}

// Fault 81.
TEST_F(HttpServerTest, LargeHeadersAndBodiesAreRefused) {
  Start();
  EXPECT_THAT(
      Exchange(absl::StrCat("GET / HTTP/1.1\r\nHost: ", std::string(9000, 'a'), "\r\n")),
      StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(Exchange(absl::StrCat("GET /", std::string(60000, 'a'))),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(Exchange("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Exchange("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(
      Exchange(absl::StrCat("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n",
                            "\r\n600\r\n", std::string(0x600, 'x'))),
      StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(
      Exchange(absl::StrCat("GET / HTTP/1.1\r\nX: ", std::string(7000, 'a'), "\r\n", kClose)),
      StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Exchange(absl::StrCat("GET / HTTP/1.1\r\nContent-Length: 1024\r\n", kClose,
                                    std::string(1024, 'x'))),
              StartsWith("HTTP/1.1 200"));
}

// Fault 79.
TEST_F(HttpServerTest, ManyClientsFetchInParallel) {
  Start();
  std::atomic<int> good = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      Peer peer(server_->port());
      for (int j = 0; j < 20; ++j) {
        peer.Send(absl::StrCat("GET /", i, "/", j, " HTTP/1.1\r\nHost: a\r\n\r\n"));
        if (absl::EndsWith(peer.ReadTo(" a;"), absl::StrCat("GET /", i, "/", j, "  a;")))
          ++good;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(good, 16 * 20);
}

TEST_F(HttpServerTest, ASlowRequestIsCutOff) {
  HttpServerLimits limits;
  limits.first_byte_timeout = absl::Seconds(30);
  Start(Describe, limits);
  Peer peer(server_->port());
  Peer other(server_->port());
  peer.Send("GET / HT");
  timers_.AwaitScheduled(absl::Seconds(30), 2);
  timers_.AwaitScheduled(absl::Seconds(10));
  clock_.Advance(absl::Seconds(9));
  peer.Send("TP/1.1\r\n");
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(peer.ReadToEnd(), IsEmpty());
  // An idle connection may last longer.
  other.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(other.ReadTo(" a;"), EndsWith("GET /  a;"));
}

TEST_F(HttpServerTest, AnIdleConnectionIsClosed) {
  Start();
  Peer peer(server_->port());
  for (int i = 0; i < 3; ++i) {
    peer.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THAT(peer.ReadTo(" a;"), EndsWith("GET /  a;"));
    clock_.Advance(absl::Seconds(8));
  }
  clock_.Advance(absl::Seconds(30));
  EXPECT_THAT(peer.ReadToEnd(), IsEmpty());
}

// Fault 114.
TEST_F(HttpServerTest, AConnectionThatSendsNothingHasAShortTime) {
  Start();
  Peer peer(server_->port());
  timers_.AwaitScheduled(absl::Seconds(5));
  clock_.Advance(absl::Seconds(5));
  EXPECT_THAT(peer.ReadToEnd(), IsEmpty());
}

constexpr char kRequest[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// Fault 114.
TEST_F(HttpServerTest, ANewConnectionTakesThePlaceOfTheOneWhoseRequestIsLongestAgo) {
  HttpServerLimits limits;
  limits.max_connections = 2;
  Start(Describe, limits);
  Peer first(server_->port());
  Peer second(server_->port());
  for (Peer* peer : {&first, &second, &first}) {
    peer->Send(kRequest);
    EXPECT_THAT(peer->ReadTo(" a;"), EndsWith(" a;"));
  }
  Peer third(server_->port());
  third.Send(kRequest);
  EXPECT_THAT(third.ReadTo(" a;"), EndsWith(" a;"));
  EXPECT_THAT(second.ReadToEnd(), IsEmpty());
  first.Send(kRequest);
  EXPECT_THAT(first.ReadTo(" a;"), EndsWith(" a;"));
}

// Fault 114.
TEST_F(HttpServerTest, AClientBeyondItsShareLosesItsOwnConnections) {
  HttpServerLimits limits;
  limits.max_connections_per_client = 2;
  Start(Describe, limits);
  Peer other(server_->port(), "127.0.0.3");
  other.Send(kRequest);
  EXPECT_THAT(other.ReadTo(" a;"), EndsWith(" a;"));
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 5; ++i) {
    peers.push_back(std::make_unique<Peer>(server_->port(), "127.0.0.2"));
    peers.back()->Send(kRequest);
    EXPECT_THAT(peers.back()->ReadTo(" a;"), EndsWith(" a;"));
  }
  for (int i = 0; i < 3; ++i) EXPECT_THAT(peers[i]->ReadToEnd(), IsEmpty());
  for (Peer* peer : {&other, peers[3].get(), peers[4].get()}) {
    peer->Send(kRequest);
    EXPECT_THAT(peer->ReadTo(" a;"), EndsWith(" a;"));
  }
}

struct Holders {
  const char* name;
  // Addresses that they come from.
  int addresses;
  const char* sent;
};
class HeldConnectionsTest : public HttpServerTest,
                            public testing::WithParamInterface<Holders> {};

// Fault 114.
TEST_P(HeldConnectionsTest, KeepNobodyOut) {
  Start();
  std::vector<std::unique_ptr<Peer>> held;
  for (int i = 0; i < 3000; ++i) {
    const std::string from = absl::StrCat("127.0.1.", 1 + i % GetParam().addresses);
    held.push_back(std::make_unique<Peer>(server_->port(), from));
    ASSERT_TRUE(held.back()->connected());
    held.back()->Send(GetParam().sent);
    if (i % 500 != 499) continue;
    Peer peer(server_->port(), "127.0.0.9");
    peer.Send(kRequest);
    EXPECT_THAT(peer.ReadTo(" a;"), EndsWith(" a;"));
  }
}

INSTANTIATE_TEST_SUITE_P(, HeldConnectionsTest,
                         testing::Values(Holders{"OfOneClientThatSendsNothing", 1, ""},
                                         Holders{"OfOneClientWithHalfARequest", 1, "GET / HT"},
                                         Holders{"OfOneClientThatWasAnswered", 1, kRequest},
                                         Holders{"OfManyClients", 100, ""}),
                         [](const testing::TestParamInfo<Holders>& info) {
                           return info.param.name;
                         });

TEST_F(HttpServerTest, StopClosesListenerAndConnections) {
  Start();
  const int port = server_->port();
  Peer peer(port);
  peer.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  peer.ReadTo(" a;");
  server_->Stop();
  EXPECT_THAT(peer.ReadToEnd(), IsEmpty());
  EXPECT_FALSE(Peer(port).connected());
  EXPECT_EQ(timers_.pending(), 0u);
  server_->Stop();
}

TEST_F(HttpServerTest, StopWaitsForARunningHandler) {
  std::promise<void> running;
  std::promise<void> go_on;
  std::atomic<bool> finished = false;
  Start([&](const HttpServerRequest& request) {
    running.set_value();
    go_on.get_future().wait();
    finished = true;
    return Describe(request);
  });
  Peer peer(server_->port());
  peer.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  running.get_future().wait();
  std::jthread stopper([&] {
    server_->Stop();
    EXPECT_TRUE(finished);
  });
  // The connection's end shows that Stop() is under way.
  EXPECT_THAT(peer.ReadToEnd(), IsEmpty());
  go_on.set_value();
}

TEST_F(HttpServerTest, APortInUseIsAClearError) {
  Start();
  const std::string address = absl::StrCat("127.0.0.1:", server_->port());
  EXPECT_THAT(HttpServer::Start(pool_.executor(), timers_, address, Describe),
              StatusIs(StatusCode::kAlreadyExists, HasSubstr(address)));
  // It can be had again as soon as the first has stopped, in spite of TIME_WAIT.
  Exchange(absl::StrCat("GET / HTTP/1.1\r\n", kClose));
  server_.reset();
  CW_EXPECT_OK(HttpServer::Start(pool_.executor(), timers_, address, Describe));
}

TEST_F(HttpServerTest, RefusesWhatIsNoAddress) {
  for (const char* address : {"", "80", "localhost:80", "127.0.0.1", "127.0.0.1:65536",
                              "127.0.0.1:http", ":80", "::1", "[::1]"}) {
    EXPECT_THAT(HttpServer::Start(pool_.executor(), timers_, address, Describe),
                StatusIs(StatusCode::kInvalidArgument))
        << address;
  }
}

TEST_F(HttpServerTest, AnIpv6WildcardTakesIpv4Too) {
  auto server = HttpServer::Start(pool_.executor(), timers_, "[::]:0", Describe);
  if (absl::IsUnavailable(server.status())) GTEST_SKIP() << server.status();
  CW_ASSERT_OK(server);
  server_ = *std::move(server);
  EXPECT_THAT(Exchange(absl::StrCat("GET /x HTTP/1.1\r\n", kClose)),
              StartsWith("HTTP/1.1 200"));
}

}  // namespace
}  // namespace certwright::http
