#include "lib/service/audit.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/telemetry/log.h"

namespace certwright::service {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

rpc::AuditRecord Record(const std::string& name) {
  rpc::AuditRecord record;
  record.method = "certwright.issuer.v1.SecretService.GetSecret";
  record.caller = "ann.test";
  record.peer = "ipv4:192.0.2.1:40000";
  record.resource_namespace = "web";
  record.name = name;
  record.code = absl::StatusCode::kPermissionDenied;
  return record;
}

std::vector<std::string> Lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

class AuditLogTest : public testing::Test {
 protected:
  AuditLogTest() {
    std::string pattern = testing::TempDir() + "/audit_XXXXXX";
    folder_ = mkdtemp(pattern.data());
    path_ = folder_ + "/audit.log";
  }
  ~AuditLogTest() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<std::unique_ptr<AuditLog>> Open(const std::string& path) {
    return AuditLog::Open("certwright-issuer", path, clock_, metrics_);
  }

  base::FakeClock clock_;
  telemetry::Metrics metrics_;
  std::string folder_;
  std::string path_;
};

TEST_F(AuditLogTest, ALineSaysWhoDidWhatWhereAndHowItEnded) {
  {
    CW_ASSERT_OK_AND_ASSIGN(const auto log, Open(path_));
    log->Record(Record("tls"));
  }
  EXPECT_THAT(
      Lines(path_),
      ElementsAre(HasSubstr(
          R"("message":"call","service":"certwright-issuer","caller":"ann.test",)"
          R"("peer":"ipv4:192.0.2.1:40000",)"
          R"("method":"certwright.issuer.v1.SecretService.GetSecret","namespace":"web",)"
          R"("name":"tls","code":"PERMISSION_DENIED"})")));
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(AuditLogTest, AppendsToWhatIsThereAndCutsLongNames) {
  std::ofstream(path_) << "before\n";
  {
    CW_ASSERT_OK_AND_ASSIGN(const auto log, Open(path_));
    log->Record(Record(std::string(100'000, 'x')));
    log->Record(Record("a\n{\"forged\":1}"));
  }
  const std::vector<std::string> lines = Lines(path_);
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_EQ(lines[0], "before");
  EXPECT_LT(lines[1].size(), 1500u);
  EXPECT_THAT(lines[2], HasSubstr(R"("name":"a\n{\"forged\":1}")"));
}

TEST_F(AuditLogTest, AFileThatIsMovedAwayIsMadeAnew) {
  CW_ASSERT_OK_AND_ASSIGN(auto log, Open(path_));
  log->Record(Record("one"));
  while (Lines(path_).empty()) {
  }
  std::filesystem::rename(path_, path_ + ".1");
  log->Record(Record("two"));
  log.reset();
  EXPECT_THAT(Lines(path_ + ".1"), ElementsAre(HasSubstr("one")));
  EXPECT_THAT(Lines(path_), ElementsAre(HasSubstr("two")));
}

TEST_F(AuditLogTest, AFullQueueLosesLinesButHoldsNobodyUp) {
  constexpr int kLines = 200'000;
  {
    CW_ASSERT_OK_AND_ASSIGN(const auto log, Open(path_));
    for (int i = 0; i < kLines; ++i) log->Record(Record(absl::StrCat(i)));
  }
  const std::vector<std::string> lines = Lines(path_);
  EXPECT_THAT(lines.back(), HasSubstr(absl::StrCat("\"", kLines - 1, "\"")));
  const double lost =
      metrics_
          .GetCounter("certwright_audit_lines_lost_total",
                      "Lines of the audit log that were lost as its queue was full.")
          .Value();
  EXPECT_EQ(lines.size() + static_cast<std::size_t>(lost), static_cast<std::size_t>(kLines));
}

TEST_F(AuditLogTest, WithoutAFileLinesGoToTheOrdinaryLog) {
  std::vector<std::string> logged;
  const telemetry::ScopedLogSink sink(
      [&logged](telemetry::Level, absl::string_view line) { logged.emplace_back(line); });
  CW_ASSERT_OK_AND_ASSIGN(const auto log, Open(""));
  log->Record(Record("tls"));
  EXPECT_THAT(logged, ElementsAre(AllOf(HasSubstr("\"call\""), HasSubstr("ann.test"))));
}

TEST_F(AuditLogTest, ALinkOrPipeInItsPlaceIsRefused) {
  const std::string other = folder_ + "/other";
  std::ofstream(other) << "precious\n";
  ASSERT_EQ(symlink(other.c_str(), path_.c_str()), 0);
  EXPECT_FALSE(Open(path_).ok());
  ASSERT_EQ(unlink(path_.c_str()), 0);
  ASSERT_EQ(link(other.c_str(), path_.c_str()), 0);
  EXPECT_THAT(Open(path_), base::StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_EQ(unlink(path_.c_str()), 0);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(Open(path_).ok());
  EXPECT_THAT(Lines(other), ElementsAre("precious"));
}

TEST_F(AuditLogTest, AFileThatCannotBeOpenedIsNamed) {
  EXPECT_THAT(Open(folder_ + "/nothing/audit.log"),
              base::StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nothing/audit.log")));
}

}  // namespace
}  // namespace certwright::service
