#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/base64.h"
#include "lib/base/fake_clock.h"
#include "lib/base/random.h"
#include "lib/base/secret.h"
#include "lib/base/status_macros.h"
#include "lib/base/status_matchers.h"
#include "lib/base/utf8.h"

namespace certwright::base {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Optional;

TEST(FakeClockTest, AdvanceMovesBothClocksAndTellsListeners) {
  FakeClock clock(absl::UnixEpoch());
  int calls = 0;
  clock.OnAdvance([&] { ++calls; });
  const MonotonicTime before = clock.MonotonicNow();
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(clock.Now(), absl::UnixEpoch() + absl::Seconds(5));
  EXPECT_EQ(clock.MonotonicNow() - before, absl::Seconds(5));
  EXPECT_EQ(calls, 1);
}

TEST(FakeClockTest, StepWallLeavesMonotonicTimeAlone) {
  FakeClock clock;
  const MonotonicTime before = clock.MonotonicNow();
  clock.StepWall(-absl::Hours(24));
  EXPECT_EQ(clock.MonotonicNow(), before);
}

TEST(SecretTest, MovedFromSecretIsEmpty) {
  Secret a(std::string("key material that is longer than the small-string buffer"));
  Secret b = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): the contract under test.
  EXPECT_THAT(std::string(b.Reveal()), HasSubstr("key material"));
}

TEST(SecretTest, WipeOverwritesShortStringsInPlace) {
  std::string bytes = "hunter2";
  const char* data = bytes.data();
  Wipe(bytes);
  EXPECT_TRUE(bytes.empty());
  for (int i = 0; i < 7; ++i) EXPECT_EQ(data[i], '\0');
}

// A string that shrank still holds the old bytes behind its end.
TEST(SecretTest, WipeOverwritesWhatIsBehindTheEnd) {
  std::string bytes = "hunter2";
  const char* data = bytes.data();
  bytes.resize(1);
  Wipe(bytes);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(data[i], '\0') << i;
}

TEST(SecretTest, NothingIsLeftOfASecretThatAnotherIsAssignedTo) {
  Secret secret(std::string("hunter2"));
  const char* data = secret.Reveal().data();
  Secret other(std::string("x"));
  secret = std::move(other);
  EXPECT_EQ(secret.Reveal(), "x");
  EXPECT_TRUE(other.empty());  // NOLINT(bugprone-use-after-move): the contract under test.
  for (int i = 1; i < 7; ++i) EXPECT_EQ(data[i], '\0') << i;
}

TEST(RandomTest, UuidIsVersionFourAndFresh) {
  const std::string uuid = Random::Real().Uuid();
  EXPECT_THAT(uuid, MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                                 "[0-9a-f]{12}"));
  EXPECT_NE(uuid, Random::Real().Uuid());
}

TEST(RandomTest, JitterStaysWithinTheFraction) {
  EXPECT_EQ(FixedRandom(0.5).Jitter(absl::Seconds(10), 0.1), absl::Seconds(10));
  EXPECT_EQ(FixedRandom(0).Jitter(absl::Seconds(10), 0.1), absl::Seconds(9));
}

TEST(Base64UrlTest, RoundTripsWithoutPadding) {
  EXPECT_EQ(Base64UrlEncode(std::string("\x00\xff\xfe\x01", 4)), "AP_-AQ");
  EXPECT_THAT(Base64UrlDecode("AP_-AQ"), Optional(std::string("\x00\xff\xfe\x01", 4)));
}

TEST(Base64UrlTest, RefusesPaddingWhiteSpaceAndStandardAlphabet) {
  for (const char* text : {"AP_-AQ==", "AP_- AQ", "AP/+AQ", "A"}) {
    EXPECT_EQ(Base64UrlDecode(text), std::nullopt) << text;
  }
}

absl::StatusOr<int> Doubled(absl::StatusOr<int> input) {
  CW_ASSIGN_OR_RETURN(int value, input);
  return 2 * value;
}

TEST(StatusMacrosTest, AssignOrReturnPassesErrorsOn) {
  EXPECT_THAT(Doubled(21), IsOkAndHolds(42));
  EXPECT_THAT(Doubled(absl::NotFoundError("gone")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("gone")));
}

TEST(StatusMacrosTest, AnnotateKeepsCodeAndPayload) {
  absl::Status status = absl::InternalError("boom");
  status.SetPayload("type", absl::Cord("payload"));
  const absl::Status annotated = Annotate(status, "while testing");
  EXPECT_THAT(annotated,
              StatusIs(absl::StatusCode::kInternal, testing::StrEq("while testing: boom")));
  EXPECT_EQ(annotated.GetPayload("type"), absl::Cord("payload"));
  CW_EXPECT_OK(Annotate(absl::OkStatus(), "ignored"));
}

TEST(Utf8Test, TellsControlCharactersFromOthers) {
  for (const char* text : {"a\nb", "\t", "a\x1f", "\x7f", "\xc2\x80", "a\xc2\x9f"}) {
    EXPECT_TRUE(HasControl(text)) << text;
  }
  EXPECT_TRUE(HasControl(absl::string_view("a\0b", 3)));
  for (const char* text :
       {"", " a~", "K\xc3\xb6ln", "\xc2\xa0", "\xe2\x80\x85", "\xf0\x9f\x98\x80"}) {
    EXPECT_FALSE(HasControl(text)) << text;
  }
}

// The first and the last of each length, and what is next to them (RFC 3629 §4).
TEST(Utf8Test, KnowsTheBoundsOfEachLength) {
  const struct {
    const char* text;
    std::size_t length;
  } kCases[] = {
      {"\x7f", 1},
      {"\xc1\xbf", 0},
      {"\xc2\x80", 2},
      {"\xdf\xbf", 2},
      {"\xdf\xc0", 0},
      {"\xe0\x9f\xbf", 0},
      {"\xe0\xa0\x80", 3},
      {"\xed\x9f\xbf", 3},
      {"\xed\xa0\x80", 0},
      {"\xee\x80\x80", 3},
      {"\xef\xbf\xbf", 3},
      {"\xef\xbf\x7f", 0},
      {"\xf0\x8f\xbf\xbf", 0},
      {"\xf0\x90\x80\x80", 4},
      {"\xf4\x8f\xbf\xbf", 4},
      {"\xf4\x8f\xbf\xc0", 0},
      {"\xf4\x90\x80\x80", 0},
      {"\xf5\x80\x80\x80", 0},
  };
  for (const auto& test : kCases) {
    EXPECT_EQ(Utf8Length(test.text), test.length) << testing::PrintToString(test.text);
  }
}

TEST(Utf8Test, TakesWellFormedTextOnly) {
  for (const char* text : {"", "a", "b\u00fccher", "\u2026", "\U0001F512", "\U0010FFFF"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  // Cut short, a stray continuation, overlong, a surrogate, beyond U+10FFFF.
  for (const char* text : {"\xc3", "\xe2\x80", "\x80", "\xc0\xaf", "\xe0\x80\xaf",
                           "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff",
                           ("a\xc3"
                            "b")}) {
    EXPECT_FALSE(IsUtf8(text)) << text;
  }
}

}  // namespace
}  // namespace certwright::base
