#include "lib/dns/update_batcher.h"

#include <cstddef>
#include <functional>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "boost/asio/io_context.hpp"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/fake_timers.h"

namespace certwright::dns {
namespace {

using base::StatusIs;
using testing::ElementsAre;
using testing::IsEmpty;

// Records the batches, and holds their results back until the test gives them.
class FakeUpdater final : public TxtUpdater {
 public:
  struct Call {
    std::optional<runtime::Context> context;
    UpdateTarget target;
    std::vector<std::string> values;
    absl::AnyInvocable<void(absl::Status)> done;
  };

  runtime::Awaitable<absl::Status> Update(runtime::Context context, UpdateTarget target,
                                          std::vector<TxtChange> changes) override {
    auto start = [&](absl::AnyInvocable<void(absl::Status)> done) {
      Call& call = calls.emplace_back();
      call.context = context;
      call.target = std::move(target);
      for (const TxtChange& change : changes) call.values.push_back(change.value);
      call.done = std::move(done);
      if (answer) call.done(answer(call.values));
    };
    co_return co_await runtime::AwaitCallback<absl::Status>(std::move(start));
  }

  std::vector<Call> calls;
  // If set, gives results at once.
  std::function<absl::Status(const std::vector<std::string>&)> answer;
};

absl::Status Refused() { return UpdateStatus(Rcode::kRefused, "192.0.2.1:53", "test"); }

class UpdateBatcherTest : public testing::Test {
 protected:
  UpdateBatcherTest() : timers_(clock_) { Make(UpdateBatcher::Options()); }

  static UpdateTarget Target(std::string zone) {
    UpdateTarget target;
    target.servers = {"192.0.2.1"};
    target.zone = std::move(zone);
    return target;
  }
  static UpdateTarget Target() { return Target("test"); }

  void Make(UpdateBatcher::Options options) {
    batcher_ =
        std::make_unique<UpdateBatcher>(loop_.get_executor(), timers_, updater_, options);
  }
  // Results arrive in results_ under the value.
  void Apply(const std::string& value, UpdateTarget target = Target(),
             std::shared_ptr<runtime::Cancellation> cancellation = nullptr) {
    TxtChange change;
    change.name = "a.test";
    change.value = value;
    const runtime::Context context(clock_, clock_.MonotonicNow() + absl::Seconds(10),
                                   std::move(cancellation));
    runtime::SpawnThen<absl::Status>(
        loop_.get_executor(), batcher_->Apply(context, std::move(target), std::move(change)),
        [this, value](absl::Status status) { results_[value] = std::move(status); });
    RunLoop();
  }
  void RunLoop() {
    loop_.restart();
    loop_.poll();
  }
  void Pass(absl::Duration duration) {
    clock_.Advance(duration);
    RunLoop();
  }
  void Finish(std::size_t call, absl::Status status) {
    updater_.calls[call].done(std::move(status));
    RunLoop();
  }
  static UpdateTarget Signed(const std::string& secret) {
    auto key = std::make_shared<TsigKey>();
    key->name = "key";
    key->secret = base::Secret(std::string(secret));
    UpdateTarget target = Target();
    target.key = std::move(key);
    return target;
  }

  boost::asio::io_context loop_;
  base::FakeClock clock_;
  runtime::FakeTimers timers_;
  FakeUpdater updater_;
  std::unique_ptr<UpdateBatcher> batcher_;
  std::map<std::string, absl::Status> results_;
};

TEST_F(UpdateBatcherTest, SendsWhatComesWithinTheWindowAsOneUpdate) {
  Apply("1");
  Pass(absl::Milliseconds(4));
  Apply("2");
  EXPECT_THAT(updater_.calls, IsEmpty());
  Pass(absl::Milliseconds(1));
  ASSERT_EQ(updater_.calls.size(), 1u);
  EXPECT_THAT(updater_.calls[0].values, ElementsAre("1", "2"));
  EXPECT_THAT(results_, IsEmpty());
  Finish(0, absl::OkStatus());
  EXPECT_EQ(results_.size(), 2u);
  CW_EXPECT_OK(results_["1"]);
  CW_EXPECT_OK(results_["2"]);
}

TEST_F(UpdateBatcherTest, CollectsWhileAnUpdateIsInFlightAndSendsThatAtOnce) {
  Apply("1");
  Pass(absl::Milliseconds(5));
  Apply("2");
  Pass(absl::Milliseconds(50));
  Apply("3");
  ASSERT_EQ(updater_.calls.size(), 1u);
  Finish(0, absl::OkStatus());
  ASSERT_EQ(updater_.calls.size(), 2u);
  EXPECT_THAT(updater_.calls[1].values, ElementsAre("2", "3"));
  Finish(1, absl::OkStatus());
  EXPECT_EQ(results_.size(), 3u);
  // The zone is idle again: the next change waits for its window.
  Apply("4");
  EXPECT_EQ(updater_.calls.size(), 2u);
  Pass(absl::Milliseconds(5));
  EXPECT_EQ(updater_.calls.size(), 3u);
}

TEST_F(UpdateBatcherTest, SendsAFullBatchAtOnceAndTheRestAfterIt) {
  UpdateBatcher::Options options;
  options.max_changes = 2;
  Make(options);
  updater_.answer = [](const auto&) { return absl::OkStatus(); };
  Apply("1");
  Apply("2");
  ASSERT_EQ(updater_.calls.size(), 1u);
  Apply("3");
  Pass(absl::Milliseconds(5));
  ASSERT_EQ(updater_.calls.size(), 2u);
  EXPECT_THAT(updater_.calls[1].values, ElementsAre("3"));
}

TEST_F(UpdateBatcherTest, KeepsToTheBytesOfABatch) {
  UpdateBatcher::Options options;
  options.max_bytes = 1000;
  Make(options);
  updater_.answer = [](const auto&) { return absl::OkStatus(); };
  Apply(std::string(700, 'a'));
  Apply(std::string(701, 'b'));
  ASSERT_EQ(updater_.calls.size(), 2u);
  EXPECT_EQ(updater_.calls[0].values.size(), 1u);
  EXPECT_EQ(results_.size(), 2u);
}

TEST_F(UpdateBatcherTest, KeepsZonesServersAndKeysApart) {
  Apply("1");
  Apply("2", Target("other.test"));
  Apply("3", Target("TEST."));
  UpdateTarget elsewhere = Target();
  elsewhere.servers = {"192.0.2.2"};
  Apply("4", elsewhere);
  Apply("5", Signed("c2VjcmV0"));
  // The same key name with another secret is another key.
  Apply("6", Signed("Z3Vlc3M="));
  Pass(absl::Milliseconds(5));
  std::vector<std::vector<std::string>> batches;
  for (const auto& call : updater_.calls) batches.push_back(call.values);
  EXPECT_THAT(batches, testing::UnorderedElementsAre(ElementsAre("1", "3"), ElementsAre("2"),
                                                     ElementsAre("4"), ElementsAre("5"),
                                                     ElementsAre("6")));
}

TEST_F(UpdateBatcherTest, KeepsApartWhatIsSentOrSignedInAnotherWay) {
  const auto signed_by = [](const std::string& name, TsigAlgorithm algorithm) {
    auto key = std::make_shared<TsigKey>();
    key->name = name;
    key->algorithm = algorithm;
    key->secret = base::Secret(std::string("c2VjcmV0"));
    UpdateTarget target = Target();
    target.key = std::move(key);
    return target;
  };
  UpdateTarget by_tcp = Target();
  by_tcp.tcp_only = true;
  UpdateTarget patient = Target();
  patient.timeout = absl::Seconds(9);
  const std::vector<UpdateTarget> targets = {Target(),
                                             by_tcp,
                                             patient,
                                             signed_by("key", TsigAlgorithm::kHmacSha256),
                                             signed_by("other", TsigAlgorithm::kHmacSha256),
                                             signed_by("key", TsigAlgorithm::kHmacSha512)};
  for (std::size_t i = 0; i < targets.size(); ++i) Apply(absl::StrCat(i), targets[i]);
  Pass(absl::Milliseconds(5));
  ASSERT_EQ(updater_.calls.size(), targets.size());
  for (const auto& call : updater_.calls) EXPECT_EQ(call.values.size(), 1u);
}

// It is an update of others too.
TEST_F(UpdateBatcherTest, AnUpdateHasItsOwnTimeAndOutlivesWhoeverAskedForIt) {
  auto cancellation = std::make_shared<runtime::Cancellation>();
  Apply("1", Target(), cancellation);
  Pass(absl::Milliseconds(5));
  ASSERT_EQ(updater_.calls.size(), 1u);
  EXPECT_EQ(updater_.calls[0].context->Remaining(), absl::Seconds(30));
  cancellation->Cancel();
  RunLoop();
  EXPECT_THAT(results_["1"], StatusIs(absl::StatusCode::kCancelled));
  CW_EXPECT_OK(updater_.calls[0].context->Check());
}

TEST_F(UpdateBatcherTest, OneBadChangeDoesNotFailTheOthers) {
  updater_.answer = [](const std::vector<std::string>& values) {
    const bool bad = std::count(values.begin(), values.end(), "bad") > 0;
    return bad ? Refused() : absl::OkStatus();
  };
  Apply("1");
  Apply("bad");
  Apply("2");
  Pass(absl::Milliseconds(5));
  EXPECT_EQ(updater_.calls.size(), 4u);
  CW_EXPECT_OK(results_["1"]);
  CW_EXPECT_OK(results_["2"]);
  EXPECT_THAT(results_["bad"], StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(UpdateBatcherTest, AChangeWhoseCallerHasGoneIsNotTriedAlone) {
  auto cancellation = std::make_shared<runtime::Cancellation>();
  Apply("1");
  Apply("gone", Target(), cancellation);
  Apply("2");
  Pass(absl::Milliseconds(5));
  ASSERT_EQ(updater_.calls.size(), 1u);
  cancellation->Cancel();
  RunLoop();
  Finish(0, Refused());
  ASSERT_EQ(updater_.calls.size(), 2u);
  EXPECT_THAT(updater_.calls[1].values, ElementsAre("1"));
  Finish(1, absl::OkStatus());
  ASSERT_EQ(updater_.calls.size(), 3u);
  EXPECT_THAT(updater_.calls[2].values, ElementsAre("2"));
  Finish(2, absl::OkStatus());
  EXPECT_EQ(updater_.calls.size(), 3u);
  EXPECT_THAT(results_["gone"], StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(UpdateBatcherTest, ATroubleOfAllIsNotTriedOneByOne) {
  updater_.answer = [](const auto&) {
    return UpdateStatus(Rcode::kBadSig, "192.0.2.1:53", "test");
  };
  Apply("1");
  Apply("2");
  Pass(absl::Milliseconds(5));
  EXPECT_EQ(updater_.calls.size(), 1u);
  EXPECT_EQ(UpdateRcode(results_["1"]), Rcode::kBadSig);
  EXPECT_EQ(UpdateRcode(results_["2"]), Rcode::kBadSig);
}

TEST_F(UpdateBatcherTest, StopsTryingOneByOneWhenTheServerGoesAway) {
  updater_.answer = [](const std::vector<std::string>& values) {
    return values.size() > 1 ? Refused() : absl::UnavailableError("silent");
  };
  for (const char* value : {"1", "2", "3"}) Apply(value);
  Pass(absl::Milliseconds(5));
  EXPECT_EQ(updater_.calls.size(), 2u);
  for (const char* value : {"1", "2", "3"}) {
    EXPECT_THAT(results_[value], StatusIs(absl::StatusCode::kUnavailable));
  }
}

TEST_F(UpdateBatcherTest, DropsWhatItsCallerNoLongerWaitsFor) {
  auto cancellation = std::make_shared<runtime::Cancellation>();
  Apply("1", Target(), cancellation);
  Apply("2");
  cancellation->Cancel();
  RunLoop();
  EXPECT_THAT(results_["1"], StatusIs(absl::StatusCode::kCancelled));
  Pass(absl::Milliseconds(5));
  ASSERT_EQ(updater_.calls.size(), 1u);
  EXPECT_THAT(updater_.calls[0].values, ElementsAre("2"));
}

TEST_F(UpdateBatcherTest, ACallerWhoseDeadlinePassesDoesNotHoldUpTheUpdate) {
  Apply("1");
  Pass(absl::Milliseconds(5));
  Pass(absl::Seconds(11));
  EXPECT_THAT(results_["1"], StatusIs(absl::StatusCode::kDeadlineExceeded));
  Finish(0, absl::OkStatus());
  Apply("2");
  Pass(absl::Milliseconds(5));
  EXPECT_EQ(updater_.calls.size(), 2u);
}

TEST_F(UpdateBatcherTest, RefusesABadChangeBeforeItMeetsOthers) {
  Apply(std::string(5000, 'x'));
  UpdateTarget target = Target("a b");
  Apply("1", target);
  EXPECT_THAT(results_[std::string(5000, 'x')], StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(results_["1"], StatusIs(absl::StatusCode::kInvalidArgument));
  Pass(absl::Milliseconds(5));
  EXPECT_THAT(updater_.calls, IsEmpty());
}

TEST_F(UpdateBatcherTest, EndsWaitingCallsWhenDestroyed) {
  Apply("1");
  batcher_.reset();
  RunLoop();
  EXPECT_THAT(results_["1"], StatusIs(absl::StatusCode::kCancelled));
  Pass(absl::Milliseconds(5));
  EXPECT_THAT(updater_.calls, IsEmpty());
}

}  // namespace
}  // namespace certwright::dns
