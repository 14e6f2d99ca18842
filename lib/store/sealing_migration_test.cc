#include "lib/store/sealing_migration.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/thread_pool.h"
#include "lib/store/mortal_store.h"
#include "lib/store/sealed_record.h"
#include "lib/store/sqlite_store.h"
#include "lib/store/store_testing.h"

namespace certwright::store {
namespace {

using base::StatusIs;

constexpr char kPlain[] = "what nobody may read on the disk";

SealingCodec Codec(const std::string& fills) {
  std::vector<SealingKey> keys;
  for (const char fill : fills) keys.emplace_back(base::Secret(std::string(32, fill)));
  return SealingCodec(std::move(keys));
}

class SealingMigrationTest : public testing::Test {
 protected:
  SealingMigrationTest() {
    std::string pattern = absl::StrCat(testing::TempDir(), "/migration_XXXXXX");
    folder_ = mkdtemp(pattern.data());
    store_ = OpenSqliteStore(folder_ + "/test.db", {}).value();
    for (int i = 0; i < 250; ++i) {
      CW_EXPECT_OK(Put(*store_, absl::StrCat("secrets/web/", i), absl::StrCat(kPlain, i)));
    }
  }
  ~SealingMigrationTest() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  SealingMigration Plan(Store& store) {
    return Await(SealingMigration::Plan(TestContext(), store, "secrets/", codec_)).value();
  }
  std::string Digest() { return Plan(*store_).digest(); }
  bool OnDisk(absl::string_view bytes) const {
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string content((std::istreambuf_iterator<char>(file)), {});
      if (absl::StrContains(content, bytes)) return true;
    }
    return false;
  }
  int CountSealed() {
    int sealed = 0;
    const ListResult all = List(*store_, {.prefix = "secrets/"}).value();
    for (const Record& record : all.records) {
      sealed += IsSealed(record.value) ? 1 : 0;
    }
    return sealed;
  }

  const SealingCodec codec_ = Codec("a");
  std::string folder_;
  std::unique_ptr<SqliteStore> store_;
};

TEST_F(SealingMigrationTest, AllIsSealedAndLeavesNoTraceOnDisk) {
  CW_ASSERT_OK(Put(*store_, "secrets/web/gone", kPlain));
  CW_ASSERT_OK(Delete(*store_, "secrets/web/gone"));
  CW_ASSERT_OK(Put(*store_, "other/web/x", "not secret"));
  CW_ASSERT_OK(Await(Plan(*store_).Run(TestContext())));
  EXPECT_EQ(CountSealed(), 250);
  EXPECT_FALSE(OnDisk(kPlain));
  for (const int i : {0, 99, 100, 249}) {
    const std::string key = absl::StrCat("secrets/web/", i);
    EXPECT_EQ(codec_.Open(key, ValueOf(*store_, key))->Reveal(), absl::StrCat(kPlain, i));
  }
  EXPECT_EQ(ValueOf(*store_, "other/web/x"), "not secret");
}

TEST_F(SealingMigrationTest, TheDigestChangesWithTheContentOnly) {
  const std::string digest = Digest();
  CW_ASSERT_OK(
      Put(*store_, "secrets/web/0", *codec_.Seal("secrets/web/0", absl::StrCat(kPlain, 0))));
  CW_ASSERT_OK(Put(*store_, "other/web/x", "not secret"));
  EXPECT_EQ(Digest(), digest);
  CW_ASSERT_OK(Put(*store_, "secrets/web/planted", "x"));
  EXPECT_NE(Digest(), digest);
  CW_ASSERT_OK(Delete(*store_, "secrets/web/planted"));
  EXPECT_EQ(Digest(), digest);
  CW_ASSERT_OK(Put(*store_, "secrets/web/0", "x"));
  EXPECT_NE(Digest(), digest);
}

// Each sorts where the first record did; the second has the same octets, name and value taken
// together.
TEST_F(SealingMigrationTest, TheDigestChangesWhenAValueGetsAnotherName) {
  using NameAndValue = std::pair<std::string, std::string>;
  const std::string digest = Digest();
  const std::string value = ValueOf(*store_, "secrets/web/0");
  CW_ASSERT_OK(Delete(*store_, "secrets/web/0"));
  for (const auto& [name, content] :
       {NameAndValue("secrets/web/00", value),
        NameAndValue("secrets/web/0" + value.substr(0, 1), value.substr(1))}) {
    CW_ASSERT_OK(Put(*store_, name, content));
    EXPECT_NE(Digest(), digest) << name;
    CW_ASSERT_OK(Delete(*store_, name));
  }
  CW_ASSERT_OK(Put(*store_, "secrets/web/0", value));
  EXPECT_EQ(Digest(), digest);
}

TEST_F(SealingMigrationTest, WhatWasCutShortGoesOnUnderTheSameDigest) {
  const std::string digest = Digest();
  runtime::ThreadPool pool(1);
  MortalStore mortal(*store_);
  mortal.DieAtCommit(3, true);
  SealingMigration killed = Plan(mortal);
  runtime::SpawnThen<absl::Status>(pool.executor(), killed.Run(TestContext()),
                                   [](const absl::Status&) {});
  ASSERT_TRUE(mortal.WaitUntilDead());
  pool.Stop();
  EXPECT_GT(CountSealed(), 0);
  EXPECT_LT(CountSealed(), 250);
  EXPECT_EQ(Digest(), digest);
  CW_ASSERT_OK(Await(Plan(*store_).Run(TestContext())));
  EXPECT_EQ(CountSealed(), 250);
}

TEST_F(SealingMigrationTest, WhatIsPlantedMeanwhileIsNotSealed) {
  SealingMigration migration = Plan(*store_);
  CW_ASSERT_OK(Put(*store_, "secrets/web/3", "planted"));
  EXPECT_THAT(Await(migration.Run(TestContext())), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(ValueOf(*store_, "secrets/web/3"), "planted");
}

TEST_F(SealingMigrationTest, WhatChangesRightBeforeItsCommitStaysAsItIs) {
  MortalStore store(*store_);
  SealingMigration migration = Plan(store);
  store.BeforeNextCommit([&] { CW_ASSERT_OK(Put(*store_, "secrets/web/0", "changed")); });
  EXPECT_THAT(Await(migration.Run(TestContext())), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(ValueOf(*store_, "secrets/web/0"), "changed");
  EXPECT_EQ(CountSealed(), 0);
}

TEST_F(SealingMigrationTest, ARecordOfAnUnknownKeyStopsIt) {
  CW_ASSERT_OK(Put(*store_, "secrets/web/b", *Codec("b").Seal("secrets/web/b", "x")));
  EXPECT_THAT(
      Await(SealingMigration::Plan(TestContext(), *store_, "secrets/", codec_)).status(),
      StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace certwright::store
