#include "lib/telemetry/library_logs.h"

#include <cstdlib>
#include <string>
#include <utility>

#include "absl/base/internal/raw_logging.h"
#include "absl/base/log_severity.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/stubs/common.h"
#include "google/protobuf/stubs/logging.h"
#include "grpc/support/log.h"
#include "sqlite3.h"

namespace certwright::telemetry {
namespace {

// "src/core/lib/iomgr/tcp_server_posix.cc", 599 -> "tcp_server_posix.cc:599"
std::string Source(absl::string_view file, int line) {
  return absl::StrCat(file.substr(file.rfind('/') + 1), ":", line);
}

// Never destroyed, as libraries log until the process has ended.
LibraryLog& NewLog(const char* library) {
  return *new LibraryLog(library, base::Clock::Real());
}

// What gRPC calls an error is mostly what a peer has done.
Level LevelOf(gpr_log_severity severity) {
  switch (severity) {
    case GPR_LOG_SEVERITY_DEBUG:
      return Level::kDebug;
    case GPR_LOG_SEVERITY_INFO:
      return Level::kInfo;
    case GPR_LOG_SEVERITY_ERROR:
      break;
  }
  return Level::kWarning;
}

void LogOfGrpc(gpr_log_func_args* line) {
  static LibraryLog& log = NewLog("gRPC");
  log.Write(LevelOf(line->severity), Source(line->file, line->line), line->message);
}

Level LevelOf(google::protobuf::LogLevel level) {
  switch (level) {
    case google::protobuf::LOGLEVEL_INFO:
      return Level::kInfo;
    case google::protobuf::LOGLEVEL_WARNING:
    // "String field contains invalid UTF-8 data": what somebody has sent.
    case google::protobuf::LOGLEVEL_ERROR:
      return Level::kWarning;
    case google::protobuf::LOGLEVEL_FATAL:
      break;
  }
  return Level::kError;
}

void LogOfProtobuf(google::protobuf::LogLevel level, const char* file, int line,
                   const std::string& message) {
  static LibraryLog& log = NewLog("Protobuf");
  log.Write(LevelOf(level), Source(file, line), message);
}

void LogOfAbseil(absl::LogSeverity severity, const char* file, int line,
                 const std::string& message) {
  static LibraryLog& log = NewLog("Abseil");
  const Level level = severity == absl::LogSeverity::kInfo      ? Level::kInfo
                      : severity == absl::LogSeverity::kWarning ? Level::kWarning
                                                                : Level::kError;
  log.Write(level, Source(file, line), message);
  // The caller does not expect this to return then.
  if (severity == absl::LogSeverity::kFatal) std::abort();
}

Level LevelOfSqlite(int code) {
  switch (code & 0xFF) {
    case SQLITE_NOTICE:
      return Level::kInfo;
    // A statement is prepared anew, as always after a change of the tables.
    case SQLITE_SCHEMA:
      return Level::kDebug;
    default:
      return Level::kWarning;
  }
}

void LogOfSqlite(void*, int code, const char* message) {
  static LibraryLog& log = NewLog("SQLite");
  log.Write(LevelOfSqlite(code), absl::StrCat("code ", code), message);
}

}  // namespace

void TakeOverLibraryLogs() {
  gpr_set_log_function(&LogOfGrpc);
  google::protobuf::SetLogHandler(&LogOfProtobuf);
  absl::raw_logging_internal::RegisterInternalLogFunction(&LogOfAbseil);
  if (sqlite3_config(SQLITE_CONFIG_LOG, &LogOfSqlite, nullptr) != SQLITE_OK) {
    LogWarning("SQLite does not log: it was in use before it was told how");
  }
}

void LibraryLog::Write(Level level, absl::string_view source, absl::string_view text) {
  if (!LogEnabled(level)) return;
  const std::optional<int64_t> suppressed = Admit(level);
  if (!suppressed.has_value()) return;
  text = text.substr(0, kMaxBytes);
  if (*suppressed == 0) {
    Log(level, "a library reports",
        {{"library", library_}, {"source", source}, {"text", text}});
  } else {
    Log(level, "a library reports",
        {{"library", library_},
         {"source", source},
         {"text", text},
         {"suppressed_before", *suppressed}});
  }
}

std::optional<int64_t> LibraryLog::Admit(Level level) {
  const base::MonotonicTime now = clock_.MonotonicNow();
  base::MutexLock lock(mutex_);
  Lines& lines = lines_[static_cast<std::size_t>(level)];
  if (now >= lines.second_ends) {
    lines.second_ends = now + absl::Seconds(1);
    lines.written = 0;
  }
  if (lines.written >= kLinesASecond) {
    ++lines.suppressed;
    return std::nullopt;
  }
  ++lines.written;
  return std::exchange(lines.suppressed, 0);
}

}  // namespace certwright::telemetry
