#include "lib/base/new_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::base {
namespace {

class NewFileTest : public testing::Test {
 protected:
  NewFileTest() {
    std::string pattern = testing::TempDir() + "/new-file-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    path_ = folder_ + "/file";
  }
  ~NewFileTest() override { std::filesystem::remove_all(folder_); }

  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  // A file of somebody else's that a link at `path` leads to.
  std::string PlantLinkAt(const std::string& path) {
    const std::string victim = folder_ + "/victim";
    std::ofstream(victim) << "precious";
    EXPECT_EQ(symlink(victim.c_str(), path.c_str()), 0);
    return victim;
  }

  std::string folder_;
  std::string path_;
};

TEST_F(NewFileTest, IsForItsOwnerOnlyWhateverTheMask) {
  const mode_t mask = umask(0);
  CW_EXPECT_OK(WriteNewFile(path_, "one"));
  CW_EXPECT_OK(ReplaceFile(path_, "two"));
  umask(mask);
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(Read(path_), "two");
}

TEST_F(NewFileTest, WriteNewFileKeepsWhatIsThere) {
  CW_ASSERT_OK(WriteNewFile(path_, "one"));
  EXPECT_THAT(WriteNewFile(path_, "two"), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(Read(path_), "one");
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

TEST_F(NewFileTest, FollowsNoLinkInPlaceOfTheFileOrOfItsDraft) {
  for (const std::string& link : {path_, path_ + ".new"}) {
    const std::string victim = PlantLinkAt(link);
    CW_EXPECT_OK(ReplaceFile(path_, "mine"));
    EXPECT_EQ(Read(victim), "precious") << link;
    EXPECT_EQ(Read(path_), "mine") << link;
    EXPECT_FALSE(std::filesystem::is_symlink(path_)) << link;
    std::filesystem::remove(path_);
  }
}

// Who writes decides by the code what to do: a full disk gets room again.
TEST(FileErrorTest, TellsAFullDiskFromOtherTrouble) {
  const struct {
    int error;
    absl::StatusCode code;
    const char* advice;
  } kCases[] = {
      {ENOSPC, absl::StatusCode::kResourceExhausted, "make room"},
      {EDQUOT, absl::StatusCode::kResourceExhausted, "make room"},
      {EACCES, absl::StatusCode::kUnavailable, "may be written"},
      {EIO, absl::StatusCode::kUnavailable, "may be written"},
      {EROFS, absl::StatusCode::kUnavailable, "may be written"},
  };
  for (const auto& test : kCases) {
    EXPECT_THAT(FileError("/the/file", "cannot be written", test.error),
                StatusIs(test.code, testing::AllOf(testing::HasSubstr("/the/file: cannot be"),
                                                   testing::HasSubstr(test.advice))))
        << test.error;
  }
}

TEST_F(NewFileTest, AFolderThatIsNotThereIsNamed) {
  EXPECT_THAT(ReplaceFile(folder_ + "/nothing/file", "x"),
              StatusIs(absl::StatusCode::kUnavailable, testing::HasSubstr("/nothing/file")));
}

}  // namespace
}  // namespace certwright::base
