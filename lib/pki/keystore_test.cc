#include "lib/pki/keystore.h"

#include <openssl/pkcs12.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/openssl.h"
#include "lib/pki/test_ca.h"

namespace certwright::pki {
namespace {

using base::StatusIs;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

base::Secret Password(absl::string_view text) { return base::Secret(std::string(text)); }

class KeystoreTest : public testing::Test {
 protected:
  KeystoreTest() {
    TestCertificateSpec spec;
    spec.names.dns_names = {"a.example"};
    chain_ = ca_.ChainFor(ca_.Sign(key_.public_key(), spec));
  }

  TestCa root_;
  TestCa ca_ = root_.MakeIntermediate();
  PrivateKey key_ = PrivateKey::Generate({}).value();
  std::vector<Certificate> chain_;
};

std::unique_ptr<PKCS12, decltype(&PKCS12_free)> ToPkcs12(absl::string_view der) {
  const auto* position = reinterpret_cast<const unsigned char*>(der.data());
  return {d2i_PKCS12(nullptr, &position, static_cast<long>(der.size())), PKCS12_free};
}

TEST_F(KeystoreTest, Pkcs12OpensOnlyWithItsPassword) {
  OpensslErrorScope scope;
  for (Pkcs12Profile profile : {Pkcs12Profile::kModern, Pkcs12Profile::kLegacy}) {
    for (const char* password : {"secret", "", "K\xc3\xb6ln \xf0\x9f\x94\x91"}) {
      CW_ASSERT_OK_AND_ASSIGN(base::Secret der,
                              MakePkcs12(key_, chain_, "my key", Password(password), profile));
      auto store = ToPkcs12(der.Reveal());
      ASSERT_NE(store, nullptr);
      EXPECT_EQ(PKCS12_verify_mac(store.get(), "wrong", -1), 0);
      EVP_PKEY* key = nullptr;
      X509* leaf = nullptr;
      STACK_OF(X509)* others = nullptr;
      ASSERT_EQ(PKCS12_parse(store.get(), password, &key, &leaf, &others), 1) << password;
      EXPECT_EQ(EVP_PKEY_eq(key, key_.get()), 1);
      EXPECT_EQ(X509_cmp(leaf, chain_[0].x509.get()), 0);
      EXPECT_EQ(sk_X509_num(others), 1);
      EVP_PKEY_free(key);
      X509_free(leaf);
      sk_X509_pop_free(others, X509_free);
    }
  }
}

TEST_F(KeystoreTest, StoresHoldNoPlainKey) {
  OpensslPtr<PKCS8_PRIV_KEY_INFO> info(EVP_PKEY2PKCS8(key_.get()));
  const ASN1_OBJECT* algorithm = nullptr;
  const unsigned char* bytes = nullptr;
  int length = 0;
  ASSERT_EQ(PKCS8_pkey_get0(&algorithm, &bytes, &length, nullptr, info.get()), 1);
  // Around the private scalar.
  absl::string_view plain(reinterpret_cast<const char*>(bytes), 36);
  CW_ASSERT_OK_AND_ASSIGN(base::Secret jks, MakeJks(key_, chain_, "a", Password("secret")));
  CW_ASSERT_OK_AND_ASSIGN(base::Secret pkcs12, MakePkcs12(key_, chain_, "a", Password("secret"),
                                                          Pkcs12Profile::kModern));
  EXPECT_FALSE(absl::StrContains(jks.Reveal(), plain));
  EXPECT_FALSE(absl::StrContains(pkcs12.Reveal(), plain));
  EXPECT_TRUE(absl::StrContains(jks.Reveal(), chain_[1].der));
}

TEST_F(KeystoreTest, JksTruststoreIsLaidOutAsJavaReadsIt) {
  CW_ASSERT_OK_AND_ASSIGN(std::string store,
                          MakeJksTruststore({root_.certificate()}, Password("secret")));
  // Magic number, version 2, one entry of kind 2, its alias.
  EXPECT_TRUE(
      absl::StartsWith(store, absl::string_view("\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1\0\0\0\2\0\4"
                                                "ca-1",
                                                22)));
  EXPECT_EQ(store.substr(22, 8),
            // 2020-01-01 in milliseconds.
            absl::string_view("\x00\x00\x01\x6f\x5e\x66\xe8\x00", 8));
  EXPECT_EQ(store.substr(30, 7), absl::string_view("\0\5X.509", 7));
  EXPECT_EQ(store.size(), 41 + root_.certificate().der.size() + 20);
}

TEST_F(KeystoreTest, RefusesPasswordsThatTheFormatCannotHold) {
  for (const std::string& password : {std::string("MARKER\xff"), std::string("MARKER\0x", 8),
                                      "MARKER" + std::string(1024, 'a')}) {
    auto refused = StatusIs(kInvalid, AllOf(HasSubstr("password"), Not(HasSubstr("MARKER"))));
    EXPECT_THAT(MakePkcs12(key_, chain_, "a", Password(password), Pkcs12Profile::kModern),
                refused);
    EXPECT_THAT(MakePkcs12Truststore(chain_, Password(password), Pkcs12Profile::kModern),
                refused);
    EXPECT_THAT(MakeJks(key_, chain_, "a", Password(password)), refused);
    EXPECT_THAT(MakeJksTruststore(chain_, Password(password)), refused);
  }
  EXPECT_THAT(MakeJks(key_, chain_, "a", Password("")), StatusIs(kInvalid, HasSubstr("empty")));
  EXPECT_THAT(MakeJksTruststore(chain_, Password("")), StatusIs(kInvalid, HasSubstr("empty")));
}

TEST_F(KeystoreTest, RefusesAChainForAnotherKey) {
  PrivateKey other = PrivateKey::Generate({}).value();
  base::Secret password = Password("secret");
  EXPECT_THAT(MakePkcs12(other, chain_, "a", password, Pkcs12Profile::kModern),
              StatusIs(kInvalid, HasSubstr("another key")));
  EXPECT_THAT(MakeJks(other, chain_, "a", password),
              StatusIs(kInvalid, HasSubstr("another key")));
  EXPECT_THAT(MakePkcs12(key_, {}, "a", password, Pkcs12Profile::kModern), StatusIs(kInvalid));
  EXPECT_THAT(MakeJks(key_, {}, "a", password), StatusIs(kInvalid));
  EXPECT_THAT(MakePkcs12Truststore({}, password, Pkcs12Profile::kModern), StatusIs(kInvalid));
  EXPECT_THAT(MakeJksTruststore({}, password), StatusIs(kInvalid));
}

TEST_F(KeystoreTest, RefusesNamesThatTheFormatCannotHold) {
  base::Secret password = Password("secret");
  for (const std::string& name :
       {std::string("a\xff"), std::string("a\0b", 3), std::string(256, 'a')}) {
    EXPECT_THAT(MakePkcs12(key_, chain_, name, password, Pkcs12Profile::kModern),
                StatusIs(kInvalid, HasSubstr("friendly name")));
    EXPECT_THAT(MakeJks(key_, chain_, name, password), StatusIs(kInvalid, HasSubstr("alias")));
  }
  EXPECT_THAT(MakeJks(key_, chain_, "", password), StatusIs(kInvalid, HasSubstr("alias")));
  CW_EXPECT_OK(MakePkcs12(key_, chain_, "", password, Pkcs12Profile::kModern));
}

}  // namespace
}  // namespace certwright::pki
