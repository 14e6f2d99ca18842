#include "lib/pki/jose.h"

#include <cstdint>

#include "gtest/gtest.h"
#include "lib/base/base64.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/key.h"
#include "lib/pki/openssl.h"
#include "lib/pki/pem.h"

namespace certwright::pki {
namespace {

using base::Base64UrlDecode;
using base::Base64UrlEncode;

const unsigned char* Data(const std::string& bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

PublicKey FromSpki(const std::string& der) {
  const unsigned char* position = Data(der);
  OpensslPtr<EVP_PKEY> key(d2i_PUBKEY(nullptr, &position, static_cast<long>(der.size())));
  return PublicKey::FromOpenssl(key.get()).value();
}

// DER of a SEQUENCE, INTEGER … with the shortest length octets.
std::string Der(char tag, const std::string& content) {
  std::string length;
  if (content.size() < 128) {
    length = static_cast<char>(content.size());
  } else {
    length = {'\x82', static_cast<char>(content.size() >> 8),
              static_cast<char>(content.size() & 0xff)};
  }
  return std::string(1, tag) + length + content;
}

std::string DerInteger(std::string magnitude) {
  if ((magnitude[0] & 0x80) != 0) magnitude.insert(magnitude.begin(), '\0');
  return Der(0x02, magnitude);
}

std::string Bytes(std::initializer_list<uint8_t> bytes) {
  return std::string(bytes.begin(), bytes.end());
}

bool Verify(const PublicKey& key, const EVP_MD* digest, const std::string& message,
            const std::string& signature) {
  OpensslPtr<EVP_MD_CTX> context(EVP_MD_CTX_new());
  return EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), Data(signature), signature.size(), Data(message),
                          message.size()) == 1;
}

TEST(JoseTest, RsaThumbprintIsThatOfRfc7638) {
  // RFC 7638 §3.1.
  const std::string n = *Base64UrlDecode(
      "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"
      "BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-"
      "65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdk"
      "t-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
      "kEgU8awapJzKnqDKgw");
  const std::string rsa_encryption =
      Bytes({0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00});
  std::string key = Der(0x30, DerInteger(n) + DerInteger(Bytes({1, 0, 1})));
  std::string spki =
      Der(0x30, Der(0x30, rsa_encryption) + Der(0x03, std::string(1, '\0') + key));
  EXPECT_EQ(JwkThumbprint(FromSpki(spki)), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
  EXPECT_EQ(JwkJson(FromSpki(spki)),
            R"({"e":"AQAB","kty":"RSA","n":")" + Base64UrlEncode(n) + R"("})");
  EXPECT_EQ(JoseAlgorithm(FromSpki(spki)), "RS256");
}

class Rfc8037Test : public testing::Test {
 protected:
  // RFC 8037 appendix A.1, as PKCS#8 (RFC 8410 §7).
  PrivateKey key_ =
      PrivateKey::ParsePem(
          EncodePem("PRIVATE KEY",
                    Bytes({0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65,
                           0x70, 0x04, 0x22, 0x04, 0x20}) +
                        *Base64UrlDecode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")))
          .value();
};

TEST_F(Rfc8037Test, JwkAndThumbprintAreThoseOfAppendixA) {
  EXPECT_EQ(
      JwkJson(key_.public_key()),
      R"({"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})");
  EXPECT_EQ(JwkThumbprint(key_.public_key()), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

TEST_F(Rfc8037Test, SignatureIsThatOfAppendixA) {
  CW_ASSERT_OK_AND_ASSIGN(
      std::string signature,
      SignJose(key_, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"));
  EXPECT_EQ(
      Base64UrlEncode(signature),
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
  EXPECT_EQ(JoseAlgorithm(key_.public_key()), "EdDSA");
}

// RFC 7515 appendix A.3's key, as SEC1 (RFC 5915).
PrivateKey Rfc7515Key() {
  const std::string x = *Base64UrlDecode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
  const std::string y = *Base64UrlDecode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
  const std::string d = *Base64UrlDecode("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI");
  const std::string prime256v1 =
      Bytes({0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07});
  std::string point = std::string("\0\4", 2) + x + y;
  return PrivateKey::ParsePem(
             EncodePem("EC PRIVATE KEY",
                       Der(0x30, DerInteger(Bytes({1})) + Der(0x04, d) +
                                     Der('\xa0', prime256v1) + Der('\xa1', Der(0x03, point)))))
      .value();
}

TEST(JoseTest, EcJwkIsThatOfRfc7515) {
  EXPECT_EQ(JwkJson(Rfc7515Key().public_key()),
            R"({"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
            R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})");
}

std::string RawToDer(const std::string& raw) {
  size_t half = raw.size() / 2;
  OpensslPtr<ECDSA_SIG> signature(ECDSA_SIG_new());
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(Data(raw), static_cast<int>(half), nullptr),
                 BN_bin2bn(Data(raw) + half, static_cast<int>(half), nullptr));
  std::string der(200, '\0');
  auto* position = reinterpret_cast<unsigned char*>(der.data());
  der.resize(static_cast<size_t>(i2d_ECDSA_SIG(signature.get(), &position)));
  return der;
}

TEST(JoseTest, EcSignaturesOfRfc7515AndOurOwnVerifyAlike) {
  PrivateKey key = Rfc7515Key();
  const std::string input =
      "eyJhbGciOiJFUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
      "LmNvbS9pc19yb290Ijp0cnVlfQ";
  const std::string published = *Base64UrlDecode(
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
  EXPECT_TRUE(Verify(key.public_key(), EVP_sha256(), input, RawToDer(published)));
  CW_ASSERT_OK_AND_ASSIGN(std::string ours, SignJose(key, input));
  EXPECT_TRUE(Verify(key.public_key(), EVP_sha256(), input, RawToDer(ours)));
  EXPECT_FALSE(Verify(key.public_key(), EVP_sha256(), input + "x", RawToDer(ours)));
}

TEST(JoseTest, EcSignatureHasAlwaysTheFullLength) {
  struct Curve {
    int size;
    size_t signature_bytes;
    const char* algorithm;
    const EVP_MD* digest;
  };
  for (const Curve& curve :
       {Curve{256, 64, "ES256", EVP_sha256()}, Curve{384, 96, "ES384", EVP_sha384()},
        Curve{521, 132, "ES512", EVP_sha512()}}) {
    CW_ASSERT_OK_AND_ASSIGN(PrivateKey key,
                            PrivateKey::Generate({KeyAlgorithm::kEcdsa, curve.size}));
    EXPECT_EQ(JoseAlgorithm(key.public_key()), curve.algorithm);
    // About one r or s in 128 has a leading zero octet that DER drops.
    for (int i = 0; i < 300; ++i) {
      CW_ASSERT_OK_AND_ASSIGN(std::string signature, SignJose(key, "message"));
      ASSERT_EQ(signature.size(), curve.signature_bytes);
      ASSERT_TRUE(Verify(key.public_key(), curve.digest, "message", RawToDer(signature)));
    }
  }
}

TEST(JoseTest, EcCoordinatesAreAlwaysPadded) {
  for (int i = 0; i < 600; ++i) {
    std::string jwk = JwkJson(PrivateKey::Generate({})->public_key());
    // 32 octets are 43 characters: the JSON's length never varies.
    ASSERT_EQ(jwk.size(),
              std::string(R"({"crv":"P-256","kty":"EC","x":"","y":""})").size() + 86);
  }
}

TEST(JoseTest, OneSignerSignsMessageAfterMessage) {
  for (KeySpec spec : {KeySpec{KeyAlgorithm::kRsa, 2048}, KeySpec{KeyAlgorithm::kEcdsa, 384},
                       KeySpec{KeyAlgorithm::kEd25519, 0}}) {
    CW_ASSERT_OK_AND_ASSIGN(const PrivateKey key, PrivateKey::Generate(spec));
    const JoseSigner signer(key);
    for (const std::string message : {"first", "second", "third"}) {
      CW_ASSERT_OK_AND_ASSIGN(std::string signature, signer.Sign(message));
      if (spec.algorithm == KeyAlgorithm::kEcdsa) signature = RawToDer(signature);
      EXPECT_TRUE(Verify(key.public_key(), SignatureDigest(spec), message, signature));
    }
  }
}

TEST(JoseTest, RsaSignatureVerifies) {
  CW_ASSERT_OK_AND_ASSIGN(PrivateKey key, PrivateKey::Generate({KeyAlgorithm::kRsa, 2048}));
  CW_ASSERT_OK_AND_ASSIGN(std::string signature, SignJose(key, "message"));
  EXPECT_TRUE(Verify(key.public_key(), EVP_sha256(), "message", signature));
}

}  // namespace
}  // namespace certwright::pki
