#include "lib/service/events.h"

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/utf8.h"

namespace certwright::service {
namespace {

using meta::v1::Event;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

meta::v1::ObjectMeta Object(const std::string& name, const std::string& uid = "u1",
                            const std::string& object_namespace = "web") {
  meta::v1::ObjectMeta metadata;
  metadata.set_namespace_(object_namespace);
  metadata.set_name(name);
  metadata.set_uid(uid);
  return metadata;
}

EventNews News(const std::string& reason, const std::string& message = "It is so.") {
  return {meta::v1::EVENT_SEVERITY_NORMAL, reason, message};
}

// "Order web/a Placed x2"
std::vector<std::string> Texts(const std::vector<Event>& events) {
  std::vector<std::string> texts;
  for (const Event& event : events) {
    texts.push_back(absl::StrCat(event.object().kind(), " ", event.object().namespace_(), "/",
                                 event.object().name(), " ", event.reason(), " x",
                                 event.count()));
  }
  return texts;
}

class EventRecorderTest : public testing::Test {
 protected:
  std::vector<std::string> All() const { return Texts(recorder_.List("", "", {})); }

  base::FakeClock clock_;
  EventRecorder recorder_{clock_, {.max_events = 6, .max_events_per_object = 3}};
};

TEST_F(EventRecorderTest, AnEventSaysWhatHappenedToWhomAndWhen) {
  recorder_.Record("Order", Object("a"),
                   {meta::v1::EVENT_SEVERITY_WARNING, "Failed", "The CA said no."});
  const std::vector<Event> events = recorder_.List("", "", {});
  ASSERT_THAT(events, SizeIs(1));
  const Event& event = events[0];
  EXPECT_EQ(event.object().kind(), "Order");
  EXPECT_EQ(event.object().namespace_(), "web");
  EXPECT_EQ(event.object().name(), "a");
  EXPECT_EQ(event.object().uid(), "u1");
  EXPECT_EQ(event.type(), meta::v1::EVENT_SEVERITY_WARNING);
  EXPECT_EQ(event.reason(), "Failed");
  EXPECT_EQ(event.message(), "The CA said no.");
  EXPECT_EQ(event.count(), 1);
  EXPECT_EQ(FromProto(event.first_time()), clock_.Now());
  EXPECT_EQ(FromProto(event.last_time()), clock_.Now());
}

TEST_F(EventRecorderTest, EqualEventsAreCountedAndMoveToTheEnd) {
  const absl::Time start = clock_.Now();
  recorder_.Record("Order", Object("a"), News("One"));
  recorder_.Record("Order", Object("a"), News("Two"));
  clock_.Advance(absl::Seconds(5));
  recorder_.Record("Order", Object("a"), News("One"));
  EXPECT_THAT(All(), ElementsAre("Order web/a Two x1", "Order web/a One x2"));
  const Event event = recorder_.List("", "", {}).back();
  EXPECT_EQ(FromProto(event.first_time()), start);
  EXPECT_EQ(FromProto(event.last_time()), start + absl::Seconds(5));
}

TEST_F(EventRecorderTest, WhatDiffersIsAnotherEvent) {
  recorder_.Record("Order", Object("a"), News("One"));
  recorder_.Record("Order", Object("a"), News("One", "Otherwise."));
  recorder_.Record("Order", Object("a"),
                   {meta::v1::EVENT_SEVERITY_WARNING, "One", "It is so."});
  recorder_.Record("Order", Object("b"), News("One"));
  recorder_.Record("Challenge", Object("a"), News("One"));
  // A later object of the same name.
  recorder_.Record("Challenge", Object("a", "u2"), News("One"));
  EXPECT_THAT(All(), SizeIs(6));
}

TEST_F(EventRecorderTest, AnObjectKeepsItsNewest) {
  for (const char* reason : {"One", "Two", "Three", "One", "Four"}) {
    recorder_.Record("Order", Object("a"), News(reason));
  }
  EXPECT_THAT(All(),
              ElementsAre("Order web/a Three x1", "Order web/a One x2", "Order web/a Four x1"));
}

TEST_F(EventRecorderTest, AServiceKeepsItsNewest) {
  for (int i = 0; i < 8; ++i) {
    recorder_.Record("Order", Object(absl::StrCat("o", i)), News("One"));
  }
  recorder_.Record("Order", Object("o2"), News("One"));
  recorder_.Record("Order", Object("o9"), News("One"));
  EXPECT_THAT(All(),
              ElementsAre("Order web/o4 One x1", "Order web/o5 One x1", "Order web/o6 One x1",
                          "Order web/o7 One x1", "Order web/o2 One x2", "Order web/o9 One x1"));
  EXPECT_THAT(recorder_.List("Order", "web", {"o0"}), IsEmpty());
}

TEST_F(EventRecorderTest, ListsWhatIsAskedFor) {
  recorder_.Record("Order", Object("a"), News("One"));
  recorder_.Record("Order", Object("b", "u", "db"), News("Two"));
  recorder_.Record("Challenge", Object("b"), News("Three"));
  recorder_.Record("Order", Object("c"), News("Four"));
  EXPECT_THAT(Texts(recorder_.List("Order", "", {})),
              ElementsAre("Order web/a One x1", "Order db/b Two x1", "Order web/c Four x1"));
  EXPECT_THAT(Texts(recorder_.List("", "db", {})), ElementsAre("Order db/b Two x1"));
  EXPECT_THAT(Texts(recorder_.List("", "", {"b"})),
              ElementsAre("Order db/b Two x1", "Challenge web/b Three x1"));
  // Whatever the order in which they are asked for.
  EXPECT_THAT(Texts(recorder_.List("Order", "web", {"c", "a", "c", "none"})),
              ElementsAre("Order web/a One x1", "Order web/c Four x1"));
}

TEST_F(EventRecorderTest, LongMessagesAreCutBetweenCharacters) {
  std::string message = "x";
  while (message.size() < 3000) message += "ü";
  recorder_.Record("Order", Object("a"), News("One", message));
  const Event event = recorder_.List("", "", {}).front();
  EXPECT_LE(event.message().size(), 1024u);
  EXPECT_GT(event.message().size(), 1000u);
  EXPECT_TRUE(base::IsUtf8(event.message()));
}

TEST(EventRecorderListTest, ShowsTheNewestThousand) {
  base::FakeClock clock;
  EventRecorder recorder(clock);
  std::vector<std::string> names;
  for (int i = 0; i < 1200; ++i) {
    names.push_back(absl::StrCat("o", i));
    recorder.Record("Order", Object(names.back()), News("One"));
  }
  for (const std::vector<Event>& events :
       {recorder.List("", "", {}), recorder.List("Order", "web", names)}) {
    ASSERT_THAT(events, SizeIs(1000));
    EXPECT_EQ(events.front().object().name(), "o200");
    EXPECT_EQ(events.back().object().name(), "o1199");
  }
}

TEST(EventRecorderThreadsTest, RecordsFromManyThreadsAtOnce) {
  base::FakeClock clock;
  EventRecorder recorder(clock, {.max_events = 100, .max_events_per_object = 5});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&recorder] {
      for (int i = 0; i < 2000; ++i) {
        recorder.Record("Order", Object(absl::StrCat("o", i % 40)),
                        News(absl::StrCat("R", i % 7)));
        if (i % 100 == 0) recorder.List("", "web", {});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(recorder.List("", "", {}), SizeIs(100));
}

struct Thing {
  meta::v1::ObjectMeta meta;
  std::string state;
  const meta::v1::ObjectMeta& metadata() const { return meta; }
};

class RecordChangesTest : public EventRecorderTest {
 protected:
  std::shared_ptr<const Thing> MakeThing(const std::string& state, absl::Duration age,
                                         const std::string& uid = "u1") {
    Thing thing{Object("a", uid), state};
    *thing.meta.mutable_create_time() = ToProto(clock_.Now() - age);
    return std::make_shared<const Thing>(std::move(thing));
  }
  void Change(const std::shared_ptr<const Thing>& before,
              const std::shared_ptr<const Thing>& now) {
    RecordChanges(recorder_, "Thing", before, now, [](const Thing* from, const Thing& to) {
      return std::vector<EventNews>{
          News(absl::StrCat(from == nullptr ? "" : from->state, "To", to.state))};
    });
  }
};

TEST_F(RecordChangesTest, RecordsWhatChanged) {
  Change(MakeThing("A", absl::Hours(1)), MakeThing("B", absl::Hours(1)));
  EXPECT_THAT(All(), ElementsAre("Thing web/a AToB x1"));
}

TEST_F(RecordChangesTest, WhatWasThereAtTheStartIsNoNews) {
  Change(nullptr, MakeThing("A", absl::Minutes(2)));
  EXPECT_THAT(All(), IsEmpty());
  Change(nullptr, MakeThing("A", absl::Seconds(30)));
  EXPECT_THAT(All(), ElementsAre("Thing web/a ToA x1"));
}

TEST_F(RecordChangesTest, AnotherOfTheSameNameBeginsAnew) {
  Change(MakeThing("A", absl::Hours(1)), MakeThing("B", absl::ZeroDuration(), "u2"));
  EXPECT_THAT(All(), ElementsAre("Thing web/a ToB x1"));
}

TEST_F(RecordChangesTest, ADeletionIsNoEvent) {
  Change(MakeThing("A", absl::ZeroDuration()), nullptr);
  EXPECT_THAT(All(), IsEmpty());
}

TEST(ChangedConditionTest, IsOneOfAnotherStatusOrReason) {
  Conditions before;
  Conditions now;
  EXPECT_EQ(ChangedCondition(&before, now, "Ready"), nullptr);
  SetCondition(now, {"Ready", false, "Pending", "a"}, 1, absl::UnixEpoch());
  EXPECT_NE(ChangedCondition(nullptr, now, "Ready"), nullptr);
  EXPECT_NE(ChangedCondition(&before, now, "Ready"), nullptr);
  SetCondition(before, {"Ready", false, "Pending", "b"}, 1, absl::UnixEpoch());
  EXPECT_EQ(ChangedCondition(&before, now, "Ready"), nullptr);
  SetCondition(before, {"Ready", false, "Other", "a"}, 1, absl::UnixEpoch());
  EXPECT_NE(ChangedCondition(&before, now, "Ready"), nullptr);
  SetCondition(before, {"Ready", true, "Pending", "a"}, 1, absl::UnixEpoch());
  EXPECT_NE(ChangedCondition(&before, now, "Ready"), nullptr);
}

}  // namespace
}  // namespace certwright::service
