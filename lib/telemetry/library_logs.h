// What libraries would write to standard error by themselves, as lines of the log.
//
// gRPC and Protobuf write what a peer has sent, so their lines are untrusted: each is cut, is
// one field of a line of the log, and there are only so many in a second.
//
// - gRPC: gpr_set_log_function(). Protobuf: SetLogHandler(). SQLite: its error log, which is
//   silent unless asked for.
// - Abseil: ABSL_INTERNAL_LOG. Its raw log stays on standard error: it tells of its own state
//   only (a suspected deadlock, a failed check), from where no lock and no memory may be taken.
// - libcurl writes when CURLOPT_VERBOSE is set, which it is not. OpenSSL keeps errors in a
//   queue, and prints one only as it aborts. ldns and libidn2 print in functions that are there
//   to print. spdlog writes when standard error fails. c-ares, yaml-cpp, prometheus-cpp,
//   libseccomp and libpsl never write.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"
#include "lib/telemetry/log.h"

namespace certwright::telemetry {

// Before any of the libraries is used, as SQLite takes no log function later; for the process.
void TakeOverLibraryLogs();

// The lines of one library. Threading: safe from any thread.
class LibraryLog {
 public:
  // Further ones within a second, of one level, are only counted.
  static constexpr int kLinesASecond = 10;
  static constexpr std::size_t kMaxBytes = 1024;

  // `library` must outlive it.
  LibraryLog(const char* library, const base::Clock& clock)
      : library_(library), clock_(clock) {}

  // `source` is where in the library: "tcp_server_posix.cc:599".
  void Write(Level level, absl::string_view source, absl::string_view text);

 private:
  struct Lines {
    base::MonotonicTime second_ends{-absl::InfiniteDuration()};
    int written = 0;
    int64_t suppressed = 0;
  };

  // How many were suppressed since the last line; nothing if this one is, too.
  std::optional<int64_t> Admit(Level level);

  const char* const library_;
  const base::Clock& clock_;
  base::Mutex mutex_;
  std::array<Lines, static_cast<std::size_t>(Level::kOff) + 1> lines_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::telemetry
