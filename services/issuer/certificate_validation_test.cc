#include "services/issuer/certificate_validation.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;
using issuer::v1::CertificateSpec;
using issuer::v1::Secret;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> FieldsOf(const rpc::Violations& violations) {
  std::vector<std::string> fields;
  for (const rpc::FieldViolation& violation : violations.all()) {
    fields.push_back(violation.field);
  }
  return fields;
}

Certificate Minimal() {
  Certificate certificate;
  certificate.mutable_spec()->set_secret_name("site-tls");
  certificate.mutable_spec()->mutable_issuer_ref()->set_name("ca");
  certificate.mutable_spec()->add_dns_names("a.example");
  return certificate;
}

std::vector<std::string> Validate(Certificate& certificate) {
  rpc::Violations violations;
  ValidateCertificate(certificate, violations);
  return FieldsOf(violations);
}

TEST(ValidateCertificateTest, FillsDefaultsIn) {
  Certificate certificate = Minimal();
  EXPECT_THAT(Validate(certificate), IsEmpty());
  const CertificateSpec& spec = certificate.spec();
  EXPECT_EQ(spec.issuer_ref().kind(), meta::v1::ISSUER_KIND_ISSUER);
  EXPECT_EQ(spec.duration().seconds(), 90 * 24 * 3600);
  EXPECT_FALSE(spec.has_renew_before());
  EXPECT_EQ(spec.private_key().algorithm(), issuer::v1::PRIVATE_KEY_ALGORITHM_ECDSA);
  EXPECT_EQ(spec.private_key().size(), 256);
  EXPECT_EQ(spec.private_key().encoding(), issuer::v1::PRIVATE_KEY_ENCODING_PKCS8);
  EXPECT_EQ(spec.private_key().rotation_policy(), issuer::v1::ROTATION_POLICY_ALWAYS);
  EXPECT_THAT(spec.usages(), ElementsAre("digital signature", "key encipherment"));
  EXPECT_EQ(spec.revision_history_limit(), 1);
}

TEST(ValidateCertificateTest, IsIdempotent) {
  Certificate certificate = Minimal();
  certificate.mutable_spec()->set_common_name("b.example");
  Validate(certificate);
  const std::string once = certificate.SerializeAsString();
  EXPECT_THAT(Validate(certificate), IsEmpty());
  EXPECT_EQ(certificate.SerializeAsString(), once);
}

TEST(ValidateCertificateTest, BringsNamesIntoOneSpellingWithoutDuplicates) {
  Certificate certificate = Minimal();
  CertificateSpec& spec = *certificate.mutable_spec();
  for (const char* name : {"A.Example.", "B\u00fccher.example", "*.a.example"}) {
    spec.add_dns_names(name);
  }
  for (const char* address : {"2001:DB8:0::1", "192.0.2.1", "2001:db8::1"}) {
    spec.add_ip_addresses(address);
  }
  EXPECT_THAT(Validate(certificate), IsEmpty());
  EXPECT_THAT(spec.dns_names(),
              ElementsAre("a.example", "xn--bcher-kva.example", "*.a.example"));
  EXPECT_THAT(spec.ip_addresses(), ElementsAre("2001:db8::1", "192.0.2.1"));
}

TEST(ValidateCertificateTest, CommonNameIsOneOfTheNames) {
  struct Case {
    std::string common_name;
    std::vector<std::string> dns_names;
    std::vector<std::string> ip_addresses;
  };
  for (const Case& test :
       {Case{"B.example", {"a.example", "b.example"}, {}}, Case{"A.example", {"a.example"}, {}},
        Case{"192.0.2.1", {"a.example"}, {"192.0.2.1"}}}) {
    Certificate certificate = Minimal();
    certificate.mutable_spec()->set_common_name(test.common_name);
    EXPECT_THAT(Validate(certificate), IsEmpty()) << test.common_name;
    EXPECT_THAT(certificate.spec().dns_names(), testing::ElementsAreArray(test.dns_names));
    EXPECT_THAT(certificate.spec().ip_addresses(),
                testing::ElementsAreArray(test.ip_addresses));
  }
}

TEST(ValidateCertificateTest, CommonNameAloneIsEnough) {
  Certificate certificate = Minimal();
  certificate.mutable_spec()->clear_dns_names();
  certificate.mutable_spec()->set_common_name("a.example");
  EXPECT_THAT(Validate(certificate), IsEmpty());
  EXPECT_THAT(certificate.spec().dns_names(), ElementsAre("a.example"));
}

struct Rule {
  const char* field;
  std::function<void(CertificateSpec&)> violate;
};

TEST(ValidateCertificateTest, ReportsEachBrokenRule) {
  const auto key = [](issuer::v1::PrivateKeyAlgorithm algorithm, int size) {
    return [=](CertificateSpec& spec) {
      spec.mutable_private_key()->set_algorithm(algorithm);
      spec.mutable_private_key()->set_size(size);
    };
  };
  const auto renew = [](int64_t seconds) {
    return [=](CertificateSpec& spec) { spec.mutable_renew_before()->set_seconds(seconds); };
  };
  const auto percent = [](int percentage) {
    return [=](CertificateSpec& spec) { spec.set_renew_before_percentage(percentage); };
  };
  const std::vector<Rule> rules = {
      {"spec.secretName", [](auto& spec) { spec.clear_secret_name(); }},
      {"spec.secretName", [](auto& spec) { spec.set_secret_name("Not_A_Name"); }},
      {"spec.issuerRef.name", [](auto& spec) { spec.clear_issuer_ref(); }},
      {"spec.dnsNames", [](auto& spec) { spec.clear_dns_names(); }},
      {"spec.dnsNames",
       [](auto& spec) {
         for (int i = 0; i < 100; ++i) spec.add_dns_names(absl::StrCat("n", i, ".example"));
       }},
      {"spec.dnsNames[1]", [](auto& spec) { spec.add_dns_names("under_score.example"); }},
      {"spec.dnsNames[1]", [](auto& spec) { spec.add_dns_names("a.*.example"); }},
      {"spec.ipAddresses[0]", [](auto& spec) { spec.add_ip_addresses("192.0.2.256"); }},
      {"spec.uris[0]", [](auto& spec) { spec.add_uris("no uri"); }},
      {"spec.emailAddresses[0]", [](auto& spec) { spec.add_email_addresses("nobody"); }},
      {"spec.commonName", [](auto& spec) { spec.set_common_name("My Site"); }},
      {"spec.commonName",
       [](auto& spec) { spec.set_common_name(std::string(60, 'a') + ".bcde"); }},
      // 57 octets here, 87 in A-labels.
      {"spec.commonName",
       [](auto& spec) {
         std::string name;
         for (int i = 0; i < 5; ++i) name += "b\u00fccher.de.";
         spec.set_common_name(name + "de");
       }},
      {"spec.subject", [](auto& spec) { spec.mutable_subject()->add_countries("DEU"); }},
      {"spec.subject", [](auto& spec) { spec.mutable_subject()->add_organizations(""); }},
      {"spec.subject",
       [](auto& spec) {
         for (int i = 0; i < 21; ++i) spec.mutable_subject()->add_organizations("o");
       }},
      {"spec.duration", [](auto& spec) { spec.mutable_duration()->set_seconds(3599); }},
      {"spec.renewBefore", renew(299)},
      {"spec.renewBefore", renew(90 * 24 * 3600)},
      {"spec.renewBeforePercentage", percent(-1)},
      {"spec.renewBeforePercentage", percent(100)},
      {"spec.renewBeforePercentage",
       [&](auto& spec) {
         renew(3600)(spec);
         percent(10)(spec);
       }},
      {"spec.privateKey.size", key(issuer::v1::PRIVATE_KEY_ALGORITHM_RSA, 2047)},
      {"spec.privateKey.size", key(issuer::v1::PRIVATE_KEY_ALGORITHM_RSA, 8193)},
      {"spec.privateKey.size", key(issuer::v1::PRIVATE_KEY_ALGORITHM_ECDSA, 512)},
      {"spec.privateKey.size", key(issuer::v1::PRIVATE_KEY_ALGORITHM_ED25519, 256)},
      {"spec.privateKey.algorithm", key(static_cast<issuer::v1::PrivateKeyAlgorithm>(99), 0)},
      {"spec.usages", [](auto& spec) { spec.add_usages("flying"); }},
      {"spec.revisionHistoryLimit", [](auto& spec) { spec.set_revision_history_limit(-1); }},
  };
  for (const Rule& rule : rules) {
    Certificate certificate = Minimal();
    rule.violate(*certificate.mutable_spec());
    EXPECT_THAT(Validate(certificate), ElementsAre(rule.field)) << certificate.DebugString();
  }
}

TEST(ValidateCertificateTest, AllowsTheLimitsThemselves) {
  Certificate certificate = Minimal();
  CertificateSpec& spec = *certificate.mutable_spec();
  for (int i = 0; i < 99; ++i) spec.add_dns_names(absl::StrCat("n", i, ".example"));
  spec.mutable_duration()->set_seconds(3600);
  spec.mutable_renew_before()->set_seconds(300);
  spec.mutable_private_key()->set_algorithm(issuer::v1::PRIVATE_KEY_ALGORITHM_RSA);
  EXPECT_THAT(Validate(certificate), IsEmpty());
  EXPECT_EQ(spec.private_key().size(), 2048);
}

TEST(ValidateCertificateTest, ReportsAllBrokenRulesAtOnce) {
  Certificate certificate;
  EXPECT_THAT(Validate(certificate),
              ElementsAre("spec.secretName", "spec.issuerRef.name", "spec.dnsNames"));
}

TEST(CheckCertificateIsServedTest, NamesWhatIsNotServed) {
  EXPECT_THAT(CheckCertificateIsServed(Minimal().spec()), base::IsOk());
  const std::vector<Rule> rules = {
      {"spec.literalSubject", [](auto& spec) { spec.set_literal_subject("CN=a"); }},
      {"spec.otherNames", [](auto& spec) { spec.add_other_names(); }},
      {"spec.renewalWindows", [](auto& spec) { spec.add_renewal_windows(); }},
      {"spec.isCa", [](auto& spec) { spec.set_is_ca(true); }},
      {"spec.signatureAlgorithm", [](auto& spec) { spec.set_signature_algorithm("x"); }},
      {"spec.additionalOutputFormats",
       [](auto& spec) { spec.add_additional_output_formats(issuer::v1::OUTPUT_FORMAT_DER); }},
      {"spec.keystores", [](auto& spec) { spec.mutable_keystores(); }},
      {"spec.secretTemplate", [](auto& spec) { spec.mutable_secret_template(); }},
      {"spec.nameConstraints", [](auto& spec) { spec.mutable_name_constraints(); }},
      {"spec.fallbackIssuerRefs", [](auto& spec) { spec.add_fallback_issuer_refs(); }},
      {"spec.uris", [](auto& spec) { spec.add_uris("urn:a"); }},
      {"spec.emailAddresses", [](auto& spec) { spec.add_email_addresses("a@b.example"); }},
  };
  CertificateSpec all = Minimal().spec();
  for (const Rule& rule : rules) {
    CertificateSpec spec = Minimal().spec();
    rule.violate(spec);
    rule.violate(all);
    EXPECT_THAT(CheckCertificateIsServed(spec),
                base::StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(rule.field)));
  }
  for (const Rule& rule : rules) {
    EXPECT_THAT(CheckCertificateIsServed(all),
                base::StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(rule.field)));
  }
}

class ValidateCertificateRequestTest : public testing::Test {
 protected:
  CertificateRequest Request(const pki::SubjectAltNames& names) {
    pki::CsrSpec csr;
    csr.names = names;
    CertificateRequest request;
    request.mutable_spec()->set_request(
        *pki::CreateCsrPem(csr, *pki::PrivateKey::Generate(pki::KeySpec())));
    request.mutable_spec()->mutable_issuer_ref()->set_name("ca");
    return request;
  }
  std::vector<std::string> Validate(CertificateRequest request) {
    rpc::Violations violations;
    ValidateCertificateRequest(request, violations);
    validated_ = request;
    return FieldsOf(violations);
  }

  CertificateRequest validated_;
};

TEST_F(ValidateCertificateRequestTest, AcceptsARequestForDnsNamesOrIpAddresses) {
  EXPECT_THAT(Validate(Request({{"a.example"}, {}, {}, {}})), IsEmpty());
  EXPECT_THAT(Validate(Request({{}, {"192.0.2.1"}, {}, {}})), IsEmpty());
  EXPECT_EQ(validated_.spec().issuer_ref().kind(), meta::v1::ISSUER_KIND_ISSUER);
}

TEST_F(ValidateCertificateRequestTest, ReportsEachBrokenRule) {
  const CertificateRequest valid = Request({{"a.example"}, {}, {}, {}});
  EXPECT_THAT(Validate(Request({{}, {}, {"urn:a"}, {}})), ElementsAre("spec.request"));
  CertificateRequest request = valid;
  request.mutable_spec()->set_request("not PEM");
  EXPECT_THAT(Validate(request), ElementsAre("spec.request"));
  request = valid;
  request.mutable_spec()->clear_issuer_ref();
  EXPECT_THAT(Validate(request), ElementsAre("spec.issuerRef.name"));
  request = valid;
  request.mutable_spec()->add_usages("flying");
  EXPECT_THAT(Validate(request), ElementsAre("spec.usages"));
  request = valid;
  request.mutable_spec()->mutable_duration()->set_seconds(60);
  EXPECT_THAT(Validate(request), ElementsAre("spec.duration"));
}

std::vector<std::string> ValidateData(const std::string& type, const std::string& key,
                                      std::size_t bytes) {
  Secret secret;
  secret.set_type(type);
  (*secret.mutable_data())[key] = std::string(bytes, 'x');
  rpc::Violations violations;
  ValidateSecret(secret, violations);
  EXPECT_FALSE(secret.type().empty());
  return FieldsOf(violations);
}

TEST(ValidateSecretTest, ChecksKeysSizeAndType) {
  EXPECT_THAT(ValidateData("", "a-B_3.x", 10), IsEmpty());
  EXPECT_THAT(ValidateData("", "a", 1000 << 10), IsEmpty());
  EXPECT_THAT(ValidateData("", "a", 1 << 20), ElementsAre("data"));
  EXPECT_THAT(ValidateData(kTlsSecretType, kCertificateKey, 10), ElementsAre("data"));
  for (const std::string& key : {std::string(), std::string("a/b"), std::string(254, 'a')}) {
    EXPECT_THAT(ValidateData("", key, 10), ElementsAre("data")) << key;
  }
}

TEST(KeySpecOfTest, SaysWhatTheSpecSays) {
  CertificateSpec spec;
  spec.mutable_private_key()->set_algorithm(issuer::v1::PRIVATE_KEY_ALGORITHM_RSA);
  spec.mutable_private_key()->set_size(4096);
  spec.mutable_private_key()->set_encoding(issuer::v1::PRIVATE_KEY_ENCODING_PKCS1);
  EXPECT_EQ(KeySpecOf(spec), (pki::KeySpec{pki::KeyAlgorithm::kRsa, 4096}));
  EXPECT_EQ(KeyEncodingOf(spec), pki::KeyEncoding::kPkcs1);
  spec.mutable_private_key()->set_algorithm(issuer::v1::PRIVATE_KEY_ALGORITHM_ED25519);
  spec.mutable_private_key()->set_size(0);
  spec.mutable_private_key()->set_encoding(issuer::v1::PRIVATE_KEY_ENCODING_PKCS8);
  EXPECT_EQ(KeySpecOf(spec), (pki::KeySpec{pki::KeyAlgorithm::kEd25519, 0}));
  EXPECT_EQ(KeyEncodingOf(spec), pki::KeyEncoding::kPkcs8);
}

}  // namespace
}  // namespace certwright::issuer_service
