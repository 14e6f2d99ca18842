#include "services/issuer/secret_users.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::issuer_service {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

issuer::v1::Certificate Certificate(const std::string& name, const std::string& secret,
                                    const std::string& resource_namespace = "web") {
  issuer::v1::Certificate certificate;
  certificate.mutable_metadata()->set_namespace_(resource_namespace);
  certificate.mutable_metadata()->set_name(name);
  certificate.mutable_spec()->set_secret_name(secret);
  return certificate;
}

TEST(SecretUsersTest, KnowsEveryCertificateOfASecretInItsNamespace) {
  SecretUsers users;
  for (const auto& certificate :
       {Certificate("a", "s"), Certificate("b", "s"), Certificate("c", "s", "mail")}) {
    users.Replace(nullptr, &certificate);
  }
  EXPECT_THAT(users.CertificatesOf("web/s"), ElementsAre("web/a", "web/b"));
  EXPECT_THAT(users.CertificatesOf("mail/s"), ElementsAre("mail/c"));
  EXPECT_THAT(users.CertificatesOf("web/other"), IsEmpty());
}

TEST(SecretUsersTest, FollowsChangedAndDeletedCertificates) {
  SecretUsers users;
  const auto before = Certificate("a", "s");
  const auto now = Certificate("a", "t");
  users.Replace(nullptr, &before);
  users.Replace(&before, &now);
  EXPECT_THAT(users.CertificatesOf("web/s"), IsEmpty());
  EXPECT_THAT(users.CertificatesOf("web/t"), ElementsAre("web/a"));
  users.Replace(&now, nullptr);
  EXPECT_THAT(users.CertificatesOf("web/t"), IsEmpty());
}

TEST(SecretUsersTest, KnowsWhoReadsAPasswordFromASecret) {
  SecretUsers users;
  auto certificate = Certificate("a", "s");
  auto& keystores = *certificate.mutable_spec()->mutable_keystores();
  keystores.mutable_jks()->mutable_password_secret_ref()->set_name("p");
  keystores.mutable_pkcs12()->mutable_password_secret_ref()->set_name("p");
  users.Replace(nullptr, &certificate);
  EXPECT_THAT(users.CertificatesOf("web/s"), ElementsAre("web/a"));
  EXPECT_THAT(users.CertificatesOf("web/p"), ElementsAre("web/a"));
  users.Replace(&certificate, nullptr);
  EXPECT_THAT(users.CertificatesOf("web/p"), IsEmpty());
}

TEST(SecretUsersTest, ChangeOfAnUnknownCertificateIsTakenForNew) {
  SecretUsers users;
  const auto before = Certificate("a", "s");
  const auto now = Certificate("a", "t");
  users.Replace(&before, &now);
  EXPECT_THAT(users.CertificatesOf("web/t"), ElementsAre("web/a"));
}

}  // namespace
}  // namespace certwright::issuer_service
