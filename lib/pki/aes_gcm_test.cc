#include "lib/pki/aes_gcm.h"

#include <string>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"

namespace certwright::pki {
namespace {

base::Secret Key(char fill) { return base::Secret(std::string(kAesKeyBytes, fill)); }

TEST(AesGcmTest, OpensWhatItHasSealed) {
  for (const std::string& plain : {std::string(), std::string("x"), std::string(70'000, 'y')}) {
    const std::string sealed = AesGcmSeal(Key('k'), "name", plain);
    EXPECT_EQ(sealed.size(), plain.size() + kAesGcmNonceBytes + kAesGcmTagBytes);
    const auto opened = AesGcmOpen(Key('k'), "name", sealed);
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->Reveal(), plain);
  }
}

// Test case 15 of the GCM specification (McGrew and Viega), without associated data: other
// implementations agree with this one.
TEST(AesGcmTest, OpensAPublishedVector) {
  const base::Secret key(absl::HexStringToBytes(
      "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"));
  const std::string plain = absl::HexStringToBytes(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255");
  const std::string sealed = absl::HexStringToBytes(
      "cafebabefacedbaddecaf888"
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
      "b094dac5d93471bdec1a502270e3cc6c");
  const auto opened = AesGcmOpen(key, "", sealed);
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->Reveal(), plain);
}

TEST(AesGcmTest, RefusesAnotherKeyAnotherNameAndEveryChangedByte) {
  const std::string sealed = AesGcmSeal(Key('k'), "name", "what is secret");
  EXPECT_FALSE(AesGcmOpen(Key('l'), "name", sealed).has_value());
  EXPECT_FALSE(AesGcmOpen(Key('k'), "nam", sealed).has_value());
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(AesGcmOpen(Key('k'), "name", changed).has_value()) << i;
    EXPECT_FALSE(AesGcmOpen(Key('k'), "name", sealed.substr(0, i)).has_value()) << i;
  }
}

TEST(AesGcmTest, SealsTheSameNeverAlike) {
  EXPECT_NE(AesGcmSeal(Key('k'), "", "x"), AesGcmSeal(Key('k'), "", "x"));
  EXPECT_NE(NewAesKey().Reveal(), NewAesKey().Reveal());
}

// Test case 2 of RFC 4231: another key than before would open nothing that is stored.
TEST(AesGcmTest, DerivesKeysAsPublished) {
  EXPECT_EQ(
      DeriveKey(base::Secret(std::string("Jefe")), "what do ya want for nothing?").Reveal(),
      absl::HexStringToBytes(
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
}

TEST(AesGcmTest, DerivesAKeyForEachPurpose) {
  EXPECT_EQ(DeriveKey(Key('k'), "a").Reveal(), DeriveKey(Key('k'), "a").Reveal());
  EXPECT_NE(DeriveKey(Key('k'), "a").Reveal(), DeriveKey(Key('k'), "b").Reveal());
  EXPECT_NE(DeriveKey(Key('k'), "a").Reveal(), DeriveKey(Key('l'), "a").Reveal());
}

}  // namespace
}  // namespace certwright::pki
