#include "services/issuer/issuer_rpc.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/issuer/issuer_rpc_testing.h"

namespace certwright::issuer_service {
namespace {

namespace v1 = issuer::v1;

using base::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

using Stub = v1::IssuerService::StubInterface;

class IssuerRpcTest : public RpcWorld {
 protected:
  explicit IssuerRpcTest(Transport transport = Transport::kPlaintext) : RpcWorld(transport) {}

  // Two solvers with credentials, and one without.
  static v1::IssuerSpec MakeSpec() {
    v1::IssuerSpec spec;
    spec.mutable_acme()->set_server("https://ca.test/directory");
    for (const char* name : {"blue", "red"}) {
      v1::AcmeSolver& solver = *spec.mutable_acme()->add_solvers();
      solver.set_name(name);
      solver.mutable_selector()->add_dns_zones(absl::StrCat(name, ".example"));
      v1::Rfc2136& rfc2136 = *solver.mutable_dns01()->mutable_rfc2136();
      rfc2136.add_nameservers("192.0.2.1");
      rfc2136.set_tsig_key_name("certwright");
      rfc2136.mutable_tsig_secret_secret_ref()->set_name(absl::StrCat(name, "-tsig"));
    }
    spec.mutable_acme()->add_solvers()->mutable_http01();
    return spec;
  }
  static v1::Issuer MakeIssuer() {
    v1::Issuer issuer;
    issuer.mutable_metadata()->set_namespace_("web");
    issuer.mutable_metadata()->set_name("ca");
    *issuer.mutable_spec() = MakeSpec();
    return issuer;
  }
  absl::StatusOr<v1::Issuer> Create(const v1::Issuer& issuer) {
    v1::CreateIssuerRequest request;
    *request.mutable_issuer() = issuer;
    CW_ASSIGN_OR_RETURN(auto response, Call(*stub_, &Stub::CreateIssuer, request));
    return response.issuer();
  }
  absl::StatusOr<v1::Issuer> Update(const v1::Issuer& issuer) {
    v1::UpdateIssuerRequest request;
    *request.mutable_issuer() = issuer;
    CW_ASSIGN_OR_RETURN(auto response, Call(*stub_, &Stub::UpdateIssuer, request));
    return response.issuer();
  }
  absl::StatusOr<v1::ClusterIssuer> CreateCluster(const v1::IssuerSpec& spec) {
    v1::CreateClusterIssuerRequest request;
    request.mutable_cluster_issuer()->mutable_metadata()->set_name("ca");
    *request.mutable_cluster_issuer()->mutable_spec() = spec;
    CW_ASSIGN_OR_RETURN(auto response, Call(*stub_, &Stub::CreateClusterIssuer, request));
    return response.cluster_issuer();
  }
  absl::StatusOr<v1::ResolveSolverResponse> Resolve(
      Stub& stub, const std::string& solver,
      meta::v1::IssuerKind kind = meta::v1::ISSUER_KIND_ISSUER) {
    v1::ResolveSolverRequest request;
    request.mutable_issuer_ref()->set_name("ca");
    request.mutable_issuer_ref()->set_kind(kind);
    request.set_namespace_("web");
    request.set_solver_name(solver);
    return Call(stub, &Stub::ResolveSolver, request);
  }

  std::unique_ptr<Stub> stub_ = v1::IssuerService::NewStub(Channel("solver.test"));
};

TEST_F(IssuerRpcTest, CreateAndUpdateNameEveryBrokenField) {
  v1::Issuer issuer = MakeIssuer();
  issuer.mutable_metadata()->set_name("Bad_Name");
  v1::AcmeIssuer& acme = *issuer.mutable_spec()->mutable_acme();
  acme.set_server("http://ca.test/directory");
  acme.set_email("nobody");
  acme.mutable_private_key_secret_ref()->set_name("key");
  acme.mutable_solvers(0)->mutable_dns01()->mutable_rfc2136()->clear_nameservers();
  acme.mutable_solvers(1)->set_name("blue");
  const absl::Status status = Create(issuer).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(BrokenFields(status),
              ElementsAre("metadata.name", "spec.acme.server", "spec.acme.email",
                          "spec.acme.solvers[0].dns01.rfc2136.nameservers",
                          "spec.acme.solvers[1].name"));
  EXPECT_EQ(BrokenFields(Update(issuer).status()), BrokenFields(status));
}

TEST_F(IssuerRpcTest, WhatThisVersionDoesNotServeIsRefusedAndNotStored) {
  v1::Issuer issuer = MakeIssuer();
  issuer.mutable_spec()->mutable_acme()->mutable_solvers(1)->mutable_dns01()->mutable_route53();
  EXPECT_THAT(Create(issuer),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("spec.acme.solvers[1]")));
  EXPECT_FALSE(Exists(stores_->issuers, "ca"));
}

TEST_F(IssuerRpcTest, UpdateOfAStaleVersionIsAbortedAndChangesNothing) {
  CW_ASSERT_OK_AND_ASSIGN(v1::Issuer stale, Create(MakeIssuer()));
  v1::Issuer changed = stale;
  changed.mutable_spec()->mutable_acme()->set_email("new@ca.test");
  CW_ASSERT_OK(Update(changed));
  stale.mutable_spec()->mutable_acme()->set_email("lost@ca.test");
  EXPECT_THAT(Update(stale), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Read(stores_->issuers, "ca").spec().acme().email(), "new@ca.test");
}

TEST_F(IssuerRpcTest, ATsigSecretThatIsNoBase64IsNamedAndNotShown) {
  CreateSecret("web", "red-tsig", "tsig-secret", "not base64!");
  const absl::Status status = Create(MakeIssuer()).status();
  EXPECT_THAT(status,
              StatusIs(absl::StatusCode::kInvalidArgument, Not(HasSubstr("not base64!"))));
  // The Secret of the other solver may come later.
  EXPECT_THAT(BrokenFields(status),
              ElementsAre("spec.acme.solvers[1].dns01.rfc2136.tsigSecretSecretRef"));
  EXPECT_FALSE(Exists(stores_->issuers, "ca"));
}

TEST_F(IssuerRpcTest, SecretsOfAClusterIssuerAreThoseOfItsOwnNamespace) {
  CreateSecret("web", "red-tsig", "tsig-secret", "not base64!");
  CW_EXPECT_OK(CreateCluster(MakeSpec()));
  CreateSecret("certwright", "red-tsig", "tsig-secret", "c2VjcmV0IGtleQ==");
  CW_ASSERT_OK_AND_ASSIGN(const auto resolved,
                          Resolve(*stub_, "red", meta::v1::ISSUER_KIND_CLUSTER_ISSUER));
  ASSERT_EQ(resolved.credentials_size(), 1);
  EXPECT_EQ(resolved.credentials(0).value(), "c2VjcmV0IGtleQ==");
}

TEST_F(IssuerRpcTest, ResolvesASolverWithItsOwnCredentialsOnly) {
  CreateSecret("web", "blue-tsig", "tsig-secret", "Ymx1ZQ==");
  CreateSecret("web", "red-tsig", "tsig-secret", "cmVk");
  CW_ASSERT_OK(Create(MakeIssuer()));
  CW_ASSERT_OK_AND_ASSIGN(const auto red, Resolve(*stub_, "red"));
  EXPECT_EQ(red.solver().name(), "red");
  ASSERT_EQ(red.credentials_size(), 1);
  EXPECT_EQ(red.credentials(0).ref().name(), "red-tsig");
  EXPECT_EQ(red.credentials(0).ref().key(), "tsig-secret");
  EXPECT_EQ(red.credentials(0).value(), "cmVk");
  CW_ASSERT_OK_AND_ASSIGN(const auto http, Resolve(*stub_, "solver-3"));
  EXPECT_TRUE(http.solver().has_http01());
  EXPECT_EQ(http.credentials_size(), 0);
}

TEST_F(IssuerRpcTest, ResolveSaysWhatIsMissing) {
  EXPECT_THAT(Resolve(*stub_, "red"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Issuer web/ca")));
  CW_ASSERT_OK(Create(MakeIssuer()));
  EXPECT_THAT(Resolve(*stub_, "red"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Secret web/red-tsig")));
  EXPECT_THAT(Resolve(*stub_, "green"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no solver green")));
}

class MutualTlsIssuerRpcTest : public IssuerRpcTest {
 protected:
  MutualTlsIssuerRpcTest() : IssuerRpcTest(Transport::kMutualTls) {}
};

TEST_F(MutualTlsIssuerRpcTest, OnlyTheSolverServiceResolvesSolvers) {
  CreateSecret("web", "red-tsig", "tsig-secret", "cmVk");
  const auto solver = std::move(stub_);
  stub_ = v1::IssuerService::NewStub(Channel("operator.test"));
  CW_ASSERT_OK(Create(MakeIssuer()));
  CW_EXPECT_OK(Resolve(*solver, "red"));
  EXPECT_THAT(Resolve(*stub_, "red"), StatusIs(absl::StatusCode::kPermissionDenied));
  stub_ = v1::IssuerService::NewStub(Channel("order.test"));
  EXPECT_THAT(Resolve(*stub_, "red"), StatusIs(absl::StatusCode::kPermissionDenied));
}

}  // namespace
}  // namespace certwright::issuer_service
