#include "lib/dns/exchange.h"

#include <atomic>
#include <future>

#include "absl/strings/str_cat.h"
#include "lib/base/status_matchers.h"
#include "lib/dns/test_dns_server.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::dns {
namespace {

using base::IsOkAndHolds;
using base::StatusIs;
using testing::HasSubstr;

constexpr auto kUnavailable = absl::StatusCode::kUnavailable;

// A query that TestDnsServer can read: a header without anything.
const std::string kPacket("\x01\x02\0\0\0\0\0\0\0\0\0\0", 12);

TestDnsServer::Handler Answers(std::vector<std::string> packets) {
  return [packets](const TestDnsServer::Request&) { return packets; };
}

class ExchangeTest : public testing::TestWithParam<Transport> {
 protected:
  ExchangeTest()
      : pool_(2), timers_(runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real())) {}
  ~ExchangeTest() override { pool_.Stop(); }

  absl::StatusOr<std::string> Run(const std::string& server, runtime::Context context,
                                  absl::Duration timeout = absl::Seconds(10)) {
    AcceptAnswer accept([](absl::string_view packet) {
      return packet == "good" ? absl::OkStatus() : absl::InvalidArgumentError("is bad");
    });
    return runtime::RunSyncOn(
        pool_.executor(), Exchange(*timers_, context, GetParam(), *ParseServerAddress(server),
                                   kPacket, timeout, std::move(accept)));
  }
  static runtime::Context Context(absl::Duration timeout = absl::Seconds(20)) {
    return runtime::Context::WithTimeout(base::Clock::Real(), timeout);
  }
  bool udp() const { return GetParam() == Transport::kUdp; }

  runtime::ThreadPool pool_;
  std::unique_ptr<runtime::Timers> timers_;
};

TEST_P(ExchangeTest, ReturnsTheAnswer) {
  const TestDnsServer server(Answers({"good"}));
  EXPECT_THAT(Run(server.address(), Context()), IsOkAndHolds(std::string("good")));
  EXPECT_EQ(udp() ? server.udp_requests() : server.tcp_requests(), 1);
}

// Fault 77.
TEST_P(ExchangeTest, PassesOverBadDatagramsButNotBadStreams) {
  const TestDnsServer server(Answers({"bad", "good"}));
  if (udp()) {
    EXPECT_THAT(Run(server.address(), Context()), IsOkAndHolds(std::string("good")));
  } else {
    EXPECT_THAT(Run(server.address(), Context()),
                StatusIs(kUnavailable, HasSubstr("gave an answer that is bad")));
  }
}

TEST_P(ExchangeTest, SaysWhenOnlyBadAnswersCame) {
  const TestDnsServer server(Answers({"bad"}));
  EXPECT_THAT(Run(server.address(), Context(), absl::Milliseconds(50)),
              StatusIs(kUnavailable, HasSubstr("gave an answer that is bad")));
}

TEST_P(ExchangeTest, GivesUpOnASilentServer) {
  // Over TCP, TestDnsServer closes a connection it has no answer for; over UDP it is silent.
  const TestDnsServer server(Answers({}));
  EXPECT_THAT(
      Run(server.address(), Context(), absl::Milliseconds(50)),
      StatusIs(kUnavailable,
               HasSubstr(absl::StrCat(server.address(), udp() ? " over UDP" : " over TCP"))));
}

TEST_P(ExchangeTest, NamesAServerThatIsNotThere) {
  std::string address;
  {
    const TestDnsServer server(Answers({}));
    address = server.address();
  }
  EXPECT_THAT(Run(address, Context()), StatusIs(kUnavailable, HasSubstr(address)));
}

TEST_P(ExchangeTest, EndsWithItsContext) {
  std::promise<void> asked;
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::atomic<bool> first = true;
  const TestDnsServer server([&](const TestDnsServer::Request&) {
    if (first.exchange(false)) asked.set_value();
    released.wait();
    return std::vector<std::string>();
  });
  auto cancellation = std::make_shared<runtime::Cancellation>();
  const runtime::Context context(base::Clock::Real(), Context().deadline(), cancellation);
  std::promise<absl::StatusOr<std::string>> promise;
  AcceptAnswer accept([](absl::string_view) { return absl::OkStatus(); });
  runtime::SpawnThen<absl::StatusOr<std::string>>(
      pool_.executor(),
      Exchange(*timers_, context, GetParam(), *ParseServerAddress(server.address()), kPacket,
               absl::Seconds(20), std::move(accept)),
      [&](absl::StatusOr<std::string> answer) { promise.set_value(std::move(answer)); });
  asked.get_future().get();
  cancellation->Cancel();
  EXPECT_THAT(promise.get_future().get(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(Run(server.address(), Context(absl::Milliseconds(30))),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  release.set_value();
}

INSTANTIATE_TEST_SUITE_P(Transports, ExchangeTest,
                         testing::Values(Transport::kUdp, Transport::kTcp),
                         [](const auto& info) {
                           return info.param == Transport::kUdp ? "Udp" : "Tcp";
                         });

}  // namespace
}  // namespace certwright::dns
