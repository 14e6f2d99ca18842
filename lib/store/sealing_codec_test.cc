#include "lib/store/sealing_codec.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/store/sealed_record.h"

namespace certwright::store {
namespace {

using base::StatusIs;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

SealingKey Key(char fill) { return SealingKey(base::Secret(std::string(32, fill))); }

SealingCodec Codec(const std::string& fills) {
  std::vector<SealingKey> keys;
  for (const char fill : fills) keys.push_back(Key(fill));
  return SealingCodec(std::move(keys));
}

TEST(SealingCodecTest, OpensWhatItHasSealedAndShowsNothingOfIt) {
  const SealingCodec codec = Codec("a");
  for (const std::string& value : {std::string(), std::string(100'000, 's')}) {
    CW_ASSERT_OK_AND_ASSIGN(const std::string stored, codec.Seal("secrets/web/tls", value));
    EXPECT_EQ(stored.size(), value.size() + kSealingOverhead);
    EXPECT_THAT(stored, Not(HasSubstr("sss")));
    CW_ASSERT_OK_AND_ASSIGN(const base::Secret opened, codec.Open("secrets/web/tls", stored));
    EXPECT_EQ(opened.Reveal(), value);
  }
}

TEST(SealingCodecTest, AnotherProcessOpensItWithTheKeyFileAlone) {
  CW_ASSERT_OK_AND_ASSIGN(const std::string stored, Codec("a").Seal("k", "value"));
  CW_ASSERT_OK_AND_ASSIGN(const base::Secret opened, Codec("a").Open("k", stored));
  EXPECT_EQ(opened.Reveal(), "value");
}

TEST(SealingCodecTest, OneDataKeyServesAllRecordsOfAProcess) {
  const SealingCodec codec = Codec("a");
  CW_ASSERT_OK_AND_ASSIGN(const std::string one, codec.Seal("1", "value"));
  CW_ASSERT_OK_AND_ASSIGN(const std::string two, codec.Seal("2", "value"));
  EXPECT_EQ(ParseSealedRecord(one)->header, ParseSealedRecord(two)->header);
  EXPECT_NE(ParseSealedRecord(one)->value, ParseSealedRecord(two)->value);
  CW_ASSERT_OK_AND_ASSIGN(const std::string other, Codec("a").Seal("1", "value"));
  EXPECT_NE(ParseSealedRecord(one)->wrapped_key, ParseSealedRecord(other)->wrapped_key);
}

TEST(SealingCodecTest, TheFirstKeySealsAndEveryKeyOpens) {
  CW_ASSERT_OK_AND_ASSIGN(const std::string old, Codec("a").Seal("k", "value"));
  const SealingCodec both = Codec("ba");
  CW_EXPECT_OK(both.Open("k", old));
  CW_ASSERT_OK_AND_ASSIGN(const std::string fresh, both.Seal("k", "value"));
  CW_EXPECT_OK(Codec("b").Open("k", fresh));
  EXPECT_EQ(ParseSealedRecord(fresh)->key_id, Key('b').id());
}

TEST(SealingCodecTest, AMissingKeyIsNamed) {
  CW_ASSERT_OK_AND_ASSIGN(const std::string stored, Codec("a").Seal("k", "value"));
  EXPECT_THAT(Codec("b").Open("k", stored),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(absl::BytesToHexString(Key('a').id())),
                             HasSubstr("sealing.keyFiles"))));
}

TEST(SealingCodecTest, ARecordOpensOnlyUnderItsOwnKey) {
  const SealingCodec codec = Codec("a");
  CW_ASSERT_OK_AND_ASSIGN(const std::string stored, codec.Seal("secrets/a/tls", "value"));
  EXPECT_THAT(codec.Open("secrets/b/tls", stored),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("backup")));
}

TEST(SealingCodecTest, EveryChangedOrMissingOctetIsNoticed) {
  const SealingCodec codec = Codec("a");
  CW_ASSERT_OK_AND_ASSIGN(const std::string stored, codec.Seal("k", "value"));
  for (std::size_t i = 0; i < stored.size(); ++i) {
    std::string changed = stored;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    EXPECT_FALSE(codec.Open("k", changed).ok()) << i;
    EXPECT_FALSE(codec.Open("k", stored.substr(0, i)).ok()) << i;
  }
}

// Neither half of one record fits another, although both were sealed with one data key.
TEST(SealingCodecTest, HalvesOfTwoRecordsDoNotFit) {
  CW_ASSERT_OK_AND_ASSIGN(const std::string one, Codec("a").Seal("k", "one"));
  CW_ASSERT_OK_AND_ASSIGN(const std::string two, Codec("a").Seal("k", "two"));
  const std::string mixed =
      absl::StrCat(ParseSealedRecord(one)->header, ParseSealedRecord(two)->value);
  EXPECT_THAT(Codec("a").Open("k", mixed), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(SealingCodecTest, WhatIsNotSealedIsNeverOpened) {
  EXPECT_THAT(Codec("a").Open("k", "\n\003web"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("is not sealed")));
}

TEST(SealingCodecTest, ANoteIsBelievedOnlyFromAKnownKey) {
  const std::string note = Codec("a").Note();
  EXPECT_EQ(Codec("a").NotedKey(note), Key('a').id());
  EXPECT_EQ(Codec("ba").NotedKey(note), Key('a').id());
  EXPECT_EQ(Codec("b").NotedKey(note), std::nullopt);
  for (std::size_t i = 0; i < note.size(); ++i) {
    std::string forged = note;
    forged[i] = static_cast<char>(forged[i] ^ 1);
    EXPECT_EQ(Codec("a").NotedKey(forged), std::nullopt) << i;
  }
  EXPECT_EQ(Codec("a").NotedKey(absl::BytesToHexString(Key('a').id())), std::nullopt);
}

TEST(SealingCodecTest, ARecordOfANewerVersionIsNotTakenForDamage) {
  CW_ASSERT_OK_AND_ASSIGN(std::string stored, Codec("a").Seal("k", "value"));
  stored[4] = 2;
  EXPECT_THAT(Codec("a").Open("k", stored),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("newer")));
}

}  // namespace
}  // namespace certwright::store
