#include "lib/rpc/access.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/digest.h"
#include "lib/rpc/testing/things.pb.h"

namespace certwright::rpc::testing {
namespace {

using base::IsOk;
using base::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kService[] = "certwright.rpc.testing.ThingService";
constexpr char kToken[] = "a-token-of-the-test";

PermissionTable Table() {
  const std::string prefix = std::string(kService) + ".";
  return {
      {prefix + "CreateThing",
       {.services = {ServiceRole::kIssuer},
        .roles = {Role::kAdmin},
        .effect = Effect::kChanges}},
      {prefix + "GetThing", {.roles = {Role::kViewer, Role::kAdmin}}},
      {prefix + "ListThings",
       {.roles = {Role::kViewer, Role::kAdmin}, .scope = Scope::kOneOrAllNamespaces}},
      {prefix + "UseIssuer",
       {.roles = {Role::kViewer, Role::kAdmin}, .scope = Scope::kIssuerRef}},
      {prefix + "ResetThings", {.services = {ServiceRole::kOrder}, .scope = Scope::kCluster}},
  };
}

AccessPolicy Policy() {
  AccessPolicy policy;
  policy.enforced = true;
  policy.services = {{ServiceRole::kIssuer, {"issuer"}}, {ServiceRole::kOrder, {"order"}}};
  policy.grants = {{"ann.test", Role::kViewer, {"team-a", "team-b"}},
                   {"ann.test", Role::kAdmin, {"team-c"}},
                   {"bob.test", Role::kViewer, {kAllNamespaces}},
                   {"token:ci", Role::kAdmin, {"default"}},
                   // Of no use: who is a service is nothing else.
                   {"order", Role::kAdmin, {kAllNamespaces}}};
  policy.tokens = {{"other", pki::Sha256("another")}, {"ci", pki::Sha256(kToken)}};
  return policy;
}

Caller Known(std::vector<std::string> identities, std::set<ServiceRole> services = {}) {
  Caller caller;
  caller.identities = std::move(identities);
  caller.authenticated = true;
  caller.services = std::move(services);
  return caller;
}

GetThingRequest Get(const std::string& resource_namespace) {
  GetThingRequest request;
  request.set_namespace_(resource_namespace);
  request.set_name("x");
  return request;
}

ListThingsRequest List(const std::string& resource_namespace) {
  ListThingsRequest request;
  request.set_namespace_(resource_namespace);
  return request;
}

CreateThingRequest Create(const std::string& resource_namespace) {
  CreateThingRequest request;
  request.mutable_thing()->mutable_metadata()->set_namespace_(resource_namespace);
  request.mutable_thing()->mutable_metadata()->set_name("x");
  return request;
}

UseIssuerRequest Use(IssuerKind kind) {
  UseIssuerRequest request;
  request.set_namespace_("team-a");
  request.mutable_issuer_ref()->set_name("ca");
  request.mutable_issuer_ref()->set_kind(kind);
  return request;
}

auto Denied(const std::string& text) {
  return StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(text));
}

class AccessTest : public ::testing::Test {
 protected:
  AccessTest() : permissions_(*Permissions::Make(Policy(), Table())) {}

  const std::unique_ptr<Permissions> permissions_;
  const Caller ann_ = Known({"ann.test"});
};

TEST_F(AccessTest, ARoleCountsInItsNamespacesOnly) {
  EXPECT_THAT(permissions_->Check(ann_, Get("team-a")), IsOk());
  EXPECT_THAT(permissions_->Check(ann_, Get("team-c")), IsOk());
  EXPECT_THAT(permissions_->Check(ann_, Get("team-d")), Denied("in namespace team-d"));
  EXPECT_THAT(permissions_->Check(ann_, Create("team-a")), Denied("takes the role admin"));
  EXPECT_THAT(permissions_->Check(ann_, Create("team-c")), IsOk());
  EXPECT_THAT(permissions_->Check(Known({"bob.test"}), Get("team-d")), IsOk());
}

TEST_F(AccessTest, AnEmptyNamespaceIsTheDefaultOne) {
  const Caller ci = Known({"token:ci"});
  EXPECT_THAT(permissions_->Check(ci, Create("")), IsOk());
  EXPECT_THAT(permissions_->Check(ci, CreateThingRequest()), IsOk());
  EXPECT_THAT(permissions_->Check(ann_, Get("")), Denied("in namespace default"));
}

TEST_F(AccessTest, AListOfAllTellsWhichNamespacesTheCallerMayName) {
  EXPECT_THAT(permissions_->Check(ann_, List("team-b")), IsOk());
  EXPECT_THAT(permissions_->Check(ann_, List("")),
              Denied("may name one of these namespaces: team-a, team-b, team-c"));
  EXPECT_THAT(permissions_->Check(ann_, List("*")), Denied("for all namespaces"));
  EXPECT_THAT(permissions_->Check(Known({"bob.test"}), List("")), IsOk());
}

TEST_F(AccessTest, AClusterIssuerIsInNoNamespace) {
  EXPECT_THAT(permissions_->Check(ann_, Use(ISSUER_KIND_UNSPECIFIED)), IsOk());
  EXPECT_THAT(permissions_->Check(ann_, Use(ISSUER_KIND_ISSUER)), IsOk());
  EXPECT_THAT(permissions_->Check(ann_, Use(ISSUER_KIND_CLUSTER_ISSUER)),
              Denied("for all namespaces"));
  EXPECT_THAT(permissions_->Check(Known({"bob.test"}), Use(ISSUER_KIND_CLUSTER_ISSUER)),
              IsOk());
}

TEST_F(AccessTest, AServiceMayDoWhatItsRuleSaysAndNothingElse) {
  const Caller order = Known({"order"}, {ServiceRole::kOrder});
  EXPECT_THAT(permissions_->Check(order, ResetThingsRequest()), IsOk());
  EXPECT_THAT(permissions_->Check(order, Create("team-a")), Denied("is the order service"));
  EXPECT_THAT(permissions_->Check(order, Get("team-a")), Denied("is the order service"));
  EXPECT_THAT(permissions_->Check(Known({"bob.test"}), ResetThingsRequest()),
              Denied("only the order service may"));
}

TEST_F(AccessTest, WhoIsNotKnownIsUnauthenticatedAndWhoHasNoRoleIsDenied) {
  EXPECT_THAT(permissions_->Check(Caller(), Get("team-a")),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("client certificate")));
  EXPECT_THAT(permissions_->Check(Known({"eve.test"}), Get("team-a")),
              Denied("eve.test may not call certwright.rpc.testing.ThingService.GetThing: it "
                     "takes the role viewer or admin. Roles are granted in access.grants"));
  EXPECT_THAT(permissions_->Check(ann_, Get("team-d")),
              Denied("ThingService.GetThing in namespace team-d: it takes the role viewer or "
                     "admin there. Roles are granted in access.grants"));
  EXPECT_THAT(permissions_->Check(Known({}), Get("team-a")), Denied("neither a DNS name"));
}

TEST_F(AccessTest, MuchIsDecidedBeforeTheRequestIsKnown) {
  const auto get = [this](const Caller& caller) {
    return permissions_->CheckMethod(caller, GetThingRequest::default_instance());
  };
  EXPECT_THAT(get(Caller()), StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(get(Known({"eve.test"})), Denied("takes the role"));
  // Somewhere.
  EXPECT_THAT(get(ann_), IsOk());
  EXPECT_THAT(permissions_->CheckMethod(ann_, ResetThingsRequest::default_instance()),
              Denied("only the"));
}

TEST_F(AccessTest, WhoseCertificateDoesNotCountIsToldWhyAndSoIsTheAuditLog) {
  Caller caller;
  caller.refusal = "the client certificate has expired (bob.test)";
  EXPECT_THAT(permissions_->Check(caller, Get("team-a")),
              StatusIs(absl::StatusCode::kUnauthenticated, caller.refusal));
  EXPECT_THAT(caller.Description(), HasSubstr(caller.refusal));
}

TEST_F(AccessTest, AMethodWithoutARuleIsForNobody) {
  PermissionTable table = Table();
  table.erase("certwright.rpc.testing.ThingService.GetThing");
  CW_ASSERT_OK_AND_ASSIGN(const auto permissions, Permissions::Make(Policy(), table));
  EXPECT_THAT(permissions->Check(Known({"bob.test"}), Get("team-a")), Denied("no permission"));
  EXPECT_THAT(permissions->CheckCovers({kService}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("GetThing")));
  EXPECT_THAT(permissions_->CheckCovers({kService}), IsOk());
  EXPECT_THAT(permissions_->CheckCovers({"no.such.Service"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(AccessTest, ARuleThatDoesNotFitItsMethodIsRefused) {
  const std::string prefix = std::string(kService) + ".";
  EXPECT_THAT(Permissions::Make(Policy(), {{prefix + "GetThings", {}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no method")));
  const std::vector<std::pair<std::string, Scope>> wrong = {
      {"GetThing", Scope::kCluster},   {"ResetThings", Scope::kNamespace},
      {"GetThing", Scope::kIssuerRef}, {"CreateThing", Scope::kOneOrAllNamespaces},
      {"ListThings", Scope::kCluster},
  };
  for (const auto& [method, scope] : wrong) {
    EXPECT_THAT(Permissions::Make(Policy(), {{prefix + method, {.scope = scope}}}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("scope")))
        << method;
  }
}

TEST_F(AccessTest, WithoutTlsEveryoneMayDoEverything) {
  AccessPolicy policy = Policy();
  policy.enforced = false;
  CW_ASSERT_OK_AND_ASSIGN(const auto permissions, Permissions::Make(policy, Table()));
  EXPECT_THAT(permissions->Check(Caller(), Create("team-a")), IsOk());
  EXPECT_THAT(permissions->Check(Caller(), ResetThingsRequest()), IsOk());
}

TEST_F(AccessTest, ATokenIsKnownByItsHash) {
  EXPECT_NE(permissions_->TokenIdentity(std::string("Bearer ") + kToken), "");
  EXPECT_NE(permissions_->TokenIdentity(std::string("bearer ") + kToken), "");
  for (const std::string wrong : {"", "Bearer ", "Bearer a-token", "Basic a-token-of-the-test",
                                  "Bearer a-token-of-the-test ", "a-token-of-the-test"}) {
    EXPECT_EQ(permissions_->TokenIdentity(wrong), "");
  }
  EXPECT_EQ(permissions_->TokenIdentity("Bearer " + pki::Sha256(kToken)), "");
}

TEST_F(AccessTest, ARequestTellsWhatItIsAbout) {
  EXPECT_EQ(TargetOf(Get("team-a")).resource_namespace, "team-a");
  EXPECT_EQ(TargetOf(Create("team-b")).resource_namespace, "team-b");
  EXPECT_EQ(TargetOf(Create("team-b")).name, "x");
  EXPECT_EQ(TargetOf(Use(ISSUER_KIND_ISSUER)).name, "ca");
  EXPECT_EQ(TargetOf(ResetThingsRequest()).name, "");
}

TEST_F(AccessTest, AMessageToldOfALongIdentityIsShort) {
  const absl::Status status =
      permissions_->Check(Known({std::string(100'000, 'a')}), Get(std::string(100'000, 'b')));
  EXPECT_THAT(status, Not(IsOk()));
  EXPECT_LT(status.message().size(), 1000u);
}

}  // namespace
}  // namespace certwright::rpc::testing
