#include "lib/telemetry/library_logs.h"

#include <string>
#include <vector>

#include "absl/base/internal/raw_logging.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/wrappers.pb.h"
#include "grpc/support/log.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "sqlite3.h"

namespace certwright::telemetry {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class LibraryLogTest : public testing::Test {
 protected:
  std::vector<std::string> lines_;
  const ScopedLogSink sink_{
      [this](Level, absl::string_view line) { lines_.emplace_back(line); }};
  base::FakeClock clock_;
  LibraryLog log_{"Library", clock_};
};

TEST_F(LibraryLogTest, ATextIsOneFieldOfALine) {
  log_.Write(Level::kWarning, "file.cc:1", "x\n{\"time\":\"now\"}\x1b[31m\xff");
  EXPECT_THAT(lines_, ElementsAre(AllOf(
                          Not(HasSubstr("\n")), HasSubstr(R"("level":"warning")"),
                          HasSubstr(R"("message":"a library reports","library":"Library",)"
                                    R"("source":"file.cc:1",)"
                                    R"("text":"x\n{\"time\":\"now\"}\u001b[31m)"))));
}

TEST_F(LibraryLogTest, ALongTextIsCut) {
  log_.Write(Level::kWarning, "", std::string(LibraryLog::kMaxBytes, 'x') + "end");
  EXPECT_THAT(lines_, ElementsAre(AllOf(HasSubstr(std::string(LibraryLog::kMaxBytes, 'x')),
                                        Not(HasSubstr("end")))));
}

TEST_F(LibraryLogTest, SoManyLinesASecondAndTheRestIsCounted) {
  for (int i = 0; i < 1000; ++i) log_.Write(Level::kWarning, "", "flood");
  EXPECT_THAT(lines_, SizeIs(LibraryLog::kLinesASecond));
  clock_.Advance(absl::Milliseconds(999));
  log_.Write(Level::kWarning, "", "flood");
  EXPECT_THAT(lines_, SizeIs(LibraryLog::kLinesASecond));
  lines_.clear();
  clock_.Advance(absl::Milliseconds(1));
  log_.Write(Level::kWarning, "", "after");
  log_.Write(Level::kWarning, "", "after");
  EXPECT_THAT(lines_, ElementsAre(HasSubstr(R"("text":"after","suppressed_before":991})"),
                                  HasSubstr(R"("text":"after"})")));
}

TEST_F(LibraryLogTest, AFloodOfOneLevelDoesNotHideAnother) {
  for (int i = 0; i < 1000; ++i) log_.Write(Level::kWarning, "", "flood");
  lines_.clear();
  log_.Write(Level::kError, "", "news");
  EXPECT_THAT(lines_, ElementsAre(HasSubstr("news")));
}

TEST_F(LibraryLogTest, WhatTheLogDoesNotTakeIsNotCounted) {
  for (int i = 0; i < 1000; ++i) log_.Write(Level::kDebug, "", "detail");
  EXPECT_THAT(lines_, IsEmpty());
  SetLogLevel(Level::kDebug);
  log_.Write(Level::kDebug, "", "detail");
  SetLogLevel(Level::kInfo);
  EXPECT_THAT(lines_, ElementsAre(HasSubstr(R"("text":"detail"})")));
}

class LibrariesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    TakeOverLibraryLogs();
    // As gRPC does when it is used first; it logs nothing before.
    gpr_log_verbosity_init();
  }

  LibrariesTest() { testing::internal::CaptureStderr(); }
  ~LibrariesTest() override { EXPECT_EQ(testing::internal::GetCapturedStderr(), ""); }

  std::vector<std::string> lines_;
  const ScopedLogSink sink_{
      [this](Level, absl::string_view line) { lines_.emplace_back(line); }};
};

TEST_F(LibrariesTest, GrpcCannotBeMadeToForgeALine) {
  gpr_log("src/core/frame.cc", 7, GPR_LOG_SEVERITY_ERROR, "te: %s",
          "x\n{\"time\":\"2026-01-02T03:04:05Z\",\"level\":\"info\",\"message\":\"call\"}");
  EXPECT_THAT(lines_,
              ElementsAre(AllOf(Not(HasSubstr("\n")),
                                HasSubstr(R"("level":"warning","message":"a library reports",)"
                                          R"("library":"gRPC","source":"frame.cc:7",)"
                                          R"("text":"te: x\n{\"time\":)"))));
}

TEST_F(LibrariesTest, ProtobufTellsOfTextThatIsNotUtf8) {
  google::protobuf::StringValue message;
  message.set_value("\xff");
  message.SerializeAsString();
  EXPECT_THAT(lines_, ElementsAre(AllOf(HasSubstr(R"("library":"Protobuf")"),
                                        HasSubstr("invalid UTF-8"))));
}

TEST_F(LibrariesTest, AbseilTellsWhatItFinds) {
  ABSL_INTERNAL_LOG(WARNING, std::string("odd\nthing"));
  EXPECT_THAT(lines_, ElementsAre(AllOf(HasSubstr(R"("library":"Abseil")"),
                                        HasSubstr(R"("text":"odd\nthing")"))));
}

TEST_F(LibrariesTest, SqliteTellsItsErrors) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(":memory:", &database), SQLITE_OK);
  EXPECT_NE(sqlite3_exec(database, "nonsense\n", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
  EXPECT_THAT(lines_, ElementsAre(AllOf(HasSubstr(R"("library":"SQLite","source":"code 1")"),
                                        HasSubstr("syntax error"))));
}

}  // namespace
}  // namespace certwright::telemetry
