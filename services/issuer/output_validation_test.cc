#include "services/issuer/output_validation.h"

#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateSpec;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Validate(CertificateSpec& spec) {
  rpc::Violations violations;
  ValidateOutputs(spec, violations);
  std::vector<std::string> fields;
  for (const auto& violation : violations.all()) fields.push_back(violation.field);
  return fields;
}

TEST(ValidateOutputsTest, FillsDefaultsIn) {
  CertificateSpec spec;
  spec.mutable_keystores()->mutable_pkcs12()->set_create(true);
  spec.mutable_keystores()->mutable_jks()->set_create(true);
  spec.mutable_keystores()->mutable_jks()->mutable_password_secret_ref()->set_name("p");
  EXPECT_THAT(Validate(spec), IsEmpty());
  EXPECT_EQ(spec.keystores().pkcs12().profile(), issuer::v1::PKCS12_PROFILE_MODERN);
  EXPECT_FALSE(spec.keystores().pkcs12().has_password_secret_ref());
  EXPECT_EQ(spec.keystores().jks().alias(), "certificate");
  EXPECT_EQ(spec.keystores().jks().password_secret_ref().key(), "password");
}

TEST(ValidateOutputsTest, AllowsLabelsThatOthersUse) {
  CertificateSpec spec;
  auto& labels = *spec.mutable_secret_template()->mutable_labels();
  labels["app.kubernetes.io/name"] = "web";
  labels["notcertwright.io/x"] = "y";
  labels["certwright.io"] = "no-domain";
  EXPECT_THAT(Validate(spec), IsEmpty());
}

TEST(ValidateOutputsTest, ReportsEachBrokenRule) {
  struct Rule {
    const char* field;
    std::function<void(CertificateSpec&)> violate;
  };
  const auto label = [](const char* key, const char* value = "v") {
    return [=](CertificateSpec& spec) {
      (*spec.mutable_secret_template()->mutable_labels())[key] = value;
    };
  };
  const auto annotation = [](const char* key, std::size_t size = 1) {
    return [=](CertificateSpec& spec) {
      (*spec.mutable_secret_template()->mutable_annotations())[key] = std::string(size, 'v');
    };
  };
  const std::vector<Rule> rules = {
      {"spec.additionalOutputFormats[0]",
       [](auto& spec) { spec.add_additional_output_formats(issuer::v1::OutputFormat(9)); }},
      {"spec.additionalOutputFormats[1]",
       [](auto& spec) {
         for (int i = 0; i < 2; ++i) {
           spec.add_additional_output_formats(issuer::v1::OUTPUT_FORMAT_DER);
         }
       }},
      {"spec.keystores.pkcs12.profile",
       [](auto& spec) {
         spec.mutable_keystores()->mutable_pkcs12()->set_profile(issuer::v1::Pkcs12Profile(9));
       }},
      {"spec.keystores.pkcs12.passwordSecretRef.name",
       [](auto& spec) {
         spec.mutable_keystores()->mutable_pkcs12()->mutable_password_secret_ref();
       }},
      {"spec.keystores.jks.passwordSecretRef.name",
       [](auto& spec) { spec.mutable_keystores()->mutable_jks()->set_create(true); }},
      {"spec.keystores.jks.alias",
       [](auto& spec) { spec.mutable_keystores()->mutable_jks()->set_alias("\xc3\xa4"); }},
      {"spec.secretTemplate.labels", label("certwright.io/next-private-key")},
      {"spec.secretTemplate.labels", label("sub.cert-manager.io/a")},
      {"spec.secretTemplate.labels", label("kubernetes.io/a")},
      {"spec.secretTemplate.labels", label("a b")},
      {"spec.secretTemplate.labels", label("a", "b c")},
      {"spec.secretTemplate.annotations", annotation("certwright.io/certificate-name")},
      {"spec.secretTemplate.annotations", annotation("k8s.io/a")},
      {"spec.secretTemplate.annotations", annotation("a b")},
      {"spec.secretTemplate.annotations", annotation("a", 64 << 10)},
  };
  for (const Rule& rule : rules) {
    CertificateSpec spec;
    rule.violate(spec);
    EXPECT_THAT(Validate(spec), ElementsAre(rule.field)) << spec.DebugString();
  }
}

}  // namespace
}  // namespace certwright::issuer_service
