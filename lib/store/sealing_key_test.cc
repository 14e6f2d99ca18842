#include "lib/store/sealing_key.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/new_file.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/aes_gcm.h"

namespace certwright::store {
namespace {

using base::StatusIs;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class SealingKeyTest : public testing::Test {
 protected:
  SealingKeyTest() {
    std::string pattern = absl::StrCat(testing::TempDir(), "/sealing_key_XXXXXX");
    folder_ = mkdtemp(pattern.data());
    path_ = folder_ + "/store.key";
  }
  ~SealingKeyTest() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
  std::string path_;
};

TEST_F(SealingKeyTest, AMadeKeyFileIsReadableByItsOwnerOnlyAndReadBack) {
  CW_ASSERT_OK(MakeSealingKey(path_));
  struct stat file {};
  ASSERT_EQ(stat(path_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 07777, 0600u);
  CW_ASSERT_OK_AND_ASSIGN(const SealingKey key, ReadSealingKey(path_));
  CW_ASSERT_OK_AND_ASSIGN(const SealingKey again, ReadSealingKey(path_));
  EXPECT_EQ(key.id(), again.id());
  CW_EXPECT_OK(again.Unwrap(key.Wrap(pki::NewAesKey())));
}

TEST_F(SealingKeyTest, AnExistingKeyFileIsNeverOverwritten) {
  CW_ASSERT_OK(MakeSealingKey(path_));
  const std::string id = ReadSealingKey(path_)->id();
  EXPECT_THAT(MakeSealingKey(path_), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(ReadSealingKey(path_)->id(), id);
}

TEST_F(SealingKeyTest, AMissingFileIsNotFound) {
  EXPECT_THAT(ReadSealingKey(path_), StatusIs(absl::StatusCode::kNotFound, HasSubstr(path_)));
}

TEST_F(SealingKeyTest, AFolderIsNoKeyFile) {
  EXPECT_THAT(ReadSealingKey(folder_), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                HasSubstr(folder_ + ": the key file")));
}

TEST_F(SealingKeyTest, AFileThatOthersCanReadIsRefused) {
  CW_ASSERT_OK(MakeSealingKey(path_));
  for (const mode_t mode : {0640, 0604, 0660, 0644, 0620, 0602, 0610, 0601}) {
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
    EXPECT_THAT(ReadSealingKey(path_), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                AllOf(HasSubstr(path_), HasSubstr("chmod"))));
  }
  ASSERT_EQ(chmod(path_.c_str(), 0400), 0);
  CW_EXPECT_OK(ReadSealingKey(path_));
}

TEST_F(SealingKeyTest, AFileOfAnotherUserIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  CW_ASSERT_OK(MakeSealingKey(path_));
  ASSERT_EQ(chown(path_.c_str(), 65534, 65534), 0);
  EXPECT_THAT(ReadSealingKey(path_), StatusIs(absl::StatusCode::kFailedPrecondition,
                                              HasSubstr("belongs to user 65534")));
}

TEST_F(SealingKeyTest, WhatIsNo32BytesInBase64IsRefusedWithoutShowingIt) {
  for (const std::string& text :
       {std::string("not base64 !!!"), absl::Base64Escape(std::string(31, 'x')),
        absl::Base64Escape(std::string(33, 'x')), std::string(), std::string(10'000, 'A')}) {
    unlink(path_.c_str());
    CW_ASSERT_OK(base::WriteNewFile(path_, text));
    EXPECT_THAT(ReadSealingKey(path_), StatusIs(absl::StatusCode::kInvalidArgument,
                                                AllOf(HasSubstr("openssl rand -base64 32"),
                                                      Not(HasSubstr("not base64 !")))));
  }
}

TEST_F(SealingKeyTest, SurroundingWhiteSpaceDoesNotMatter) {
  CW_ASSERT_OK(base::WriteNewFile(
      path_, absl::StrCat(" ", absl::Base64Escape(std::string(32, 'x')), "\r\n")));
  CW_ASSERT_OK_AND_ASSIGN(const SealingKey key, ReadSealingKey(path_));
  EXPECT_EQ(key.id(), SealingKey(base::Secret(std::string(32, 'x'))).id());
}

TEST_F(SealingKeyTest, AnotherKeyDoesNotUnwrap) {
  const SealingKey one(base::Secret(std::string(32, '1')));
  const SealingKey two(base::Secret(std::string(32, '2')));
  EXPECT_NE(one.id(), two.id());
  EXPECT_THAT(two.Unwrap(one.Wrap(pki::NewAesKey())), StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace certwright::store
