#include "tests/fakes/dns_server.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/dns/resolver.h"
#include "lib/dns/rfc2136.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::fakes {
namespace {

using base::StatusIs;
using dns::Rcode;
using dns::RecordType;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Kind = DnsFault::Kind;

constexpr char kName[] = "_acme-challenge.example.test";

class DnsServerTest : public testing::Test {
 protected:
  ~DnsServerTest() override { pool_.Stop(); }

  static runtime::Context NewContext() {
    return runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(10));
  }
  absl::StatusOr<dns::Answer> Ask(const std::string& name, RecordType type) {
    dns::Query query;
    query.name = name;
    query.type = type;
    query.servers = {server_.address()};
    query.recursion_desired = false;
    query.timeout = absl::Milliseconds(300);
    query.attempts = 1;
    return runtime::RunSyncOn(pool_.executor(), resolver_.Resolve(NewContext(), query));
  }
  absl::Status Update(dns::TxtChange::Kind kind, const std::string& value,
                      const std::string& secret) {
    dns::UpdateTarget target;
    target.servers = {server_.address()};
    target.zone = "example.test";
    auto key = std::make_shared<dns::TsigKey>();
    key->name = server_.tsig_key_name();
    key->secret = base::Secret(std::string(secret));
    target.key = std::move(key);
    target.timeout = absl::Milliseconds(300);
    dns::TxtChange change;
    change.kind = kind;
    change.name = kName;
    change.value = value;
    std::vector<dns::TxtChange> changes = {change};
    return runtime::RunSyncOn(
        pool_.executor(), updater_.Update(NewContext(), std::move(target), std::move(changes)));
  }
  absl::Status Add(const std::string& value) {
    return Update(dns::TxtChange::Kind::kAdd, value, server_.tsig_secret());
  }
  void InjectOnce(Kind kind, bool updates = false) {
    DnsFault fault;
    fault.kind = kind;
    fault.updates = updates;
    server_.Inject(fault);
  }

  runtime::ThreadPool pool_{1};
  std::unique_ptr<runtime::Timers> timers_ =
      runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real());
  dns::AresDnsResolver resolver_{pool_.executor(), *timers_};
  dns::Rfc2136Client updater_{*timers_};
  DnsServer server_;
};

TEST_F(DnsServerTest, ServesItsZonesAndRefusesOthers) {
  CW_ASSERT_OK_AND_ASSIGN(const auto address, Ask("www.example.test", RecordType::kA));
  ASSERT_EQ(address.message.answers.size(), 1u);
  EXPECT_TRUE(address.message.authoritative);
  CW_ASSERT_OK_AND_ASSIGN(const auto soa, Ask("example.test", RecordType::kSoa));
  EXPECT_EQ(soa.message.answers.size(), 1u);
  CW_ASSERT_OK_AND_ASSIGN(const auto none, Ask(kName, RecordType::kTxt));
  EXPECT_THAT(none.message.answers, IsEmpty());
  EXPECT_EQ(none.message.authority.size(), 1u);
  CW_ASSERT_OK_AND_ASSIGN(const auto other, Ask("www.other.test", RecordType::kA));
  EXPECT_EQ(other.message.rcode, Rcode::kRefused);
}

TEST_F(DnsServerTest, FollowsAliases) {
  server_.AddCname(kName, "proof.example.test");
  server_.AddTxt("proof.example.test", "value");
  CW_ASSERT_OK_AND_ASSIGN(const auto answer, Ask(kName, RecordType::kTxt));
  ASSERT_EQ(answer.message.answers.size(), 2u);
  EXPECT_EQ(std::get<dns::TextData>(answer.message.answers[1].data).text, "value");
}

TEST_F(DnsServerTest, ManyValuesComeOverTcp) {
  for (int i = 0; i < 40; ++i)
    server_.AddTxt(kName, std::string(43, static_cast<char>('A' + i)));
  CW_ASSERT_OK_AND_ASSIGN(const auto answer, Ask(kName, RecordType::kTxt));
  EXPECT_EQ(answer.message.answers.size(), 40u);
}

TEST_F(DnsServerTest, TakesSignedUpdatesByValueAndRefusesOthers) {
  CW_ASSERT_OK(Add("one"));
  CW_ASSERT_OK(Add("two"));
  CW_ASSERT_OK(Add("two"));
  EXPECT_THAT(server_.TxtValues(kName), UnorderedElementsAre("one", "two"));
  CW_ASSERT_OK(Update(dns::TxtChange::Kind::kRemove, "one", server_.tsig_secret()));
  EXPECT_THAT(server_.TxtValues(kName), ElementsAre("two"));
  EXPECT_EQ(server_.updates(), 4);
  const absl::Status refused =
      Update(dns::TxtChange::Kind::kAdd, "three", "dGhpcyBpcyBubyBzZWNyZXQ=");
  EXPECT_EQ(dns::UpdateRcode(refused), Rcode::kBadSig) << refused;
  EXPECT_THAT(server_.TxtValues(kName), ElementsAre("two"));
}

TEST_F(DnsServerTest, AnUpdateTakesEffectThoughItsAnswerIsLost) {
  DnsFault fault;
  fault.kind = Kind::kLoseAnswer;
  fault.updates = true;
  fault.times = DnsFault::kForever;
  server_.Inject(fault);
  EXPECT_THAT(Add("one"), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(server_.TxtValues(kName), ElementsAre("one"));
  server_.ClearFaults();
  CW_EXPECT_OK(Add("one"));
  EXPECT_THAT(server_.TxtValues(kName), ElementsAre("one"));
}

TEST_F(DnsServerTest, UpdatesFailWithTheRcodeAskedFor) {
  DnsFault fault;
  fault.kind = Kind::kRcode;
  fault.rcode = Rcode::kServFail;
  fault.updates = true;
  server_.Inject(fault);
  EXPECT_EQ(dns::UpdateRcode(Add("one")), Rcode::kServFail);
  EXPECT_THAT(server_.TxtValues(kName), IsEmpty());
}

TEST_F(DnsServerTest, QueriesFailAsAskedForAndOnlyThoseForTheName) {
  DnsFault fault;
  fault.kind = Kind::kRcode;
  fault.rcode = Rcode::kNxDomain;
  fault.name = kName;
  server_.Inject(fault);
  CW_ASSERT_OK_AND_ASSIGN(const auto other, Ask("www.example.test", RecordType::kA));
  EXPECT_EQ(other.message.rcode, Rcode::kNoError);
  CW_ASSERT_OK_AND_ASSIGN(const auto hit, Ask(kName, RecordType::kTxt));
  EXPECT_EQ(hit.message.rcode, Rcode::kNxDomain);
  InjectOnce(Kind::kLame);
  CW_ASSERT_OK_AND_ASSIGN(const auto lame, Ask(kName, RecordType::kTxt));
  EXPECT_FALSE(lame.message.authoritative);
  InjectOnce(Kind::kDrop);
  EXPECT_FALSE(Ask(kName, RecordType::kTxt).ok());
  InjectOnce(Kind::kWrongId);
  EXPECT_FALSE(Ask(kName, RecordType::kTxt).ok());
  InjectOnce(Kind::kWrongQuestion);
  EXPECT_FALSE(Ask(kName, RecordType::kTxt).ok());
  CW_EXPECT_OK(Ask(kName, RecordType::kTxt));
}

TEST_F(DnsServerTest, TruncatesOverUdpOnlyAndDelaysOneAnswer) {
  server_.AddTxt(kName, "value");
  InjectOnce(Kind::kTruncate);
  CW_ASSERT_OK_AND_ASSIGN(const auto answer, Ask(kName, RecordType::kTxt));
  EXPECT_EQ(answer.message.answers.size(), 1u);
  DnsFault fault;
  fault.delay = absl::Milliseconds(150);
  server_.Inject(fault);
  CW_ASSERT_OK_AND_ASSIGN(const auto late, Ask(kName, RecordType::kTxt));
  EXPECT_GE(late.elapsed, absl::Milliseconds(150));
}

}  // namespace
}  // namespace certwright::fakes
