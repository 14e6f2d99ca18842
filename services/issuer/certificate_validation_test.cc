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

// Fault 101.
TEST(ValidateCertificateTest, TheSecretIsNotOneThatTheCertificateNeedsOtherwise) {
  const auto fields = [](const std::string& secret) {
    Certificate certificate = Minimal();
    certificate.mutable_metadata()->set_name("site");
    certificate.mutable_spec()->set_secret_name(secret);
    issuer::v1::Keystores& keystores = *certificate.mutable_spec()->mutable_keystores();
    keystores.mutable_jks()->set_create(true);
    keystores.mutable_jks()->mutable_password_secret_ref()->set_name("jks");
    keystores.mutable_pkcs12()->set_create(true);
    keystores.mutable_pkcs12()->mutable_password_secret_ref()->set_name("pkcs12");
    return Validate(certificate);
  };
  for (const char* own : {"site-next-key", "jks", "pkcs12"}) {
    EXPECT_THAT(fields(own), ElementsAre("spec.secretName")) << own;
  }
  // What others may need is found out where it is known.
  for (const char* free : {"site", "my-next-key", "site-next-key-1", "site-account-key"}) {
    EXPECT_THAT(fields(free), IsEmpty()) << free;
  }
}

TEST(ValidateCertificateTest, IsIdempotent) {
  Certificate certificate = Minimal();
  certificate.mutable_spec()->set_common_name("b.example");
  Validate(certificate);
  const std::string once = certificate.SerializeAsString();
  EXPECT_THAT(Validate(certificate), IsEmpty());
  EXPECT_EQ(certificate.SerializeAsString(), once);
}

// Fault 44.
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

TEST(ValidateCertificateTest, ACommonNameThatIsNoHostStaysOutOfTheNames) {
  for (const bool is_ca : {false, true}) {
    Certificate certificate = Minimal();
    CertificateSpec& spec = *certificate.mutable_spec();
    spec.clear_dns_names();
    spec.set_is_ca(is_ca);
    spec.set_common_name(is_ca ? "root" : "My Site");
    EXPECT_THAT(Validate(certificate), IsEmpty());
    EXPECT_THAT(spec.dns_names(), IsEmpty());
    EXPECT_EQ(spec.common_name(), is_ca ? "root" : "My Site");
  }
}

TEST(ValidateCertificateTest, ALiteralSubjectWithACommonNameIsNameEnough) {
  Certificate certificate = Minimal();
  certificate.mutable_spec()->clear_dns_names();
  certificate.mutable_spec()->set_literal_subject("O=a");
  EXPECT_THAT(Validate(certificate), ElementsAre("spec.dnsNames"));
  certificate.mutable_spec()->set_literal_subject("CN=b,O=a");
  EXPECT_THAT(Validate(certificate), IsEmpty());
}

TEST(ValidateCertificateTest, WhatItAcceptsCanBeAskedFor) {
  Certificate certificate = Minimal();
  CertificateSpec& spec = *certificate.mutable_spec();
  spec.set_is_ca(true);
  spec.set_literal_subject("CN=a,DC=b");
  spec.set_signature_algorithm("ECDSAWithSHA384");
  for (int i = 0; i < 2; ++i) {
    spec.add_other_names()->set_oid("1.3.6.1.4.1.311.20.2.3");
    spec.mutable_other_names(i)->set_utf8_value("jo@a.example");
  }
  spec.mutable_name_constraints()->set_critical(true);
  spec.mutable_name_constraints()->mutable_permitted()->add_dns_domains("B.example");
  spec.mutable_name_constraints()->mutable_permitted()->add_dns_domains("a.example");
  spec.mutable_name_constraints()->mutable_excluded()->add_ip_ranges("10.0.0.0/8");
  EXPECT_THAT(Validate(certificate), IsEmpty());
  EXPECT_EQ(spec.other_names_size(), 1);
  EXPECT_THAT(spec.name_constraints().permitted().dns_domains(),
              ElementsAre("a.example", "b.example"));
  const auto key = pki::PrivateKey::Generate(KeySpecOf(spec));
  const auto pem = pki::CreateCsrPem(CsrSpecOf(spec), *key);
  ASSERT_THAT(pem, base::IsOk());
  const auto csr = pki::ParseCsrPem(*pem);
  ASSERT_THAT(csr, base::IsOk());
  EXPECT_TRUE(AsksForSubjectOf(spec, *csr));
  EXPECT_EQ(csr->name_constraints.excluded.ip_ranges,
            CsrSpecOf(spec).name_constraints.excluded.ip_ranges);
  EXPECT_EQ(csr->names.other_names.size(), 1u);
  spec.set_literal_subject("CN=a,DC=c");
  EXPECT_FALSE(AsksForSubjectOf(spec, *csr));
}

struct Rule {
  const char* field;
  std::function<void(CertificateSpec&)> violate;
};

// Fault 118.
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
  const auto constrain = [](const std::string& domain, bool is_ca) {
    return [=](CertificateSpec& spec) {
      spec.set_is_ca(is_ca);
      spec.mutable_name_constraints()->mutable_permitted()->add_dns_domains(domain);
    };
  };
  const std::vector<Rule> rules = {
      {"spec.secretName", [](auto& spec) { spec.clear_secret_name(); }},
      {"spec.secretName", [](auto& spec) { spec.set_secret_name("Not_A_Name"); }},
      {"spec.issuerRef.name", [](auto& spec) { spec.clear_issuer_ref(); }},
      {"spec.fallbackIssuerRefs[0].name", [](auto& spec) { spec.add_fallback_issuer_refs(); }},
      {"spec.fallbackIssuerRefs[0]",
       [](auto& spec) { *spec.add_fallback_issuer_refs() = spec.issuer_ref(); }},
      {"spec.fallbackIssuerRefs",
       [](auto& spec) {
         for (int i = 0; i < 9; ++i) {
           spec.add_fallback_issuer_refs()->set_name(absl::StrCat("ca-", i));
         }
       }},
      {"spec.renewalWindows[0].cron", [](auto& spec) { spec.add_renewal_windows(); }},
      {"spec.renewalWindows[0].timezone",
       [](auto& spec) {
         spec.add_renewal_windows()->set_cron("* * * * *");
         spec.mutable_renewal_windows(0)->mutable_duration()->set_seconds(3600);
         spec.mutable_renewal_windows(0)->set_timezone("../../../etc/passwd");
       }},
      {"spec.dnsNames", [](auto& spec) { spec.clear_dns_names(); }},
      {"spec.dnsNames",
       [](auto& spec) {
         for (int i = 0; i < 100; ++i) spec.add_dns_names(absl::StrCat("n", i, ".example"));
       }},
      {"spec.commonName",
       [](auto& spec) {
         for (int i = 0; i < 99; ++i) spec.add_dns_names(absl::StrCat("n", i, ".example"));
         spec.set_common_name("one-more.example");
       }},
      {"spec.commonName",
       [](auto& spec) {
         for (int i = 0; i < 99; ++i) spec.add_ip_addresses(absl::StrCat("192.0.2.", i));
         spec.set_common_name("192.0.2.200");
       }},
      {"spec.dnsNames[1]", [](auto& spec) { spec.add_dns_names("under_score.example"); }},
      {"spec.dnsNames[1]", [](auto& spec) { spec.add_dns_names("a.*.example"); }},
      {"spec.ipAddresses[0]", [](auto& spec) { spec.add_ip_addresses("192.0.2.256"); }},
      {"spec.uris[0]", [](auto& spec) { spec.add_uris("no uri"); }},
      {"spec.emailAddresses[0]", [](auto& spec) { spec.add_email_addresses("nobody"); }},
      {"spec.commonName", [](auto& spec) { spec.set_common_name(std::string(65, 'a')); }},
      {"spec.commonName",
       [](auto& spec) {
         spec.set_is_ca(true);
         spec.set_common_name("no\xff text");
       }},
      {"spec.commonName", [](auto& spec) { spec.set_common_name("a\nb"); }},
      {"spec.commonName", [](auto& spec) { spec.set_common_name("a.example\x7f"); }},
      {"spec.commonName", [](auto& spec) { spec.set_common_name("a\xc2\x85"); }},
      {"spec.subject", [](auto& spec) { spec.mutable_subject()->add_organizations("a\tb"); }},
      {"spec.subject", [](auto& spec) { spec.mutable_subject()->add_localities("\x1b[2J"); }},
      {"spec.subject", [](auto& spec) { spec.mutable_subject()->add_postal_codes("1\r"); }},
      {"spec.subject", [](auto& spec) { spec.mutable_subject()->set_serial_number("\n"); }},
      {"spec.literalSubject", [](auto& spec) { spec.set_literal_subject("CN=a\\0Ab"); }},
      {"spec.literalSubject", [](auto& spec) { spec.set_literal_subject("1.2.3=a\\7F"); }},
      {"spec.literalSubject", [](auto& spec) { spec.set_literal_subject("O=a\nb,CN=a"); }},
      {"spec.uris[0]", [](auto& spec) { spec.add_uris("urn:a\nb"); }},
      {"spec.emailAddresses[0]", [](auto& spec) { spec.add_email_addresses("a\n@b.test"); }},
      {"spec.otherNames[0]",
       [](auto& spec) {
         spec.add_other_names()->set_oid("1.2.3");
         spec.mutable_other_names(0)->set_utf8_value("a\nb");
       }},
      {"spec.otherNames[0]",
       [](auto& spec) {
         spec.add_other_names()->set_oid("1.2.x");
         spec.mutable_other_names(0)->set_utf8_value("v");
       }},
      {"spec.dnsNames",
       [](auto& spec) {
         for (int i = 0; i < 14; ++i) {
           spec.add_uris(absl::StrCat("urn:", i, std::string(2000, 'a')));
         }
       }},
      {"spec.literalSubject", [](auto& spec) { spec.set_literal_subject("FOO=a"); }},
      {"spec.literalSubject",
       [](auto& spec) {
         spec.set_literal_subject("CN=a");
         spec.set_common_name("b.example");
       }},
      {"spec.literalSubject",
       [](auto& spec) {
         spec.set_literal_subject("CN=a");
         spec.mutable_subject()->add_organizations("o");
       }},
      {"spec.nameConstraints", constrain("a.example", false)},
      {"spec.nameConstraints", constrain("*.example", true)},
      {"spec.nameConstraints",
       [](auto& spec) {
         spec.set_is_ca(true);
         spec.mutable_name_constraints()->set_critical(true);
       }},
      {"spec.nameConstraints",
       [&](auto& spec) {
         for (int i = 0; i < 600; ++i) constrain(absl::StrCat("n", i, ".test"), true)(spec);
       }},
      {"spec.signatureAlgorithm", [](auto& spec) { spec.set_signature_algorithm("MD5"); }},
      {"spec.signatureAlgorithm",
       [](auto& spec) { spec.set_signature_algorithm("SHA256WithRSA"); }},
      {"spec.additionalOutputFormats[0]",
       [](auto& spec) { spec.add_additional_output_formats(issuer::v1::OutputFormat(9)); }},
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

TEST_F(ValidateCertificateRequestTest, AcceptsARequestForNamesOfAnyKind) {
  EXPECT_THAT(Validate(Request({{"a.example"}, {}, {}, {}})), IsEmpty());
  EXPECT_THAT(Validate(Request({{}, {}, {"urn:a"}, {}})), IsEmpty());
  EXPECT_THAT(Validate(Request({{}, {"192.0.2.1"}, {}, {}})), IsEmpty());
  EXPECT_EQ(validated_.spec().issuer_ref().kind(), meta::v1::ISSUER_KIND_ISSUER);
}

TEST_F(ValidateCertificateRequestTest, ReportsEachBrokenRule) {
  const CertificateRequest valid = Request({{"a.example"}, {}, {}, {}});
  EXPECT_THAT(Validate(Request({})), ElementsAre("spec.request"));
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

TEST_F(ValidateCertificateRequestTest, SpecAndSigningRequestMustAgree) {
  const auto request = [](const pki::CsrSpec& csr) {
    CertificateRequest made;
    made.mutable_spec()->set_request(
        *pki::CreateCsrPem(csr, *pki::PrivateKey::Generate(pki::KeySpec())));
    made.mutable_spec()->mutable_issuer_ref()->set_name("ca");
    return made;
  };
  pki::CsrSpec csr;
  csr.names.dns_names = {"a.example"};
  csr.usages = {"client auth", "server auth"};
  CertificateRequest given = request(csr);
  EXPECT_THAT(Validate(given), IsEmpty());
  given.mutable_spec()->add_usages("server auth");
  EXPECT_THAT(Validate(given), ElementsAre("spec.usages"));
  given.mutable_spec()->add_usages("client auth");
  EXPECT_THAT(Validate(given), IsEmpty());
  csr.is_ca = true;
  EXPECT_THAT(Validate(request(csr)), ElementsAre("spec.isCa"));
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
  EXPECT_THAT(ValidateData("", "a", 119 << 10), IsEmpty());
  EXPECT_THAT(ValidateData("", "a", (120 << 10) + 1), ElementsAre("data"));
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
