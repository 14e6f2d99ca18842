#include "lib/pki/csr.h"

#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/pem.h"
#include "lib/pki/usages.h"

namespace certwright::pki {
namespace {

using base::StatusIs;
using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// Made by OpenSSL's command line: a subjectAltName with a directoryName.
constexpr char kDirectoryNameCsr[] =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIHyMIGaAgEAMAwxCjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"
    "AATqivXMum/AUrhOJdMy1QBZmIJPZXVX+LxqDBj8xBAnnoVKm8UdjWOzb3ZNA3x/\n"
    "MbGHVtdbUxG7pYQf5WFGORZfoCwwKgYJKoZIhvcNAQkOMR0wGzAZBgNVHREEEjAQ\n"
    "pA4wDDEKMAgGA1UEAwwBeDAKBggqhkjOPQQDAgNHADBEAiAXaD4RpmNt5HkC8maj\n"
    "Uh4HGGF9z+0cc0f/HzEquLRPfQIgCVSv5Sb8ayP+mLuKYgArPykcUmbY1oYQcLPc\n"
    "D4K1Li4=\n"
    "-----END CERTIFICATE REQUEST-----\n";

// Made by OpenSSL's command line: a key on secp256k1.
constexpr char kSecp256k1Csr[] =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIHDMGsCAQAwDDEKMAgGA1UEAwwBeDBWMBAGByqGSM49AgEGBSuBBAAKA0IABFSi\n"
    "f6HhltEe3zdAgSyUV9V/5r1ZQhDu6i3LTg+wCmvfO03tbnW+54QV8KP17f4I49bM\n"
    "8sdGR/+NIyV8PB6TrxygADAKBggqhkjOPQQDAgNIADBFAiEA89rzEz4MLHQIPRUm\n"
    "FMml9ZGO2PB9CMvePst796hD3zwCIBsHuX7S4si37xB6GVYRGnvpFohSk3d3ALA2\n"
    "QmqDQX2e\n"
    "-----END CERTIFICATE REQUEST-----\n";

// Made by OpenSSL's command line: a subjectKeyIdentifier, and a security identifier of Windows.
constexpr char kOtherExtensionCsr[] =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIIBEDCBtwIBADAMMQowCAYDVQQDDAF4MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD\n"
    "QgAESIYffgp0vDxYMf4JWdgcQn7hAMfU+K4S837tED0LE0fS5TvqadN6olZP3uCJ\n"
    "09Qhh3GXYzt2+btn9P2JnYY9Y6BJMEcGCSqGSIb3DQEJDjE6MDgwHQYDVR0OBBYE\n"
    "FNtrehpDLFTBbNc8f99V8WE6mL2JMBcGCSsGAQQBgjcZAgQKDAhTLTEtNS0yMTAK\n"
    "BggqhkjOPQQDAgNIADBFAiB31xbuLvenH3CfpdlzpmPOUJbw9d6VmBlnWxcLweZj\n"
    "0wIhAM6seA+NOuh6XdmUw6icf5dND/QAxYC/Na+uW/HWFPP6\n"
    "-----END CERTIFICATE REQUEST-----\n";

// Its extensionRequest has two lists of extensions: names a.test and b.test.
constexpr char kTwoListsCsr[] =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIIBADCBpwIBADAMMQowCAYDVQQDDAF4MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD\n"
    "QgAESIYffgp0vDxYMf4JWdgcQn7hAMfU+K4S837tED0LE0fS5TvqadN6olZP3uCJ\n"
    "09Qhh3GXYzt2+btn9P2JnYY9Y6A5MDcGCSqGSIb3DQEJDjEqMBMwEQYDVR0RBAow\n"
    "CIIGYS50ZXN0MBMwEQYDVR0RBAowCIIGYi50ZXN0MAoGCCqGSM49BAMCA0gAMEUC\n"
    "IGX0ES1p6YjG0DCI5o7TXyGqwUN0EXpJDs3wRpiR/QXOAiEAig1/hNVzVD3/W4Mr\n"
    "6EyZ3tGZopJ9vBJvkA/iKmEZ0Fk=\n"
    "-----END CERTIFICATE REQUEST-----\n";

PrivateKey NewKey(KeySpec spec = {}) { return PrivateKey::Generate(spec).value(); }

CsrSpec FullSpec() {
  CsrSpec spec;
  spec.subject.common_name = "www.example.com";
  spec.subject.organizations = {"Example Org", "Second Org"};
  spec.subject.countries = {"DE"};
  spec.subject.organizational_units = {"Unit"};
  spec.subject.localities = {"K\xc3\xb6ln"};
  spec.subject.provinces = {"NRW"};
  spec.subject.street_addresses = {"Street 1"};
  spec.subject.postal_codes = {"50667"};
  spec.subject.serial_number = "42";
  spec.names.dns_names = {"*.example.com", "www.example.com"};
  spec.names.ip_addresses = {"192.0.2.1", "2001:db8::1"};
  spec.names.uris = {"spiffe://example.com/a"};
  spec.names.email_addresses = {"jo@example.com"};
  spec.names.other_names = {{"1.3.6.1.4.1.311.20.2.3", "jo@example.com"}};
  spec.usages = {"digital signature", "key encipherment", "server auth", "client auth"};
  return spec;
}

TEST(CsrTest, TellsWhichOtherExtensionsAreAskedFor) {
  CW_ASSERT_OK_AND_ASSIGN(Csr csr, ParseCsrPem(kOtherExtensionCsr));
  EXPECT_EQ(csr.other_extensions, std::vector<std::string>{"1.3.6.1.4.1.311.25.2"});
  CW_ASSERT_OK_AND_ASSIGN(std::string ours, CreateCsrPem(FullSpec(), NewKey()));
  EXPECT_TRUE(ParseCsrPem(ours)->other_extensions.empty());
}

TEST(CsrTest, ASecondListOfExtensionsIsRefused) {
  EXPECT_THAT(ParseCsrPem(kTwoListsCsr), StatusIs(kInvalid, HasSubstr("more than once")));
}

TEST(CsrTest, RoundTripKeepsEverything) {
  CsrSpec spec = FullSpec();
  spec.is_ca = true;
  PrivateKey key = NewKey();
  CW_ASSERT_OK_AND_ASSIGN(std::string pem, CreateCsrPem(spec, key));
  CW_ASSERT_OK_AND_ASSIGN(Csr csr, ParseCsrPem(pem));
  EXPECT_EQ(csr.subject, spec.subject);
  EXPECT_EQ(csr.names, spec.names);
  EXPECT_EQ(csr.usages, spec.usages);
  EXPECT_TRUE(csr.is_ca);
  EXPECT_EQ(csr.public_key, key.public_key());
  EXPECT_EQ(EncodePem("CERTIFICATE REQUEST", csr.der), pem);
}

TEST(CsrTest, EveryKindOfKeySigns) {
  for (KeySpec spec : {KeySpec{KeyAlgorithm::kRsa, 2048}, KeySpec{KeyAlgorithm::kEcdsa, 256},
                       KeySpec{KeyAlgorithm::kEcdsa, 384}, KeySpec{KeyAlgorithm::kEcdsa, 521},
                       KeySpec{KeyAlgorithm::kEd25519, 0}}) {
    CW_ASSERT_OK_AND_ASSIGN(std::string pem, CreateCsrPem(FullSpec(), NewKey(spec)));
    CW_ASSERT_OK_AND_ASSIGN(Csr csr, ParseCsrPem(pem));
    EXPECT_EQ(csr.public_key.spec(), spec);
  }
}

TEST(CsrTest, DerReadsAsItsPem) {
  const PrivateKey key = NewKey();
  CW_ASSERT_OK_AND_ASSIGN(const std::string pem, CreateCsrPem(FullSpec(), key));
  CW_ASSERT_OK_AND_ASSIGN(const Csr csr, ParseCsrPem(pem));
  CW_ASSERT_OK_AND_ASSIGN(const Csr same, ParseCsrDer(csr.der));
  EXPECT_EQ(same.der, csr.der);
  EXPECT_EQ(same.names, csr.names);
  EXPECT_EQ(same.public_key, key.public_key());
  EXPECT_THAT(ParseCsrDer(csr.der + "x"), StatusIs(kInvalid, HasSubstr("certificate request")));
  EXPECT_THAT(ParseCsrDer(std::string(64 * 1024 + 1, 'x')),
              StatusIs(kInvalid, HasSubstr("longer")));
}

TEST(CsrTest, RequestWithoutExtensionsHasNone) {
  CsrSpec spec;
  spec.subject.common_name = "example.com";
  CW_ASSERT_OK_AND_ASSIGN(std::string pem, CreateCsrPem(spec, NewKey()));
  CW_ASSERT_OK_AND_ASSIGN(Csr csr, ParseCsrPem(pem));
  EXPECT_TRUE(csr.names.empty());
  EXPECT_TRUE(csr.usages.empty());
  EXPECT_FALSE(csr.is_ca);
}

TEST(CsrTest, EveryUsageWordSurvivesTheRoundTrip) {
  for (const std::string& word : AllUsageWords()) {
    CsrSpec spec = FullSpec();
    spec.usages = {word};
    CW_ASSERT_OK_AND_ASSIGN(std::string pem, CreateCsrPem(spec, NewKey()));
    CW_ASSERT_OK_AND_ASSIGN(Csr csr, ParseCsrPem(pem));
    std::string expected = word == "signing"  ? "digital signature"
                           : word == "s/mime" ? "email protection"
                                              : word;
    EXPECT_EQ(csr.usages, std::vector<std::string>{expected});
  }
}

TEST(CsrTest, CreateRefusesUnknownUsages) {
  CsrSpec spec = FullSpec();
  spec.usages = {"server auth", "world domination"};
  EXPECT_THAT(CreateCsrPem(spec, NewKey()), StatusIs(kInvalid, HasSubstr("world domination")));
}

TEST(CsrTest, CreateRefusesNamesThatAreNotInTheirNormalSpelling) {
  for (const char* name : {"Example.com", "example.com.", "a_b.example", "192.0.2.1"}) {
    CsrSpec spec = FullSpec();
    spec.names.dns_names.push_back(name);
    EXPECT_THAT(CreateCsrPem(spec, NewKey()), StatusIs(kInvalid, HasSubstr(name)));
  }
}

TEST(CsrTest, CreateSaysWhichSubjectPartIsWrong) {
  CsrSpec spec = FullSpec();
  spec.subject.common_name = std::string(65, 'a');
  EXPECT_THAT(CreateCsrPem(spec, NewKey()), StatusIs(kInvalid, HasSubstr("common name")));
  spec = FullSpec();
  spec.subject.countries = {"DEU"};
  EXPECT_THAT(CreateCsrPem(spec, NewKey()), StatusIs(kInvalid, HasSubstr("country")));
  spec = FullSpec();
  spec.subject.organizations = {""};
  EXPECT_THAT(CreateCsrPem(spec, NewKey()), StatusIs(kInvalid, HasSubstr("organization")));
  spec = FullSpec();
  spec.subject.localities = {"\xff"};
  EXPECT_THAT(CreateCsrPem(spec, NewKey()), StatusIs(kInvalid, HasSubstr("locality")));
}

TEST(CsrTest, LiteralSubjectIsKeptWhole) {
  CsrSpec spec;
  spec.literal_subject = "CN=www.example.com,OU=a+L=b,DC=example,DC=com";
  CW_ASSERT_OK_AND_ASSIGN(std::string pem, CreateCsrPem(spec, NewKey()));
  CW_ASSERT_OK_AND_ASSIGN(Csr csr, ParseCsrPem(pem));
  EXPECT_EQ(csr.subject.common_name, "www.example.com");
  EXPECT_EQ(csr.subject.organizational_units, std::vector<std::string>{"a"});
  CW_ASSERT_OK_AND_ASSIGN(std::string encoded, EncodeLiteralSubject(spec.literal_subject));
  EXPECT_EQ(csr.subject_der, encoded);
  spec.subject.organizations = {"Org"};
  EXPECT_THAT(CreateCsrPem(spec, NewKey()), StatusIs(kInvalid, HasSubstr("not both")));
  spec.subject = {};
  spec.literal_subject = "CN=a,X=b";
  EXPECT_THAT(CreateCsrPem(spec, NewKey()), StatusIs(kInvalid, HasSubstr("part 2")));
}

TEST(CsrTest, NameConstraintsSurviveTheRoundTrip) {
  CsrSpec spec = FullSpec();
  spec.name_constraints.permitted.dns_domains = {"example.com", ".example.org"};
  spec.name_constraints.permitted.ip_ranges = {"192.0.2.0/24", "2001:db8::/32"};
  spec.name_constraints.excluded.email_addresses = {"jo@example.com", "example.com"};
  spec.name_constraints.excluded.uri_domains = {".example.com"};
  EXPECT_THAT(CreateCsrPem(spec, NewKey()), StatusIs(kInvalid, HasSubstr("only for a CA")));
  spec.is_ca = true;
  for (bool critical : {true, false}) {
    spec.name_constraints.critical = critical;
    CW_ASSERT_OK_AND_ASSIGN(std::string pem, CreateCsrPem(spec, NewKey()));
    CW_ASSERT_OK_AND_ASSIGN(Csr csr, ParseCsrPem(pem));
    EXPECT_EQ(csr.name_constraints, *NormalizeNameConstraints(spec.name_constraints));
  }
  spec.name_constraints.permitted.ip_ranges = {"192.0.2.0"};
  EXPECT_THAT(CreateCsrPem(spec, NewKey()), StatusIs(kInvalid, HasSubstr("192.0.2.0")));
}

TEST(CsrTest, ParseAcceptsTheOldLabel) {
  CW_ASSERT_OK_AND_ASSIGN(std::string pem, CreateCsrPem(FullSpec(), NewKey()));
  CW_ASSERT_OK_AND_ASSIGN(Csr csr, ParseCsrPem(pem));
  CW_EXPECT_OK(ParseCsrPem(EncodePem("NEW CERTIFICATE REQUEST", csr.der)));
}

TEST(CsrTest, ParseRefusesWhatIsNotExactlyOneRequest) {
  CW_ASSERT_OK_AND_ASSIGN(std::string pem, CreateCsrPem(FullSpec(), NewKey()));
  CW_ASSERT_OK_AND_ASSIGN(Csr csr, ParseCsrPem(pem));
  EXPECT_THAT(ParseCsrPem(""), StatusIs(kInvalid, HasSubstr("no PEM block")));
  EXPECT_THAT(ParseCsrPem(pem + pem), StatusIs(kInvalid));
  EXPECT_THAT(ParseCsrPem(std::string(70000, '\n') + pem), StatusIs(kInvalid));
  EXPECT_THAT(ParseCsrPem(EncodePem("CERTIFICATE", csr.der)), StatusIs(kInvalid));
  EXPECT_THAT(ParseCsrPem(EncodePem("CERTIFICATE REQUEST", csr.der + "x")),
              StatusIs(kInvalid, HasSubstr("malformed DER")));
}

TEST(CsrTest, ParseRefusesAChangedRequest) {
  CW_ASSERT_OK_AND_ASSIGN(std::string pem, CreateCsrPem(FullSpec(), NewKey()));
  std::string der = ParseCsrPem(pem)->der;
  der[der.find("jo@example.com")] = 'x';
  EXPECT_THAT(ParseCsrPem(EncodePem("CERTIFICATE REQUEST", der)),
              StatusIs(kInvalid, HasSubstr("signature")));
}

TEST(CsrTest, ParseRefusesNamesOfOtherKinds) {
  EXPECT_THAT(ParseCsrPem(kDirectoryNameCsr), StatusIs(kInvalid, HasSubstr("directoryName")));
}

TEST(CsrTest, ParseRefusesUnsupportedCurves) {
  EXPECT_THAT(ParseCsrPem(kSecp256k1Csr), StatusIs(kInvalid, HasSubstr("curve")));
}

TEST(UsagesTest, BitsAndIdentifiersAreThoseOfRfc5280) {
  CW_ASSERT_OK_AND_ASSIGN(UsageSet usages,
                          ParseUsages({"decipher only", "signing", "digital signature",
                                       "server auth", "server auth", "any"}));
  EXPECT_EQ(usages.key_usage, 0x101u);
  EXPECT_EQ(usages.extended_key_usages,
            (std::vector<std::string>{"1.3.6.1.5.5.7.3.1", "2.5.29.37.0"}));
}

TEST(UsagesTest, IdentifierWithoutAWordStaysDotted) {
  UsageSet usages;
  usages.extended_key_usages = {"1.2.3.4"};
  EXPECT_EQ(UsageWords(usages), std::vector<std::string>{"1.2.3.4"});
}

}  // namespace
}  // namespace certwright::pki
