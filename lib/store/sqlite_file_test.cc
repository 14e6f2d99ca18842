#include "lib/store/sqlite_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/store/sqlite_connection.h"
#include "lib/store/sqlite_options.h"

namespace certwright::store {
namespace {

using base::StatusIs;
using testing::HasSubstr;

class SqliteFileTest : public testing::Test {
 protected:
  SqliteFileTest() {
    std::string pattern = absl::StrCat(testing::TempDir(), "/sqlite_file_XXXXXX");
    folder_ = mkdtemp(pattern.data());
    path_ = folder_ + "/test.db";
  }
  ~SqliteFileTest() override { std::filesystem::remove_all(folder_); }

  // A start and an end of the service.
  absl::Status OpenAndClose(const SqliteOptions& options = {}) {
    const auto lock = FileLock::Take(path_);
    if (!lock.ok()) return lock.status();
    return OpenDatabase(path_, options, **lock).status();
  }
  static mode_t ModeOf(const std::string& path) {
    struct stat file {};
    EXPECT_EQ(stat(path.c_str(), &file), 0) << path;
    return file.st_mode & 07777;
  }

  std::string folder_;
  std::string path_;
};

TEST_F(SqliteFileTest, AFileThatOthersCouldReadIsClosedToThem) {
  CW_ASSERT_OK(OpenAndClose());
  ASSERT_EQ(chmod(path_.c_str(), 0666), 0);
  CW_ASSERT_OK(OpenAndClose());
  EXPECT_EQ(ModeOf(path_), 0600u);
}

TEST_F(SqliteFileTest, NoLinkIsFollowedInPlaceOfTheFileOrOfItsLock) {
  const std::string victim = folder_ + "/victim";
  for (const std::string& link : {path_, path_ + ".lock"}) {
    std::filesystem::remove(link);
    std::ofstream(victim) << "precious";
    ASSERT_EQ(chmod(victim.c_str(), 0644), 0);
    ASSERT_EQ(symlink(victim.c_str(), link.c_str()), 0);
    EXPECT_THAT(OpenAndClose(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr(link)));
    std::ifstream in(victim);
    EXPECT_EQ(std::string((std::istreambuf_iterator<char>(in)), {}), "precious") << link;
    EXPECT_EQ(ModeOf(victim), 0644u) << link;
    std::filesystem::remove(link);
  }
}

TEST_F(SqliteFileTest, WhoNamesNoOwnerTakesNobodysStoreAway) {
  CW_ASSERT_OK(OpenAndClose({.owner = "certwright-order"}));
  CW_ASSERT_OK(OpenAndClose());
  EXPECT_THAT(OpenAndClose({.owner = "certwright-solver"}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("certwright-order")));
}

TEST_F(SqliteFileTest, AReaderCannotWrite) {
  CW_ASSERT_OK(OpenAndClose());
  CW_ASSERT_OK_AND_ASSIGN(const auto reader, OpenReader(path_));
  EXPECT_THAT(reader->Execute("UPDATE meta SET revision = 7"),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(reader->ReadInt("SELECT revision FROM meta").value_or(-1), 0);
}

}  // namespace
}  // namespace certwright::store
