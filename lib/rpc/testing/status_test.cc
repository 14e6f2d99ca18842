#include "lib/rpc/status.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "lib/base/status_macros.h"
#include "lib/base/status_matchers.h"

namespace certwright::rpc {
namespace {

using base::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

google::rpc::Status WireDetails(const absl::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(ToGrpc(status).error_details()));
  return details;
}

template <typename Detail>
Detail FindOnWire(const absl::Status& status) {
  Detail found;
  const google::rpc::Status details = WireDetails(status);
  for (const auto& any : details.details()) {
    if (any.Is<Detail>() && any.UnpackTo(&found)) return found;
  }
  ADD_FAILURE() << "no " << Detail::descriptor()->full_name();
  return found;
}

TEST(StatusTest, OkIsOkInBothDirections) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  CW_EXPECT_OK(FromGrpc(grpc::Status::OK));
}

TEST(StatusTest, EveryCodeSurvivesTheRoundTrip) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    EXPECT_THAT(FromGrpc(ToGrpc(status)), StatusIs(status.code(), "why"));
  }
}

TEST(StatusTest, AnErrorWithoutDetailsLeavesWithAnErrorInfoOfItsCode) {
  const auto info = FindOnWire<google::rpc::ErrorInfo>(absl::NotFoundError("x"));
  EXPECT_EQ(info.reason(), "NOT_FOUND");
  EXPECT_EQ(info.domain(), kErrorDomain);
}

TEST(StatusTest, InvalidArgumentListsEveryViolationInMessageAndDetails) {
  const absl::Status status =
      InvalidArgument({{"spec.dnsNames[1]", "is not a DNS name"}, {"spec.usages", "is empty"}});
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               "spec.dnsNames[1]: is not a DNS name; spec.usages: is empty"));
  const std::vector<FieldViolation> violations = ViolationsOf(FromGrpc(ToGrpc(status)));
  ASSERT_THAT(violations, SizeIs(2));
  EXPECT_EQ(violations[0].field, "spec.dnsNames[1]");
  EXPECT_EQ(violations[1].description, "is empty");
}

TEST(StatusTest, BytesThatAreNoUtf8DoNotHideTheDetails) {
  for (const absl::Status& status :
       {absl::UnavailableError("a\xff\xc3 b"), InvalidArgument({{"na\x80me", "is \xe2\x80"}}),
        FailedPrecondition("REASON", "a\xff")}) {
    const grpc::Status sent = ToGrpc(status);
    EXPECT_THAT(sent.error_message(), testing::HasSubstr("?"));
    EXPECT_FALSE(ErrorReasonOf(FromGrpc(sent)).empty()) << sent.error_message();
  }
}

TEST(StatusTest, ManyShortViolationsAreCutAndTheMessageSaysHowMany) {
  const absl::Status status =
      InvalidArgument(std::vector<FieldViolation>(50, {"spec.a", "is bad"}));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("and 30 more")));
  EXPECT_THAT(ViolationsOf(status), SizeIs(20));
}

TEST(StatusTest, MessageAndDetailsTogetherFitAClientsTrailerLimit) {
  const grpc::Status status = ToGrpc(InvalidArgument(
      std::vector<FieldViolation>(500, {std::string(300, 'f'), std::string(3000, 'd')})));
  // gRPC clients drop trailers of more than 8 KiB; the rest is for other headers.
  EXPECT_LE(status.error_message().size() + status.error_details().size(), 7u * 1024);
}

TEST(StatusTest, AMessageThatIsCutStillSaysHowManyViolationsAreLeftOut) {
  const grpc::Status status = ToGrpc(InvalidArgument(
      std::vector<FieldViolation>(500, {std::string(300, 'f'), std::string(3000, 'd')})));
  EXPECT_THAT(status.error_message(), HasSubstr(" more"));
}

TEST(StatusTest, TextIsCutBetweenCharacters) {
  // Two-byte characters behind a single byte: an even limit falls inside one.
  std::string text = "x";
  for (int i = 0; i < 2000; ++i) text += "\u00e4";
  const absl::Status status = FromGrpc(ToGrpc(InvalidArgument({{"spec.a", text}})));
  const std::vector<FieldViolation> violations = ViolationsOf(status);
  ASSERT_THAT(violations, SizeIs(1));
  EXPECT_EQ(violations[0].field, "spec.a");
}

TEST(StatusTest, AnErrorInfoIsSentHoweverLargeTheOtherDetailsAre) {
  google::rpc::BadRequest bad_request;
  for (int i = 0; i < 40; ++i) {
    bad_request.add_field_violations()->set_description(std::string(200, 'd'));
  }
  google::rpc::Status details;
  details.add_details()->PackFrom(bad_request);
  const absl::Status foreign = FromGrpc(
      grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "bad", details.SerializeAsString()));
  EXPECT_EQ(FindOnWire<google::rpc::ErrorInfo>(foreign).reason(), "INVALID_ARGUMENT");
}

TEST(StatusTest, DetailsStayUnderSixKibibytes) {
  const absl::Status status = InvalidArgument(
      std::vector<FieldViolation>(500, {std::string(300, 'f'), std::string(3000, 'd')}));
  EXPECT_LE(ToGrpc(status).error_details().size(), 6u * 1024);
  EXPECT_FALSE(ViolationsOf(FromGrpc(ToGrpc(status))).empty());
}

TEST(StatusTest, NotFoundNamesTheResource) {
  const absl::Status status = NotFound("Certificate", "web", "www");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound, HasSubstr("Certificate web/www")));
  const auto info = FindOnWire<google::rpc::ResourceInfo>(status);
  EXPECT_EQ(info.resource_type(), "Certificate");
  EXPECT_EQ(info.resource_name(), "web/www");
}

TEST(StatusTest, AClusterWideResourceHasNoNamespaceInItsName) {
  const absl::Status status = AlreadyExists("ClusterIssuer", "", "le");
  EXPECT_EQ(FindOnWire<google::rpc::ResourceInfo>(status).resource_name(), "le");
}

TEST(StatusTest, FailedPreconditionCarriesItsReason) {
  const absl::Status status = FailedPrecondition("NOT_READY", "The issuer is not ready.");
  EXPECT_EQ(ErrorReasonOf(status), "NOT_READY");
  const auto failure = FindOnWire<google::rpc::PreconditionFailure>(status);
  ASSERT_EQ(failure.violations_size(), 1);
  EXPECT_EQ(failure.violations(0).type(), "NOT_READY");
}

TEST(StatusTest, RetryAfterAndReasonSurviveTheWireAndAnnotation) {
  const absl::Status status = WithReason(
      WithRetryAfter(absl::ResourceExhaustedError("slow down"), absl::Milliseconds(2500)),
      "RATE_LIMITED");
  const absl::Status received = base::Annotate(FromGrpc(ToGrpc(status)), "newOrder");
  EXPECT_THAT(received, StatusIs(absl::StatusCode::kResourceExhausted, "newOrder: slow down"));
  EXPECT_EQ(RetryAfterOf(received), absl::Milliseconds(2500));
  EXPECT_EQ(ErrorReasonOf(received), "RATE_LIMITED");
}

TEST(StatusTest, WithRetryAfterReplacesAnEarlierOne) {
  absl::Status status = WithRetryAfter(absl::UnavailableError("x"), absl::Seconds(1));
  status = WithRetryAfter(status, absl::Seconds(9));
  EXPECT_EQ(RetryAfterOf(status), absl::Seconds(9));
  EXPECT_EQ(WireDetails(status).details_size(), 2);
}

TEST(StatusTest, NothingIsFoundWhereNothingWasSaid) {
  const absl::Status status = absl::InternalError("x");
  EXPECT_EQ(RetryAfterOf(status), std::nullopt);
  EXPECT_EQ(ErrorReasonOf(status), "");
  EXPECT_THAT(ViolationsOf(status), SizeIs(0));
}

TEST(StatusTest, GarbageDetailsDoNotHideTheError) {
  const absl::Status status =
      FromGrpc(grpc::Status(grpc::StatusCode::NOT_FOUND, "gone", "\xff\xff\xff"));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound, "gone"));
  EXPECT_EQ(ErrorReasonOf(status), "");
  EXPECT_EQ(FindOnWire<google::rpc::ErrorInfo>(status).reason(), "NOT_FOUND");
}

}  // namespace
}  // namespace certwright::rpc
