#include "lib/pki/key.h"

#include <openssl/err.h>

#include <tuple>

#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/pem.h"

namespace certwright::pki {
namespace {

using base::StatusIs;
using testing::HasSubstr;
using testing::Not;

constexpr KeySpec kRsa2048 = {KeyAlgorithm::kRsa, 2048};
constexpr KeySpec kP256 = {KeyAlgorithm::kEcdsa, 256};
constexpr KeySpec kEd25519 = {KeyAlgorithm::kEd25519, 0};
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::string KeyPem(KeySpec spec, KeyEncoding encoding = KeyEncoding::kPkcs8) {
  return std::string(PrivateKey::Generate(spec)->ToPem(encoding).Reveal());
}

class KeyRoundTripTest : public testing::TestWithParam<std::tuple<KeySpec, KeyEncoding>> {};

TEST_P(KeyRoundTripTest, ParsesBackToTheSameKey) {
  auto [spec, encoding] = GetParam();
  CW_ASSERT_OK_AND_ASSIGN(PrivateKey key, PrivateKey::Generate(spec));
  EXPECT_EQ(key.spec(), spec);
  base::Secret pem = key.ToPem(encoding);
  CW_ASSERT_OK_AND_ASSIGN(PrivateKey parsed, PrivateKey::ParsePem(pem.Reveal()));
  EXPECT_EQ(parsed.spec(), spec);
  EXPECT_EQ(parsed.public_key(), key.public_key());
  EXPECT_EQ(parsed.public_key().Spki(), key.public_key().Spki());
  EXPECT_FALSE(key.public_key().Spki().empty());
  EXPECT_EQ(parsed.ToPem(encoding).Reveal(), pem.Reveal());
  EXPECT_EQ(ERR_peek_error(), 0u) << "the thread's error queue is left clean";
}

INSTANTIATE_TEST_SUITE_P(
    AllKinds, KeyRoundTripTest,
    testing::Combine(testing::Values(kRsa2048, KeySpec{KeyAlgorithm::kRsa, 3072}, kP256,
                                     KeySpec{KeyAlgorithm::kEcdsa, 384},
                                     KeySpec{KeyAlgorithm::kEcdsa, 521}, kEd25519),
                     testing::Values(KeyEncoding::kPkcs1, KeyEncoding::kPkcs8)));

TEST(KeyEncodingTest, LabelFollowsAlgorithmAndEncoding) {
  EXPECT_THAT(EncodePem("RSA PRIVATE KEY", "x"), HasSubstr("BEGIN RSA PRIVATE KEY"));
  EXPECT_THAT(KeyPem(kP256, KeyEncoding::kPkcs1), HasSubstr("BEGIN EC PRIVATE KEY"));
  EXPECT_THAT(KeyPem(kEd25519, KeyEncoding::kPkcs1), HasSubstr("BEGIN PRIVATE KEY"));
  EXPECT_THAT(KeyPem(kP256, KeyEncoding::kPkcs8), HasSubstr("BEGIN PRIVATE KEY"));
}

TEST(PrivateKeyTest, GenerateMakesANewKeyEachTime) {
  EXPECT_NE(PrivateKey::Generate(kP256)->public_key(),
            PrivateKey::Generate(kP256)->public_key());
}

TEST(PrivateKeyTest, GenerateRefusesSizesThatTheAlgorithmDoesNotHave) {
  for (KeySpec spec :
       {KeySpec{KeyAlgorithm::kRsa, 2047}, KeySpec{KeyAlgorithm::kRsa, 8193},
        KeySpec{KeyAlgorithm::kRsa, -1}, KeySpec{KeyAlgorithm::kEcdsa, 224},
        KeySpec{KeyAlgorithm::kEcdsa, 0}, KeySpec{KeyAlgorithm::kEd25519, 256}}) {
    EXPECT_THAT(PrivateKey::Generate(spec), StatusIs(kInvalid));
  }
}

TEST(PrivateKeyTest, ParseRefusesWhatIsNotExactlyOneKeyBlock) {
  std::string pem = KeyPem(kP256);
  EXPECT_THAT(PrivateKey::ParsePem(""), StatusIs(kInvalid, HasSubstr("no PEM block")));
  EXPECT_THAT(PrivateKey::ParsePem(pem + pem), StatusIs(kInvalid));
  EXPECT_THAT(PrivateKey::ParsePem(std::string(20000, ' ') + pem),
              StatusIs(kInvalid, HasSubstr("longer than")));
  EXPECT_THAT(PrivateKey::ParsePem(EncodePem("CERTIFICATE", "x")), StatusIs(kInvalid));
}

// `pem` as tools and people leave it.
std::vector<std::string> OddTexts(const std::string& pem) {
  const std::string parameters = EncodePem("EC PARAMETERS", "\x06\x05\x2b\x81\x04\x00\x22");
  const std::string certificate = EncodePem("CERTIFICATE", "not looked at");
  const std::string one_line = absl::StrReplaceAll(pem, {{"\n", " "}});
  return {parameters + pem,
          pem + certificate + certificate,
          certificate + "Bag Attributes\n    localKeyID: 01 02\n" + pem,
          "\xef\xbb\xbf" + pem,
          "\xef\xbb\xbf" + absl::StrReplaceAll(parameters + pem, {{"\n", "\r\n"}}),
          absl::StrReplaceAll(pem, {{"\n", "\r"}}),
          one_line,
          "# the key of www\n\n  " + one_line};
}

// Fault 105.
TEST(PrivateKeyTest, ParseTakesTheOneKeyAmongWhatIsBesideIt) {
  for (const KeySpec spec : {kP256, KeySpec{KeyAlgorithm::kEcdsa, 521}, kEd25519}) {
    CW_ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate(spec));
    for (const KeyEncoding encoding : {KeyEncoding::kPkcs1, KeyEncoding::kPkcs8}) {
      for (const std::string& text : OddTexts(std::string(key.ToPem(encoding).Reveal()))) {
        CW_ASSERT_OK_AND_ASSIGN(const PrivateKey parsed, PrivateKey::ParsePem(text));
        EXPECT_EQ(parsed.public_key(), key.public_key());
      }
    }
  }
}

// Fault 105.
TEST(PrivateKeyTest, ParseRefusesAChoiceOfKeys) {
  const std::string pem = KeyPem(kP256);
  for (const std::string& other :
       {KeyPem(kP256), pem, KeyPem(kRsa2048, KeyEncoding::kPkcs1),
        EncodePem("ENCRYPTED PRIVATE KEY", "x"), EncodePem("OPENSSH PRIVATE KEY", "x")}) {
    for (const std::string& text : {pem + other, other + pem}) {
      EXPECT_THAT(PrivateKey::ParsePem(text), StatusIs(kInvalid, HasSubstr("more than one")));
    }
  }
  for (const char* label : {"CERTIFICATE", "EC PARAMETERS", "PUBLIC KEY"}) {
    EXPECT_THAT(PrivateKey::ParsePem(EncodePem(label, "x")),
                StatusIs(kInvalid, HasSubstr("no PEM block of the text")));
  }
}

TEST(PrivateKeyTest, ParseRefusesEncryptedKeys) {
  EXPECT_THAT(PrivateKey::ParsePem("-----BEGIN RSA PRIVATE KEY-----\n"
                                   "Proc-Type: 4,ENCRYPTED\n\nAAAA\n"
                                   "-----END RSA PRIVATE KEY-----\n"),
              StatusIs(kInvalid, HasSubstr("encrypted")));
  EXPECT_THAT(PrivateKey::ParsePem(EncodePem("ENCRYPTED PRIVATE KEY", "x")),
              StatusIs(kInvalid, HasSubstr("unencrypted")));
}

TEST(PrivateKeyTest, ParseRefusesOctetsAfterTheKey) {
  for (KeyEncoding encoding : {KeyEncoding::kPkcs1, KeyEncoding::kPkcs8}) {
    CW_ASSERT_OK_AND_ASSIGN(std::vector<PemBlock> blocks,
                            ParsePem(KeyPem(kP256, encoding), {16384, 1}));
    std::string der = blocks[0].der;
    CW_EXPECT_OK(PrivateKey::ParsePem(EncodePem(blocks[0].label, der)));
    EXPECT_THAT(PrivateKey::ParsePem(EncodePem(blocks[0].label, der + '\0')),
                StatusIs(kInvalid));
    EXPECT_THAT(PrivateKey::ParsePem(EncodePem(blocks[0].label, der.substr(0, 40))),
                StatusIs(kInvalid));
  }
}

TEST(PrivateKeyTest, ParseRefusesHalvesThatDoNotMatch) {
  // SEC1 puts the private number after seven octets and the public point at the end.
  std::string one = ParsePem(KeyPem(kP256, KeyEncoding::kPkcs1), {16384, 1})->front().der;
  std::string other = ParsePem(KeyPem(kP256, KeyEncoding::kPkcs1), {16384, 1})->front().der;
  ASSERT_EQ(one.size(), other.size());
  one.replace(7, 32, other, 7, 32);
  EXPECT_THAT(PrivateKey::ParsePem(EncodePem("EC PRIVATE KEY", one)),
              StatusIs(kInvalid, HasSubstr("do not belong together")));
}

TEST(PrivateKeyTest, ErrorsDoNotEchoTheText) {
  EXPECT_THAT(PrivateKey::ParsePem("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n"
                                   "-----END PRIVATE KEY-----\n"),
              StatusIs(kInvalid, Not(HasSubstr("c2VjcmV0"))));
}

TEST(PublicKeyTest, DescriptionNamesKindAndSize) {
  EXPECT_EQ(PrivateKey::Generate(kRsa2048)->public_key().Description(), "RSA 2048");
  EXPECT_EQ(PrivateKey::Generate(kP256)->public_key().Description(), "ECDSA P-256");
  EXPECT_EQ(PrivateKey::Generate(kEd25519)->public_key().Description(), "Ed25519");
}

TEST(PemTest, ToleratesTextAndCarriageReturnsAroundBlocks) {
  CW_ASSERT_OK_AND_ASSIGN(
      std::vector<PemBlock> blocks,
      ParsePem("subject=x\r\n-----BEGIN A-----\r\nQUJD\r\n-----END A-----\r\n"
               "---- text ----\n\n-----BEGIN B C-----\nQUJD\nRA==\n-----END B C-----",
               {1000, 2}));
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[0].label, "A");
  EXPECT_EQ(blocks[0].der, "ABC");
  EXPECT_EQ(blocks[1].label, "B C");
  EXPECT_EQ(blocks[1].der, "ABCD");
}

TEST(PemTest, NeedsNoLineBreaks) {
  for (const char* text : {
           "-----BEGIN A-----QUJD-----END A----------BEGIN B-----QUJDRA==-----END B-----",
           "-----BEGIN A----- QUJD -----END A----- \t-----BEGIN B----- QUJD RA== -----END "
           "B-----",
           "\xef\xbb\xbf-----BEGIN A-----\nQUJD\n-----END A-----\n\xef\xbb\xbf-----BEGIN "
           "B-----\nQUJD\nRA==\n-----END B-----\n",
           "-----BEGIN A-----\rQUJD\r-----END A----- # of a\r-----BEGIN B-----\rQUJDRA==\r"
           "-----END B-----\r",
       }) {
    CW_ASSERT_OK_AND_ASSIGN(const std::vector<PemBlock> blocks, ParsePem(text, {1000, 2}));
    ASSERT_EQ(blocks.size(), 2u) << text;
    EXPECT_EQ(blocks[0].label + blocks[1].label, "AB");
    EXPECT_EQ(blocks[0].der, "ABC");
    EXPECT_EQ(blocks[1].der, "ABCD");
  }
}

TEST(PemTest, RefusesMalformedBlocks) {
  for (const char* text : {
           "-----BEGIN A-----\nQUJD\n",                     // not closed
           "-----BEGIN A-----\nQUJD\n-----END B-----\n",    // closed as another
           "-----END A-----\n",                             // never opened
           "x -----BEGIN A-----\nQUJD\n-----END A-----\n",  // boundary inside a line
           "-----BEGIN A----\nQUJD\n-----END A-----\n",     // a hyphen short
           "-----BEGIN -----\nQUJD\n-----END -----\n",      // no label
           "-----BEGIN A-----\nQUJ\n-----END A-----\n",     // not padded
           "-----BEGIN A-----\nQU.D\n-----END A-----\n",    // foreign character
           "-----BEGIN A-----\nQ=JD\n-----END A-----\n",    // padding inside
           "-----BEGIN A-----\n-----END A-----\n",          // empty
           "-----BEGIN A-----\n-----BEGIN A-----\nQUJD\n-----END A-----\n",  // nested
           "-----BEGIN A-----\nQUJD\n-----END A----- x -----BEGIN A-----\nQUJD\n"
           "-----END A-----\n",                            // after text
           "-----BEGIN A------\nQUJD\n-----END A-----\n",  // a hyphen more
           "-----BEGIN a-----\nQUJD\n-----END a-----\n",   // no label that there is
       }) {
    EXPECT_THAT(ParsePem(text, {1000, 9}), StatusIs(kInvalid)) << text;
  }
}

TEST(PemTest, EncodesLinesOfSixtyFourCharacters) {
  std::string der(100, 'x');
  std::string pem = EncodePem("A", der);
  EXPECT_EQ(pem.find('\n', 18) - 18, 64u);
  EXPECT_EQ(ParsePem(pem, {1000, 1})->front().der, der);
}

}  // namespace
}  // namespace certwright::pki
