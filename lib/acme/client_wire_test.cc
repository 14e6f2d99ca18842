// AcmeClient over real connections to a server that misbehaves.
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/client.h"
#include "lib/acme/fake_ca.h"
#include "lib/acme/problem.h"
#include "lib/base/mutex.h"
#include "lib/base/status_matchers.h"
#include "lib/http/curl_http_client.h"
#include "lib/http/test_server.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::acme {
namespace {

using base::StatusIs;
using http::TestConnection;
using testing::HasSubstr;

class ClientWireTest : public testing::Test {
 protected:
  ~ClientWireTest() override { pool_.Stop(); }

  // Starts a server whose directory, after `redirects`, and nonces are in order; what it does
  // with POSTs is up to the test.
  void Start(int redirects = 0, std::optional<http::TestServer::Tls> tls = std::nullopt) {
    redirects_ = redirects;
    scheme_ = tls.has_value() ? "https" : "http";
    server_ = std::make_unique<http::TestServer>(
        [this](TestConnection& connection) { Serve(connection); }, std::move(tls));
    CaOptions options;
    options.directory_url = Url("/directory");
    options.allow_http = true;
    options.trust = trust_;
    options.request_timeout = request_timeout_;
    client_ = std::make_unique<AcmeClient>(*http_, *timers_, base::Random::Real(), options);
  }
  std::string Url(const std::string& path) const {
    return absl::StrCat(scheme_, "://127.0.0.1:", server_->port(), path);
  }
  std::string OrderJson() const {
    return absl::StrCat(R"({"status":"ready","identifiers":[{"type":"dns","value":"a.test"}],)",
                        R"("authorizations":[],"finalize":")", Url("/finalize"), "\"}");
  }

  absl::Status GetDirectory() { return Run(client_->GetDirectory(NewContext())).status(); }
  absl::StatusOr<Order> NewOrder(bool fresh_connection = false) {
    NewOrderRequest request;
    request.identifiers = {DnsIdentifier("a.test")};
    request.fresh_connection = fresh_connection;
    return Run(client_->NewOrder(NewContext(), signer_, std::move(request)));
  }
  absl::StatusOr<Order> GetOrder() {
    return Run(client_->GetOrder(NewContext(), signer_, Url("/order/1")));
  }
  int Count(const std::string& method_and_path) const {
    base::MutexLock lock(mutex_);
    int count = 0;
    for (const std::string& line : lines_) count += line == method_and_path ? 1 : 0;
    return count;
  }
  int Requests() const {
    base::MutexLock lock(mutex_);
    return static_cast<int>(lines_.size());
  }

  static runtime::Context NewContext() {
    return runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(30));
  }
  template <typename T>
  T Run(runtime::Awaitable<T> task) {
    return runtime::RunSyncOn(pool_.executor(), std::move(task));
  }

  // Answers a POST; false to end the connection.
  std::function<bool(TestConnection&)> on_post_;
  http::TlsTrust trust_;
  absl::Duration request_timeout_ = absl::Seconds(20);
  std::unique_ptr<http::TestServer> server_;

 private:
  void Serve(TestConnection& connection) {
    while (true) {
      const std::string request = connection.ReadRequest();
      if (request.empty()) return;
      const std::vector<std::string> words = absl::StrSplit(request, ' ');
      {
        base::MutexLock lock(mutex_);
        lines_.push_back(absl::StrCat(words[0], " ", words[1]));
      }
      if (words[0] == "POST" ? !on_post_(connection) : !AnswerGet(connection, words[1])) return;
    }
  }
  bool AnswerGet(TestConnection& connection, const std::string& path) {
    if (path == "/nonce") {
      base::MutexLock lock(mutex_);
      return connection.Answer(200, "",
                               absl::StrCat("Replay-Nonce: nonce-", ++nonces_, "\r\n"));
    }
    const std::vector<std::string> parts = absl::StrSplit(path, "/hop/");
    const int hop = parts.size() > 1 ? std::stoi(parts[1]) : 0;
    if (hop < redirects_) {
      return connection.Answer(302, "", absl::StrCat("Location: /hop/", hop + 1, "\r\n"));
    }
    return connection.Answer(
        200, absl::StrCat(R"({"newNonce":")", Url("/nonce"), R"(","newAccount":")",
                          Url("/account"), R"(","newOrder":")", Url("/new-order"), "\"}"));
  }

  runtime::ThreadPool pool_{2};
  std::unique_ptr<runtime::Timers> timers_ =
      runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real());
  std::unique_ptr<http::HttpClient> http_ =
      http::MakeCurlHttpClient(pool_.executor(), *timers_);
  std::unique_ptr<AcmeClient> client_;
  LocalJwsSigner signer_{TestKey(), "https://ca.test/account/1"};
  std::string scheme_;
  int redirects_ = 0;
  mutable base::Mutex mutex_;
  std::vector<std::string> lines_ CW_GUARDED_BY(mutex_);
  int nonces_ CW_GUARDED_BY(mutex_) = 0;
};

// Fault 13.
TEST_F(ClientWireTest, TheDirectoryIsFollowedThroughThreeRedirectsAndNoFurther) {
  Start(3);
  CW_EXPECT_OK(GetDirectory());
  EXPECT_EQ(Requests(), 4);
  Start(4);
  EXPECT_FALSE(GetDirectory().ok());
}

// Fault 13.
TEST_F(ClientWireTest, ASignedRequestIsNotSentElsewhere) {
  on_post_ = [](TestConnection& connection) {
    return connection.Answer(307, "", "Location: /elsewhere\r\n");
  };
  Start();
  EXPECT_EQ(ClassOf(GetOrder().status()), ErrorClass::kOperator);
  EXPECT_EQ(Count("POST /order/1"), 1);
  EXPECT_EQ(Count("POST /elsewhere"), 0);
}

// Fault 15.
TEST_F(ClientWireTest, AServerThatIsNotTrustedIsSentNothing) {
  const pki::TestCa trusted;
  const pki::TestCa stranger;
  trust_.ca_bundle_pem = trusted.root().Pem();
  pki::SubjectAltNames here;
  here.ip_addresses = {"127.0.0.1"};
  pki::SubjectAltNames elsewhere;
  elsewhere.dns_names = {"ca.test"};
  for (const pki::TestIdentity& identity :
       {stranger.Issue(here), trusted.Issue(elsewhere),
        trusted.Issue(here, absl::Now() - absl::Hours(24))}) {
    Start(0, http::TestServer::Tls{identity});
    const absl::Status refused = GetDirectory();
    EXPECT_EQ(ClassOf(refused), ErrorClass::kOperator) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("https://127.0.0.1"));
    EXPECT_EQ(Requests(), 0);
  }
  Start(0, http::TestServer::Tls{trusted.Issue(here)});
  CW_EXPECT_OK(GetDirectory());
}

// Faults 16 and 123.
TEST_F(ClientWireTest, ANewOrderThatIsResetIsForItsCallerToTryAgain) {
  std::atomic<bool> broken = true;
  on_post_ = [&](TestConnection& connection) {
    if (!broken) {
      return connection.Answer(
          201, OrderJson(),
          absl::StrCat("Location: ", Url("/order/1"), "\r\nReplay-Nonce: other\r\n"));
    }
    connection.Reset();
    return false;
  };
  Start();
  const absl::Status lost = NewOrder().status();
  EXPECT_THAT(lost, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(ClassOf(lost), ErrorClass::kRetryBackoff);
  EXPECT_TRUE(http::WasSent(lost));
  EXPECT_EQ(Count("POST /new-order"), 2) << "once more as the connection was not a fresh one";
  EXPECT_TRUE(http::WasSent(NewOrder(/*fresh_connection=*/true).status()));
  EXPECT_EQ(Count("POST /new-order"), 3);
  broken = false;
  CW_ASSERT_OK_AND_ASSIGN(const Order order, NewOrder());
  EXPECT_EQ(order.url, Url("/order/1"));
  EXPECT_EQ(Count("POST /new-order"), 4);
}

// Fault 123. The CA has made an order, and takes the request that libcurl sends again for a
// replay.
TEST_F(ClientWireTest, ANewOrderWhoseNonceIsSpentWhenItIsSentAgainIsNotPlacedAnew) {
  std::atomic<int> posts = 0;
  on_post_ = [&](TestConnection& connection) {
    if (++posts % 2 == 0) {
      return connection.Answer(
          400, R"({"type":"urn:ietf:params:acme:error:badNonce"})",
          "Content-Type: application/problem+json\r\nReplay-Nonce: another\r\n");
    }
    connection.Reset();
    return false;
  };
  Start();
  const absl::Status lost = NewOrder().status();
  EXPECT_THAT(lost, StatusIs(absl::StatusCode::kUnavailable,
                             HasSubstr("the connection ended before the CA's answer")));
  EXPECT_TRUE(http::WasSent(lost));
  EXPECT_EQ(Count("POST /new-order"), 2);
}

// Fault 18.
TEST_F(ClientWireTest, ABodyThatIsCutShortIsNotReadHoweverCompleteItLooks) {
  on_post_ = [&](TestConnection& connection) {
    connection.Write(
        absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", OrderJson()));
    return false;
  };
  Start();
  EXPECT_EQ(ClassOf(GetOrder().status()), ErrorClass::kRetryBackoff);
  EXPECT_EQ(Count("POST /order/1"), 2) << "reading may be repeated";
  on_post_ = [&](TestConnection& connection) {
    connection.Write(absl::StrCat("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                                  absl::Hex(OrderJson().size()), "\r\n", OrderJson(), "\r\n"));
    return false;
  };
  Start();
  EXPECT_EQ(ClassOf(GetOrder().status()), ErrorClass::kRetryBackoff);
  on_post_ = [&](TestConnection& connection) { return connection.Answer(200, OrderJson()); };
  Start();
  CW_EXPECT_OK(GetOrder());
}

// Fault 103.
TEST_F(ClientWireTest, ANewOrderWhoseBodyIsCutShortIsReadByItsUrl) {
  for (const char* header :
       {"Content-Length: 5000\r\n\r\n{\"status\":", "Content-Length: 104857600\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n9\r\n{"}) {
    std::atomic<bool> placed = false;
    on_post_ = [&](TestConnection& connection) {
      if (placed.exchange(true)) return connection.Answer(200, OrderJson());
      connection.Write(absl::StrCat("HTTP/1.1 201 Created\r\nLocation: order/1\r\n", header));
      return false;
    };
    Start();
    CW_ASSERT_OK_AND_ASSIGN(const Order order, NewOrder());
    EXPECT_EQ(order.url, Url("/order/1"));
    EXPECT_EQ(order.finalize, Url("/finalize"));
    EXPECT_TRUE(placed);
  }
}

// Fault 20.
TEST_F(ClientWireTest, ABodyWithoutEndIsGivenUpAtItsCapOrItsTime) {
  request_timeout_ = absl::Milliseconds(300);
  on_post_ = [](TestConnection& connection) {
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    while (connection.Write(" ") && !connection.WaitReadable(10)) {
    }
    return false;
  };
  Start();
  const absl::Status slow = GetOrder().status();
  EXPECT_THAT(slow, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("300ms")));
  EXPECT_EQ(ClassOf(slow), ErrorClass::kRetryBackoff);

  request_timeout_ = absl::Seconds(20);
  std::atomic<std::size_t> written = 0;
  on_post_ = [&](TestConnection& connection) {
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    const std::string part(1 << 16, ' ');
    while (written < 100'000'000 && connection.Write(part)) written += part.size();
    return false;
  };
  Start();
  EXPECT_EQ(ClassOf(GetOrder().status()), ErrorClass::kRetryBackoff);
  server_.reset();
  EXPECT_LT(written, 20'000'000u) << "more than what lies in buffers";
}

// Fault 26.
TEST_F(ClientWireTest, AnIdleConnectionThatTheCaClosedCostsNothing) {
  std::atomic<int> answered = 0;
  on_post_ = [&](TestConnection& connection) {
    if (answered == 1 && connection.number() == 0) return false;
    ++answered;
    return connection.Answer(200, OrderJson(), "Replay-Nonce: next\r\n");
  };
  Start();
  CW_EXPECT_OK(GetOrder());
  CW_EXPECT_OK(GetOrder());
  EXPECT_EQ(server_->connections(), 2);
}

}  // namespace
}  // namespace certwright::acme
