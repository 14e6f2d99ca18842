// CAs that do what RFC 8555 allows and few do, or what it does not allow and does no harm, met
// by the real services.
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "certwright/issuer/v1/account.grpc.pb.h"
#include "gmock/gmock.h"
#include "lib/pki/certificate.h"
#include "tests/faults/fault_test_world.h"

namespace certwright::fakes {
namespace {

using issuer::v1::Certificate;
using testing::HasSubstr;

issuer::v1::ClusterIssuer GetClusterIssuer(FakeWorld& world) {
  issuer::v1::GetClusterIssuerRequest request;
  request.set_name("fake");
  issuer::v1::GetClusterIssuerResponse response;
  CW_EXPECT_OK(harness::FromGrpc(
      world.issuers().GetClusterIssuer(harness::MakeContext().get(), request, &response)));
  return response.cluster_issuer();
}

absl::Status RollOver(FakeWorld& world) {
  issuer::v1::RolloverAccountKeyRequest request;
  request.mutable_issuer_ref()->set_name("fake");
  request.mutable_issuer_ref()->set_kind(meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
  issuer::v1::RolloverAccountKeyResponse response;
  const auto accounts =
      issuer::v1::AccountService::NewStub(world.suite().channel(harness::Service::kIssuer));
  return harness::FromGrpc(
      accounts->RolloverAccountKey(harness::MakeContext().get(), request, &response));
}

// Fault 102.
TEST(OddCaTest, RefusedReplacesCostsNoFailureHoweverItIsRefused) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  const std::vector<Fault> refusals = {AnswerWith(409, "conflict", "text/plain"),
                                       AnswerWith(400, ""), RefuseWith(409, "conflict"),
                                       RefuseWith(403, "unauthorized"),
                                       RefuseWith(422, "x:urn:of:our:own")};
  std::vector<std::string> names;
  for (std::size_t i = 0; i < refusals.size(); ++i) {
    names.push_back(absl::StrCat("www", i));
    Create(*world, names.back());
  }
  ExpectIssued(*world, names);
  for (std::size_t i = 0; i < refusals.size(); ++i) {
    const std::string& name = names[i];
    SCOPED_TRACE(name);
    // Only what the CA knows is named to it.
    const std::string present = CertIdOf(*world, name);
    WaitFor(*world, name, [&present](const Certificate& certificate) {
      const issuer::v1::RenewalInfo& info = certificate.status().renewal_info();
      return info.certificate_id() == present && info.has_window_start();
    });
    world->ca().Inject(Endpoint::kNewOrder, refusals[i]);
    Renew(*world, name);
    const Certificate renewed = WaitForRevision(*world, name, 2);
    EXPECT_EQ(renewed.status().revision(), 2);
    EXPECT_EQ(renewed.status().failed_issuance_attempts(), 0);
    EXPECT_EQ(world->ca().orders_for({DnsName(name)}), 2);
  }
}

// Fault 103.
TEST(OddCaTest, RelativeUrlsAreResolved) {
  FakeWorldOptions options = BelievingCa();
  options.ca.alternate_roots = 1;
  auto started = FakeWorld::Start(std::move(options));
  CW_ASSERT_OK(started);
  FakeWorld& world = **started;
  Behaviour behaviour;
  behaviour.relative_urls = true;
  world.ca().SetBehaviour(behaviour);
  auto issuer = world.MakeClusterIssuer();
  const auto roots = pki::ParseChainPem(world.ca().root_pem(1));
  CW_ASSERT_OK(roots);
  issuer.mutable_spec()->mutable_acme()->set_preferred_chain(
      roots->front().subject_common_name);
  CW_ASSERT_OK(world.CreateClusterIssuer(issuer));
  Create(world, "www");
  CW_ASSERT_OK(world.WaitUntilReady({"www"}, kTimeout));
  CW_ASSERT_OK_AND_ASSIGN(const auto secret, world.GetSecret("www-tls"));
  const auto chain = pki::ParseChainPem(secret.data().at("tls.crt"));
  CW_ASSERT_OK(chain);
  EXPECT_EQ(pki::TopmostCertificate(*chain).issuer_common_name,
            roots->front().subject_common_name);
  EXPECT_EQ(world.ca().orders_for({DnsName("www")}), 1);
}

// Fault 103.
TEST(OddCaTest, AnOrderThatCannotBeUsedIsAFailureWithItsPauses) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  const Fault faults[] = {RemoveHeader("Location"), SetHeader("Location", "http://ca.test/o/1"),
                          SetHeader("Location", "mailto:orders@ca.test")};
  for (std::size_t i = 0; i < std::size(faults); ++i) {
    SCOPED_TRACE(i);
    world->ca().Inject(Endpoint::kNewOrder, faults[i].Times(Fault::kForever));
    const std::string name = absl::StrCat("c", i);
    Create(*world, name);
    const Certificate certificate = WaitFor(*world, name, [](const Certificate& failed) {
      return failed.status().failed_issuance_attempts() == 1 &&
             failed.status().has_next_attempt_time();
    });
    EXPECT_GT(service::FromProto(certificate.status().next_attempt_time()),
              absl::Now() + absl::Seconds(30));
    EXPECT_THAT(harness::DescribeConditions(certificate.status().conditions()),
                HasSubstr("no usable Location with the order"));
    EXPECT_EQ(world->ca().orders_for({DnsName(name)}), 1);
    world->ca().ClearFaults();
  }
}

// Fault 104.
TEST(OddCaTest, ADirectoryWithUnusableExtrasAndNoHeadAtNewNonceServes) {
  auto started = FakeWorld::Start(BelievingCa());
  CW_ASSERT_OK(started);
  FakeWorld& world = **started;
  const std::string base(absl::StripSuffix(world.ca().directory_url(), "/directory"));
  world.ca().Inject(
      Endpoint::kDirectory,
      ReplaceBody(absl::StrCat(R"({"newNonce": ")", base, R"(/nonce", "newAccount": ")", base,
                               R"(/new-account", "newOrder": ")", base,
                               R"(/new-order", "revokeCert": "/revoke", )"
                               R"("keyChange": "key-change", )"
                               R"("renewalInfo": "http://127.0.0.1/renewal-info"})"))
          .Times(Fault::kForever));
  Behaviour behaviour;
  behaviour.takes_head = false;
  world.ca().SetBehaviour(behaviour);
  CW_ASSERT_OK(world.CreateClusterIssuer(world.MakeClusterIssuer()));
  Create(world, "www");
  ExpectIssued(world, {"www"});
  EXPECT_EQ(world.ca().requests(Endpoint::kRenewalInfo), 0);
}

// Fault 113.
TEST(OddCaTest, ACaWithoutRolloverKeepsTheKeyAndIssuesOn) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  const std::string thumbprint =
      GetClusterIssuer(*world).status().acme().account_key_thumbprint();
  int certificates = 0;
  for (const Fault& refusal :
       {AnswerWith(501, R"({"type":"urn:ietf:params:acme:error:notImplemented"})",
                   "application/problem+json"),
        AnswerWith(405, "", "text/plain"), AnswerWith(404, "not found", "text/plain")}) {
    world->ca().Inject(Endpoint::kKeyChange, refusal);
    EXPECT_THAT(RollOver(*world), base::StatusIs(absl::StatusCode::kFailedPrecondition,
                                                 HasSubstr("did not take")));
    const std::string name = absl::StrCat("c", certificates++);
    Create(*world, name);
    ExpectIssued(*world, {name});
  }
  const issuer::v1::ClusterIssuer issuer = GetClusterIssuer(*world);
  EXPECT_EQ(issuer.status().acme().account_key_thumbprint(), thumbprint);
  EXPECT_EQ(ReadyReason(issuer), "ACMEAccountRegistered");
  const auto* rolled =
      service::FindCondition(issuer.status().conditions(), "AccountKeyRolledOver");
  ASSERT_NE(rolled, nullptr);
  EXPECT_EQ(rolled->status(), meta::v1::CONDITION_STATUS_FALSE);
  CW_EXPECT_OK(RollOver(*world));
  EXPECT_NE(GetClusterIssuer(*world).status().acme().account_key_thumbprint(), thumbprint);
}

}  // namespace
}  // namespace certwright::fakes
