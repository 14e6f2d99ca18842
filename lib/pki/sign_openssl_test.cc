// What the command openssl says of certificates that sign.h makes. Needs the package openssl.
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/run_command.h"
#include "lib/pki/sign.h"
#include "lib/pki/subject.h"

namespace certwright::pki {
namespace {

using testing::HasSubstr;

// The command judges by the real time.
absl::Time Now() { return absl::Now() - absl::Minutes(1); }

CertificateTemplate CaTemplate(absl::string_view subject) {
  CertificateTemplate values;
  values.subject_der = EncodeLiteralSubject(subject).value();
  values.is_ca = true;
  values.not_before = Now();
  values.not_after = Now() + absl::Hours(1000);
  return values;
}

class SignOpensslTest : public testing::TestWithParam<KeySpec> {
 protected:
  SignOpensslTest() {
    values_.public_key = PrivateKey::Generate({}).value().public_key();
    values_.names.dns_names = {"a.example"};
    values_.usages = {"digital signature", "server auth"};
    values_.not_before = Now();
    values_.not_after = Now() + absl::Hours(10);
    CertificateTemplate middle = CaTemplate("CN=Middle,OU=a+L=b,C=DE");
    middle.public_key = middle_key_.public_key();
    middle.name_constraints.permitted.dns_domains = {"example"};
    middle.name_constraints.permitted.email_addresses = {"example.com"};
    middle.name_constraints.permitted.uri_domains = {".example.com"};
    middle.name_constraints.excluded.ip_ranges = {"192.0.2.0/24", "2001:db8::/32"};
    middle_.push_back(SignCertificate(Root(), middle).value());
  }

  SigningCa Root() { return {root_, {}, root_key_}; }
  SigningCa Middle() { return {middle_[0], {root_}, middle_key_}; }

  // What `openssl verify` says of a certificate for `values_` by the intermediate CA.
  CommandResult Verify() {
    Certificate leaf = SignCertificate(Middle(), values_).value();
    std::string root = WriteTestFile("root.pem", root_.Pem());
    std::string chain = WriteTestFile("chain.pem", ToPem(middle_));
    std::string file = WriteTestFile("leaf.pem", leaf.Pem());
    return RunCommand(absl::StrCat("openssl verify -x509_strict -CAfile ", root, " -untrusted ",
                                   chain, " ", file));
  }
  std::string Text(const Certificate& certificate) {
    std::string file = WriteTestFile("text.pem", certificate.Pem());
    return RunCommand(absl::StrCat("openssl x509 -noout -text -in ", file)).output;
  }

  PrivateKey root_key_ = PrivateKey::Generate(GetParam()).value();
  PrivateKey middle_key_ = PrivateKey::Generate(GetParam()).value();
  Certificate root_ = SelfSign(root_key_, CaTemplate("CN=Root")).value();
  std::vector<Certificate> middle_;
  CertificateTemplate values_;
};

TEST_P(SignOpensslTest, VerifyAcceptsTheChain) {
  CommandResult result = Verify();
  EXPECT_EQ(result.exit_status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("leaf.pem: OK"));
  values_.names.email_addresses = {"jo@example.com"};
  values_.names.uris = {"https://www.example.com/x"};
  values_.names.ip_addresses = {"198.51.100.1"};
  result = Verify();
  EXPECT_EQ(result.exit_status, 0) << result.output;
}

TEST_P(SignOpensslTest, VerifyEnforcesNameConstraints) {
  auto refused = [&](const SubjectAltNames& names, const char* why) {
    values_.names = names;
    CommandResult result = Verify();
    EXPECT_NE(result.exit_status, 0);
    EXPECT_THAT(result.output, HasSubstr(why));
  };
  SubjectAltNames names;
  names.dns_names = {"a.other"};
  refused(names, "permitted subtree violation");
  names = {};
  names.ip_addresses = {"192.0.2.7"};
  refused(names, "excluded subtree violation");
  names.ip_addresses = {"2001:db8::1"};
  refused(names, "excluded subtree violation");
  names = {};
  names.email_addresses = {"jo@other.example"};
  refused(names, "permitted subtree violation");
  names = {};
  names.uris = {"https://example.com/"};
  refused(names, "permitted subtree violation");
}

TEST_P(SignOpensslTest, TextShowsTheExtensions) {
  values_.crl_distribution_points = {"http://ca.example/a.crl", "http://ca.example/b.crl"};
  values_.ocsp_servers = {"http://ocsp.example"};
  values_.issuing_certificate_urls = {"http://ca.example/ca.der"};
  values_.names.other_names = {{"1.3.6.1.4.1.311.20.2.3", "jo@example.com"}};
  std::string text = Text(SignCertificate(Middle(), values_).value());
  EXPECT_THAT(text, HasSubstr("URI:http://ca.example/a.crl"));
  EXPECT_THAT(text, HasSubstr("URI:http://ca.example/b.crl"));
  EXPECT_THAT(text, HasSubstr("OCSP - URI:http://ocsp.example"));
  EXPECT_THAT(text, HasSubstr("CA Issuers - URI:http://ca.example/ca.der"));
  EXPECT_THAT(text, HasSubstr("X509v3 Basic Constraints: critical\n                CA:FALSE"));
  EXPECT_THAT(text, HasSubstr("X509v3 Subject Alternative Name: critical"));
  EXPECT_THAT(text, HasSubstr("othername: UPN::jo@example.com"));
  text = Text(middle_[0]);
  EXPECT_THAT(text, HasSubstr("X509v3 Name Constraints: critical"));
  EXPECT_THAT(text, HasSubstr("IP:192.0.2.0/255.255.255.0"));
  EXPECT_THAT(text, HasSubstr("CA:TRUE"));
  EXPECT_THAT(text, HasSubstr("Certificate Sign"));
}

INSTANTIATE_TEST_SUITE_P(Keys, SignOpensslTest,
                         testing::Values(KeySpec{KeyAlgorithm::kRsa, 2048},
                                         KeySpec{KeyAlgorithm::kEcdsa, 384},
                                         KeySpec{KeyAlgorithm::kEd25519, 0}));

}  // namespace
}  // namespace certwright::pki
