// Key stores as the commands openssl and keytool read them. Needs the packages openssl and
// openjdk-17-jre-headless.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/keystore.h"
#include "lib/pki/run_command.h"
#include "lib/pki/test_ca.h"

namespace certwright::pki {
namespace {

using testing::HasSubstr;
using testing::Not;

base::Secret Password(absl::string_view text) { return base::Secret(std::string(text)); }

class StoreTest : public testing::Test {
 protected:
  explicit StoreTest(KeySpec spec)
      : root_("Test Root", spec),
        ca_(root_.MakeIntermediate()),
        key_(PrivateKey::Generate(spec).value()) {
    TestCertificateSpec leaf;
    leaf.common_name = "a.example";
    leaf.names.dns_names = {"a.example"};
    chain_ = ca_.ChainFor(ca_.Sign(key_.public_key(), leaf));
    roots_ = {root_.certificate(), ca_.certificate()};
  }

  // The PEM of the key in a PKCS#12 store, as the command reads it.
  std::string KeyIn(const std::string& file, absl::string_view password) {
    CommandResult result = RunCommand(
        absl::StrCat("openssl pkcs12 -nodes -nocerts -in ", file, " -passin pass:", password));
    EXPECT_EQ(result.exit_status, 0) << result.output;
    size_t start = result.output.find("-----BEGIN");
    return start == std::string::npos ? result.output : result.output.substr(start);
  }
  std::string Keytool(const std::string& file, absl::string_view type,
                      absl::string_view password) {
    CommandResult result =
        RunCommand(absl::StrCat("LC_ALL=C keytool -list -v -storetype ", type, " -keystore ",
                                file, " -storepass '", password, "'"));
    EXPECT_EQ(result.exit_status, 0) << result.output;
    return result.output;
  }
  // Java decrypts the key to copy it, and what it writes is compared.
  void ExpectJavaReadsTheKey(const std::string& file, absl::string_view type) {
    const std::string copy = absl::StrCat(file, ".copy");
    std::remove(copy.c_str());
    CommandResult result =
        RunCommand(absl::StrCat("keytool -importkeystore -noprompt -srckeystore ", file,
                                " -srcstoretype ", type, " -srcstorepass secret -destkeystore ",
                                copy, " -deststoretype PKCS12 -deststorepass secret"));
    EXPECT_EQ(result.exit_status, 0) << result.output;
    EXPECT_TRUE(KeyIn(copy, "secret") == key_.ToPem().Reveal());
  }
  void ExpectKeyEntry(const std::string& listing) {
    EXPECT_THAT(listing, HasSubstr("contains 1 entry"));
    EXPECT_THAT(listing, HasSubstr("Alias name: tls"));
    EXPECT_THAT(listing, HasSubstr("PrivateKeyEntry"));
    EXPECT_THAT(listing, HasSubstr("Certificate chain length: 2"));
    EXPECT_THAT(listing, HasSubstr("Owner: CN=a.example"));
  }
  void ExpectTrustedEntries(const std::string& listing) {
    EXPECT_THAT(listing, HasSubstr("contains 2 entries"));
    EXPECT_THAT(listing, HasSubstr("Alias name: ca-1"));
    EXPECT_THAT(listing, HasSubstr("Alias name: ca-2"));
    EXPECT_THAT(listing, HasSubstr("trustedCertEntry"));
    EXPECT_THAT(listing, HasSubstr("Owner: CN=Test Root"));
    EXPECT_THAT(listing, HasSubstr("Owner: CN=Test Intermediate"));
    EXPECT_THAT(listing, Not(HasSubstr("PrivateKeyEntry")));
  }

  TestCa root_;
  TestCa ca_;
  PrivateKey key_;
  std::vector<Certificate> chain_;
  std::vector<Certificate> roots_;
};

class KeystoreToolsTest : public StoreTest, public testing::WithParamInterface<KeySpec> {
 protected:
  KeystoreToolsTest() : StoreTest(GetParam()) {}
};

class TruststoreToolsTest : public StoreTest {
 protected:
  TruststoreToolsTest() : StoreTest({}) {}
};

TEST_P(KeystoreToolsTest, OpensslReadsPkcs12) {
  for (Pkcs12Profile profile : {Pkcs12Profile::kModern, Pkcs12Profile::kLegacy}) {
    for (const char* password : {"secret", ""}) {
      CW_ASSERT_OK_AND_ASSIGN(base::Secret der,
                              MakePkcs12(key_, chain_, "tls", Password(password), profile));
      std::string file = WriteTestFile("key.p12", der.Reveal());
      EXPECT_TRUE(KeyIn(file, password) == key_.ToPem().Reveal());
      std::string info = RunCommand(absl::StrCat("openssl pkcs12 -info -nokeys -in ", file,
                                                 " -passin pass:", password))
                             .output;
      EXPECT_THAT(info, HasSubstr("friendlyName: tls"));
      for (const Certificate& certificate : chain_) {
        EXPECT_THAT(info, HasSubstr(certificate.Pem()));
      }
      if (profile == Pkcs12Profile::kModern) {
        EXPECT_THAT(info, HasSubstr("MAC: sha256, Iteration 10000"));
        EXPECT_THAT(info, HasSubstr("PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF "
                                    "hmacWithSHA256"));
      } else {
        EXPECT_THAT(info, HasSubstr("MAC: sha1, Iteration 2048"));
        EXPECT_THAT(info, HasSubstr("pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048"));
      }
      EXPECT_NE(RunCommand(absl::StrCat("openssl pkcs12 -in ", file, " -passin pass:wrong"))
                    .exit_status,
                0);
    }
  }
}

TEST_P(KeystoreToolsTest, JavaReadsPkcs12) {
  for (Pkcs12Profile profile : {Pkcs12Profile::kModern, Pkcs12Profile::kLegacy}) {
    CW_ASSERT_OK_AND_ASSIGN(base::Secret der,
                            MakePkcs12(key_, chain_, "tls", Password("secret"), profile));
    std::string file = WriteTestFile("java.p12", der.Reveal());
    ExpectKeyEntry(Keytool(file, "PKCS12", "secret"));
    ExpectJavaReadsTheKey(file, "PKCS12");
  }
}

TEST_F(TruststoreToolsTest, JavaTrustsPkcs12) {
  for (Pkcs12Profile profile : {Pkcs12Profile::kModern, Pkcs12Profile::kLegacy}) {
    CW_ASSERT_OK_AND_ASSIGN(std::string der,
                            MakePkcs12Truststore(roots_, Password("secret"), profile));
    ExpectTrustedEntries(Keytool(WriteTestFile("trust.p12", der), "PKCS12", "secret"));
  }
}

TEST_P(KeystoreToolsTest, JavaReadsJks) {
  CW_ASSERT_OK_AND_ASSIGN(base::Secret store, MakeJks(key_, chain_, "TLS", Password("secret")));
  std::string file = WriteTestFile("key.jks", store.Reveal());
  ExpectKeyEntry(Keytool(file, "JKS", "secret"));
  ExpectJavaReadsTheKey(file, "JKS");
  CommandResult wrong =
      RunCommand(absl::StrCat("keytool -list -keystore ", file, " -storepass wrong1"));
  EXPECT_NE(wrong.exit_status, 0) << wrong.output;
}

TEST_F(TruststoreToolsTest, JavaTrustsJks) {
  // Two chars above U+FFFF among the password's.
  const std::string password = "p\xc3\xa4ss\xf0\x9f\x94\x91";
  CW_ASSERT_OK_AND_ASSIGN(std::string store, MakeJksTruststore(roots_, Password("secret")));
  ExpectTrustedEntries(Keytool(WriteTestFile("trust.jks", store), "JKS", "secret"));
  CW_ASSERT_OK_AND_ASSIGN(store, MakeJksTruststore(roots_, Password(password)));
  std::string file = WriteTestFile("trust-utf8.jks", store);
  std::string password_file = WriteTestFile("password", absl::StrCat(password, "\n"));
  CommandResult result = RunCommand(absl::StrCat(
      "LC_ALL=C.UTF-8 keytool -J-Dfile.encoding=UTF-8 -list -storetype JKS -keystore ", file,
      " -storepass:file ", password_file));
  EXPECT_EQ(result.exit_status, 0) << result.output;
}

INSTANTIATE_TEST_SUITE_P(Keys, KeystoreToolsTest,
                         testing::Values(KeySpec{KeyAlgorithm::kRsa, 2048},
                                         KeySpec{KeyAlgorithm::kEcdsa, 256},
                                         KeySpec{KeyAlgorithm::kEd25519, 0}));

}  // namespace
}  // namespace certwright::pki
