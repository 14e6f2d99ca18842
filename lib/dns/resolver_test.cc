#include "lib/dns/resolver.h"

#include <cstdio>
#include <fstream>
#include <future>
#include <mutex>
#include <set>

#include "absl/strings/str_cat.h"
#include "lib/base/clock.h"
#include "lib/base/status_matchers.h"
#include "lib/dns/resolver_fake.h"
#include "lib/dns/test_dns_server.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::dns {
namespace {

using base::StatusIs;
using testing::HasSubstr;
using testing::Not;
using Request = TestDnsServer::Request;

constexpr auto kUnavailable = absl::StatusCode::kUnavailable;

std::vector<std::string> AnswerWith(const Request& request, Message message) {
  return {TestDnsServer::Reply(request, std::move(message))};
}

TestDnsServer::Handler Always(Message message) {
  return [message](const Request& request) { return AnswerWith(request, message); };
}

// A message over what UDP may carry.
Message Large() {
  std::vector<Record> records;
  for (int i = 0; i < 40; ++i) {
    records.push_back(TxtRecord("a.test", absl::StrCat(i, std::string(40, 'x'))));
  }
  return Answering(std::move(records));
}

// A loopback port at which nobody listens: one that was just given back.
std::string UnusedAddress() {
  const TestDnsServer server(Always(Message()));
  return server.address();
}

class AresDnsResolverTest : public testing::Test {
 protected:
  AresDnsResolverTest()
      : pool_(2),
        timers_(runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real())),
        resolver_(std::make_unique<AresDnsResolver>(pool_.executor(), *timers_)) {}
  ~AresDnsResolverTest() override { pool_.Stop(); }

  static runtime::Context Context(absl::Duration timeout = absl::Seconds(20)) {
    return runtime::Context::WithTimeout(base::Clock::Real(), timeout);
  }
  absl::StatusOr<Answer> Resolve(Query query, runtime::Context context = Context()) {
    return runtime::RunSyncOn(pool_.executor(), resolver_->Resolve(context, std::move(query)));
  }
  static Query Txt(std::vector<std::string> servers, std::string name = "a.test") {
    Query query;
    query.name = std::move(name);
    query.type = RecordType::kTxt;
    query.servers = std::move(servers);
    query.timeout = absl::Seconds(5);
    return query;
  }

  runtime::ThreadPool pool_;
  std::unique_ptr<runtime::Timers> timers_;
  std::unique_ptr<AresDnsResolver> resolver_;
};

// Fault 73.
TEST_F(AresDnsResolverTest, AsksWithEdnsAndReturnsTheAnswer) {
  std::promise<Message> asked;
  const TestDnsServer server([&](const Request& request) {
    asked.set_value(request.message);
    return AnswerWith(request, Answering({TxtRecord("a.test", "value")}));
  });
  CW_ASSERT_OK_AND_ASSIGN(const Answer answer, Resolve(Txt({server.address()}, "A.Test.")));
  EXPECT_EQ(answer.server, server.address());
  EXPECT_GT(answer.elapsed, absl::ZeroDuration());
  EXPECT_TRUE(answer.message.authoritative);
  EXPECT_NE(FindRecord(answer.message.answers, "a.test", RecordType::kTxt), nullptr);
  const Message message = asked.get_future().get();
  EXPECT_TRUE(message.recursion_desired);
  ASSERT_EQ(message.questions.size(), 1u);
  EXPECT_EQ(message.questions[0].name, "a.test");
  ASSERT_EQ(message.additional.size(), 1u);
  EXPECT_EQ(message.additional[0].type, RecordType::kOpt);
  EXPECT_EQ(message.additional[0].record_class, 1232);
}

TEST_F(AresDnsResolverTest, AsksForTheRootWithoutRecursion) {
  const TestDnsServer server([&](const Request& request) {
    return AnswerWith(request, request.message.recursion_desired
                                   ? Failing(Rcode::kRefused)
                                   : Answering({NsRecord("", "a.root.test")}));
  });
  Query query = Txt({server.address()}, "");
  query.type = RecordType::kNs;
  query.recursion_desired = false;
  CW_ASSERT_OK_AND_ASSIGN(const Answer answer, Resolve(std::move(query)));
  EXPECT_EQ(answer.message.answers.size(), 1u);
}

TEST_F(AresDnsResolverTest, EveryRcodeIsAnAnswerOfTheFirstServer) {
  for (const Rcode rcode : {Rcode::kNxDomain, Rcode::kServFail, Rcode::kNotImp, Rcode::kRefused,
                            Rcode::kNotAuth, Rcode::kFormErr}) {
    Message message = NoData("test");
    message.rcode = rcode;
    const TestDnsServer server(Always(message));
    const TestDnsServer other(Always(Answering({})));
    CW_ASSERT_OK_AND_ASSIGN(const Answer answer,
                            Resolve(Txt({server.address(), other.address()})));
    EXPECT_EQ(answer.message.rcode, rcode);
    EXPECT_EQ(answer.server, server.address());
    EXPECT_EQ(answer.message.authority.size(), 1u);
    EXPECT_EQ(other.udp_requests(), 0);
  }
}

// Fault 73.
TEST_F(AresDnsResolverTest, GoesOverTcpWhenTheAnswerIsTruncated) {
  const TestDnsServer server([](const Request& request) {
    Message truncated;
    truncated.truncated = true;
    return AnswerWith(request, request.tcp ? Large() : truncated);
  });
  CW_ASSERT_OK_AND_ASSIGN(const Answer answer, Resolve(Txt({server.address()})));
  EXPECT_EQ(answer.message.answers.size(), 40u);
  EXPECT_FALSE(answer.message.truncated);
  EXPECT_EQ(server.tcp_requests(), 1);
}

// Fault 73.
TEST_F(AresDnsResolverTest, NamesAServerThatTruncatesAndRefusesTcp) {
  TestDnsServer::Options options;
  options.tcp = false;
  const TestDnsServer server(
      [](const Request& request) {
        Message truncated;
        truncated.truncated = true;
        return AnswerWith(request, truncated);
      },
      options);
  EXPECT_THAT(Resolve(Txt({server.address()})),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(server.address())));
}

TEST_F(AresDnsResolverTest, DoesWithoutEdnsWhereTheServerKnowsNone) {
  const TestDnsServer server([](const Request& request) {
    return AnswerWith(request, request.message.additional.empty()
                                   ? Answering({TxtRecord("a.test", "value")})
                                   : Failing(Rcode::kFormErr));
  });
  for (int i = 0; i < 3; ++i) {
    CW_ASSERT_OK_AND_ASSIGN(const Answer answer, Resolve(Txt({server.address()})));
    EXPECT_EQ(answer.message.answers.size(), 1u);
  }
}

// What servers that cannot read a query with EDNS say, in octets after the id.
struct EdnsRefusal {
  const char* name;
  std::string octets;
};
class EdnsRefusalTest : public AresDnsResolverTest,
                        public testing::WithParamInterface<EdnsRefusal> {};

// Fault 108.
TEST_P(EdnsRefusalTest, IsAskedAgainWithoutEdns) {
  const TestDnsServer server([](const Request& request) {
    if (request.message.additional.empty()) {
      return AnswerWith(request, Answering({TxtRecord("a.test", "value")}));
    }
    return std::vector<std::string>{request.packet.substr(0, 2) + GetParam().octets};
  });
  for (int i = 0; i < 2; ++i) {
    CW_ASSERT_OK_AND_ASSIGN(const Answer answer, Resolve(Txt({server.address()})));
    EXPECT_EQ(answer.message.answers.size(), 1u);
    // Nobody waited for a timeout of 5 s.
    EXPECT_LT(answer.elapsed, absl::Seconds(4));
  }
}

INSTANTIATE_TEST_SUITE_P(
    , EdnsRefusalTest,
    testing::Values(
        EdnsRefusal{"AHeaderAlone", std::string("\x80\x01\0\0\0\0\0\0\0\0", 10)},
        EdnsRefusal{"AHeaderThatCopiesFlags", std::string("\x81\x81\0\0\0\0\0\0\0\0", 10)},
        EdnsRefusal{"NotImplemented", std::string("\x80\x04\0\0\0\0\0\0\0\0", 10)},
        EdnsRefusal{"WithAnOptRecord",
                    std::string("\x80\x01\0\0\0\0\0\0\0\1\0\0\x29\x04\xd0\0\0\0\0\0\0", 21)},
        EdnsRefusal{"WithOctetsBehindTheHeader",
                    std::string("\x80\x01\0\0\0\0\0\0\0\0\0\0\0", 13)}),
    [](const testing::TestParamInfo<EdnsRefusal>& info) { return info.param.name; });

// Fault 108.
TEST_F(AresDnsResolverTest, AnErrorByAHeaderAloneIsAnAnswer) {
  for (const Rcode rcode : {Rcode::kFormErr, Rcode::kServFail, Rcode::kRefused}) {
    const TestDnsServer server([rcode](const Request& request) {
      std::string octets("\x80\0\0\0\0\0\0\0\0\0", 10);
      octets[1] = static_cast<char>(rcode);
      return std::vector<std::string>{request.packet.substr(0, 2) + octets};
    });
    CW_ASSERT_OK_AND_ASSIGN(const Answer answer, Resolve(Txt({server.address()})));
    EXPECT_EQ(answer.message.rcode, rcode);
  }
}

// Fault 77.
TEST_F(AresDnsResolverTest, AHeaderAloneIsBelievedOnlyAsAnErrorAndWithTheId) {
  const TestDnsServer server([](const Request& request) {
    const std::string id = request.packet.substr(0, 2);
    const std::string other_id = {static_cast<char>(id[0] ^ 0x55), id[1]};
    return std::vector<std::string>{
        other_id + std::string("\x80\x01\0\0\0\0\0\0\0\0", 10),
        id + std::string("\x80\x03\0\0\0\0\0\0\0\0", 10),
        id + std::string("\x84\0\0\0\0\0\0\0\0\0", 10),
        id + std::string("\0\x01\0\0\0\0\0\0\0\0", 10),
        TestDnsServer::Reply(request, Answering({TxtRecord("a.test", "good")}))};
  });
  CW_ASSERT_OK_AND_ASSIGN(const Answer answer, Resolve(Txt({server.address()})));
  ASSERT_EQ(answer.message.answers.size(), 1u);
  EXPECT_EQ(server.udp_requests(), 1);
}

TEST_F(AresDnsResolverTest, TriesTheNextServerAndNamesAllThatFailed) {
  const std::string closed = UnusedAddress();
  const TestDnsServer silent([](const Request&) { return std::vector<std::string>(); });
  const TestDnsServer good(Always(Answering({})));
  Query query = Txt({closed, silent.address(), good.address()});
  query.timeout = absl::Milliseconds(50);
  CW_ASSERT_OK_AND_ASSIGN(const Answer answer, Resolve(query));
  EXPECT_EQ(answer.server, good.address());
  EXPECT_EQ(silent.udp_requests(), query.attempts);

  query.servers.pop_back();
  const absl::StatusOr<Answer> failed = Resolve(query);
  EXPECT_THAT(failed, StatusIs(kUnavailable, HasSubstr("TXT of a.test")));
  EXPECT_THAT(failed, StatusIs(kUnavailable, HasSubstr(absl::StrCat(closed, ": refused"))));
  EXPECT_THAT(failed, StatusIs(kUnavailable,
                               HasSubstr(absl::StrCat(silent.address(), ": did not answer"))));
}

TEST_F(AresDnsResolverTest, RecoversWhenAServerComesBack) {
  std::atomic<bool> silent = true;
  const TestDnsServer server([&](const Request& request) {
    return silent ? std::vector<std::string>() : AnswerWith(request, Answering({}));
  });
  Query query = Txt({server.address()});
  query.timeout = absl::Milliseconds(50);
  EXPECT_THAT(Resolve(query), StatusIs(kUnavailable));
  silent = false;
  query.timeout = absl::Seconds(5);
  CW_EXPECT_OK(Resolve(query));
}

// Fault 77.
TEST_F(AresDnsResolverTest, PassesOverForgedAnswers) {
  const TestDnsServer server([](const Request& request) {
    const std::string good =
        TestDnsServer::Reply(request, Answering({TxtRecord("a.test", "good")}));
    std::string other_id =
        TestDnsServer::Reply(request, Answering({TxtRecord("a.test", "bad")}));
    other_id[0] ^= 0x55;
    Request other = request;
    other.message.questions[0].name = "b.test";
    const std::string other_question =
        TestDnsServer::Reply(other, Answering({TxtRecord("a.test", "bad")}));
    return std::vector<std::string>{other_id, other_question, good};
  });
  CW_ASSERT_OK_AND_ASSIGN(const Answer answer, Resolve(Txt({server.address()})));
  EXPECT_EQ(std::get<TextData>(answer.message.answers[0].data).text, "good");
}

TEST_F(AresDnsResolverTest, ABrokenAnswerIsAFailureOfThatServer) {
  const TestDnsServer server([](const Request& request) {
    std::string reply = TestDnsServer::Reply(request, Answering({TxtRecord("a.test", "x")}));
    reply.resize(reply.size() - 1);
    return std::vector<std::string>{reply};
  });
  EXPECT_THAT(
      Resolve(Txt({server.address()})),
      StatusIs(kUnavailable, HasSubstr(absl::StrCat(server.address(), " gave a broken"))));
}

TEST_F(AresDnsResolverTest, EndsWithItsContext) {
  const TestDnsServer silent([](const Request&) { return std::vector<std::string>(); });
  EXPECT_THAT(Resolve(Txt({silent.address()}), Context(absl::Milliseconds(30))),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr(silent.address())));

  auto cancellation = std::make_shared<runtime::Cancellation>();
  const runtime::Context context(base::Clock::Real(), Context().deadline(), cancellation);
  std::promise<absl::StatusOr<Answer>> promise;
  runtime::SpawnThen<absl::StatusOr<Answer>>(
      pool_.executor(), resolver_->Resolve(context, Txt({silent.address()})),
      [&](absl::StatusOr<Answer> answer) { promise.set_value(std::move(answer)); });
  cancellation->Cancel();
  EXPECT_THAT(promise.get_future().get(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(AresDnsResolverTest, EndsItsQueriesWhenDestroyed) {
  std::promise<void> asked;
  std::atomic<bool> first = true;
  const TestDnsServer silent([&](const Request&) {
    if (first.exchange(false)) asked.set_value();
    return std::vector<std::string>();
  });
  std::promise<absl::StatusOr<Answer>> promise;
  runtime::SpawnThen<absl::StatusOr<Answer>>(
      pool_.executor(), resolver_->Resolve(Context(), Txt({silent.address()})),
      [&](absl::StatusOr<Answer> answer) { promise.set_value(std::move(answer)); });
  asked.get_future().get();
  resolver_.reset();
  EXPECT_THAT(promise.get_future().get(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(AresDnsResolverTest, DropsQueriesWithTheLoopThatRanThem) {
  std::promise<void> asked;
  std::atomic<bool> first = true;
  const TestDnsServer silent([&](const Request&) {
    if (first.exchange(false)) asked.set_value();
    return std::vector<std::string>();
  });
  runtime::SpawnThen<absl::StatusOr<Answer>>(
      pool_.executor(), resolver_->Resolve(Context(), Txt({silent.address()})),
      [](const absl::StatusOr<Answer>&) { ADD_FAILURE() << "the loop had stopped"; });
  asked.get_future().get();
  // The destructor stops the pool first; a leak or a use after free is for the sanitizers.
}

TEST_F(AresDnsResolverTest, RefusesWhatIsNoQuery) {
  EXPECT_THAT(Resolve(Txt({"dns.example"})), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Resolve(Txt({"192.0.2.1"}, "a b")), StatusIs(absl::StatusCode::kInvalidArgument));
  for (const int attempts : {-1, 0, 9}) {
    Query query = Txt({"192.0.2.1"});
    query.attempts = attempts;
    EXPECT_THAT(Resolve(query), StatusIs(absl::StatusCode::kInvalidArgument)) << attempts;
  }
  for (const absl::Duration timeout :
       {-absl::Seconds(1), absl::ZeroDuration(), absl::Microseconds(999),
        absl::Minutes(1) + absl::Nanoseconds(1), absl::InfiniteDuration()}) {
    Query query = Txt({"192.0.2.1"});
    query.timeout = timeout;
    EXPECT_THAT(Resolve(query), StatusIs(absl::StatusCode::kInvalidArgument)) << timeout;
  }
}

TEST_F(AresDnsResolverTest, TakesTheSystemsServersFromResolvConf) {
  const std::string path = absl::StrCat(testing::TempDir(), "/resolv.conf");
  std::ofstream(path) << "nameserver 127.0.0.1\nsearch example.test\n"
                      << "options timeout:1 attempts:1\n";
  AresDnsResolver::Options options;
  options.resolv_conf = path;
  AresDnsResolver resolver(pool_.executor(), *timers_, options);
  Query query = Txt({});
  query.timeout = absl::Milliseconds(20);
  query.attempts = 1;
  // Nothing answers at port 53 of loopback here, or something does: either names the server.
  const absl::StatusOr<Answer> answer =
      runtime::RunSyncOn(pool_.executor(), resolver.Resolve(Context(), query));
  if (answer.ok()) {
    EXPECT_EQ(answer->server, "127.0.0.1:53");
  } else {
    EXPECT_THAT(answer, StatusIs(kUnavailable, HasSubstr("127.0.0.1:53")));
  }
  std::remove(path.c_str());
}

// 2001:db8::/32 is routed nowhere, which a host without IPv6 knows and others do not.
TEST_F(AresDnsResolverTest, TellsAMissingIpv6RouteFromAServerThatIsDown) {
  Query query = Txt({"[2001:db8::1]:53"});
  query.timeout = absl::Milliseconds(20);
  query.attempts = 1;
  const absl::StatusOr<Answer> answer = Resolve(query);
  ASSERT_THAT(answer, StatusIs(kUnavailable, HasSubstr("[2001:db8::1]:53")));
  if (IsNoRoute(answer.status())) {
    EXPECT_THAT(answer, StatusIs(kUnavailable, HasSubstr("no IPv6 route")));
  }
  query.servers = {UnusedAddress()};
  const absl::StatusOr<Answer> closed = Resolve(query);
  ASSERT_THAT(closed, Not(base::IsOk()));
  EXPECT_FALSE(IsNoRoute(closed.status()));
  EXPECT_TRUE(IsNoRoute(NoRouteError("[::1]:53")));
}

// Fault 77.
TEST_F(AresDnsResolverTest, RunsManyQueriesAtOnceWithIdsAndPortsThatVary) {
  std::mutex mutex;
  std::set<uint16_t> ids;
  const TestDnsServer server([&](const Request& request) {
    const std::lock_guard<std::mutex> lock(mutex);
    ids.insert(request.message.id);
    // Each tenth goes over TCP.
    Message message = Answering({TxtRecord(request.message.questions[0].name, "x")});
    message.truncated = !request.tcp && request.message.id % 10 == 0;
    return AnswerWith(request, std::move(message));
  });
  // More at once than a socket's buffer holds.
  constexpr int kQueries = 3000;
  auto all = [&]() -> runtime::Awaitable<int> {
    std::vector<runtime::Awaitable<absl::StatusOr<Answer>>> tasks;
    for (int i = 0; i < kQueries; ++i) {
      tasks.push_back(resolver_->Resolve(
          Context(), Txt({server.address()}, absl::StrCat("n", i, ".test"))));
    }
    const auto answers = co_await runtime::WhenAll(std::move(tasks));
    int good = 0;
    for (const auto& answer : answers) {
      CW_EXPECT_OK(answer);
      if (answer.ok() && answer->message.answers.size() == 1) ++good;
    }
    co_return good;
  };
  EXPECT_EQ(runtime::RunSyncOn(pool_.executor(), all()), kQueries);
  // Of 3000 random ids of 16 bits, about 68 come twice. A query that was sent once more may
  // still be on its way to the server.
  const std::lock_guard<std::mutex> lock(mutex);
  EXPECT_GT(ids.size(), 2800u);
}

TEST_F(AresDnsResolverTest, KeepsFewChannelsHoweverManyServersThereAre) {
  AresDnsResolver::Options options;
  options.max_idle_channels = 2;
  AresDnsResolver resolver(pool_.executor(), *timers_, options);
  std::vector<std::unique_ptr<TestDnsServer>> servers;
  for (int i = 0; i < 5; ++i) {
    servers.push_back(std::make_unique<TestDnsServer>(Always(Answering({}))));
  }
  for (int round = 0; round < 3; ++round) {
    for (const auto& server : servers) {
      CW_EXPECT_OK(runtime::RunSyncOn(pool_.executor(),
                                      resolver.Resolve(Context(), Txt({server->address()}))));
    }
  }
}

}  // namespace
}  // namespace certwright::dns
