#include "lib/telemetry/log.h"

#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::telemetry {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

const absl::Time kTime = absl::FromUnixMicros(1767323045678901);

std::string Line(absl::string_view message, Fields fields = {}) {
  return FormatLogLine(kTime, Level::kWarning, message, fields);
}

TEST(LogTest, ALineIsOneJsonObject) {
  const std::string order = "o-1";
  EXPECT_EQ(Line("order finalized", {{"order", order},
                                     {"seconds", 0.25},
                                     {"count", 3},
                                     {"delta", int64_t{-7}},
                                     {"size", std::numeric_limits<uint64_t>::max()},
                                     {"ok", true},
                                     {"view", absl::string_view("v")},
                                     {"literal", "l"}}),
            R"({"time":"2026-01-02T03:04:05.678901Z","level":"warning",)"
            R"("message":"order finalized","order":"o-1","seconds":0.25,"count":3,"delta":-7,)"
            R"("size":18446744073709551615,"ok":true,"view":"v","literal":"l"})");
}

TEST(LogTest, StringsAreEscaped) {
  EXPECT_THAT(Line("a\"b\\c\nd\re\tf\x01g\x7fh"),
              EndsWith(R"("message":"a\"b\\c\nd\re\tf\u0001g\u007fh"})"));
  EXPECT_THAT(Line(absl::string_view("a\0b", 3)), EndsWith(R"("message":"a\u0000b"})"));
  EXPECT_THAT(Line("m", {{"na\"me", "x"}}), EndsWith(R"("na\"me":"x"})"));
}

TEST(LogTest, Utf8IsKeptAndAllElseReplaced) {
  EXPECT_THAT(Line("d\u00e9j\u00e0 \u20ac \U0001F512"),
              EndsWith("\"d\u00e9j\u00e0 \u20ac \U0001F512\"}"));
  // A stray byte, a cut sequence, an overlong one, a surrogate, one beyond Unicode.
  EXPECT_THAT(Line("\xff|\xe2\x82|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80"),
              EndsWith("\"\uFFFD|\uFFFD\uFFFD|\uFFFD\uFFFD|\uFFFD\uFFFD\uFFFD|"
                       "\uFFFD\uFFFD\uFFFD\uFFFD\"}"));
}

TEST(LogTest, NoByteLeavesItsString) {
  const std::string plain = Line("");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    const std::string line = Line(text);
    const std::string value = line.substr(plain.size() - 2, line.size() - plain.size());
    const bool printable = byte >= 0x20 && byte < 0x7F;
    if (byte >= 0x80) {
      EXPECT_EQ(value, "\uFFFD") << byte;
    } else if (printable && byte != '"' && byte != '\\') {
      EXPECT_EQ(value, text) << byte;
    } else {
      EXPECT_THAT(value, AllOf(StartsWith("\\"), SizeIs(testing::Ge(2u)))) << byte;
    }
    for (const char c : line) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << byte;
  }
}

TEST(LogTest, WhatDeceivesATerminalIsEscaped) {
  EXPECT_THAT(Line("\u0080\u009b31m\u009f\u00a0"),
              EndsWith("\"\\u0080\\u009b31m\\u009f\u00a0\"}"));
  EXPECT_THAT(Line("a\u2028b\u2029c"), EndsWith(R"("a\u2028b\u2029c"})"));
  EXPECT_THAT(Line("\u200e\u202e\u2066\u2069\u2070"),
              EndsWith("\"\\u200e\\u202e\\u2066\\u2069\u2070\"}"));
}

TEST(LogTest, NumbersThatJsonLacksAreNull) {
  EXPECT_THAT(Line("m", {{"a", std::numeric_limits<double>::infinity()},
                         {"b", std::numeric_limits<double>::quiet_NaN()}}),
              EndsWith(R"("a":null,"b":null})"));
}

TEST(LogTest, AFieldCannotPassForTheTime) {
  EXPECT_THAT(Line("m", {{"time", "x"}, {"level", 1}, {"message", "y"}}),
              EndsWith(R"("message":"m","time_":"x","level_":1,"message_":"y"})"));
}

TEST(LogTest, WhatIsBelowTheLevelIsNotWritten) {
  std::vector<Level> levels;
  ScopedLogSink sink([&](Level level, absl::string_view) { levels.push_back(level); });
  LogDebug("a");
  LogInfo("b");
  SetLogLevel(Level::kError);
  LogWarning("c");
  LogError("d");
  SetLogLevel(Level::kOff);
  LogError("e");
  SetLogLevel(Level::kInfo);
  EXPECT_THAT(levels, ElementsAre(Level::kInfo, Level::kError));
}

TEST(LogTest, LevelsHaveNames) {
  EXPECT_EQ(ParseLevel("debug"), Level::kDebug);
  EXPECT_EQ(ParseLevel("off"), Level::kOff);
  EXPECT_EQ(ParseLevel("INFO"), std::nullopt);
  EXPECT_EQ(ParseLevel(""), std::nullopt);
}

TEST(LogTest, GoesToStandardErrorWithoutASink) {
  testing::internal::CaptureStderr();
  LogInfo("hello", {{"n", 1}});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              EndsWith("\"level\":\"info\",\"message\":\"hello\",\"n\":1}\n"));
}

TEST(LogTest, ASinkThatThrowsHurtsNobody) {
  ScopedLogSink sink([](Level, absl::string_view) { throw 1; });
  LogInfo("x");
}

TEST(LogTest, ThreadsMayLogAtOnce) {
  int lines = 0;
  {
    ScopedLogSink sink([&](Level, absl::string_view line) {
      EXPECT_THAT(std::string(line), HasSubstr("\"message\":\"m\""));
      ++lines;
    });
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([] {
        for (int j = 0; j < 100; ++j) LogInfo("m", {{"j", j}});
      });
    }
    threads.clear();
  }
  EXPECT_EQ(lines, 400);
}

}  // namespace
}  // namespace certwright::telemetry
