#include "lib/acme/problem.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::acme {
namespace {

using base::StatusIs;
using ::testing::HasSubstr;
using ::testing::Optional;

const absl::Time kNow = absl::FromUnixSeconds(1767323045);

Problem OfType(const std::string& short_type) {
  Problem problem;
  problem.type = "urn:ietf:params:acme:error:" + short_type;
  return problem;
}

TEST(ClassifyTest, FollowsTheProblemType) {
  struct Case {
    int http_status;
    const char* type;
    ErrorClass error_class;
    absl::StatusCode code;
  };
  const Case cases[] = {
      {400, "badNonce", ErrorClass::kRetryNonce, absl::StatusCode::kUnavailable},
      {429, "rateLimited", ErrorClass::kRetryAt, absl::StatusCode::kResourceExhausted},
      {503, "rateLimited", ErrorClass::kRetryAt, absl::StatusCode::kResourceExhausted},
      {500, "serverInternal", ErrorClass::kRetryBackoff, absl::StatusCode::kUnavailable},
      {403, "orderNotReady", ErrorClass::kRereadOrder, absl::StatusCode::kAborted},
      {400, "accountDoesNotExist", ErrorClass::kReregister, absl::StatusCode::kNotFound},
      {401, "unauthorized", ErrorClass::kPermanent, absl::StatusCode::kPermissionDenied},
      {403, "caa", ErrorClass::kPermanent, absl::StatusCode::kFailedPrecondition},
      {400, "rejectedIdentifier", ErrorClass::kPermanent,
       absl::StatusCode::kFailedPrecondition},
      {400, "malformed", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
      {404, "malformed", ErrorClass::kPermanent, absl::StatusCode::kNotFound},
      {400, "badCSR", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
      {400, "badPublicKey", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
      {400, "invalidProfile", ErrorClass::kPermanent, absl::StatusCode::kFailedPrecondition},
      {409, "alreadyReplaced", ErrorClass::kPermanent, absl::StatusCode::kFailedPrecondition},
      {400, "alreadyRevoked", ErrorClass::kAlreadyDone, absl::StatusCode::kAlreadyExists},
      {403, "externalAccountRequired", ErrorClass::kOperator,
       absl::StatusCode::kFailedPrecondition},
      {403, "userActionRequired", ErrorClass::kOperator, absl::StatusCode::kFailedPrecondition},
      {403, "agreementRequired", ErrorClass::kOperator, absl::StatusCode::kFailedPrecondition},
      {403, "connection", ErrorClass::kNewOrder, absl::StatusCode::kFailedPrecondition},
      {403, "dns", ErrorClass::kNewOrder, absl::StatusCode::kFailedPrecondition},
      {403, "tls", ErrorClass::kNewOrder, absl::StatusCode::kFailedPrecondition},
      {403, "incorrectResponse", ErrorClass::kNewOrder, absl::StatusCode::kFailedPrecondition},
      {400, "unsupportedIdentifier", ErrorClass::kPermanent,
       absl::StatusCode::kInvalidArgument},
      {400, "badRevocationReason", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
      {400, "invalidContact", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
      {400, "unsupportedContact", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
      // A CA in trouble does not know what it says.
      {500, "malformed", ErrorClass::kRetryBackoff, absl::StatusCode::kUnavailable},
  };
  for (const Case& one : cases) {
    const Problem problem = OfType(one.type);
    EXPECT_EQ(Classify(one.http_status, problem), one.error_class)
        << one.type << " as " << ErrorClassName(Classify(one.http_status, problem));
    EXPECT_THAT(ProblemStatus(one.http_status, problem, std::nullopt, kNow), StatusIs(one.code))
        << one.type;
  }
}

TEST(ClassifyTest, FollowsTheHttpStatusOfUnknownOrAbsentProblems) {
  struct Case {
    int http_status;
    ErrorClass error_class;
    absl::StatusCode code;
  };
  const Case cases[] = {
      {200, ErrorClass::kRetryBackoff, absl::StatusCode::kUnavailable},
      {301, ErrorClass::kOperator, absl::StatusCode::kFailedPrecondition},
      {399, ErrorClass::kOperator, absl::StatusCode::kFailedPrecondition},
      {400, ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
      {401, ErrorClass::kOperator, absl::StatusCode::kPermissionDenied},
      {403, ErrorClass::kOperator, absl::StatusCode::kPermissionDenied},
      {404, ErrorClass::kPermanent, absl::StatusCode::kNotFound},
      {407, ErrorClass::kOperator, absl::StatusCode::kFailedPrecondition},
      {408, ErrorClass::kRetryBackoff, absl::StatusCode::kUnavailable},
      {409, ErrorClass::kPermanent, absl::StatusCode::kAlreadyExists},
      {425, ErrorClass::kRetryBackoff, absl::StatusCode::kUnavailable},
      {429, ErrorClass::kRetryAt, absl::StatusCode::kResourceExhausted},
      {499, ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
      {500, ErrorClass::kRetryBackoff, absl::StatusCode::kUnavailable},
      {502, ErrorClass::kRetryBackoff, absl::StatusCode::kUnavailable},
      {504, ErrorClass::kRetryBackoff, absl::StatusCode::kUnavailable},
  };
  for (const Case& one : cases) {
    for (const Problem& problem : {Problem(), OfType("brandNew")}) {
      EXPECT_EQ(Classify(one.http_status, problem), one.error_class) << one.http_status;
      EXPECT_THAT(ProblemStatus(one.http_status, problem, std::nullopt, kNow),
                  StatusIs(one.code))
          << one.http_status;
    }
  }
}

TEST(ClassifyTest, PausedAccountNeedsAnOperator) {
  Problem problem = OfType("rateLimited");
  problem.detail = "temporarily prevented; visit https://ca.test/sfe/v1/unpause?jwt=x";
  EXPECT_EQ(Classify(429, problem), ErrorClass::kOperator);
  problem.type = OfType("unauthorized").type;
  EXPECT_EQ(Classify(403, problem), ErrorClass::kOperator);
  problem.type = OfType("malformed").type;
  EXPECT_EQ(Classify(400, problem), ErrorClass::kPermanent);
  problem = OfType("rateLimited");
  problem.detail = "see https://ca.test/docs/rate-limits";
  EXPECT_EQ(Classify(429, problem), ErrorClass::kRetryAt);
}

TEST(ParseProblemTest, ALongUnpauseUrlIsKeptWhole) {
  const std::string url =
      absl::StrCat("https://ca.test/sfe/v1/unpause?jwt=", std::string(1500, 'x'));
  const auto problem = ParseProblem(absl::StrCat(
      R"({"type": "urn:ietf:params:acme:error:rateLimited", "detail": "visit )", url, R"("})"));
  ASSERT_TRUE(problem.ok());
  EXPECT_EQ(Classify(429, *problem), ErrorClass::kOperator);
  EXPECT_TRUE(absl::StrContains(problem->detail, url));
  const absl::Status status = ProblemStatus(429, *problem, std::nullopt, kNow);
  EXPECT_EQ(ProblemOf(status), *problem);
  EXPECT_LT(status.message().size(), 1100);
}

TEST(ClassifyTest, CompoundIsAsBadAsItsWorstPart) {
  Problem problem = OfType("compound");
  problem.subproblems.push_back({OfType("dns").type, "", std::nullopt});
  EXPECT_EQ(Classify(400, problem), ErrorClass::kNewOrder);
  problem.subproblems.push_back({OfType("rejectedIdentifier").type, "", std::nullopt});
  problem.subproblems.push_back({OfType("connection").type, "", std::nullopt});
  EXPECT_EQ(Classify(400, problem), ErrorClass::kPermanent);
  EXPECT_EQ(ClassifyOrderError(problem), ErrorClass::kPermanent);
  EXPECT_EQ(Classify(400, OfType("compound")), ErrorClass::kPermanent);
}

TEST(ClassifyOrderErrorTest, FailedValidationAsksForANewOrder) {
  for (const char* type : {"connection", "dns", "tls", "incorrectResponse", "unauthorized",
                           "serverInternal", "somethingNew"}) {
    EXPECT_EQ(ClassifyOrderError(OfType(type)), ErrorClass::kNewOrder) << type;
  }
  EXPECT_EQ(ClassifyOrderError(OfType("caa")), ErrorClass::kPermanent);
  EXPECT_EQ(ClassifyOrderError(OfType("userActionRequired")), ErrorClass::kOperator);
  Problem paused = OfType("unauthorized");
  paused.detail = "paused; visit https://ca.test/sfe/v1/unpause?jwt=x";
  EXPECT_EQ(ClassifyOrderError(paused), ErrorClass::kOperator);
  EXPECT_EQ(ClassifyOrderError(OfType("rateLimited")), ErrorClass::kRetryAt);
  EXPECT_EQ(RetryAtOf(OrderErrorStatus(OfType("rateLimited"), kNow)), kNow + absl::Hours(1));
}

// Fault 86.
TEST(ClassifyOrderErrorTest, FailureFromOneOfSeveralPlacesOfTheCaIsOneLikeOthers) {
  for (const char* type : {"connection", "dns", "unauthorized", "incorrectResponse"}) {
    Problem problem = OfType(type);
    problem.detail = "During secondary validation: 192.0.2.1: Fetching: timeout";
    EXPECT_EQ(ClassifyOrderError(problem), ErrorClass::kNewOrder) << type;
    EXPECT_THAT(std::string(OrderErrorStatus(problem, kNow).message()),
                HasSubstr("During secondary validation"));
  }
}

// Fault 24.
TEST(ProblemStatusTest, RetryTimeComesFromTheHeaderOrIsAnHour) {
  const Problem limited = OfType("rateLimited");
  EXPECT_EQ(RetryAtOf(ProblemStatus(429, limited, std::nullopt, kNow)), kNow + absl::Hours(1));
  EXPECT_EQ(RetryAtOf(ProblemStatus(429, limited, kNow + absl::Hours(30), kNow)),
            kNow + absl::Hours(30));
  // Zero would be an invitation to a busy loop.
  EXPECT_EQ(RetryAtOf(ProblemStatus(429, limited, kNow, kNow)), kNow + absl::Seconds(1));
}

// Fault 22.
TEST(ProblemStatusTest, OutageWithRetryAfterWaitsForItAndWithoutBacksOff) {
  const absl::Status timed = ProblemStatus(503, Problem(), kNow + absl::Seconds(20), kNow);
  EXPECT_EQ(ClassOf(timed), ErrorClass::kRetryAt);
  EXPECT_EQ(RetryAtOf(timed), kNow + absl::Seconds(20));
  const absl::Status untimed = ProblemStatus(503, Problem(), std::nullopt, kNow);
  EXPECT_EQ(ClassOf(untimed), ErrorClass::kRetryBackoff);
  EXPECT_EQ(RetryAtOf(untimed), std::nullopt);
}

// Fault 54.
TEST(ProblemStatusTest, CarriesTheProblemThroughAnnotation) {
  Problem problem = OfType("rejectedIdentifier");
  problem.detail = "policy forbids";
  problem.subproblems.push_back({problem.type, "no", DnsIdentifier("bad.test")});
  const absl::Status status = base::Annotate(ProblemStatus(400, problem, std::nullopt, kNow),
                                             "newOrder at https://ca.test");
  EXPECT_THAT(ProblemOf(status), Optional(problem));
  EXPECT_EQ(ClassOf(status), ErrorClass::kPermanent);
  EXPECT_EQ(HttpStatusOf(status), 400);
  EXPECT_TRUE(HasProblemType(status, "rejectedIdentifier"));
  EXPECT_EQ(status.message(),
            "newOrder at https://ca.test: rejectedIdentifier: policy forbids; bad.test: "
            "rejectedIdentifier: no (HTTP 400)");
}

// Fault 9.
TEST(ProblemStatusTest, NamesTheAlgorithmsThatTheCaAccepts) {
  Problem problem = OfType("badSignatureAlgorithm");
  problem.algorithms = {"ES256", "RS256"};
  const absl::Status status = ProblemStatus(400, problem, std::nullopt, kNow);
  EXPECT_EQ(ClassOf(status), ErrorClass::kPermanent);
  EXPECT_THAT(std::string(status.message()), HasSubstr("ES256, RS256"));
}

TEST(ClassOfTest, JudgesStatusesWithoutAClassByCode) {
  EXPECT_EQ(ClassOf(absl::OkStatus()), ErrorClass::kNone);
  EXPECT_EQ(ClassOf(absl::UnavailableError("x")), ErrorClass::kRetryBackoff);
  EXPECT_EQ(ClassOf(absl::DeadlineExceededError("x")), ErrorClass::kRetryBackoff);
  EXPECT_EQ(ClassOf(absl::InvalidArgumentError("x")), ErrorClass::kPermanent);
  EXPECT_EQ(ClassOf(absl::PermissionDeniedError("x")), ErrorClass::kOperator);
  EXPECT_EQ(ProblemOf(absl::UnavailableError("x")), std::nullopt);
  EXPECT_EQ(ClassOf(ErrorWithClass(absl::StatusCode::kUnavailable, "x", ErrorClass::kOperator)),
            ErrorClass::kOperator);
}

TEST(ParseProblemTest, ReadsEveryMemberAndForgivesWrongKinds) {
  CW_ASSERT_OK_AND_ASSIGN(const Problem problem, ParseProblem(R"({
      "type": "urn:ietf:params:acme:error:compound", "title": 7, "detail": "several",
      "status": 400, "instance": "https://ca.test/help", "algorithms": ["ES256", 1],
      "subproblems": [{"type": "a", "detail": "b",
                       "identifier": {"type": "dns", "value": "x.test"}},
                      3, {"type": "c"}]})"));
  EXPECT_EQ(problem.ShortType(), "compound");
  EXPECT_EQ(problem.title, "");
  EXPECT_EQ(problem.status, 400);
  EXPECT_EQ(problem.instance, "https://ca.test/help");
  ASSERT_EQ(problem.subproblems.size(), 2u);
  EXPECT_EQ(problem.subproblems[0].identifier, DnsIdentifier("x.test"));
  EXPECT_EQ(problem.subproblems[1].identifier, std::nullopt);
  EXPECT_EQ(problem.algorithms, std::vector<std::string>{"ES256"});
}

TEST(ParseProblemTest, KeepsAHundredSubproblems) {
  for (const int given : {99, 100, 101, 1000}) {
    std::string parts;
    for (int i = 0; i < given; ++i) {
      absl::StrAppend(&parts, i == 0 ? "" : ",", "{\"detail\": \"", i, "\"}");
    }
    CW_ASSERT_OK_AND_ASSIGN(const Problem problem,
                            ParseProblem("{\"subproblems\": [" + parts + "]}"));
    ASSERT_EQ(problem.subproblems.size(), static_cast<std::size_t>(std::min(given, 100)));
    EXPECT_EQ(problem.subproblems.back().detail, absl::StrCat(std::min(given, 100) - 1));
  }
}

TEST(ParseProblemTest, StripsControlCharactersAndCutsBetweenCharacters) {
  CW_ASSERT_OK_AND_ASSIGN(const Problem problem,
                          ParseProblem(R"({"detail": "a\u001b[31m\nb\u0085c\u007f"})"));
  EXPECT_EQ(problem.detail, "a [31m b c ");
  std::string umlauts;
  for (int i = 0; i < 2000; ++i) umlauts += "\xc3\xa4";
  CW_ASSERT_OK_AND_ASSIGN(const Problem longer,
                          ParseProblem("{\"detail\": \"x" + umlauts + "\"}"));
  EXPECT_LE(longer.detail.size(), 1024u);
  EXPECT_EQ(longer.detail.size() % 2, 1u);
}

TEST(ParseProblemTest, RefusesWhatIsNoObjectTooLongOrTooDeep) {
  for (const std::string& body :
       {std::string(), std::string("[]"), std::string("<html>"), std::string("{\"a\":"),
        std::string(100, '['), "{\"a\":\"" + std::string(70000, 'x') + "\"}",
        "{\"a\":" + std::string(20, '[') + std::string(20, ']') + "}",
        std::string("{\"detail\":\"\xff\"}")}) {
    EXPECT_THAT(ParseProblem(body), StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace certwright::acme
