#include "lib/telemetry/log.h"

#include <array>
#include <atomic>
#include <charconv>
#include <cmath>
#include <memory>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/mutex.h"
#include "lib/base/utf8.h"
#include "spdlog/logger.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace certwright::telemetry {
namespace {

std::atomic<Level> g_level{Level::kInfo};

struct TestSink {
  std::atomic<bool> present{false};
  base::Mutex mutex;
  std::function<void(Level, absl::string_view)> sink CW_GUARDED_BY(mutex);
};

TestSink& GetTestSink() {
  static auto* const kSink = new TestSink;
  return *kSink;
}

// Never destroyed, so that threads may log while the process ends.
spdlog::logger& GetLogger() {
  static auto* const kLogger = [] {
    auto* logger =
        new spdlog::logger("certwright", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("%v");
    logger->set_level(spdlog::level::trace);
    return logger;
  }();
  return *kLogger;
}

absl::string_view LevelName(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
    case Level::kOff:
      break;
  }
  return "off";
}

// Of a well-formed sequence.
char32_t CodePoint(absl::string_view sequence) {
  const auto byte = [sequence](std::size_t i) {
    return static_cast<unsigned char>(sequence[i]);
  };
  if (sequence.size() == 1) return byte(0);
  char32_t point = byte(0) & (0xFF >> (sequence.size() + 1));
  for (std::size_t i = 1; i < sequence.size(); ++i) point = point << 6 | (byte(i) & 0x3F);
  return point;
}

// What JSON cannot hold, and what makes a terminal or an editor show something else than what
// is there: control characters (C0 and C1), other line ends, and changes of direction.
bool MustBeEscaped(char32_t c) {
  return c < 0x20 || c == '"' || c == '\\' || (c >= 0x7F && c <= 0x9F) || c == 0x200E ||
         c == 0x200F || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

void AppendEscaped(char32_t c, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default:
      out += "\\u";
      for (const int shift : {12, 8, 4, 0}) out += kHex[c >> shift & 15];
  }
}

void AppendJsonString(absl::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const std::size_t length = base::Utf8Length(text);
    const absl::string_view sequence = text.substr(0, length);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
    } else if (const char32_t c = CodePoint(sequence); MustBeEscaped(c)) {
      AppendEscaped(c, out);
    } else {
      out.append(sequence.data(), length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

template <typename Number>
void AppendNumber(Number number, std::string& out) {
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), end.ptr);
}

void AppendValue(const Field& field, std::string& out) {
  struct Visitor {
    std::string& out;
    void operator()(bool value) const { out += value ? "true" : "false"; }
    void operator()(int64_t value) const { AppendNumber(value, out); }
    void operator()(uint64_t value) const { AppendNumber(value, out); }
    void operator()(double value) const {
      // JSON has no word for infinity and not-a-number.
      if (std::isfinite(value)) {
        AppendNumber(value, out);
      } else {
        out += "null";
      }
    }
    void operator()(absl::string_view value) const { AppendJsonString(value, out); }
  };
  std::visit(Visitor{out}, field.value());
}

bool IsReserved(absl::string_view name) {
  return name == "time" || name == "level" || name == "message";
}

void Write(Level level, const std::string& line) {
  TestSink& test = GetTestSink();
  if (test.present.load(std::memory_order_acquire)) {
    base::MutexLock lock(test.mutex);
    if (test.sink) {
      test.sink(level, line);
      return;
    }
  }
  GetLogger().log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

std::optional<Level> ParseLevel(absl::string_view name) {
  for (Level level :
       {Level::kDebug, Level::kInfo, Level::kWarning, Level::kError, Level::kOff}) {
    if (name == LevelName(level)) return level;
  }
  return std::nullopt;
}

void SetLogLevel(Level level) { g_level.store(level, std::memory_order_relaxed); }

bool LogEnabled(Level level) {
  return level != Level::kOff && level >= g_level.load(std::memory_order_relaxed);
}

std::string FormatLogLine(absl::Time time, Level level, absl::string_view message,
                          Fields fields) {
  std::string out;
  out.reserve(96 + message.size() + 48 * fields.size());
  out += "{\"time\":\"";
  out += absl::FormatTime("%E4Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone());
  out += "\",\"level\":\"";
  out.append(LevelName(level).data(), LevelName(level).size());
  out += "\",\"message\":";
  AppendJsonString(message, out);
  for (const Field& field : fields) {
    out += ',';
    AppendJsonString(field.name(), out);
    if (IsReserved(field.name())) out.insert(out.size() - 1, 1, '_');
    out += ':';
    AppendValue(field, out);
  }
  out += '}';
  return out;
}

void Log(Level level, absl::string_view message, Fields fields) {
  if (!LogEnabled(level)) return;
  // Memory may run out, and a test's sink may throw; neither is worth the
  // caller's work.
  try {
    Write(level, FormatLogLine(base::Clock::Real().Now(), level, message, fields));
  } catch (...) {
  }
}

ScopedLogSink::ScopedLogSink(std::function<void(Level, absl::string_view line)> sink) {
  TestSink& test = GetTestSink();
  base::MutexLock lock(test.mutex);
  test.sink = std::move(sink);
  test.present.store(true, std::memory_order_release);
}

ScopedLogSink::~ScopedLogSink() {
  TestSink& test = GetTestSink();
  base::MutexLock lock(test.mutex);
  test.sink = nullptr;
  test.present.store(false, std::memory_order_release);
}

}  // namespace certwright::telemetry
