#include "lib/service/audit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/telemetry/log.h"
#include "spdlog/sinks/base_sink.h"

namespace certwright::service {
namespace {

constexpr std::size_t kQueuedLines = 8192;
// Of a string that came from the network.
constexpr std::size_t kMaxText = 512;

// Not one that somebody else has put in its place, to read the lines or to have them appended
// to another file.
bool IsOurs(int file) {
  struct stat opened {};
  return fstat(file, &opened) == 0 && S_ISREG(opened.st_mode) && opened.st_nlink <= 1 &&
         (opened.st_uid == geteuid() || opened.st_uid == 0);
}

// Appends to a file, and opens it anew when another one is at its path, or none.
class RotatedFile final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit RotatedFile(std::string path) : path_(std::move(path)) {}
  ~RotatedFile() override {
    if (file_ >= 0) close(file_);
  }

  absl::Status Open() {
    // Without O_NONBLOCK a pipe in its place would hold the start up.
    const int file = open(
        path_.c_str(),
        O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path_));
    if (!IsOurs(file)) {
      close(file);
      return absl::FailedPreconditionError(
          absl::StrCat(path_, ": is not a plain file of this user's or root's, with one name"));
    }
    if (file_ >= 0) close(file_);
    file_ = file;
    return absl::OkStatus();
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    absl::Status status = IsInPlace() ? absl::OkStatus() : Open();
    if (status.ok()) {
      const std::string line =
          absl::StrCat(absl::string_view(message.payload.data(), message.payload.size()), "\n");
      // In one piece: another process may append too.
      if (write(file_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
        status = absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
      }
    }
    // Once, not for every line.
    if (!status.ok() && !failing_) {
      telemetry::LogError("the audit log loses lines", {{"error", status.message()}});
    }
    failing_ = !status.ok();
  }
  void flush_() override {}

 private:
  bool IsInPlace() const {
    struct stat at_path {};
    struct stat opened {};
    return file_ >= 0 && lstat(path_.c_str(), &at_path) == 0 && fstat(file_, &opened) == 0 &&
           at_path.st_ino == opened.st_ino && at_path.st_dev == opened.st_dev;
  }

  const std::string path_;
  int file_ = -1;
  bool failing_ = false;
};

absl::string_view Capped(const std::string& text) {
  return absl::string_view(text).substr(0, kMaxText);
}

}  // namespace

AuditLog::AuditLog(std::string service, const base::Clock& clock, telemetry::Metrics& metrics)
    : service_(std::move(service)),
      clock_(clock),
      lost_(
          metrics.GetCounter("certwright_audit_lines_lost_total",
                             "Lines of the audit log that were lost as its queue was full.")) {}

absl::StatusOr<std::unique_ptr<AuditLog>> AuditLog::Open(std::string service,
                                                         const std::string& path,
                                                         const base::Clock& clock,
                                                         telemetry::Metrics& metrics) {
  std::unique_ptr<AuditLog> log(new AuditLog(std::move(service), clock, metrics));
  if (path.empty()) return log;
  auto file = std::make_shared<RotatedFile>(path);
  CW_RETURN_IF_ERROR(file->Open());
  log->pool_ = std::make_shared<spdlog::details::thread_pool>(kQueuedLines, 1);
  log->logger_ = std::make_shared<spdlog::async_logger>(
      "audit", std::move(file), log->pool_, spdlog::async_overflow_policy::overrun_oldest);
  return log;
}

void AuditLog::Record(const rpc::AuditRecord& record) {
  const std::string code = absl::StatusCodeToString(record.code);
  const telemetry::Fields fields = {{"service", service_},
                                    {"caller", Capped(record.caller)},
                                    {"peer", Capped(record.peer)},
                                    {"method", Capped(record.method)},
                                    {"namespace", Capped(record.resource_namespace)},
                                    {"name", Capped(record.name)},
                                    {"code", code}};
  if (logger_ == nullptr) return telemetry::LogInfo("call", fields);
  const std::string line =
      telemetry::FormatLogLine(clock_.Now(), telemetry::Level::kInfo, "call", fields);
  logger_->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  CountLost();
}

void AuditLog::CountLost() {
  const std::size_t lost = pool_->overrun_counter();
  std::size_t before = counted_.load();
  // Never back, or another thread that saw fewer would have some counted twice.
  while (before < lost && !counted_.compare_exchange_weak(before, lost)) {
  }
  if (lost <= before) return;
  lost_.Increment(static_cast<double>(lost - before));
  if (before == 0) telemetry::LogError("the audit log loses lines: its queue is full");
}

}  // namespace certwright::service
