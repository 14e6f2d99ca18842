#include "lib/pki/spki.h"

#include <string>

#include "gtest/gtest.h"
#include "lib/pki/key.h"

namespace certwright::pki {
namespace {

std::string Encoded(X509_PUBKEY* spki) {
  unsigned char* der = nullptr;
  const int length = i2d_X509_PUBKEY(spki, &der);
  std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(length));
  OPENSSL_free(der);
  return bytes;
}

OpensslPtr<EVP_PKEY> Decoded(const std::string& der) {
  const OpensslErrorScope scope;
  const auto* position = reinterpret_cast<const unsigned char*>(der.data());
  X509_PUBKEY* spki = d2i_X509_PUBKEY(nullptr, &position, static_cast<long>(der.size()));
  OpensslPtr<EVP_PKEY> key = DecodePublicKey(spki);
  X509_PUBKEY_free(spki);
  return key;
}

class SpkiTest : public testing::TestWithParam<KeySpec> {
 protected:
  const PrivateKey key_ = PrivateKey::Generate(GetParam()).value();
};

TEST_P(SpkiTest, CertificateHoldsTheKeyAsOpensslEncodesIt) {
  const OpensslPtr<X509> certificate(X509_new());
  ASSERT_TRUE(SetPublicKey(certificate.get(), key_.get()));
  EXPECT_EQ(Encoded(X509_get_X509_PUBKEY(certificate.get())), key_.public_key().Spki());
}

TEST_P(SpkiTest, RequestHoldsTheKeyAsOpensslEncodesIt) {
  const OpensslPtr<X509_REQ> request(X509_REQ_new());
  ASSERT_TRUE(SetPublicKey(request.get(), key_.get()));
  EXPECT_EQ(Encoded(X509_REQ_get_X509_PUBKEY(request.get())), key_.public_key().Spki());
}

TEST_P(SpkiTest, DecodesWhatOpensslEncodes) {
  const OpensslPtr<EVP_PKEY> decoded = Decoded(key_.public_key().Spki());
  ASSERT_NE(decoded, nullptr);
  EXPECT_EQ(EVP_PKEY_eq(decoded.get(), key_.get()), 1);
}

INSTANTIATE_TEST_SUITE_P(Keys, SpkiTest,
                         testing::Values(KeySpec{KeyAlgorithm::kEcdsa, 256},
                                         KeySpec{KeyAlgorithm::kEcdsa, 384},
                                         KeySpec{KeyAlgorithm::kEcdsa, 521},
                                         KeySpec{KeyAlgorithm::kRsa, 2048},
                                         KeySpec{KeyAlgorithm::kEd25519, 0}));

TEST(SpkiOfP256Test, RefusesAPointThatIsNotOnTheCurve) {
  std::string der = PrivateKey::Generate({}).value().public_key().Spki();
  der.back() = static_cast<char>(der.back() ^ 1);
  EXPECT_EQ(Decoded(der), nullptr);
}

TEST(SpkiOfP256Test, RequestWithoutKeyIsTheRequest) {
  const OpensslErrorScope scope;
  const PrivateKey key = PrivateKey::Generate({}).value();
  const OpensslPtr<X509_REQ> made(X509_REQ_new());
  ASSERT_TRUE(SetPublicKey(made.get(), key.get()));
  ASSERT_GT(X509_REQ_sign(made.get(), key.get(), EVP_sha256()), 0);
  unsigned char* der = nullptr;
  const int length = i2d_X509_REQ(made.get(), &der);
  const unsigned char* position = der;
  const OpensslPtr<X509_REQ> read = DecodeRequestWithoutKey(&position, length);
  EXPECT_EQ(position, der + length);
  OPENSSL_free(der);
  ASSERT_NE(read, nullptr);
  const OpensslPtr<EVP_PKEY> read_key = DecodePublicKey(X509_REQ_get_X509_PUBKEY(read.get()));
  ASSERT_NE(read_key, nullptr);
  EXPECT_EQ(X509_REQ_verify(read.get(), read_key.get()), 1);
}

}  // namespace
}  // namespace certwright::pki
