#include "lib/controller/informer.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "boost/asio/io_context.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/fake_timers.h"
#include "lib/store/widget.pb.h"

namespace certwright::controller {
namespace {

using base::StatusIs;
using ::certwright::widget::Widget;
using testing::ElementsAre;
using testing::IsEmpty;

Widget MakeWidget(const std::string& name, const std::string& version) {
  Widget widget;
  widget.mutable_metadata()->set_namespace_("web");
  widget.mutable_metadata()->set_name(name);
  widget.mutable_metadata()->set_resource_version(version);
  return widget;
}

// Says what a test tells it to say, on the test's thread.
class ScriptedSource final : public WatchSource<Widget> {
 public:
  class StartedHandle final : public Handle {
   public:
    explicit StartedHandle(ScriptedSource& source) : source_(source) { ++source_.open; }
    ~StartedHandle() override { --source_.open; }

   private:
    ScriptedSource& source_;
  };

  std::unique_ptr<Handle> Start(std::string resource_version, OnEvent on_event,
                                OnEnd on_end) override {
    starts.push_back(resource_version);
    event = std::move(on_event);
    end = std::move(on_end);
    return std::make_unique<StartedHandle>(*this);
  }

  void Added(const std::string& name, const std::string& version) {
    event(EventType::kAdded, MakeWidget(name, version), version);
  }
  void Modified(const std::string& name, const std::string& version) {
    event(EventType::kModified, MakeWidget(name, version), version);
  }
  void Deleted(const std::string& name, const std::string& version) {
    event(EventType::kDeleted, MakeWidget(name, "1"), version);
  }
  void Bookmark(const std::string& version) { event(EventType::kBookmark, Widget(), version); }

  std::vector<std::string> starts;
  int open = 0;
  OnEvent event;
  OnEnd end;
};

class InformerTest : public testing::Test {
 protected:
  InformerTest() {
    informer_ = std::make_unique<Informer<Widget>>(source_, timers_, random_);
    informer_->AddHandler([this](const std::string& key, Informer<Widget>::Object before,
                                 Informer<Widget>::Object now) {
      const auto version = [](const Informer<Widget>::Object& object) {
        return object == nullptr ? "-" : object->metadata().resource_version();
      };
      changes_.push_back(absl::StrCat(key, " ", version(before), ">", version(now)));
    });
  }
  // Lists a@1 and b@2 and is live at version 10.
  void StartSynced() {
    informer_->Start();
    source_.Added("a", "1");
    source_.Added("b", "2");
    source_.Bookmark("10");
    changes_.clear();
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const auto& object : informer_->List()) names.push_back(object->metadata().name());
    return names;
  }

  base::FakeClock clock_;
  boost::asio::io_context loop_;
  runtime::FakeTimers timers_{clock_};
  base::FixedRandom random_;
  ScriptedSource source_;
  std::vector<std::string> changes_;
  std::unique_ptr<Informer<Widget>> informer_;
};

TEST_F(InformerTest, ListsThenFollowsAndKeepsACopy) {
  informer_->Start();
  EXPECT_THAT(source_.starts, ElementsAre(""));
  source_.Added("a", "1");
  source_.Added("b", "2");
  EXPECT_FALSE(informer_->synced());
  source_.Bookmark("2");
  EXPECT_TRUE(informer_->synced());
  source_.Modified("a", "3");
  source_.Added("c", "4");
  source_.Deleted("b", "5");
  source_.Deleted("unknown", "6");
  EXPECT_THAT(changes_,
              ElementsAre("web/a ->1", "web/b ->2", "web/a 1>3", "web/c ->4", "web/b 2>-"));
  EXPECT_THAT(Names(), ElementsAre("a", "c"));
  EXPECT_EQ(informer_->Get("web/a")->metadata().resource_version(), "3");
  EXPECT_EQ(informer_->Get("web/b"), nullptr);
}

TEST_F(InformerTest, WaitForSyncEndsWithTheListOrTheContext) {
  std::vector<absl::Status> results;
  const auto wait = [&](absl::Duration timeout) {
    runtime::SpawnThen<absl::Status>(
        loop_.get_executor(),
        informer_->WaitForSync(runtime::Context::WithTimeout(clock_, timeout)),
        [&](absl::Status status) { results.push_back(std::move(status)); });
    loop_.restart();
    loop_.poll();
  };
  informer_->Start();
  wait(absl::Seconds(1));
  wait(absl::Seconds(60));
  clock_.Advance(absl::Seconds(1));
  loop_.restart();
  loop_.poll();
  ASSERT_EQ(results.size(), 1u);
  EXPECT_THAT(results[0], StatusIs(absl::StatusCode::kDeadlineExceeded));
  source_.Bookmark("1");
  loop_.restart();
  loop_.poll();
  ASSERT_EQ(results.size(), 2u);
  CW_EXPECT_OK(results[1]);
  wait(absl::Seconds(1));
  ASSERT_EQ(results.size(), 3u);
  CW_EXPECT_OK(results[2]);
}

TEST_F(InformerTest, ResumesFromTheLastVersionAfterABackoff) {
  StartSynced();
  source_.Modified("a", "11");
  source_.end(absl::UnavailableError("draining"));
  EXPECT_THAT(informer_->last_error(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(source_.starts.size(), 1u);
  clock_.Advance(absl::Milliseconds(49));
  EXPECT_EQ(source_.starts.size(), 1u);
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_THAT(source_.starts, ElementsAre("", "11"));
  EXPECT_EQ(source_.open, 1);
  source_.Modified("b", "12");
  CW_EXPECT_OK(informer_->last_error());
  EXPECT_THAT(changes_, ElementsAre("web/a 1>11", "web/b 2>12"));
}

TEST_F(InformerTest, BacksOffFurtherWhileNothingIsHeardAndStartsOverAfterwards) {
  StartSynced();
  absl::Duration delay = absl::Milliseconds(50);
  for (int i = 0; i < 10; ++i) {
    source_.end(absl::UnavailableError("refused"));
    clock_.Advance(delay - absl::Milliseconds(1));
    EXPECT_EQ(source_.starts.size(), 1u + i);
    clock_.Advance(absl::Milliseconds(1));
    EXPECT_EQ(source_.starts.size(), 2u + i);
    delay = std::min(2 * delay, absl::Seconds(5));
  }
  source_.Bookmark("20");
  source_.end(absl::ResourceExhaustedError("too slow"));
  clock_.Advance(absl::Milliseconds(50));
  EXPECT_EQ(source_.starts.back(), "20");
}

TEST_F(InformerTest, ListsAnewWhenItsVersionIsTooOldAndReportsWhatVanished) {
  StartSynced();
  source_.end(absl::OutOfRangeError("compacted"));
  clock_.Advance(absl::Milliseconds(50));
  EXPECT_THAT(source_.starts, ElementsAre("", ""));
  source_.Added("a", "1");
  source_.Added("c", "30");
  EXPECT_THAT(Names(), ElementsAre("a", "b", "c"));
  source_.Bookmark("30");
  EXPECT_THAT(changes_, ElementsAre("web/c ->30", "web/b 2>-"));
  EXPECT_THAT(Names(), ElementsAre("a", "c"));
}

// Only the bookmark at the end of a list says that what was not in it has gone.
TEST_F(InformerTest, LaterBookmarksRemoveNothing) {
  StartSynced();
  source_.Bookmark("11");
  source_.Modified("a", "12");
  source_.Bookmark("13");
  source_.end(absl::UnavailableError("draining"));
  clock_.Advance(absl::Milliseconds(50));
  EXPECT_EQ(source_.starts.back(), "13");
  source_.Bookmark("14");
  EXPECT_THAT(Names(), ElementsAre("a", "b"));
  EXPECT_THAT(changes_, ElementsAre("web/a 1>12"));
}

TEST_F(InformerTest, AWatchThatEndsWithoutAnErrorIsStartedAgainToo) {
  StartSynced();
  source_.end(absl::OkStatus());
  EXPECT_THAT(informer_->last_error(), StatusIs(absl::StatusCode::kUnavailable));
  clock_.Advance(absl::Milliseconds(50));
  EXPECT_THAT(source_.starts, ElementsAre("", "10"));
}

// What was there before a new list is not reported again, whatever the list begins with.
TEST_F(InformerTest, ADeletionWhileAListIsInterruptedIsReportedOnce) {
  StartSynced();
  source_.end(absl::OutOfRangeError("compacted"));
  clock_.Advance(absl::Milliseconds(50));
  source_.Added("b", "2");
  source_.end(absl::UnavailableError("draining"));
  clock_.Advance(absl::Milliseconds(50));
  EXPECT_THAT(source_.starts, ElementsAre("", "", ""));
  EXPECT_THAT(changes_, IsEmpty());
  source_.Added("b", "2");
  source_.Bookmark("31");
  source_.Bookmark("32");
  EXPECT_THAT(changes_, ElementsAre("web/a 1>-"));
}

TEST_F(InformerTest, ListsAnewWhenItsVersionIsNotUnderstood) {
  StartSynced();
  source_.end(absl::InvalidArgumentError("resource_version"));
  clock_.Advance(absl::Milliseconds(50));
  EXPECT_THAT(source_.starts, ElementsAre("", ""));
}

TEST_F(InformerTest, AnInterruptedListIsStartedOver) {
  informer_->Start();
  source_.Added("a", "7");
  source_.end(absl::UnavailableError("draining"));
  clock_.Advance(absl::Milliseconds(50));
  EXPECT_THAT(source_.starts, ElementsAre("", ""));
  source_.Added("b", "2");
  source_.Bookmark("8");
  EXPECT_THAT(changes_, ElementsAre("web/a ->7", "web/b ->2", "web/a 7>-"));
}

TEST_F(InformerTest, ASilentWatchIsReplaced) {
  StartSynced();
  clock_.Advance(absl::Seconds(60));
  source_.Bookmark("11");
  clock_.Advance(absl::Seconds(60));
  EXPECT_EQ(source_.starts.size(), 1u);
  clock_.Advance(absl::Seconds(30));
  clock_.Advance(absl::Milliseconds(50));
  EXPECT_THAT(source_.starts, ElementsAre("", "11"));
  EXPECT_EQ(source_.open, 1);
}

TEST_F(InformerTest, EventsOfAnEndedWatchAreIgnored) {
  StartSynced();
  const auto old_event = source_.event;
  source_.end(absl::UnavailableError("draining"));
  old_event(EventType::kModified, MakeWidget("a", "99"), "99");
  clock_.Advance(absl::Milliseconds(50));
  old_event(EventType::kModified, MakeWidget("a", "99"), "99");
  EXPECT_THAT(changes_, IsEmpty());
  EXPECT_EQ(source_.starts.back(), "10");
}

TEST_F(InformerTest, EventsWithoutAVersionDoNotMoveTheResumePoint) {
  StartSynced();
  source_.event(EventType::kModified, MakeWidget("a", "12"), "");
  source_.end(absl::UnavailableError("draining"));
  clock_.Advance(absl::Milliseconds(50));
  EXPECT_EQ(source_.starts.back(), "10");
}

TEST_F(InformerTest, StopEndsTheWatchAndLeavesNoTimer) {
  StartSynced();
  source_.end(absl::UnavailableError("draining"));
  informer_->Stop();
  EXPECT_EQ(source_.open, 0);
  EXPECT_EQ(timers_.pending(), 0u);
  clock_.Advance(absl::Minutes(5));
  EXPECT_EQ(source_.starts.size(), 1u);
  informer_.reset();
}

}  // namespace
}  // namespace certwright::controller
