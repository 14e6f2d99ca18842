#include "lib/store/resource_store.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "boost/asio/io_context.hpp"
#include "boost/asio/post.hpp"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/store/store_testing.h"
#include "lib/store/temporary_store.h"
#include "lib/store/widget.pb.h"

namespace certwright::store {
namespace {

using base::IsOk;
using base::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Widget = ::certwright::widget::Widget;
using Box = ::certwright::widget::Box;
using WidgetStore = ResourceStore<Widget>;

Widget MakeWidget(const std::string& name, const std::string& color,
                  const std::string& resource_namespace = "web") {
  Widget widget;
  widget.mutable_metadata()->set_namespace_(resource_namespace);
  widget.mutable_metadata()->set_name(name);
  widget.mutable_spec()->set_color(color);
  return widget;
}

// Not a cipher: makes it visible that values pass through a codec.
class PrefixCodec final : public ValueCodec {
 public:
  absl::StatusOr<std::string> Seal(absl::string_view key,
                                   absl::string_view value) const override {
    return absl::StrCat("sealed for ", key, ":", value);
  }
  absl::StatusOr<base::Secret> Open(absl::string_view key,
                                    absl::string_view stored) const override {
    const std::string prefix = absl::StrCat("sealed for ", key, ":");
    if (!absl::StartsWith(stored, prefix))
      return absl::DataLossError("not sealed for this key");
    return base::Secret(std::string(stored.substr(prefix.size())));
  }
};

class ResourceStoreTest : public testing::Test {
 protected:
  ResourceStoreTest() {
    widgets_ = std::make_unique<WidgetStore>(*store_, "widgets", clock_, base::Random::Real());
  }

  absl::StatusOr<Widget> Create(Widget widget) {
    return Await(widgets_->Create(TestContext(), std::move(widget)));
  }
  absl::StatusOr<Widget> Read(const std::string& name) {
    return Await(widgets_->Get(TestContext(), "web", name));
  }
  absl::StatusOr<Widget> Update(Widget widget) {
    return Await(widgets_->Update(TestContext(), std::move(widget)));
  }
  absl::StatusOr<Widget> UpdateStatus(Widget widget) {
    return Await(widgets_->UpdateStatus(TestContext(), std::move(widget)));
  }
  absl::StatusOr<WidgetStore::Page> ListWidgets(WidgetStore::ListOptions options) {
    return Await(widgets_->List(TestContext(), std::move(options)));
  }
  static std::vector<std::string> Names(const WidgetStore::Page& page) {
    std::vector<std::string> names;
    for (const Widget& widget : page.resources) names.push_back(widget.metadata().name());
    return names;
  }

  base::FakeClock clock_;
  TemporaryStore store_;
  std::unique_ptr<WidgetStore> widgets_;
};

TEST_F(ResourceStoreTest, CreateSetsWhatTheServerSets) {
  Widget widget = MakeWidget("a", "red");
  widget.mutable_metadata()->set_uid("forged");
  widget.mutable_metadata()->set_generation(9);
  widget.mutable_metadata()->mutable_delete_time()->set_seconds(1);
  CW_ASSERT_OK_AND_ASSIGN(const Widget created, Create(widget));
  EXPECT_EQ(created.metadata().uid().size(), 36u);
  EXPECT_EQ(created.metadata().generation(), 1);
  EXPECT_EQ(created.metadata().create_time().seconds(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_FALSE(created.metadata().has_delete_time());
  EXPECT_EQ(created.metadata().resource_version(), "1");
  CW_ASSERT_OK_AND_ASSIGN(const Widget read, Read("a"));
  EXPECT_EQ(read.SerializeAsString(), created.SerializeAsString());
  EXPECT_THAT(Create(widget), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("web/a")));
}

TEST_F(ResourceStoreTest, TheResourceVersionIsNotStored) {
  CW_ASSERT_OK(Create(MakeWidget("a", "red")));
  CW_ASSERT_OK_AND_ASSIGN(const Record record, Get(*store_, "widgets/web/a"));
  Widget stored;
  ASSERT_TRUE(stored.ParseFromString(record.value));
  EXPECT_EQ(stored.metadata().resource_version(), "");
}

TEST_F(ResourceStoreTest, NamesThatWouldBreakKeysAreRefused) {
  const auto invalid = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Create(MakeWidget("", "red")), invalid);
  EXPECT_THAT(Create(MakeWidget("a/b", "red")), invalid);
  EXPECT_THAT(Create(MakeWidget("a", "red", "x/y")), invalid);
  EXPECT_THAT(Read(""), invalid);
}

TEST_F(ResourceStoreTest, UpdateOfTheSpecRaisesTheGenerationAndKeepsTheStatus) {
  CW_ASSERT_OK_AND_ASSIGN(Widget widget, Create(MakeWidget("a", "red")));
  const std::string uid = widget.metadata().uid();
  widget.mutable_status()->set_phase("Ready");
  CW_ASSERT_OK(UpdateStatus(widget));

  Widget update = MakeWidget("a", "blue");
  update.mutable_status()->set_phase("forged");
  CW_ASSERT_OK_AND_ASSIGN(const Widget updated, Update(update));
  EXPECT_EQ(updated.spec().color(), "blue");
  EXPECT_EQ(updated.status().phase(), "Ready");
  EXPECT_EQ(updated.metadata().generation(), 2);
  EXPECT_EQ(updated.metadata().uid(), uid);
  EXPECT_EQ(Read("a")->SerializeAsString(), updated.SerializeAsString());
}

TEST_F(ResourceStoreTest, UpdateOfLabelsKeepsTheGeneration) {
  CW_ASSERT_OK(Create(MakeWidget("a", "red")));
  Widget update = MakeWidget("a", "red");
  (*update.mutable_metadata()->mutable_labels())["k"] = "v";
  update.mutable_metadata()->mutable_owner()->set_name("o");
  CW_ASSERT_OK_AND_ASSIGN(const Widget updated, Update(update));
  EXPECT_EQ(updated.metadata().labels().at("k"), "v");
  EXPECT_EQ(updated.metadata().owner().name(), "o");
  EXPECT_EQ(updated.metadata().generation(), 1);
  EXPECT_EQ(updated.metadata().resource_version(), "2");
}

TEST_F(ResourceStoreTest, UpdateReplacesLabelsAnnotationsAndOwnerAndNoOtherMetadata) {
  Widget widget = MakeWidget("a", "red");
  (*widget.mutable_metadata()->mutable_labels())["k"] = "v";
  (*widget.mutable_metadata()->mutable_annotations())["k"] = "v";
  widget.mutable_metadata()->mutable_owner()->set_name("o");
  CW_ASSERT_OK(Create(widget));
  CW_ASSERT_OK_AND_ASSIGN(Widget expected,
                          Await(widgets_->MarkDeleted(TestContext(), "web", "a")));

  Widget update = MakeWidget("a", "red");
  (*update.mutable_metadata()->mutable_annotations())["other"] = "w";
  update.mutable_metadata()->set_uid("forged");
  update.mutable_metadata()->set_generation(9);
  update.mutable_metadata()->mutable_create_time()->set_seconds(1);
  CW_ASSERT_OK(Update(update));
  auto& metadata = *expected.mutable_metadata();
  metadata.clear_labels();
  metadata.clear_owner();
  *metadata.mutable_annotations() = update.metadata().annotations();
  metadata.set_resource_version("3");
  EXPECT_EQ(Read("a")->SerializeAsString(), expected.SerializeAsString());
}

TEST_F(ResourceStoreTest, UpdateStatusStoresTheStatusAndNothingElse) {
  CW_ASSERT_OK_AND_ASSIGN(Widget expected, Create(MakeWidget("a", "red")));
  Widget forged = MakeWidget("a", "blue");
  (*forged.mutable_metadata()->mutable_labels())["k"] = "v";
  forged.mutable_metadata()->mutable_owner()->set_name("o");
  forged.mutable_metadata()->mutable_delete_time()->set_seconds(1);
  forged.mutable_status()->set_phase("Ready");
  CW_ASSERT_OK(UpdateStatus(forged));
  expected.mutable_status()->set_phase("Ready");
  WidgetStore::SetRevision(expected, 2);
  EXPECT_EQ(Read("a")->SerializeAsString(), expected.SerializeAsString());
  forged.clear_status();
  CW_ASSERT_OK(UpdateStatus(forged));
  expected.clear_status();
  WidgetStore::SetRevision(expected, 3);
  EXPECT_EQ(Read("a")->SerializeAsString(), expected.SerializeAsString());
}

TEST_F(ResourceStoreTest, WhatDoesNotChangeIsNotWritten) {
  CW_ASSERT_OK_AND_ASSIGN(Widget widget, Create(MakeWidget("a", "red")));
  CW_ASSERT_OK_AND_ASSIGN(const Widget same, Update(MakeWidget("a", "red")));
  EXPECT_EQ(same.metadata().resource_version(), "1");
  widget.mutable_status()->set_phase("Ready");
  CW_ASSERT_OK_AND_ASSIGN(const Widget ready, UpdateStatus(widget));
  EXPECT_EQ(ready.metadata().resource_version(), "2");
  CW_ASSERT_OK_AND_ASSIGN(const Widget again, UpdateStatus(ready));
  EXPECT_EQ(again.metadata().resource_version(), "2");
  EXPECT_EQ(Await((*store_).CurrentRevision(TestContext())).value(), 2);
}

// Faults 88 and 89.
TEST_F(ResourceStoreTest, AnOldResourceVersionIsAConflict) {
  CW_ASSERT_OK_AND_ASSIGN(Widget old, Create(MakeWidget("a", "red")));
  CW_ASSERT_OK(Update(MakeWidget("a", "blue")));
  const auto aborted = StatusIs(absl::StatusCode::kAborted, HasSubstr("widgets/web/a"));
  old.mutable_spec()->set_color("green");
  EXPECT_THAT(Update(old), aborted);
  old.mutable_status()->set_phase("Ready");
  EXPECT_THAT(UpdateStatus(old), aborted);
  EXPECT_THAT(Await(widgets_->Delete(TestContext(), "web", "a", "1")), aborted);
  CW_EXPECT_OK(Await(widgets_->Delete(TestContext(), "web", "a", "2")));
  EXPECT_THAT(Read("a"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Update(MakeWidget("a", "blue")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Await(widgets_->Delete(TestContext(), "web", "a")),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Await(widgets_->Delete(TestContext(), "web", "a", "x")),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ResourceStoreTest, ConcurrentUpdatesWithoutAVersionAllSucceed) {
  CW_ASSERT_OK(Create(MakeWidget("a", "red")));
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      Widget update = MakeWidget("a", absl::StrCat("color", t));
      CW_EXPECT_OK(Update(update));
    });
  }
  threads.clear();
  EXPECT_EQ(Read("a")->metadata().generation(), 5);
}

TEST_F(ResourceStoreTest, ListsByNamespaceInPagesWithAPredicate) {
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    Widget widget = MakeWidget(name, name == std::string("c") ? "blue" : "red");
    CW_ASSERT_OK(Create(widget));
  }
  CW_ASSERT_OK(Create(MakeWidget("f", "red", "zone")));
  CW_ASSERT_OK(Create(MakeWidget("g", "red", "")));
  CW_ASSERT_OK_AND_ASSIGN(const auto all, ListWidgets({}));
  EXPECT_THAT(Names(all), ElementsAre("g", "a", "b", "c", "d", "e", "f"));
  EXPECT_EQ(all.resource_version, "7");
  EXPECT_THAT(all.next_page_token, IsEmpty());

  const auto red = [](const Widget& widget) { return widget.spec().color() == "red"; };
  WidgetStore::ListOptions options{.resource_namespace = "web", .page_size = 2, .matches = red};
  CW_ASSERT_OK_AND_ASSIGN(const auto first, ListWidgets(options));
  EXPECT_THAT(Names(first), ElementsAre("a", "b"));
  CW_ASSERT_OK(Create(MakeWidget("bb", "red")));
  options.page_token = first.next_page_token;
  CW_ASSERT_OK_AND_ASSIGN(const auto second, ListWidgets(options));
  EXPECT_THAT(Names(second), ElementsAre("d", "e"));
  EXPECT_EQ(second.resource_version, first.resource_version);
  EXPECT_THAT(second.next_page_token, IsEmpty());

  for (const char* token : {"x", "!", "MTp3aWRnZXRz", "MTpvdGhlci93ZWIvYQ"}) {
    options.page_token = token;
    EXPECT_THAT(ListWidgets(options), StatusIs(absl::StatusCode::kInvalidArgument)) << token;
  }
}

TEST_F(ResourceStoreTest, ListsMoreThanOneChunk) {
  std::vector<Mutation> mutations;
  for (int i = 0; i < 1101; ++i) {
    Widget widget = MakeWidget(absl::StrCat("w", 10000 + i), "red");
    mutations.push_back(widgets_->CreateMutation(widget).value());
    if (mutations.size() == kMaxMutations || i == 1100) {
      CW_ASSERT_OK(Commit(*store_, std::exchange(mutations, {})));
    }
  }
  EXPECT_EQ(ListWidgets({})->resources.size(), 1101u);
  const auto page = ListWidgets({.page_size = 600});
  EXPECT_EQ(page->resources.size(), 600u);
  const auto rest = ListWidgets({.page_size = 600, .page_token = page->next_page_token});
  EXPECT_EQ(rest->resources.size(), 501u);
  EXPECT_THAT(rest->next_page_token, IsEmpty());
}

TEST_F(ResourceStoreTest, APageEndsWhenItHasAMebibyte) {
  for (int i = 0; i < 30; ++i) {
    CW_ASSERT_OK(Create(MakeWidget(absl::StrCat("w", 100 + i), std::string(120'000, 'r'))));
  }
  std::vector<std::size_t> sizes;
  std::string token;
  do {
    CW_ASSERT_OK_AND_ASSIGN(const auto page,
                            ListWidgets({.page_size = 1000, .page_token = token}));
    sizes.push_back(page.resources.size());
    token = page.next_page_token;
  } while (!token.empty());
  EXPECT_THAT(sizes, ElementsAre(9u, 9u, 9u, 3u));
  EXPECT_EQ(ListWidgets({})->resources.size(), 30u);
}

TEST_F(ResourceStoreTest, ALongListLetsOthersRunInBetween) {
  for (int i = 0; i < 20; ++i) {
    CW_ASSERT_OK(Create(MakeWidget(absl::StrCat("w", i), std::string(32 << 10, 'c'))));
  }
  boost::asio::io_context loop;
  std::optional<std::size_t> listed;
  int others = 0;
  runtime::SpawnThen<absl::StatusOr<WidgetStore::Page>>(
      loop.get_executor(), widgets_->List(TestContext(), {.page_size = 100}),
      [&](const absl::StatusOr<WidgetStore::Page>& page) { listed = page->resources.size(); });
  std::function<void()> other = [&] {
    if (listed.has_value()) return;
    ++others;
    boost::asio::post(loop, other);
  };
  boost::asio::post(loop, other);
  loop.run();
  EXPECT_EQ(listed, 20u);
  // Two or three of them are read at a time.
  EXPECT_GE(others, 6);
}

TEST_F(ResourceStoreTest, WhatAUserWritesIsSmallAndWhatAServiceAddsIsNot) {
  const auto invalid = StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("131072 bytes"));
  const Widget large = MakeWidget("a", std::string(kMaxUserValueBytes, 'r'));
  EXPECT_THAT(Await(widgets_->Create(TestContext(), large, Writer::kUser)), invalid);
  CW_ASSERT_OK(Await(widgets_->Create(TestContext(), MakeWidget("a", "red"), Writer::kUser)));
  EXPECT_THAT(Await(widgets_->Update(TestContext(), large, Writer::kUser)), invalid);
  Widget status = MakeWidget("a", "red");
  status.mutable_status()->set_phase(std::string(kMaxUserValueBytes, 'p'));
  CW_EXPECT_OK(UpdateStatus(status));
}

TEST_F(ResourceStoreTest, MarkDeletedSetsTheTimeOnce) {
  CW_ASSERT_OK(Create(MakeWidget("a", "red")));
  CW_ASSERT_OK_AND_ASSIGN(const Widget marked,
                          Await(widgets_->MarkDeleted(TestContext(), "web", "a")));
  EXPECT_EQ(marked.metadata().delete_time().seconds(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_EQ(marked.metadata().generation(), 1);
  clock_.Advance(absl::Minutes(1));
  CW_ASSERT_OK_AND_ASSIGN(const Widget again,
                          Await(widgets_->MarkDeleted(TestContext(), "web", "a")));
  EXPECT_EQ(again.SerializeAsString(), marked.SerializeAsString());
}

TEST_F(ResourceStoreTest, ResourcesOfSeveralKindsAreCommittedTogether) {
  ResourceStore<Box> boxes(*store_, "boxes", clock_, base::Random::Real());
  CW_ASSERT_OK_AND_ASSIGN(const Widget current, Create(MakeWidget("a", "red")));
  Widget widget = current;
  widget.mutable_status()->set_phase("Boxed");
  Box box;
  box.mutable_metadata()->set_name("b");
  (*box.mutable_data())["k"] = "v";
  std::vector<Mutation> mutations;
  CW_ASSERT_OK_AND_ASSIGN(auto status, widgets_->StatusMutation(current, widget));
  ASSERT_TRUE(status.has_value());
  mutations.push_back(*status);
  CW_ASSERT_OK_AND_ASSIGN(auto created, boxes.CreateMutation(box));
  mutations.push_back(created);
  CW_ASSERT_OK_AND_ASSIGN(const int64_t revision, Commit(*store_, mutations));
  ResourceStore<Box>::SetRevision(box, revision);
  CW_ASSERT_OK_AND_ASSIGN(const Box read, Await(boxes.Get(TestContext(), "", "b")));
  EXPECT_EQ(read.SerializeAsString(), box.SerializeAsString());
  EXPECT_EQ(Read("a")->status().phase(), "Boxed");
  EXPECT_EQ(ValueOf(*store_, "boxes//b").empty(), false);

  // The second time the widget has changed and the box exists: nothing happens.
  EXPECT_THAT(Commit(*store_, mutations), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(Commit(*store_, {widgets_->DeleteMutation(current)}),
              StatusIs(absl::StatusCode::kAborted));
  (*box.mutable_data())["k"] = "changed";
  CW_ASSERT_OK_AND_ASSIGN(const Box updated, Await(boxes.Update(TestContext(), box)));
  EXPECT_EQ(updated.metadata().generation(), 2);
}

TEST_F(ResourceStoreTest, ADamagedRecordIsDataLossThatNamesItsKey) {
  CW_ASSERT_OK(Put(*store_, "widgets/web/bad", "\xff\xff\xff"));
  const auto damaged = StatusIs(absl::StatusCode::kDataLoss, HasSubstr("widgets/web/bad"));
  EXPECT_THAT(Read("bad"), damaged);
  EXPECT_THAT(ListWidgets({}), damaged);
}

TEST_F(ResourceStoreTest, ACodecSeesEveryValueWithItsKey) {
  const PrefixCodec codec;
  ResourceStore<Box> boxes(*store_, "boxes", clock_, base::Random::Real(), &codec);
  Box box;
  box.mutable_metadata()->set_namespace_("web");
  box.mutable_metadata()->set_name("b");
  (*box.mutable_data())["k"] = "v";
  CW_ASSERT_OK(Await(boxes.Create(TestContext(), box)));
  EXPECT_THAT(ValueOf(*store_, "boxes/web/b"), HasSubstr("sealed for boxes/web/b:"));
  EXPECT_EQ(Await(boxes.Get(TestContext(), "web", "b"))->data().at("k"), "v");
  CW_ASSERT_OK(Put(*store_, "boxes/web/c", ValueOf(*store_, "boxes/web/b")));
  EXPECT_THAT(Await(boxes.Get(TestContext(), "web", "c")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("boxes/web/c")));
}

TEST(QueueKeyTest, IsParsedBack) {
  CW_ASSERT_OK_AND_ASSIGN(const ResourceName name, ParseQueueKey(QueueKey("web", "a")));
  EXPECT_EQ(name.resource_namespace, "web");
  EXPECT_EQ(name.name, "a");
  CW_ASSERT_OK_AND_ASSIGN(const ResourceName cluster, ParseQueueKey("/a"));
  EXPECT_EQ(cluster.resource_namespace, "");
  EXPECT_THAT(ParseQueueKey("a"), Not(IsOk()));
  EXPECT_THAT(ParseQueueKey("a/"), Not(IsOk()));
  EXPECT_THAT(ParseQueueKey("a/b/c"), Not(IsOk()));
}

}  // namespace
}  // namespace certwright::store
