#include "services/issuer/secret_users.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::issuer_service {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

issuer::v1::Certificate Certificate(const std::string& name, const std::string& secret,
                                    const std::string& resource_namespace = "web") {
  issuer::v1::Certificate certificate;
  certificate.mutable_metadata()->set_namespace_(resource_namespace);
  certificate.mutable_metadata()->set_name(name);
  certificate.mutable_spec()->set_secret_name(secret);
  return certificate;
}

// "<use> <key>" of each user.
std::vector<std::string> Describe(const SecretUsers& users, const std::string& secret) {
  std::vector<std::string> result;
  for (const SecretUser& user : users.Of(secret)) {
    result.push_back(std::to_string(static_cast<int>(user.use)) + " " + user.key);
  }
  return result;
}

std::string Use(SecretUse use, const std::string& key) {
  return std::to_string(static_cast<int>(use)) + " " + key;
}

TEST(SecretUsersTest, KnowsWhatCertificatesUseInTheirNamespace) {
  SecretUsers users;
  auto a = Certificate("a", "s");
  auto& keystores = *a.mutable_spec()->mutable_keystores();
  keystores.mutable_jks()->mutable_password_secret_ref()->set_name("p");
  keystores.mutable_pkcs12()->mutable_password_secret_ref()->set_name("p");
  EXPECT_THAT(users.Replace({}, UsesOf(a)), IsEmpty());
  users.Replace({}, UsesOf(Certificate("b", "s")));
  users.Replace({}, UsesOf(Certificate("c", "s", "mail")));
  EXPECT_THAT(Describe(users, "web/s"),
              ElementsAre(Use(SecretUse::kTarget, "web/a"), Use(SecretUse::kTarget, "web/b")));
  EXPECT_THAT(Describe(users, "mail/s"), ElementsAre(Use(SecretUse::kTarget, "mail/c")));
  EXPECT_THAT(Describe(users, "web/p"), ElementsAre(Use(SecretUse::kPassword, "web/a")));
  EXPECT_THAT(Describe(users, "web/b-next-key"),
              ElementsAre(Use(SecretUse::kNextKey, "web/b")));
  EXPECT_THAT(users.Of("web/other"), IsEmpty());
}

TEST(SecretUsersTest, KnowsWhatIssuersUse) {
  const auto uses_of = [](const issuer::v1::IssuerSpec& spec) {
    SecretUsers users;
    users.Replace({}, UsesOf("Issuer web/ca", "web", meta::v1::ObjectMeta(), spec));
    std::vector<std::string> found;
    for (const char* name : {"ca", "key", "eab", "tsig", "token", "role"}) {
      for (const std::string& user : Describe(users, std::string("web/") + name)) {
        found.push_back(std::string(name) + " " + user);
      }
    }
    return found;
  };
  issuer::v1::IssuerSpec spec;
  spec.mutable_ca()->set_secret_name("ca");
  EXPECT_THAT(uses_of(spec), ElementsAre("ca " + Use(SecretUse::kCaKeyPair, "Issuer web/ca")));
  issuer::v1::AcmeIssuer& acme = *spec.mutable_acme();
  acme.mutable_private_key_secret_ref()->set_name("key");
  acme.mutable_external_account_binding()->mutable_key_secret_ref()->set_name("eab");
  acme.add_solvers()->mutable_http01();
  acme.add_solvers()
      ->mutable_dns01()
      ->mutable_rfc2136()
      ->mutable_tsig_secret_secret_ref()
      ->set_name("tsig");
  EXPECT_THAT(uses_of(spec),
              ElementsAre("key " + Use(SecretUse::kAccountKey, "Issuer web/ca"),
                          "eab " + Use(SecretUse::kExternalAccountKey, "Issuer web/ca"),
                          "tsig " + Use(SecretUse::kSolverCredential, "Issuer web/ca")));
  spec.mutable_vault()->mutable_token_secret_ref()->set_name("token");
  EXPECT_THAT(uses_of(spec),
              ElementsAre("token " + Use(SecretUse::kVaultCredential, "Issuer web/ca")));
  spec.mutable_vault()->mutable_app_role()->mutable_secret_ref()->set_name("role");
  EXPECT_THAT(uses_of(spec),
              ElementsAre("role " + Use(SecretUse::kVaultCredential, "Issuer web/ca")));
}

TEST(SecretUsersTest, FollowsWhoChangesAndGoes) {
  SecretUsers users;
  const auto before = Certificate("a", "s");
  const auto now = Certificate("a", "t");
  users.Replace({}, UsesOf(before));
  EXPECT_THAT(users.Replace(UsesOf(before), UsesOf(before)), IsEmpty());
  EXPECT_THAT(users.Replace(UsesOf(before), UsesOf(now)),
              ElementsAre(Pair("web/s", Field(&SecretUser::use, SecretUse::kTarget))));
  EXPECT_THAT(users.Of("web/s"), IsEmpty());
  EXPECT_THAT(Describe(users, "web/t"), ElementsAre(Use(SecretUse::kTarget, "web/a")));
  EXPECT_THAT(users.Replace(UsesOf(now), {}),
              UnorderedElementsAre(
                  Pair("web/t", Field(&SecretUser::use, SecretUse::kTarget)),
                  Pair("web/a-next-key", Field(&SecretUser::use, SecretUse::kNextKey))));
  EXPECT_THAT(users.Of("web/t"), IsEmpty());
  EXPECT_THAT(users.Of("web/a-next-key"), IsEmpty());
}

TEST(SecretUsersTest, ChangeOfAnUnknownUserIsTakenForNew) {
  SecretUsers users;
  users.Replace(UsesOf(Certificate("a", "s")), UsesOf(Certificate("a", "t")));
  EXPECT_THAT(Describe(users, "web/t"), ElementsAre(Use(SecretUse::kTarget, "web/a")));
}

}  // namespace
}  // namespace certwright::issuer_service
