#include "lib/controller/store_informer.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/mutex.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/thread_pool.h"
#include "lib/store/store_testing.h"
#include "lib/store/temporary_store.h"
#include "lib/store/widget.pb.h"

namespace certwright::controller {
namespace {

using ::certwright::widget::Widget;
using store::Await;
using store::TestContext;
using testing::ElementsAre;

// Lines that come from other threads, and that a test waits for.
class Lines {
 public:
  void Add(std::string line) {
    base::MutexLock lock(mutex_);
    lines_.push_back(std::move(line));
    changed_.notify_all();
  }
  std::vector<std::string> WaitFor(std::size_t count) {
    base::MutexLock lock(mutex_);
    changed_.wait_for(mutex_, std::chrono::seconds(60),
                      [&]() CW_REQUIRES(mutex_) { return lines_.size() >= count; });
    return lines_;
  }
  // All but the bookmarks, as soon as `last` is among them: where a change comes before the
  // stream has caught up, one more bookmark follows it.
  std::vector<std::string> ChangesUntil(const std::string& last) {
    base::MutexLock lock(mutex_);
    changed_.wait_for(mutex_, std::chrono::seconds(60), [&]() CW_REQUIRES(mutex_) {
      return std::find(lines_.begin(), lines_.end(), last) != lines_.end();
    });
    std::vector<std::string> changes = lines_;
    std::erase_if(changes,
                  [](const std::string& line) { return line.starts_with("bookmark"); });
    return changes;
  }

 private:
  base::Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::string> lines_ CW_GUARDED_BY(mutex_);
};

class StoreInformerTest : public testing::Test {
 protected:
  StoreInformerTest() {
    widgets_ = std::make_unique<store::ResourceStore<Widget>>(*store_, "widgets", clock_,
                                                              base::Random::Real());
  }
  ~StoreInformerTest() override {
    handle_.reset();
    pool_.Stop();
  }

  Widget Create(const std::string& name, const std::string& resource_namespace = "web") {
    Widget widget;
    widget.mutable_metadata()->set_namespace_(resource_namespace);
    widget.mutable_metadata()->set_name(name);
    return Await(widgets_->Create(TestContext(), widget)).value();
  }
  void Recolor(const std::string& name) {
    Widget widget = Await(widgets_->Get(TestContext(), "web", name)).value();
    widget.mutable_spec()->set_color(widget.spec().color() + "x");
    CW_EXPECT_OK(Await(widgets_->Update(TestContext(), widget)));
  }
  // Starts a watch whose events go to lines_ as "<type> <name> <version>".
  void Watch(StoreWatchSource<Widget>& source, const std::string& version) {
    handle_ = source.Start(
        version,
        [this](EventType type, const Widget& widget, const std::string& at) {
          static constexpr const char* kTypes[] = {"added", "modified", "deleted", "bookmark"};
          lines_.Add(absl::StrCat(kTypes[static_cast<int>(type)], " ", widget.metadata().name(),
                                  " ", at));
        },
        [this](const absl::Status& status) {
          lines_.Add(absl::StrCat("end ", absl::StatusCodeToString(status.code())));
        });
  }

  base::FakeClock clock_;
  runtime::FakeTimers timers_{clock_};
  base::FixedRandom random_;
  runtime::ThreadPool pool_{2};
  store::TemporaryStore store_;
  std::unique_ptr<store::ResourceStore<Widget>> widgets_;
  Lines lines_;
  std::unique_ptr<WatchSource<Widget>::Handle> handle_;
};

TEST_F(StoreInformerTest, AWatchWithoutAVersionListsThenFollows) {
  Create("a");
  Create("b");
  StoreWatchSource<Widget> source(*widgets_, pool_.executor(), clock_);
  Watch(source, "");
  EXPECT_THAT(lines_.WaitFor(3), ElementsAre("added a 2", "added b 2", "bookmark  2"));
  Create("c");
  Recolor("a");
  CW_ASSERT_OK(Await(widgets_->Delete(TestContext(), "web", "b")));
  EXPECT_THAT(
      lines_.ChangesUntil("deleted b 5"),
      ElementsAre("added a 2", "added b 2", "added c 3", "modified a 4", "deleted b 5"));
}

TEST_F(StoreInformerTest, AWatchWithAVersionReplays) {
  Create("a");
  Create("b");
  Recolor("a");
  StoreWatchSource<Widget> source(*widgets_, pool_.executor(), clock_);
  Watch(source, "1");
  EXPECT_THAT(lines_.WaitFor(3), ElementsAre("added b 2", "modified a 3", "bookmark  3"));
}

TEST_F(StoreInformerTest, AWatchOfAnEmptyStoreHasABookmarkToGoOnFrom) {
  StoreWatchSource<Widget> source(*widgets_, pool_.executor(), clock_);
  Watch(source, "");
  EXPECT_THAT(lines_.WaitFor(1), ElementsAre("bookmark  0"));
  Create("a");
  lines_.WaitFor(2);
  handle_.reset();
  // One more bookmark among them if "a" was created before the stream caught up.
  const auto seen = static_cast<std::ptrdiff_t>(lines_.WaitFor(2).size());
  Watch(source, "0");
  std::vector<std::string> lines = lines_.WaitFor(seen + 2);
  lines.erase(lines.begin(), lines.begin() + seen);
  EXPECT_THAT(lines, ElementsAre("added a 1", "bookmark  1"));
}

TEST_F(StoreInformerTest, AWatchOfOneNamespaceSeesNoOther) {
  Create("a");
  Create("b", "zone");
  StoreWatchSource<Widget> source(*widgets_, pool_.executor(), clock_,
                                  {.resource_namespace = "zone"});
  Watch(source, "");
  EXPECT_THAT(lines_.WaitFor(2), ElementsAre("added b 2", "bookmark  2"));
  Create("c");
  Create("d", "zone");
  EXPECT_THAT(lines_.ChangesUntil("added d 4"), ElementsAre("added b 2", "added d 4"));
}

// Two of these are what is read at a time.
TEST_F(StoreInformerTest, AListInPartsIsOfOneMomentAndHoldsTheRoomForEachPart) {
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    Widget widget;
    widget.mutable_metadata()->set_namespace_("web");
    widget.mutable_metadata()->set_name(name);
    widget.mutable_spec()->set_color(std::string(40 << 10, 'c'));
    CW_ASSERT_OK(Await(widgets_->Create(TestContext(), widget)));
  }
  std::atomic<int> parts = 0;
  StoreWatchOptions options;
  options.wait_for_room = [&]() -> runtime::Awaitable<std::shared_ptr<void>> {
    lines_.Add("part");
    if (++parts == 2) {
      // To what has been listed, what has not, and what is between.
      CW_EXPECT_OK(Await(widgets_->Delete(TestContext(), "web", "a")));
      Recolor("e");
      Create("bb");
    }
    std::shared_ptr<void> room(nullptr, [this](void*) { lines_.Add("delivered"); });
    co_return room;
  };
  StoreWatchSource<Widget> source(*widgets_, pool_.executor(), clock_, options);
  Watch(source, "");
  std::vector<std::string> lines = lines_.WaitFor(15);
  lines.resize(15);
  EXPECT_THAT(lines,
              ElementsAre("part", "added a 5", "added b 5", "delivered", "part", "added c 5",
                          "added d 5", "delivered", "part", "added e 5", "delivered",
                          "bookmark  5", "deleted a 6", "modified e 7", "added bb 8"));
}

TEST_F(StoreInformerTest, OldAndSenselessVersionsEndTheWatch) {
  for (const char* name : {"a", "b", "c"}) Create(name);
  CW_ASSERT_OK(Await((*store_).Compact(TestContext(), 2)));
  StoreWatchSource<Widget> source(*widgets_, pool_.executor(), clock_);
  Watch(source, "1");
  EXPECT_THAT(lines_.WaitFor(1), ElementsAre("end OUT_OF_RANGE"));
  Watch(source, "latest");
  EXPECT_THAT(lines_.WaitFor(2), ElementsAre("end OUT_OF_RANGE", "end INVALID_ARGUMENT"));
}

TEST_F(StoreInformerTest, WithinOneCommitOnlyTheLastEventMovesTheVersion) {
  StoreWatchSource<Widget> source(*widgets_, pool_.executor(), clock_);
  Create("first");
  Watch(source, "1");
  lines_.WaitFor(1);
  std::vector<store::Mutation> mutations;
  for (const char* name : {"a", "b", "c"}) {
    Widget widget;
    widget.mutable_metadata()->set_name(name);
    mutations.push_back(widgets_->CreateMutation(widget).value());
  }
  CW_ASSERT_OK(store::Commit(*store_, mutations));
  EXPECT_THAT(lines_.WaitFor(4),
              ElementsAre("bookmark  1", "added a 1", "added b 1", "added c 2"));
}

TEST_F(StoreInformerTest, ADamagedRecordIsReportedAndLeftOut) {
  Create("a");
  CW_ASSERT_OK(store::Put(*store_, "widgets/web/bad", "\xff\xff"));
  Create("c");
  StoreWatchOptions options;
  options.on_damaged = [this](const absl::Status& status) {
    lines_.Add(std::string(status.message().substr(0, status.message().find(':'))));
  };
  StoreWatchSource<Widget> source(*widgets_, pool_.executor(), clock_, options);
  Watch(source, "");
  EXPECT_THAT(lines_.WaitFor(4),
              ElementsAre("added a 3", "widgets/web/bad", "added c 3", "bookmark  3"));
}

TEST_F(StoreInformerTest, AWatchOfOneNamespaceOrNameReadsNoOthers) {
  Create("a");
  Create("b");
  // Would be reported if they were read.
  CW_ASSERT_OK(store::Put(*store_, "widgets/web/bad", "\xff\xff"));
  CW_ASSERT_OK(store::Put(*store_, "widgets/other/bad", "\xff\xff"));
  StoreWatchOptions options;
  options.on_damaged = [this](const absl::Status&) { lines_.Add("damaged"); };
  options.resource_namespace = "web";
  StoreWatchSource<Widget> of_namespace(*widgets_, pool_.executor(), clock_, options);
  Watch(of_namespace, "");
  EXPECT_THAT(lines_.WaitFor(4),
              ElementsAre("added a 4", "added b 4", "damaged", "bookmark  4"));
  options.name = "a";
  StoreWatchSource<Widget> of_name(*widgets_, pool_.executor(), clock_, options);
  Watch(of_name, "");
  EXPECT_THAT(lines_.WaitFor(6), ElementsAre("added a 4", "added b 4", "damaged", "bookmark  4",
                                             "added a 4", "bookmark  4"));
}

TEST_F(StoreInformerTest, HandlesDestroyedAtAnyMomentStopTheCalls) {
  for (int i = 0; i < 5; ++i) Create(absl::StrCat("w", i));
  StoreWatchSource<Widget> source(*widgets_, pool_.executor(), clock_);
  for (int round = 0; round < 100; ++round) {
    std::atomic<bool> gone = false;
    std::atomic<int> late = 0;
    std::atomic<int> calls = 0;
    auto handle = source.Start(
        "",
        [&](EventType, const Widget&, const std::string&) {
          ++calls;
          if (gone) ++late;
        },
        [](const absl::Status&) {});
    while (calls < round % 7) std::this_thread::yield();
    handle.reset();
    gone = true;
    EXPECT_EQ(late, 0);
  }
}

TEST_F(StoreInformerTest, AnInformerSeesEverythingAndEveryChange) {
  Create("a");
  StoreInformer<Widget> informer(*widgets_, pool_.executor(), timers_, random_);
  informer.AddHandler([this](const std::string& key,
                             const StoreInformer<Widget>::Object& before,
                             const StoreInformer<Widget>::Object& now) {
    lines_.Add(absl::StrCat(key, before == nullptr ? " new"
                                 : now == nullptr  ? " gone"
                                                   : " changed"));
  });
  informer.Start();
  CW_ASSERT_OK(runtime::RunSyncOn<absl::Status>(
      pool_.executor(),
      informer.WaitForSync(runtime::Context::WithTimeout(clock_, absl::Hours(1)))));
  EXPECT_EQ(informer.List().size(), 1u);
  Create("b");
  Recolor("a");
  CW_ASSERT_OK(Await(widgets_->Delete(TestContext(), "web", "b")));
  EXPECT_THAT(lines_.WaitFor(4),
              ElementsAre("web/a new", "web/b new", "web/a changed", "web/b gone"));
  EXPECT_EQ(informer.Get("web/a")->spec().color(), "x");
  EXPECT_EQ(informer.Get("web/b"), nullptr);
  informer.Stop();
}

}  // namespace
}  // namespace certwright::controller
