#include "lib/service/access_config.h"

#include <string>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/digest.h"

namespace certwright::service {
namespace {

using rpc::ServiceRole;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

config::v1::Grant& AddGrant(config::v1::Access& access, const std::string& identity,
                            config::v1::Role role) {
  config::v1::Grant& grant = *access.add_grants();
  grant.set_identity(identity);
  grant.set_role(role);
  return grant;
}

void AddToken(config::v1::Access& access, const std::string& name, const std::string& token) {
  config::v1::Token& added = *access.add_tokens();
  added.set_name(name);
  added.set_sha256(absl::BytesToHexString(pki::Sha256(token)));
}

TEST(AccessConfigTest, NothingMeansTheServicesByTheirNamesAndNoOperator) {
  EXPECT_THAT(ValidateAccess({}), IsEmpty());
  const rpc::AccessPolicy policy = ToAccessPolicy({}, {});
  EXPECT_FALSE(policy.enforced);
  EXPECT_THAT(policy.services.at(ServiceRole::kSolver), ElementsAre("solver"));
  EXPECT_THAT(policy.grants, IsEmpty());
}

TEST(AccessConfigTest, TheRateOfChangesHasDefaultsAndIsPositive) {
  EXPECT_EQ(ToChangeRate({}).per_second, 5);
  EXPECT_EQ(ToChangeRate({}).burst, 50);
  config::v1::Access access;
  access.set_changes_per_second(5);
  access.set_changes_burst(7);
  EXPECT_THAT(ValidateAccess(access), IsEmpty());
  EXPECT_EQ(ToChangeRate(access).per_second, 5);
  EXPECT_EQ(ToChangeRate(access).burst, 7);
  access.set_changes_per_second(-1);
  access.set_changes_burst(-1);
  access.set_calls_per_second(-1);
  access.set_calls_burst(-1);
  EXPECT_THAT(
      ValidateAccess(access),
      ElementsAre(HasSubstr("access.changesPerSecond"), HasSubstr("access.changesBurst"),
                  HasSubstr("access.callsPerSecond"), HasSubstr("access.callsBurst")));
}

TEST(AccessConfigTest, TheRateOfCallsHasDefaults) {
  EXPECT_EQ(ToCallRate({}).per_second, 50);
  EXPECT_EQ(ToCallRate({}).burst, 200);
  config::v1::Access access;
  access.set_calls_per_second(5);
  access.set_calls_burst(7);
  EXPECT_EQ(ToCallRate(access).per_second, 5);
  EXPECT_EQ(ToCallRate(access).burst, 7);
}

TEST(AccessConfigTest, AnOperatorMayHaveRatesOfItsOwn) {
  config::v1::Access access;
  access.set_changes_burst(7);
  config::v1::CallerRate& rate = *access.add_rates();
  rate.set_identity("platform.test");
  rate.set_changes_per_second(100);
  rate.set_calls_burst(3000);
  EXPECT_THAT(ValidateAccess(access), IsEmpty());
  const rpc::Rate changes = ToChangeRate(access).own.at("platform.test");
  EXPECT_EQ(changes.per_second, 100);
  EXPECT_EQ(changes.burst, 7);
  const rpc::Rate calls = ToCallRate(access).own.at("platform.test");
  EXPECT_EQ(calls.per_second, ToCallRate({}).per_second);
  EXPECT_EQ(calls.burst, 3000);
}

TEST(AccessConfigTest, RatesAreOfOneOperatorEachAndPositive) {
  config::v1::Access access;
  access.add_rates();
  access.add_rates()->set_identity("order");
  access.add_rates()->set_identity("token:ci");
  access.add_rates()->set_identity("ann");
  access.add_rates()->set_identity("ann");
  access.mutable_rates(3)->set_calls_per_second(-1);
  EXPECT_THAT(
      ValidateAccess(access),
      ElementsAre(HasSubstr("access.rates[0].identity: is required"),
                  HasSubstr("access.rates[1].identity: is that of the order service"),
                  HasSubstr("access.rates[2].identity: access.tokens has no such token"),
                  HasSubstr("access.rates[3].callsPerSecond: must be at least 1"),
                  HasSubstr("access.rates[4].identity: is that of an earlier rate")));
}

TEST(AccessConfigTest, IsEnforcedWithTls) {
  config::v1::Server server;
  server.mutable_tls()->set_ca_file("ca.crt");
  EXPECT_TRUE(ToAccessPolicy({}, server).enforced);
}

TEST(AccessConfigTest, GrantsWithoutNamespacesAreForAll) {
  config::v1::Access access;
  access.add_order_identities("spiffe://test/order");
  AddGrant(access, "ann.test", config::v1::ROLE_ADMIN);
  AddGrant(access, "token:ci", config::v1::ROLE_SECRET_READER).add_namespaces("web");
  AddToken(access, "ci", "secret");
  ASSERT_THAT(ValidateAccess(access), IsEmpty());
  const rpc::AccessPolicy policy = ToAccessPolicy(access, {});
  EXPECT_THAT(policy.services.at(ServiceRole::kOrder), ElementsAre("spiffe://test/order"));
  ASSERT_EQ(policy.grants.size(), 2u);
  EXPECT_EQ(policy.grants[0].role, rpc::Role::kAdmin);
  EXPECT_THAT(policy.grants[0].namespaces, ElementsAre("*"));
  EXPECT_EQ(policy.grants[1].role, rpc::Role::kSecretReader);
  EXPECT_THAT(policy.grants[1].namespaces, ElementsAre("web"));
  EXPECT_EQ(policy.tokens[0].digest, pki::Sha256("secret"));
}

TEST(AccessConfigTest, EveryProblemIsNamed) {
  config::v1::Access access;
  access.add_solver_identities("");
  AddGrant(access, "", config::v1::ROLE_VIEWER);
  AddGrant(access, "order", config::v1::ROLE_ADMIN);
  AddGrant(access, "ann.test", config::v1::ROLE_UNSPECIFIED);
  AddGrant(access, "token:none", config::v1::ROLE_VIEWER).add_namespaces("Not A Label");
  AddToken(access, "a", "one");
  AddToken(access, "a", "two");
  AddToken(access, "b", "one");
  AddToken(access, "No Label", "three");
  access.add_tokens()->set_name("c");
  EXPECT_THAT(
      ValidateAccess(access),
      ElementsAre(HasSubstr("access.solverIdentities"),
                  HasSubstr("access.tokens[1].name: is that"),
                  HasSubstr("access.tokens[2].sha256: is that"),
                  HasSubstr("access.tokens[3].name: must be a DNS label"),
                  HasSubstr("access.tokens[4].sha256: must be 64"),
                  HasSubstr("access.grants[0].identity: is required"),
                  HasSubstr("access.grants[1].identity: is that of the order service"),
                  HasSubstr("access.grants[2].role: must be"),
                  HasSubstr("access.grants[3].identity: access.tokens has no such token"),
                  HasSubstr("access.grants[3].namespaces[0]: must be a DNS label")));
}

}  // namespace
}  // namespace certwright::service
