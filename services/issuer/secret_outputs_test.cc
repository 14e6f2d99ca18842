#include "services/issuer/secret_outputs.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/test_ca.h"
#include "services/issuer/issuer_testing.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateSpec;
using issuer::v1::Secret;
using testing::HasSubstr;
using testing::StartsWith;

class SecretOutputsTest : public IssuerWorld {
 protected:
  SecretOutputsTest() {
    const pki::TestCa ca = pki::TestCa().MakeIntermediate();
    pki::TestCertificateSpec leaf;
    leaf.names.dns_names = {"a.example"};
    auto& data = *secret_.mutable_data();
    data[kCertificateKey] = pki::ToPem(ca.ChainFor(ca.Sign(key_.public_key(), leaf)));
    data[kPrivateKeyKey] = std::string(key_.ToPem().Reveal());
    data[kCaKey] = ca.root().Pem();
    data["users"] = "own";
    (*secret_.mutable_metadata()->mutable_labels())["users"] = "own";
    passwords_.pkcs12 = {base::Secret(std::string("secret")), "1"};
    passwords_.jks = {base::Secret(std::string("changeit")), "1"};
  }
  bool Has(const char* key) const { return secret_.data().contains(key); }
  std::string Data(const char* key) const {
    const auto it = secret_.data().find(key);
    return it == secret_.data().end() ? "" : it->second;
  }
  void Write() { CW_ASSERT_OK(WriteOutputs(spec_, passwords_, secret_)); }
  bool Current() const { return OutputsAreCurrent(spec_, passwords_, secret_); }
  void AskForAll() {
    spec_.add_additional_output_formats(issuer::v1::OUTPUT_FORMAT_DER);
    spec_.add_additional_output_formats(issuer::v1::OUTPUT_FORMAT_COMBINED_PEM);
    spec_.mutable_keystores()->mutable_pkcs12()->set_create(true);
    spec_.mutable_keystores()->mutable_jks()->set_create(true);
    spec_.mutable_keystores()->mutable_jks()->set_alias("certificate");
    (*spec_.mutable_secret_template()->mutable_labels())["team"] = "a";
    (*spec_.mutable_secret_template()->mutable_annotations())["note"] = "b";
  }

  const pki::PrivateKey key_ = *pki::PrivateKey::Generate(pki::KeySpec());
  CertificateSpec spec_;
  KeystorePasswords passwords_;
  Secret secret_;
};

TEST_F(SecretOutputsTest, ASecretWithoutOutputsIsLeftAlone) {
  const std::string before = secret_.SerializeAsString();
  EXPECT_FALSE(ConcernsOutputs(spec_, secret_));
  EXPECT_TRUE(Current());
  Write();
  EXPECT_EQ(secret_.SerializeAsString(), before);
}

TEST_F(SecretOutputsTest, WritesAllThatIsAskedFor) {
  AskForAll();
  EXPECT_FALSE(Current());
  Write();
  EXPECT_TRUE(Current());
  EXPECT_EQ(Data(kDerKey), key_.ToDer().Reveal());
  EXPECT_EQ(Data(kCombinedPemKey), Data(kPrivateKeyKey) + Data(kCertificateKey));
  for (const char* key : {kPkcs12Key, kPkcs12TruststoreKey}) {
    EXPECT_THAT(Data(key), StartsWith("\x30\x82")) << key;
  }
  for (const char* key : {kJksKey, kJksTruststoreKey}) {
    EXPECT_THAT(Data(key), StartsWith("\xfe\xed\xfe\xed")) << key;
  }
  EXPECT_EQ(secret_.metadata().labels().at("team"), "a");
  EXPECT_EQ(secret_.metadata().annotations().at("note"), "b");
}

TEST_F(SecretOutputsTest, TakesAwayWhatIsNoLongerAskedForAndNothingElse) {
  AskForAll();
  Write();
  spec_.Clear();
  EXPECT_TRUE(ConcernsOutputs(spec_, secret_));
  EXPECT_FALSE(Current());
  Write();
  EXPECT_TRUE(Current());
  for (const char* key : {kDerKey, kCombinedPemKey, kPkcs12Key, kPkcs12TruststoreKey, kJksKey,
                          kJksTruststoreKey}) {
    EXPECT_FALSE(Has(key)) << key;
  }
  EXPECT_EQ(Data("users"), "own");
  EXPECT_EQ(secret_.metadata().labels_size(), 1);
  EXPECT_EQ(secret_.metadata().annotations_size(), 0);
}

TEST_F(SecretOutputsTest, NoticesEveryChange) {
  AskForAll();
  Write();
  const Secret written = secret_;
  const auto differs = [&](auto change) {
    CertificateSpec spec = spec_;
    Secret secret = written;
    change(spec, secret);
    return !OutputsAreCurrent(spec, passwords_, secret);
  };
  EXPECT_FALSE(differs([](auto&, auto&) {}));
  EXPECT_TRUE(differs([](auto& spec, auto&) { spec.clear_additional_output_formats(); }));
  EXPECT_TRUE(differs([](auto& spec, auto&) {
    spec.mutable_keystores()->mutable_pkcs12()->set_profile(issuer::v1::PKCS12_PROFILE_LEGACY);
  }));
  EXPECT_TRUE(differs(
      [](auto& spec, auto&) { spec.mutable_keystores()->mutable_jks()->set_alias("b"); }));
  EXPECT_TRUE(differs([](auto& spec, auto&) {
    (*spec.mutable_secret_template()->mutable_labels())["more"] = "c";
  }));
  EXPECT_TRUE(
      differs([](auto& spec, auto&) { spec.mutable_secret_template()->clear_annotations(); }));
  EXPECT_TRUE(differs([](auto&, auto& secret) {
    (*secret.mutable_metadata()->mutable_labels())["team"] = "z";
  }));
  for (const char* key : {kDerKey, kJksKey, kCaKey, kCertificateKey, kPkcs12TruststoreKey}) {
    EXPECT_TRUE(differs([&](auto&, auto& secret) { (*secret.mutable_data())[key] += "x"; }));
    EXPECT_TRUE(differs([&](auto&, auto& secret) { secret.mutable_data()->erase(key); }));
  }
  for (auto password : {&KeystorePasswords::pkcs12, &KeystorePasswords::jks}) {
    const std::string version = (passwords_.*password).version;
    (passwords_.*password).version = "2";
    EXPECT_FALSE(Current());
    (passwords_.*password).version = version;
    EXPECT_TRUE(Current());
  }
}

TEST_F(SecretOutputsTest, WithoutACaThereIsNoTruststore) {
  AskForAll();
  secret_.mutable_data()->erase(kCaKey);
  Write();
  EXPECT_TRUE(Current());
  EXPECT_TRUE(Has(kPkcs12Key));
  EXPECT_FALSE(Has(kPkcs12TruststoreKey));
  EXPECT_FALSE(Has(kJksTruststoreKey));
}

TEST_F(SecretOutputsTest, Pkcs12NeedsNoPasswordAndJksDoes) {
  spec_.mutable_keystores()->mutable_pkcs12()->set_create(true);
  passwords_ = KeystorePasswords();
  Write();
  EXPECT_TRUE(Has(kPkcs12Key));
  const std::string before = secret_.SerializeAsString();
  spec_.mutable_keystores()->mutable_jks()->set_create(true);
  spec_.mutable_keystores()->mutable_jks()->set_alias("a");
  EXPECT_THAT(WriteOutputs(spec_, passwords_, secret_),
              base::StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(secret_.SerializeAsString(), before);
}

TEST_F(SecretOutputsTest, ReadsThePasswordsOfTheKeystoresAskedFor) {
  issuer::v1::Certificate certificate;
  certificate.mutable_metadata()->set_namespace_("web");
  auto& keystores = *certificate.mutable_spec()->mutable_keystores();
  keystores.mutable_pkcs12()->mutable_password_secret_ref()->set_name("p12");
  keystores.mutable_jks()->set_create(true);
  keystores.mutable_jks()->mutable_password_secret_ref()->set_name("jks");
  keystores.mutable_jks()->mutable_password_secret_ref()->set_key("password");
  const auto read = [&] {
    return Await(ReadKeystorePasswords(Context(), *stores_, certificate));
  };
  EXPECT_THAT(read(), base::StatusIs(absl::StatusCode::kNotFound, HasSubstr("web/jks")));
  CreateSecret("web", "jks", "password", "changeit");
  const auto passwords = read();
  ASSERT_THAT(passwords, base::IsOk());
  EXPECT_EQ(passwords->jks.value.Reveal(), "changeit");
  EXPECT_FALSE(passwords->jks.version.empty());
  EXPECT_TRUE(passwords->pkcs12.value.empty());
  keystores.mutable_jks()->mutable_password_secret_ref()->set_key("other");
  EXPECT_THAT(read(), base::StatusIs(absl::StatusCode::kNotFound, HasSubstr("no value other")));
}

// Fault 112.
TEST_F(SecretOutputsTest, TheKeyIsEncodedAsTheSpecSaysAndOnlyThen) {
  struct Case {
    pki::KeySpec key;
    issuer::v1::PrivateKeyAlgorithm algorithm;
    // What a key in the traditional form begins with.
    std::string traditional;
  };
  const std::string pkcs8 = "-----BEGIN PRIVATE KEY-----";
  const std::vector<Case> cases = {
      {{pki::KeyAlgorithm::kRsa, 2048},
       issuer::v1::PRIVATE_KEY_ALGORITHM_RSA,
       "-----BEGIN RSA PRIVATE KEY-----"},
      {{pki::KeyAlgorithm::kEcdsa, 384},
       issuer::v1::PRIVATE_KEY_ALGORITHM_ECDSA,
       "-----BEGIN EC PRIVATE KEY-----"},
      {{pki::KeyAlgorithm::kEd25519, 0}, issuer::v1::PRIVATE_KEY_ALGORITHM_ED25519, pkcs8},
  };
  for (const Case& c : cases) {
    const pki::PrivateKey key = *pki::PrivateKey::Generate(c.key);
    spec_.mutable_private_key()->set_algorithm(c.algorithm);
    spec_.mutable_private_key()->set_encoding(issuer::v1::PRIVATE_KEY_ENCODING_PKCS8);
    (*secret_.mutable_data())[kPrivateKeyKey] = std::string(key.ToPem().Reveal());
    EXPECT_TRUE(HasKeyEncoding(spec_, secret_));
    for (const auto& [encoding, begins] :
         {std::pair(issuer::v1::PRIVATE_KEY_ENCODING_PKCS1, c.traditional),
          std::pair(issuer::v1::PRIVATE_KEY_ENCODING_PKCS8, pkcs8)}) {
      const std::string before = Data(kPrivateKeyKey);
      spec_.mutable_private_key()->set_encoding(encoding);
      EXPECT_EQ(HasKeyEncoding(spec_, secret_), c.traditional == pkcs8);
      CW_ASSERT_OK(PutKeyEncoding(spec_, secret_));
      EXPECT_TRUE(HasKeyEncoding(spec_, secret_));
      EXPECT_THAT(Data(kPrivateKeyKey), StartsWith(begins));
      const auto read = pki::PrivateKey::ParsePem(Data(kPrivateKeyKey));
      CW_ASSERT_OK(read);
      EXPECT_TRUE(read->public_key() == key.public_key());
    }
  }
  (*secret_.mutable_data())[kPrivateKeyKey] = "-----BEGIN PRIVATE KEY-----\ngarbage";
  spec_.mutable_private_key()->set_algorithm(issuer::v1::PRIVATE_KEY_ALGORITHM_RSA);
  spec_.mutable_private_key()->set_encoding(issuer::v1::PRIVATE_KEY_ENCODING_PKCS1);
  EXPECT_THAT(PutKeyEncoding(spec_, secret_),
              base::StatusIs(absl::StatusCode::kInvalidArgument));
  secret_.mutable_data()->erase(kPrivateKeyKey);
  EXPECT_TRUE(HasKeyEncoding(spec_, secret_));
}

// Fault 112.
TEST_F(SecretOutputsTest, AnotherEncodingRemakesWhatIsMadeOfTheKey) {
  AskForAll();
  Write();
  spec_.mutable_private_key()->set_encoding(issuer::v1::PRIVATE_KEY_ENCODING_PKCS1);
  EXPECT_FALSE(Current());
  CW_ASSERT_OK(PutKeyEncoding(spec_, secret_));
  Write();
  EXPECT_TRUE(Current());
  EXPECT_EQ(Data(kDerKey), key_.ToDer(pki::KeyEncoding::kPkcs1).Reveal());
  EXPECT_THAT(Data(kCombinedPemKey), StartsWith("-----BEGIN EC PRIVATE KEY-----"));
  spec_.mutable_private_key()->set_encoding(issuer::v1::PRIVATE_KEY_ENCODING_PKCS8);
  EXPECT_FALSE(Current());
}

}  // namespace
}  // namespace certwright::issuer_service
