#include "lib/pki/sign.h"

#include <openssl/x509v3.h>

#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/certificate_builder.h"
#include "lib/pki/openssl.h"
#include "lib/pki/subject.h"

namespace certwright::pki {
namespace {

using base::StatusIs;
using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kFailed = absl::StatusCode::kFailedPrecondition;

absl::Time Now() { return absl::FromUnixSeconds(1767323045); }

CertificateTemplate CaTemplate(absl::string_view subject) {
  CertificateTemplate values;
  values.subject_der = EncodeLiteralSubject(subject).value();
  values.is_ca = true;
  values.usages = {"crl sign"};
  values.not_before = Now();
  values.not_after = Now() + absl::Hours(1000);
  return values;
}

class SignTest : public testing::Test {
 protected:
  SignTest() {
    values_.public_key = key_.public_key();
    values_.names.dns_names = {"a.example"};
    values_.usages = {"digital signature", "server auth"};
    values_.not_before = Now();
    values_.not_after = Now() + absl::Hours(10);
  }

  static SigningCa MakeCa(const CertificateTemplate& values, KeySpec spec = {}) {
    PrivateKey key = PrivateKey::Generate(spec).value();
    Certificate certificate = SelfSign(key, values).value();
    return {std::move(certificate), {}, std::move(key)};
  }

  SigningCa MakeIntermediate(const SigningCa& above, CertificateTemplate values) {
    PrivateKey key = PrivateKey::Generate({}).value();
    values.public_key = key.public_key();
    Certificate certificate = SignCertificate(above, values).value();
    std::vector<Certificate> chain = {above.certificate};
    chain.insert(chain.end(), above.chain.begin(), above.chain.end());
    return {std::move(certificate), std::move(chain), std::move(key)};
  }

  PrivateKey key_ = PrivateKey::Generate({}).value();
  CertificateTemplate values_;
  SigningCa root_ = MakeCa(CaTemplate("CN=Root,O=Org"));
};

bool HasCriticalExtension(const Certificate& certificate, int nid) {
  int at = X509_get_ext_by_NID(certificate.x509.get(), nid, -1);
  return at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(certificate.x509.get(), at)) == 1;
}

TEST_F(SignTest, WhatSignsItselfHasAName) {
  CW_ASSERT_OK_AND_ASSIGN(Certificate certificate, SelfSign(key_, values_));
  EXPECT_EQ(certificate.subject, "CN=a.example");
  EXPECT_EQ(certificate.issuer, certificate.subject);
  values_.names.dns_names = {std::string(60, 'a') + ".example"};
  values_.names.ip_addresses = {"192.0.2.1"};
  CW_ASSERT_OK_AND_ASSIGN(certificate, SelfSign(key_, values_));
  EXPECT_EQ(certificate.subject, "CN=192.0.2.1");
  values_.names = {};
  values_.subject_der = EncodeSubject(Subject()).value();
  CW_ASSERT_OK_AND_ASSIGN(certificate, SelfSign(key_, values_));
  EXPECT_EQ(certificate.subject, "CN=Self-signed");
}

TEST_F(SignTest, CertificateHoldsWhatItsTemplateSays) {
  values_.subject_der = EncodeLiteralSubject("CN=a.example,OU=u+L=l,DC=com").value();
  CW_ASSERT_OK_AND_ASSIGN(Certificate leaf, SignCertificate(root_, values_));
  EXPECT_EQ(leaf.issuer, "CN=Root,O=Org");
  EXPECT_TRUE(leaf.subject == "CN=a.example,OU=u+L=l,DC=com" ||
              leaf.subject == "CN=a.example,L=l+OU=u,DC=com")
      << leaf.subject;
  EXPECT_EQ(leaf.names, values_.names);
  EXPECT_EQ(leaf.usages, values_.usages);
  EXPECT_EQ(leaf.not_before, values_.not_before);
  EXPECT_EQ(leaf.not_after, values_.not_after);
  EXPECT_EQ(leaf.public_key, key_.public_key());
  EXPECT_FALSE(leaf.is_ca);
  EXPECT_TRUE(HasCriticalExtension(leaf, NID_basic_constraints));
  EXPECT_FALSE(HasCriticalExtension(leaf, NID_subject_alt_name));
  EXPECT_EQ(leaf.authority_key_id, root_.certificate.authority_key_id);
  EXPECT_EQ(leaf.authority_key_id.size(), 20u);
  CW_EXPECT_OK(VerifyAgainstRoots({leaf}, {root_.certificate}, Now()));
}

TEST_F(SignTest, SubjectOfARequestIsTakenOverOctetByOctet) {
  CsrSpec spec;
  spec.literal_subject = "CN=a.example,OU=u+L=l,UID=7";
  spec.names = values_.names;
  spec.names.other_names = {{"1.3.6.1.4.1.311.20.2.3", "jo@example.com"}};
  CW_ASSERT_OK_AND_ASSIGN(std::string pem, CreateCsrPem(spec, key_));
  CW_ASSERT_OK_AND_ASSIGN(Csr csr, ParseCsrPem(pem));
  CertificateTemplate values = TemplateFromCsr(csr);
  values.not_before = Now();
  values.not_after = Now() + absl::Hours(1);
  CW_ASSERT_OK_AND_ASSIGN(Certificate leaf, SignCertificate(root_, values));
  EXPECT_NE(leaf.der.find(csr.subject_der), std::string::npos);
  EXPECT_EQ(csr.subject_der, *EncodeLiteralSubject(spec.literal_subject));
  EXPECT_EQ(leaf.names, csr.names);
  EXPECT_EQ(leaf.names.other_names, spec.names.other_names);
}

TEST_F(SignTest, NamesAreCriticalWithoutASubject) {
  CW_ASSERT_OK_AND_ASSIGN(Certificate leaf, SignCertificate(root_, values_));
  EXPECT_EQ(leaf.subject, "");
  EXPECT_TRUE(HasCriticalExtension(leaf, NID_subject_alt_name));
}

TEST_F(SignTest, SerialNumbersArePositiveAndDiffer) {
  CW_ASSERT_OK_AND_ASSIGN(Certificate a, SignCertificate(root_, values_));
  CW_ASSERT_OK_AND_ASSIGN(Certificate b, SignCertificate(root_, values_));
  EXPECT_NE(a.serial_der, b.serial_der);
  EXPECT_GT(a.serial_der.size(), 8u);
  EXPECT_LE(a.serial_der.size(), 17u);
  EXPECT_EQ(a.serial_der[0] & 0x80, 0);
}

TEST_F(SignTest, DigestFitsTheKeyOfTheCa) {
  for (auto [spec, nid] :
       {std::pair{KeySpec{KeyAlgorithm::kRsa, 2048}, NID_sha256WithRSAEncryption},
        {KeySpec{KeyAlgorithm::kEcdsa, 256}, NID_ecdsa_with_SHA256},
        {KeySpec{KeyAlgorithm::kEcdsa, 384}, NID_ecdsa_with_SHA384},
        {KeySpec{KeyAlgorithm::kEcdsa, 521}, NID_ecdsa_with_SHA512},
        {KeySpec{KeyAlgorithm::kEd25519, 0}, NID_ED25519}}) {
    SigningCa ca = MakeCa(CaTemplate("CN=Root"), spec);
    CW_ASSERT_OK_AND_ASSIGN(Certificate leaf, SignCertificate(ca, values_));
    EXPECT_EQ(X509_get_signature_nid(leaf.x509.get()), nid);
    CW_EXPECT_OK(VerifyAgainstRoots({leaf}, {ca.certificate}, Now()));
  }
}

TEST_F(SignTest, NeverOutlivesItsCa) {
  values_.not_after = Now() + absl::Hours(100000);
  CW_ASSERT_OK_AND_ASSIGN(Certificate leaf, SignCertificate(root_, values_));
  EXPECT_EQ(leaf.not_after, root_.certificate.not_after);
}

TEST_F(SignTest, RefusesACaThatCannotSign) {
  SigningCa ca = root_;
  ca.key = key_;
  EXPECT_THAT(SignCertificate(ca, values_), StatusIs(kFailed, HasSubstr("another key")));
  CW_ASSERT_OK_AND_ASSIGN(Certificate leaf, SelfSign(key_, values_));
  EXPECT_THAT(SignCertificate({leaf, {}, key_}, values_),
              StatusIs(kFailed, HasSubstr("not a CA's")));
  CertificateTemplate nameless = CaTemplate("CN=x");
  nameless.subject_der.clear();
  nameless.public_key = key_.public_key();
  CW_ASSERT_OK_AND_ASSIGN(Certificate unnamed,
                          BuildCertificate(nameless, "\x01", /*issuer=*/nullptr, key_));
  EXPECT_THAT(SignCertificate({unnamed, {}, key_}, values_),
              StatusIs(kFailed, HasSubstr("empty subject")));
  values_.not_before = root_.certificate.not_after;
  values_.not_after = values_.not_before + absl::Hours(1);
  EXPECT_THAT(SignCertificate(root_, values_), StatusIs(kFailed, HasSubstr("expired")));
  values_.not_before = root_.certificate.not_before - absl::Seconds(1);
  EXPECT_THAT(SignCertificate(root_, values_), StatusIs(kFailed, HasSubstr("valid only from")));
}

TEST_F(SignTest, RefusesATemplateThatMakesNoCertificate) {
  CertificateTemplate values = values_;
  values.public_key = PublicKey(nullptr);
  EXPECT_THAT(SignCertificate(root_, values), StatusIs(kInvalid, HasSubstr("public key")));
  values = values_;
  values.not_after = values.not_before;
  EXPECT_THAT(SignCertificate(root_, values), StatusIs(kInvalid, HasSubstr("end after")));
  values = values_;
  values.not_after = absl::InfiniteFuture();
  EXPECT_THAT(SelfSign(key_, values), StatusIs(kInvalid, HasSubstr("10000")));
  values = values_;
  values.subject_der = "x";
  EXPECT_THAT(SignCertificate(root_, values), StatusIs(kInvalid, HasSubstr("subject")));
  values = values_;
  values.usages = {"nonsense"};
  EXPECT_THAT(SignCertificate(root_, values), StatusIs(kInvalid, HasSubstr("nonsense")));
  values = values_;
  values.name_constraints.permitted.dns_domains = {"example"};
  EXPECT_THAT(SignCertificate(root_, values), StatusIs(kInvalid, HasSubstr("only for a CA")));
  for (auto member :
       {&CertificateTemplate::crl_distribution_points, &CertificateTemplate::ocsp_servers,
        &CertificateTemplate::issuing_certificate_urls}) {
    for (const char* url : {"ca.example/x", "file:///x", "http://a b"}) {
      values = values_;
      values.*member = {url};
      EXPECT_THAT(SignCertificate(root_, values), StatusIs(kInvalid, HasSubstr("URL")));
    }
  }
}

TEST_F(SignTest, CaCertificatesMaySignCertificates) {
  EXPECT_THAT(root_.certificate.usages, testing::ElementsAre("cert sign", "crl sign"));
  EXPECT_TRUE(root_.certificate.is_ca);
}

TEST_F(SignTest, ServedChainLeavesOutTheRoot) {
  SigningCa middle = MakeIntermediate(root_, CaTemplate("CN=Middle"));
  SigningCa lower = MakeIntermediate(middle, CaTemplate("CN=Lower"));
  CW_ASSERT_OK_AND_ASSIGN(Certificate leaf, SignCertificate(lower, values_));
  std::vector<Certificate> served = ServedChain(lower, leaf);
  ASSERT_EQ(served.size(), 3u);
  EXPECT_EQ(served[0].der, leaf.der);
  EXPECT_EQ(served[2].der, middle.certificate.der);
  CW_EXPECT_OK(VerifyAgainstRoots(served, {root_.certificate}, Now()));
  CW_ASSERT_OK_AND_ASSIGN(leaf, SignCertificate(root_, values_));
  EXPECT_EQ(ServedChain(root_, leaf).size(), 1u);
}

TEST_F(SignTest, NameConstraintsBindWhatIsBelow) {
  CertificateTemplate constrained = CaTemplate("CN=Middle");
  constrained.name_constraints.permitted.dns_domains = {"example"};
  constrained.name_constraints.permitted.ip_ranges = {"192.0.2.0/24"};
  constrained.name_constraints.excluded.dns_domains = {"bad.example"};
  SigningCa middle = MakeIntermediate(root_, constrained);
  EXPECT_EQ(middle.certificate.name_constraints, constrained.name_constraints);
  EXPECT_TRUE(HasCriticalExtension(middle.certificate, NID_name_constraints));
  auto verify = [&] {
    Certificate leaf = SignCertificate(middle, values_).value();
    return VerifyAgainstRoots(ServedChain(middle, leaf), {root_.certificate}, Now());
  };
  CW_EXPECT_OK(verify());
  values_.names.dns_names = {"x.bad.example"};
  EXPECT_THAT(verify(), StatusIs(kFailed, HasSubstr("excluded subtree")));
  values_.names.dns_names = {"a.other"};
  EXPECT_THAT(verify(), StatusIs(kFailed, HasSubstr("permitted subtree")));
  values_.names.dns_names = {"a.example"};
  values_.names.ip_addresses = {"198.51.100.1"};
  EXPECT_THAT(verify(), StatusIs(kFailed, HasSubstr("permitted subtree")));
}

}  // namespace
}  // namespace certwright::pki
