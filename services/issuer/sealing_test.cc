#include "services/issuer/sealing.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/new_file.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/thread_pool.h"
#include "lib/runtime/timers.h"
#include "lib/store/resealing.h"
#include "lib/store/sqlite_store.h"
#include "lib/store/store_testing.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

using base::StatusIs;
using store::Await;
using store::TestContext;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class SealingTest : public testing::Test {
 protected:
  SealingTest() {
    std::string pattern = absl::StrCat(testing::TempDir(), "/sealing_XXXXXX");
    folder_ = mkdtemp(pattern.data());
    config_.mutable_store()->mutable_sqlite()->set_path(folder_ + "/issuer.db");
    store_ = store::OpenSqliteStore(folder_ + "/issuer.db", {}).value();
  }
  ~SealingTest() override {
    pool_.Stop();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  void CreateSecret(const store::ValueCodec* codec, const std::string& name) {
    Stores stores(*store_, base::Clock::Real(), base::Random::Real(), codec);
    issuer::v1::Secret secret;
    secret.mutable_metadata()->set_namespace_("web");
    secret.mutable_metadata()->set_name(name);
    (*secret.mutable_data())["tls.key"] = "the key";
    CW_ASSERT_OK(Await(stores.secrets.Create(TestContext(), secret)));
  }
  std::string ReadSecret(const store::ValueCodec& codec, const std::string& name) {
    Stores stores(*store_, base::Clock::Real(), base::Random::Real(), &codec);
    const auto secret = Await(stores.secrets.Get(TestContext(), "web", name));
    return secret.ok() ? secret->data().at("tls.key") : std::string(secret.status().message());
  }
  std::string MakeKey(const std::string& name) {
    const std::string path = absl::StrCat(folder_, "/", name);
    CW_EXPECT_OK(store::MakeSealingKey(path));
    return path;
  }
  absl::StatusOr<std::unique_ptr<store::SealingCodec>> Open() {
    return OpenSealing(config_, *store_);
  }
  // What the refusal to start says that the content is.
  std::string NamedDigest() {
    const std::string message(Open().status().message());
    EXPECT_THAT(message, HasSubstr("sealing.migrateUnsealed: \""));
    const std::size_t at = message.find('"');
    return at == std::string::npos ? "" : message.substr(at + 1, 64);
  }
  void Reseal(const store::SealingCodec& codec) {
    store::Resealing resealing(*store_, kSecretsPrefix, codec, pool_.executor(), *timers_,
                               [](int64_t) {});
    CW_ASSERT_OK(Await(resealing.Run(TestContext())));
  }

  runtime::ThreadPool pool_{1};
  std::unique_ptr<runtime::Timers> timers_ =
      runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real());
  std::string folder_;
  config::v1::IssuerConfig config_;
  std::unique_ptr<store::SqliteStore> store_;
};

TEST_F(SealingTest, ANewStoreGetsAKeyFileAndNeedsNoResealing) {
  CW_ASSERT_OK_AND_ASSIGN(const auto codec, Open());
  EXPECT_EQ(access((folder_ + "/issuer.db.key").c_str(), R_OK), 0);
  CreateSecret(codec.get(), "tls");
  EXPECT_EQ(ReadSecret(**Open(), "tls"), "the key");
  CW_ASSERT_OK_AND_ASSIGN(
      const auto survey,
      Await(store::SurveySealing(TestContext(), *store_, kSecretsPrefix, codec.get())));
  EXPECT_EQ(survey.noted_key_id, codec->current_key_id());
}

TEST_F(SealingTest, AStoreOfAVersionThatDidNotSealIsSealedWhenItsContentIsNamed) {
  CreateSecret(nullptr, "tls");
  const std::string digest = NamedDigest();
  config_.mutable_sealing()->set_migrate_unsealed(digest);
  CW_ASSERT_OK_AND_ASSIGN(const auto codec, Open());
  EXPECT_EQ(ReadSecret(*codec, "tls"), "the key");
  Reseal(*codec);
  EXPECT_EQ(ReadSecret(**Open(), "tls"), "the key");
}

TEST_F(SealingTest, AMigrationOfAnotherContentIsRefused) {
  CreateSecret(nullptr, "tls");
  config_.mutable_sealing()->set_migrate_unsealed(NamedDigest());
  CreateSecret(nullptr, "planted");
  EXPECT_THAT(Open(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("2 Secrets are not sealed"),
                             HasSubstr("not those that sealing.migrateUnsealed names"))));
  EXPECT_FALSE(std::filesystem::exists(SealedMarkFile(config_)));
}

TEST_F(SealingTest, TheDigestOfAMigrationIsChecked) {
  config_.mutable_sealing()->set_migrate_unsealed("true");
  EXPECT_THAT(ValidateSealing(config_.sealing()),
              ElementsAre(HasSubstr("sealing.migrateUnsealed: must be the digest")));
  config_.mutable_sealing()->set_migrate_unsealed(std::string(64, 'a'));
  EXPECT_THAT(ValidateSealing(config_.sealing()), IsEmpty());
}

// Whoever writes the file takes out what shows that it was sealed, in every combination, before
// or after the store is opened again, and also where the configuration still names an earlier
// migration.
TEST_F(SealingTest, APlantedSecretIsNeverTaken) {
  CreateSecret(nullptr, "tls");
  config_.mutable_sealing()->set_migrate_unsealed(NamedDigest());
  {
    CW_ASSERT_OK_AND_ASSIGN(const auto codec, Open());
    Reseal(*codec);
  }
  CreateSecret(nullptr, "planted");
  const std::string note = store::ValueOf(*store_, store::kSealingNote);
  const std::string mark = SealedMarkFile(config_);
  for (const bool with_note : {true, false}) {
    for (const bool with_mark : {true, false}) {
      for (const bool with_sealed : {true, false}) {
        SCOPED_TRACE(absl::StrCat(with_note, with_mark, with_sealed));
        if (with_note) {
          CW_ASSERT_OK(store::Put(*store_, store::kSealingNote, note));
        } else {
          (void)store::Delete(*store_, store::kSealingNote);
        }
        if (with_mark) {
          CW_ASSERT_OK(base::ReplaceFile(mark, note));
        } else {
          std::filesystem::remove(mark);
        }
        if (!with_sealed) (void)store::Delete(*store_, "secrets/web/tls");
        const auto codec = Open();
        if (codec.ok()) {
          EXPECT_TRUE(with_note);
          EXPECT_THAT(ReadSecret(**codec, "planted"), HasSubstr("is not sealed"));
          EXPECT_TRUE(std::filesystem::exists(mark));
        } else {
          EXPECT_FALSE(with_note);
          EXPECT_THAT(std::string(codec.status().message()), HasSubstr("are not sealed"));
        }
      }
    }
  }
}

TEST_F(SealingTest, AForgedNoteLetsNothingIn) {
  CreateSecret(nullptr, "planted");
  MakeKey("issuer.db.key");
  for (const char* forged : {"", "0123456789abcdef", "0123456789abcdef 00"}) {
    CW_ASSERT_OK(store::Put(*store_, store::kSealingNote, forged));
    EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                 HasSubstr("a note in the store shows that all were")));
  }
}

TEST_F(SealingTest, AStoreOfAVersionWhoseNoteHasNoProofIsTakenIfAllIsSealed) {
  std::string note;
  {
    CW_ASSERT_OK_AND_ASSIGN(const auto codec, Open());
    CreateSecret(codec.get(), "tls");
    note = codec->Note();
  }
  CW_ASSERT_OK(store::Put(*store_, store::kSealingNote, note.substr(0, note.find(' '))));
  std::filesystem::remove(SealedMarkFile(config_));
  CW_ASSERT_OK_AND_ASSIGN(const auto codec, Open());
  EXPECT_EQ(ReadSecret(*codec, "tls"), "the key");
  Reseal(*codec);
  EXPECT_EQ(store::ValueOf(*store_, store::kSealingNote), note);
}

TEST_F(SealingTest, TheMarkIsMadeAgainWhereAStoreWasMovedWithoutIt) {
  CW_ASSERT_OK(Open());
  const std::string mark = SealedMarkFile(config_);
  ASSERT_TRUE(std::filesystem::remove(mark));
  CW_ASSERT_OK(Open());
  EXPECT_TRUE(std::filesystem::exists(mark));
}

TEST_F(SealingTest, AMissingDefaultKeyFileIsNotReplacedWhileSecretsNeedIt) {
  {
    CW_ASSERT_OK_AND_ASSIGN(const auto codec, Open());
    CreateSecret(codec.get(), "tls");
  }
  unlink((folder_ + "/issuer.db.key").c_str());
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kFailedPrecondition,
                               AllOf(HasSubstr("issuer.db.key"), HasSubstr("put it back"))));
  EXPECT_NE(access((folder_ + "/issuer.db.key").c_str(), F_OK), 0);
}

TEST_F(SealingTest, AKeyFileThatIsConfiguredIsNotMade) {
  config_.mutable_sealing()->add_key_files(folder_ + "/mine.key");
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("mine.key")));
}

TEST_F(SealingTest, KeysAreRotatedStepByStep) {
  const std::string old_key = MakeKey("old.key");
  const std::string new_key = MakeKey("new.key");
  config_.mutable_sealing()->add_key_files(old_key);
  {
    CW_ASSERT_OK_AND_ASSIGN(const auto codec, Open());
    CreateSecret(codec.get(), "tls");
  }
  // The old key is taken out too early.
  config_.mutable_sealing()->clear_key_files();
  config_.mutable_sealing()->add_key_files(new_key);
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kFailedPrecondition,
                               AllOf(HasSubstr("1 Secrets are sealed with sealing key"),
                                     HasSubstr("sealing.keyFiles"))));
  config_.mutable_sealing()->add_key_files(old_key);
  {
    CW_ASSERT_OK_AND_ASSIGN(const auto codec, Open());
    EXPECT_EQ(ReadSecret(*codec, "tls"), "the key");
    Reseal(*codec);
  }
  config_.mutable_sealing()->mutable_key_files()->RemoveLast();
  EXPECT_EQ(ReadSecret(**Open(), "tls"), "the key");
}

TEST_F(SealingTest, AWrongOrLaxKeyFileStopsTheStart) {
  {
    CW_ASSERT_OK_AND_ASSIGN(const auto codec, Open());
    CreateSecret(codec.get(), "tls");
  }
  const std::string key = folder_ + "/issuer.db.key";
  ASSERT_EQ(chmod(key.c_str(), 0644), 0);
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("chmod 0600")));
  unlink(key.c_str());
  MakeKey("issuer.db.key");
  EXPECT_THAT(Open(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("sealing.keyFiles")));
}

TEST_F(SealingTest, TheSameKeyTwiceIsRefused) {
  const std::string key = MakeKey("a.key");
  std::filesystem::copy_file(key, folder_ + "/b.key");
  config_.mutable_sealing()->add_key_files(key);
  config_.mutable_sealing()->add_key_files(folder_ + "/b.key");
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("b.key")));
  EXPECT_THAT(ValidateSealing(config_.sealing()), IsEmpty());
  config_.mutable_sealing()->add_key_files(key);
  EXPECT_THAT(ValidateSealing(config_.sealing()), SizeIs(1));
}

}  // namespace
}  // namespace certwright::issuer_service
