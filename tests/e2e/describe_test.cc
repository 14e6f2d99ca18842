// What DescribeCertificate shows of the three real services' work, and approval by policy and
// by hand.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "certwright/issuer/v1/certificate_request.grpc.pb.h"
#include "certwright/meta/v1/event_service.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using harness::Service;
using harness::World;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;

constexpr absl::Duration kTimeout = absl::Seconds(60);

using Description = issuer::v1::DescribeCertificateResponse;

std::unique_ptr<World> StartWorld(const std::string& issuer_config = "") {
  harness::WorldOptions options;
  options.extra_config[static_cast<std::size_t>(Service::kIssuer)] = issuer_config;
  absl::StatusOr<std::unique_ptr<World>> world = World::Start(std::move(options));
  EXPECT_THAT(world, base::IsOk());
  if (!world.ok()) return nullptr;
  const absl::Status created =
      (*world)->CreateClusterIssuer((*world)->MakeClusterIssuer({}, {"example.test"}));
  EXPECT_THAT(created, base::IsOk());
  return *std::move(world);
}

Description Describe(World& world, const std::string& name) {
  issuer::v1::DescribeCertificateRequest request;
  request.set_name(name);
  Description response;
  const absl::Status status = harness::FromGrpc(world.certificates().DescribeCertificate(
      harness::MakeContext().get(), request, &response));
  EXPECT_THAT(status, base::IsOk());
  return response;
}

// "Order Placed" of each event, in their order.
std::vector<std::string> Happenings(const Description& description) {
  std::vector<std::string> happenings;
  for (const meta::v1::Event& event : description.events()) {
    happenings.push_back(absl::StrCat(event.object().kind(), " ", event.reason()));
  }
  return happenings;
}

// Describes it again and again until this has happened.
Description WaitForHappening(World& world, const std::string& name,
                             const std::string& happening) {
  Description description;
  harness::WaitUntil(
      [&] {
        description = Describe(world, name);
        const std::vector<std::string> seen = Happenings(description);
        return std::find(seen.begin(), seen.end(), happening) != seen.end();
      },
      kTimeout);
  return description;
}

std::string ConditionsOf(const Description& description) {
  if (description.certificate_requests().empty()) return "no request";
  return harness::DescribeConditions(description.certificate_requests(0).status().conditions());
}

// The CertificateRequest that a Certificate waits for.
class Verdicts {
 public:
  explicit Verdicts(World& world)
      : stub_(issuer::v1::CertificateRequestService::NewStub(
            world.suite().channel(Service::kIssuer))) {}

  absl::Status Approve(const meta::v1::ObjectMeta& looked_at) {
    issuer::v1::ApproveCertificateRequestRequest request;
    request.set_name(looked_at.name());
    request.set_uid(looked_at.uid());
    request.set_message("by the test");
    issuer::v1::ApproveCertificateRequestResponse response;
    return harness::FromGrpc(
        stub_->ApproveCertificateRequest(harness::MakeContext().get(), request, &response));
  }
  absl::Status Deny(const meta::v1::ObjectMeta& looked_at) {
    issuer::v1::DenyCertificateRequestRequest request;
    request.set_name(looked_at.name());
    request.set_uid(looked_at.uid());
    request.set_message("not by the test");
    issuer::v1::DenyCertificateRequestResponse response;
    return harness::FromGrpc(
        stub_->DenyCertificateRequest(harness::MakeContext().get(), request, &response));
  }

 private:
  const std::unique_ptr<issuer::v1::CertificateRequestService::Stub> stub_;
};

TEST(DescribeTest, ShowsAnIssuanceFromItsBeginToItsEnd) {
  const auto world = StartWorld();
  ASSERT_NE(world, nullptr);
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"www"}, kTimeout));
  const Description description = WaitForHappening(*world, "www", "Challenge CleanedUp");
  EXPECT_EQ(description.certificate().metadata().name(), "www");
  ASSERT_EQ(description.certificate_requests_size(), 1);
  const issuer::v1::CertificateRequest& request = description.certificate_requests(0);
  EXPECT_EQ(request.spec().requester(), "certwright.io/certificates");
  ASSERT_EQ(description.orders_size(), 1);
  EXPECT_EQ(description.orders(0).metadata().name(), request.status().order_name());
  ASSERT_EQ(description.challenges_size(), 1);
  EXPECT_EQ(description.challenges(0).spec().dns_name(), "www.example.test");

  const std::vector<std::string> happenings = Happenings(description);
  EXPECT_THAT(happenings,
              IsSupersetOf({"Certificate Issuing", "Certificate Requested",
                            "CertificateRequest Approved", "CertificateRequest OrderCreated",
                            "Order Placed", "Challenge Presented", "Challenge Propagated",
                            "Challenge Accepted", "Challenge Valid", "Order Issued",
                            "CertificateRequest Issued", "Certificate Issued",
                            "Certificate Ready", "Challenge CleanedUp"}));
  EXPECT_EQ(happenings.front(), "Certificate Issuing");
  for (const meta::v1::Event& event : description.events()) {
    EXPECT_NE(event.object().uid(), "") << event.DebugString();
    EXPECT_NE(event.message(), "") << event.DebugString();
    EXPECT_EQ(event.type(), meta::v1::EVENT_SEVERITY_NORMAL) << event.DebugString();
  }
  EXPECT_THAT(description.DebugString(), Not(HasSubstr("PRIVATE KEY")));
}

TEST(DescribeTest, SaysWhichServiceIsAway) {
  const auto world = StartWorld();
  ASSERT_NE(world, nullptr);
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"www"}, kTimeout));
  world->suite().Kill(Service::kSolver);
  const Description description = Describe(*world, "www");
  EXPECT_EQ(description.orders_size(), 1);
  EXPECT_THAT(description.challenges(), IsEmpty());
  EXPECT_THAT(Happenings(description),
              AllOf(Contains("Order Placed"), Contains("Certificate SolverUnavailable")));
}

TEST(DescribeTest, EachServiceTellsItsOwnEvents) {
  const auto world = StartWorld();
  ASSERT_NE(world, nullptr);
  for (const Service service : harness::kServices) {
    const auto stub = meta::v1::EventService::NewStub(world->suite().channel(service));
    meta::v1::ListEventsResponse response;
    CW_EXPECT_OK(harness::FromGrpc(stub->ListEvents(harness::MakeContext().get(),
                                                    meta::v1::ListEventsRequest(), &response)));
    if (service != Service::kIssuer) continue;
    ASSERT_FALSE(response.events().empty());
    const meta::v1::Event& last = *response.events().rbegin();
    EXPECT_EQ(last.object().kind(), "ClusterIssuer");
    EXPECT_EQ(last.reason(), "ACMEAccountRegistered");
  }
}

// Everything below allowed.example.test is approved.
constexpr char kWaitPolicy[] =
    "approval: {rules: [{name: allowed, dnsNames: [\"*.allowed.example.test\"]}]}\n";

TEST(ApprovalTest, ARuleApprovesAndTheRestWaitsForAVerdict) {
  const auto world = StartWorld(kWaitPolicy);
  ASSERT_NE(world, nullptr);
  CW_ASSERT_OK(
      world->CreateCertificate(World::MakeCertificate("ruled", {"www.allowed.example.test"})));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"ruled"}, kTimeout));
  EXPECT_THAT(ConditionsOf(Describe(*world, "ruled")),
              HasSubstr("Approved=True Policy: Approved by the rule \"allowed\""));

  const Description waiting = WaitForHappening(*world, "www", "CertificateRequest Pending");
  EXPECT_THAT(
      ConditionsOf(waiting),
      AllOf(HasSubstr("Ready=False Pending"), HasSubstr("\"www.example.test\" is not allowed"),
            HasSubstr("ApproveCertificateRequest"), Not(HasSubstr("Approved="))));
  EXPECT_THAT(waiting.orders(), IsEmpty());

  Verdicts verdicts(*world);
  ASSERT_EQ(waiting.certificate_requests_size(), 1);
  const meta::v1::ObjectMeta& request = waiting.certificate_requests(0).metadata();
  CW_ASSERT_OK(verdicts.Approve(request));
  CW_ASSERT_OK(world->WaitUntilReady({"www"}, kTimeout));
  CW_EXPECT_OK(verdicts.Approve(request));
  EXPECT_THAT(verdicts.Deny(request), base::StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(ConditionsOf(Describe(*world, "www")),
              HasSubstr("Approved=True ApprovedByUser: by the test"));
}

TEST(ApprovalTest, ADeniedRequestEndsItsIssuance) {
  const auto world = StartWorld(kWaitPolicy);
  ASSERT_NE(world, nullptr);
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  const Description waiting = WaitForHappening(*world, "www", "CertificateRequest Pending");
  ASSERT_EQ(waiting.certificate_requests_size(), 1);
  Verdicts verdicts(*world);
  const meta::v1::ObjectMeta& request = waiting.certificate_requests(0).metadata();
  CW_ASSERT_OK(verdicts.Deny(request));
  const Description denied = WaitForHappening(*world, "www", "CertificateRequest Denied");
  EXPECT_THAT(ConditionsOf(denied), HasSubstr("Denied=True DeniedByUser: not by the test"));
  const Description failed = WaitForHappening(*world, "www", "Certificate Denied");
  EXPECT_THAT(Happenings(failed), Contains("Certificate Denied"));
  EXPECT_THAT(harness::DescribeConditions(failed.certificate().status().conditions()),
              HasSubstr("not by the test"));
  EXPECT_THAT(verdicts.Approve(request), base::StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(ApprovalTest, APolicyMayDenyWhatNoRuleAllows) {
  const auto world = StartWorld(
      "approval: {unmatched: UNMATCHED_REQUEST_DENY, rules: [{name: none, namespaces: "
      "[x]}]}\n");
  ASSERT_NE(world, nullptr);
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  const Description denied = WaitForHappening(*world, "www", "CertificateRequest Denied");
  EXPECT_THAT(ConditionsOf(denied),
              AllOf(HasSubstr("Denied=True Policy"), HasSubstr("namespace default")));
  EXPECT_THAT(denied.orders(), IsEmpty());
}

}  // namespace
}  // namespace certwright
