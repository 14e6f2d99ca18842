#include "lib/service/resource_verbs.h"

#include <string>
#include <utility>
#include <vector>

#include "certwright/issuer/v1/issuer.pb.h"
#include "gmock/gmock.h"
#include "lib/base/status_matchers.h"
#include "lib/service/resource_verbs_fixture.h"

namespace certwright::service {
namespace {

using base::IsOk;
using base::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

std::vector<std::string> BrokenFields(const absl::Status& status) {
  std::vector<std::string> fields;
  for (const auto& violation : rpc::ViolationsOf(status)) fields.push_back(violation.field);
  return fields;
}

std::vector<std::string> Names(const v1::ListSecretsResponse& response) {
  std::vector<std::string> names;
  for (const v1::Secret& secret : response.secrets()) {
    names.push_back(secret.metadata().namespace_() + "/" + secret.metadata().name());
  }
  return names;
}

class ResourceVerbsTest : public ResourceVerbsFixture {};

TEST_F(ResourceVerbsTest, CreateFillsInDefaultsAndWhatTheServerSets) {
  CW_ASSERT_OK_AND_ASSIGN(const v1::Secret created, Create(MakeSecret("a")));
  EXPECT_EQ(created.metadata().namespace_(), "default");
  EXPECT_EQ(created.metadata().generation(), 1);
  EXPECT_FALSE(created.metadata().uid().empty());
  EXPECT_FALSE(created.metadata().resource_version().empty());
  EXPECT_EQ(created.type(), "Opaque");

  CW_ASSERT_OK_AND_ASSIGN(const v1::Secret read, Get("", "a"));
  EXPECT_EQ(read.SerializeAsString(), created.SerializeAsString());
  EXPECT_EQ(read.data().at("key"), "hidden");
}

TEST_F(ResourceVerbsTest, CreateReportsEveryBrokenRuleAtOnce) {
  v1::Secret secret;
  secret.mutable_metadata()->set_name("Not_A_Label");
  secret.mutable_metadata()->set_namespace_("-");
  secret.set_type("bad");
  const absl::Status status = Create(secret).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(BrokenFields(status),
              UnorderedElementsAre("metadata.name", "metadata.namespace", "data", "type"));
  EXPECT_THAT(BrokenFields(Update(secret).status()),
              UnorderedElementsAre("metadata.name", "metadata.namespace", "data", "type"));
}

// Fault 118.
TEST_F(ResourceVerbsTest, AnOwnerIsTakenOnlyOfKindsThatServicesMake) {
  const auto refused = ElementsAre("metadata.owner");
  CW_ASSERT_OK(Create(MakeSecret("old")));
  for (const char* kind : {"Certificate", "Issuer", "CertificateRequest"}) {
    v1::Secret secret = MakeSecret("a");
    secret.mutable_metadata()->mutable_owner()->set_kind(kind);
    secret.mutable_metadata()->mutable_owner()->set_name("site");
    EXPECT_THAT(BrokenFields(Create(secret).status()), refused);
    secret.mutable_metadata()->set_name("old");
    EXPECT_THAT(BrokenFields(Update(secret).status()), refused);
  }
  v1::Secret empty = MakeSecret("a");
  empty.mutable_metadata()->mutable_owner();
  EXPECT_THAT(BrokenFields(Create(empty).status()),
              AllOf(Contains("metadata.owner"), Contains("metadata.owner.name")));
  EXPECT_THAT(Get("", "a"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(Get("", "old")->metadata().has_owner());

  VerbOptions<v1::Secret> options = SecretOptions();
  options.owned = true;
  Verbs of_services = MakeVerbs(std::move(options), secrets);
  v1::Secret owned = MakeSecret("owned");
  owned.mutable_metadata()->mutable_owner()->set_kind("Order");
  owned.mutable_metadata()->mutable_owner()->set_name("site");
  CW_ASSERT_OK(store::Await(
      of_services.Create(Call(), owned, &v1::CreateSecretResponse::mutable_secret)));
  EXPECT_EQ(Get("", "owned")->metadata().owner().name(), "site");
}

TEST_F(ResourceVerbsTest, CreateOfATakenNameSaysWhichResourceHasIt) {
  CW_ASSERT_OK(Create(MakeSecret("a", "first")));
  EXPECT_THAT(Create(MakeSecret("a", "second")),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       AllOf(HasSubstr("Secret"), HasSubstr("default/a"))));
  EXPECT_EQ(Get("default", "a")->data().at("key"), "first");
  v1::Secret elsewhere = MakeSecret("a");
  elsewhere.mutable_metadata()->set_namespace_("web");
  EXPECT_THAT(Create(elsewhere), IsOk());
}

TEST_F(ResourceVerbsTest, WhatIsNotThereIsNamed) {
  const auto not_found = StatusIs(absl::StatusCode::kNotFound,
                                  AllOf(HasSubstr("Secret"), HasSubstr("default/none")));
  EXPECT_THAT(Get("", "none"), not_found);
  EXPECT_THAT(Update(MakeSecret("none")), not_found);
  EXPECT_THAT(Delete("", "none"), not_found);
}

TEST_F(ResourceVerbsTest, GetAndDeleteCheckTheName) {
  EXPECT_THAT(BrokenFields(Get("Web", "").status()), UnorderedElementsAre("namespace", "name"));
  EXPECT_THAT(BrokenFields(Delete("Web", "a/b")), UnorderedElementsAre("namespace", "name"));
}

TEST_F(ResourceVerbsTest, UpdateRaisesTheGenerationOnlyWithTheSpec) {
  CW_ASSERT_OK(Create(MakeSecret("a", "old")));
  CW_ASSERT_OK_AND_ASSIGN(const v1::Secret changed, Update(MakeSecret("a", "new")));
  EXPECT_EQ(changed.metadata().generation(), 2);
  EXPECT_EQ(Get("", "a")->data().at("key"), "new");
  CW_ASSERT_OK_AND_ASSIGN(const v1::Secret labelled,
                          Update(MakeSecret("a", "new", {{"team", "web"}})));
  EXPECT_EQ(labelled.metadata().generation(), 2);
  EXPECT_EQ(labelled.metadata().labels().at("team"), "web");
}

TEST_F(ResourceVerbsTest, UpdateOfAStaleVersionIsAborted) {
  CW_ASSERT_OK_AND_ASSIGN(v1::Secret stale, Create(MakeSecret("a", "old")));
  CW_ASSERT_OK_AND_ASSIGN(v1::Secret fresh, Update(MakeSecret("a", "new")));
  (*stale.mutable_data())["key"] = "lost";
  EXPECT_THAT(Update(stale), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Get("", "a")->data().at("key"), "new");
  (*fresh.mutable_data())["key"] = "newer";
  EXPECT_THAT(Update(fresh), IsOk());
  EXPECT_EQ(Get("", "a")->data().at("key"), "newer");
}

TEST_F(ResourceVerbsTest, AnObjectOfMoreThan128KiBIsRefused) {
  const auto refused =
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("secrets/default/a"), HasSubstr("at most 131072 bytes")));
  EXPECT_THAT(Create(MakeSecret("a", std::string(128 << 10, 'v'))), refused);
  CW_ASSERT_OK(Create(MakeSecret("a", "small")));
  EXPECT_THAT(Update(MakeSecret("a", std::string(128 << 10, 'v'))), refused);
  EXPECT_EQ(Get("", "a")->data().at("key"), "small");
}

TEST_F(ResourceVerbsTest, DeleteTakesTheResourceAway) {
  CW_ASSERT_OK(Create(MakeSecret("a")));
  CW_ASSERT_OK(Delete("", "a"));
  EXPECT_THAT(Get("", "a"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ResourceVerbsTest, ListPagesThroughOneState) {
  for (const char* name : {"a", "b", "c", "d", "e"}) CW_ASSERT_OK(Create(MakeSecret(name)));
  v1::ListSecretsRequest request;
  request.set_page_size(2);
  CW_ASSERT_OK_AND_ASSIGN(const auto first, List(request));
  EXPECT_THAT(Names(first), ElementsAre("default/a", "default/b"));
  CW_ASSERT_OK(Delete("", "d"));
  request.set_page_token(first.next_page_token());
  CW_ASSERT_OK_AND_ASSIGN(const auto second, List(request));
  EXPECT_THAT(Names(second), ElementsAre("default/c", "default/d"));
  EXPECT_EQ(second.resource_version(), first.resource_version());
  request.set_page_token(second.next_page_token());
  CW_ASSERT_OK_AND_ASSIGN(const auto last, List(request));
  EXPECT_THAT(Names(last), ElementsAre("default/e"));
  EXPECT_EQ(last.next_page_token(), "");
}

TEST_F(ResourceVerbsTest, ListSelectsByNamespaceAndLabels) {
  for (const char* resource_namespace : {"db", "web"}) {
    for (const char* team : {"blue", "red"}) {
      v1::Secret secret = MakeSecret(team, "x", {{"team", team}});
      secret.mutable_metadata()->set_namespace_(resource_namespace);
      CW_ASSERT_OK(Create(secret));
    }
  }
  v1::ListSecretsRequest request;
  EXPECT_THAT(Names(*List(request)), ElementsAre("db/blue", "db/red", "web/blue", "web/red"));
  request.set_namespace_("web");
  EXPECT_THAT(Names(*List(request)), ElementsAre("web/blue", "web/red"));
  request.set_label_selector("team!=blue");
  EXPECT_THAT(Names(*List(request)), ElementsAre("web/red"));
  request.clear_namespace_();
  request.set_page_size(1);
  CW_ASSERT_OK_AND_ASSIGN(const auto first, List(request));
  EXPECT_THAT(Names(first), ElementsAre("db/red"));
  request.set_page_token(first.next_page_token());
  EXPECT_THAT(Names(*List(request)), ElementsAre("web/red"));
}

TEST_F(ResourceVerbsTest, ListShowsNoValues) {
  CW_ASSERT_OK(Create(MakeSecret("a", "hidden")));
  CW_ASSERT_OK_AND_ASSIGN(const auto response, List({}));
  ASSERT_EQ(response.secrets_size(), 1);
  EXPECT_EQ(response.secrets(0).data().at("key"), "");
}

TEST_F(ResourceVerbsTest, ListRefusesBadRequests) {
  v1::ListSecretsRequest negative;
  negative.set_page_size(-1);
  EXPECT_THAT(BrokenFields(List(negative).status()), ElementsAre("pageSize"));
  v1::ListSecretsRequest selector;
  selector.set_label_selector("=");
  EXPECT_THAT(BrokenFields(List(selector).status()), ElementsAre("labelSelector"));
  v1::ListSecretsRequest token;
  token.set_page_token("garbage");
  EXPECT_THAT(List(token), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ResourceVerbsTest, ACheckRefusesCreateAndUpdate) {
  VerbOptions<v1::Secret> options = SecretOptions();
  options.check = [](runtime::Context,
                     const v1::Secret& secret) -> runtime::Awaitable<absl::Status> {
    if (secret.data().at("key") != "refused") co_return absl::OkStatus();
    co_return absl::PermissionDeniedError("not this one");
  };
  auto checked = MakeVerbs(std::move(options), secrets);
  const auto create = [&](const std::string& name, const std::string& value) {
    return store::Await(checked.Create(Call(), MakeSecret(name, value),
                                       &v1::CreateSecretResponse::mutable_secret))
        .status();
  };
  const auto update = [&](const std::string& name, const std::string& value) {
    return store::Await(checked.Update(Call(), MakeSecret(name, value),
                                       &v1::UpdateSecretResponse::mutable_secret))
        .status();
  };
  EXPECT_THAT(create("a", "fine"), IsOk());
  EXPECT_THAT(update("a", "refused"), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(create("b", "refused"), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(Get("", "a")->data().at("key"), "fine");
  EXPECT_THAT(Get("", "b"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ResourceVerbsTest, StatusOfARequestIsIgnored) {
  store::ResourceStore<v1::Issuer> issuers(*temporary_store, "issuers", base::Clock::Real(),
                                           base::Random::Real());
  auto issuer_verbs = MakeVerbs<v1::Issuer>({.kind = "Issuer"}, issuers);
  v1::Issuer issuer;
  issuer.mutable_metadata()->set_name("a");
  issuer.mutable_status()->mutable_acme()->set_uri("https://ca.example/forged");
  CW_ASSERT_OK_AND_ASSIGN(const auto created,
                          store::Await(issuer_verbs.Create(
                              Call(), issuer, &v1::CreateIssuerResponse::mutable_issuer)));
  EXPECT_FALSE(created.issuer().has_status());

  v1::Issuer stored = created.issuer();
  stored.mutable_status()->mutable_acme()->set_uri("https://ca.example/true");
  CW_ASSERT_OK(store::Await(issuers.UpdateStatus(store::TestContext(), stored)));
  issuer.mutable_spec()->mutable_acme()->set_email("a@example.com");
  CW_ASSERT_OK_AND_ASSIGN(const auto updated,
                          store::Await(issuer_verbs.Update(
                              Call(), issuer, &v1::UpdateIssuerResponse::mutable_issuer)));
  EXPECT_EQ(updated.issuer().status().acme().uri(), "https://ca.example/true");
  EXPECT_EQ(updated.issuer().spec().acme().email(), "a@example.com");
}

TEST_F(ResourceVerbsTest, DeleteByMarkLeavesTheResourceToItsReconciler) {
  VerbOptions<v1::Secret> options = SecretOptions();
  options.delete_by_mark = true;
  auto marking = MakeVerbs(std::move(options), secrets);
  const auto remove = [&](const std::string& name) {
    return store::Await(marking.Delete<v1::DeleteSecretResponse>(Call(), "", name)).status();
  };
  CW_ASSERT_OK(Create(MakeSecret("a")));
  CW_ASSERT_OK(remove("a"));
  CW_ASSERT_OK_AND_ASSIGN(const v1::Secret marked, Get("", "a"));
  EXPECT_TRUE(marked.metadata().has_delete_time());
  // Asking again changes nothing.
  CW_ASSERT_OK(remove("a"));
  EXPECT_EQ(Get("", "a")->metadata().resource_version(), marked.metadata().resource_version());
  EXPECT_THAT(remove("none"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("Secret")));
}

TEST_F(ResourceVerbsTest, ClusterWideKindsHaveNoNamespace) {
  store::ResourceStore<v1::ClusterIssuer> issuers(*temporary_store, "clusterissuers",
                                                  base::Clock::Real(), base::Random::Real());
  auto cluster =
      MakeVerbs<v1::ClusterIssuer>({.kind = "ClusterIssuer", .cluster = true}, issuers);
  v1::ClusterIssuer issuer;
  issuer.mutable_metadata()->set_name("ca");
  issuer.mutable_metadata()->set_namespace_("web");
  const auto create = [&] {
    return store::Await(cluster.Create(
        Call(), issuer, &v1::CreateClusterIssuerResponse::mutable_cluster_issuer));
  };
  EXPECT_THAT(BrokenFields(create().status()), ElementsAre("metadata.namespace"));
  issuer.mutable_metadata()->clear_namespace_();
  CW_ASSERT_OK_AND_ASSIGN(const auto created, create());
  EXPECT_EQ(created.cluster_issuer().metadata().namespace_(), "");
  EXPECT_THAT(create(), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("ClusterIssuer")));
  CW_ASSERT_OK_AND_ASSIGN(
      const auto listed,
      store::Await(cluster.List(Call(), v1::ListClusterIssuersRequest(),
                                &v1::ListClusterIssuersResponse::add_cluster_issuers)));
  EXPECT_EQ(listed.cluster_issuers_size(), 1);
}

}  // namespace
}  // namespace certwright::service
