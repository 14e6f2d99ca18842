// Log: one JSON object per line on standard error, for programs and
// people alike (shown here in two lines):
//
//   LogInfo("order finalized", {{"order", name}, {"seconds", s}});
//   {"time":"2026-01-02T03:04:05.678901Z","level":"info",
//    "message":"order finalized","order":"o-1","seconds":0.25}
//
// Never pass a secret or a body from the network. Bytes that are not UTF-8 come
// out as U+FFFD, and control characters escaped, so that text from outside stays
// within its string. A field called time, level or message comes out with a '_' put
// after its name.
//
// Threading: safe from any thread; a line is never torn. Nothing here throws,
// and a line that cannot be written is dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace certwright::telemetry {

enum class Level { kDebug, kInfo, kWarning, kError, kOff };

// "debug", "info", "warning", "error" or "off"; nullopt for all else.
std::optional<Level> ParseLevel(absl::string_view name);

// What is below `level` is not written. The start is kInfo.
void SetLogLevel(Level level);
bool LogEnabled(Level level);

// A name and a string, number or bool. It borrows both: only for use as an
// argument.
class Field {
 public:
  template <typename T, std::enable_if_t<std::is_integral_v<T> && std::is_signed_v<T>, int> = 0>
  Field(absl::string_view name, T value) : name_(name), value_(int64_t{value}) {}
  template <typename T, std::enable_if_t<std::is_integral_v<T> && std::is_unsigned_v<T> &&
                                             !std::is_same_v<T, bool>,
                                         int> = 0>
  Field(absl::string_view name, T value) : name_(name), value_(uint64_t{value}) {}
  template <typename T, std::enable_if_t<std::is_same_v<T, bool>, char> = 0>
  Field(absl::string_view name, T value) : name_(name), value_(bool{value}) {}
  Field(absl::string_view name, double value) : name_(name), value_(value) {}
  Field(absl::string_view name, absl::string_view value) : name_(name), value_(value) {}
  Field(absl::string_view name, std::string_view value)
      : name_(name), value_(absl::string_view(value.data(), value.size())) {}
  Field(absl::string_view name, const std::string& value)
      : name_(name), value_(absl::string_view(value)) {}
  Field(absl::string_view name, const char* value)
      : name_(name), value_(absl::string_view(value)) {}

  absl::string_view name() const { return name_; }
  const std::variant<bool, int64_t, uint64_t, double, absl::string_view>& value() const {
    return value_;
  }

 private:
  absl::string_view name_;
  std::variant<bool, int64_t, uint64_t, double, absl::string_view> value_;
};

using Fields = std::initializer_list<Field>;

void Log(Level level, absl::string_view message, Fields fields = {});
inline void LogDebug(absl::string_view message, Fields fields = {}) {
  if (LogEnabled(Level::kDebug)) Log(Level::kDebug, message, fields);
}
inline void LogInfo(absl::string_view message, Fields fields = {}) {
  if (LogEnabled(Level::kInfo)) Log(Level::kInfo, message, fields);
}
inline void LogWarning(absl::string_view message, Fields fields = {}) {
  if (LogEnabled(Level::kWarning)) Log(Level::kWarning, message, fields);
}
inline void LogError(absl::string_view message, Fields fields = {}) {
  if (LogEnabled(Level::kError)) Log(Level::kError, message, fields);
}

// The line that Log() writes, without the line feed.
std::string FormatLogLine(absl::Time time, Level level, absl::string_view message,
                          Fields fields);

// Sends lines to `sink` instead of standard error while it lives, for tests.
// One at a time; `sink` is called from whichever thread logs, under a lock, and
// must not log.
class ScopedLogSink {
 public:
  explicit ScopedLogSink(std::function<void(Level, absl::string_view line)> sink);
  ~ScopedLogSink();
  ScopedLogSink(const ScopedLogSink&) = delete;
  ScopedLogSink& operator=(const ScopedLogSink&) = delete;
};

}  // namespace certwright::telemetry
