#include "lib/acme/objects.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/identifier.h"
#include "lib/base/status_matchers.h"

namespace certwright::acme {
namespace {

using base::IsOk;
using base::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kToken[] = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

// Fault 41.
TEST(IdentifierTest, ComparesAsSetsWhateverTheSpelling) {
  EXPECT_TRUE(SameIdentifiers(
      {DnsIdentifier("B.test"), DnsIdentifier("a.test."), DnsIdentifier("a.test")},
      {DnsIdentifier("a.test"), DnsIdentifier("b.test")}));
  EXPECT_TRUE(SameIdentifiers({IpIdentifier("2001:DB8:0::1")}, {IpIdentifier("2001:db8::1")}));
  EXPECT_FALSE(SameIdentifiers({DnsIdentifier("a.test")}, {IpIdentifier("a.test")}));
  EXPECT_FALSE(SameIdentifiers({DnsIdentifier("a.test")},
                               {DnsIdentifier("a.test"), DnsIdentifier("b.test")}));
  EXPECT_FALSE(SameIdentifiers({DnsIdentifier("*.a.test")}, {DnsIdentifier("a.test")}));
  EXPECT_FALSE(SameIdentifiers({DnsIdentifier("a.test..")}, {DnsIdentifier("a.test")}));
  EXPECT_FALSE(SameIdentifiers({IpIdentifier(std::string("192.0.2.1\0x", 11))},
                               {IpIdentifier("192.0.2.1")}));
}

TEST(IdentifierTest, DescriptionIsBounded) {
  const std::vector<Identifier> three = {DnsIdentifier("a"), DnsIdentifier("b"),
                                         DnsIdentifier("c")};
  EXPECT_EQ(DescribeIdentifiers(three), "a, b and c");
  EXPECT_EQ(DescribeIdentifiers(three, 1), "a and 2 more");
  EXPECT_EQ(DescribeIdentifiers({}), "");
}

std::string OrderJson(const std::string& status, const std::string& more = "") {
  return R"({"status": ")" + status + R"(",
      "identifiers": [{"type": "dns", "value": "b.test"}, {"type": "dns", "value": "a.test"}],
      "authorizations": ["https://ca.test/authz/2", "https://ca.test/authz/1"],
      "finalize": "https://ca.test/finalize/1")" +
         more + "}";
}

TEST(ParseOrderTest, ReadsEveryMemberAndIgnoresUnknownOnes) {
  CW_ASSERT_OK_AND_ASSIGN(
      const Order order,
      ParseOrder(OrderJson("valid", R"(, "certificate": "https://ca.test/cert/1",
          "expires": "2026-01-09T03:04:05.123456789Z", "notBefore": "2026-01-01T00:00:00+01:00",
          "profile": "short", "replaces": "a.b", "novelty": [1, {"x": null}])"),
                 "https://ca.test/order/1"));
  EXPECT_EQ(order.url, "https://ca.test/order/1");
  EXPECT_EQ(order.status, OrderStatus::kValid);
  EXPECT_THAT(order.identifiers, ElementsAre(DnsIdentifier("b.test"), DnsIdentifier("a.test")));
  EXPECT_THAT(order.authorizations,
              ElementsAre("https://ca.test/authz/2", "https://ca.test/authz/1"));
  EXPECT_EQ(order.finalize, "https://ca.test/finalize/1");
  EXPECT_EQ(order.certificate, "https://ca.test/cert/1");
  EXPECT_EQ(absl::ToUnixSeconds(*order.expires), 1767927845);
  EXPECT_EQ(absl::ToUnixSeconds(*order.not_before), 1767222000);
  EXPECT_EQ(order.profile, "short");
  EXPECT_EQ(order.replaces, "a.b");
}

TEST(ParseOrderTest, IgnoresTimesThatNoTimestampHolds) {
  for (const char* time :
       {"0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "200000-01-01T00:00:00Z",
        "-5-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "infinite-future"}) {
    CW_ASSERT_OK_AND_ASSIGN(
        const Order order,
        ParseOrder(OrderJson("pending", absl::StrCat(R"(, "expires": ")", time, "\"")), "u"));
    EXPECT_EQ(order.expires, std::nullopt) << time;
  }
}

TEST(ParseOrderTest, KnowsEveryStatusAndNoOther) {
  const std::pair<const char*, OrderStatus> statuses[] = {
      {"pending", OrderStatus::kPending},
      {"ready", OrderStatus::kReady},
      {"processing", OrderStatus::kProcessing},
      {"invalid", OrderStatus::kInvalid},
  };
  for (const auto& [text, status] : statuses) {
    CW_ASSERT_OK_AND_ASSIGN(const Order order, ParseOrder(OrderJson(text), ""));
    EXPECT_EQ(order.status, status);
    EXPECT_EQ(StatusName(status), text);
  }
  EXPECT_THAT(ParseOrder(OrderJson("Pending"), ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"status\"")));
  EXPECT_THAT(ParseOrder(OrderJson("valid"), ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"certificate\"")));
}

TEST(ParseOrderTest, ErrorIsAProblem) {
  CW_ASSERT_OK_AND_ASSIGN(const Order order, ParseOrder(OrderJson("invalid", R"(, "error": {
          "type": "urn:ietf:params:acme:error:caa", "detail": "forbidden"})"),
                                                        ""));
  ASSERT_TRUE(order.error.has_value());
  EXPECT_EQ(order.error->Describe(), "caa: forbidden");
}

TEST(ParseOrderTest, RefusesWhatItCannotWorkWith) {
  const char* bodies[] = {
      "",
      "null",
      "{}",
      R"({"status": "pending"})",
      R"({"status": "pending", "identifiers": [], "authorizations": [],
          "finalize": "https://a/"})",
      R"({"status": "pending", "identifiers": [{"type": "dns"}], "authorizations": [],
          "finalize": "https://a/"})",
      R"({"status": "pending", "identifiers": [{"type": "dns", "value": "a"}],
          "authorizations": [7], "finalize": "https://a/"})",
      R"({"status": "pending", "identifiers": [{"type": "dns", "value": "a"}],
          "authorizations": [], "finalize": "/relative"})",
  };
  for (const char* body : bodies) {
    EXPECT_THAT(ParseOrder(body, ""), StatusIs(absl::StatusCode::kInvalidArgument)) << body;
  }
}

std::string ChallengeJson(const std::string& type, const std::string& token,
                          const std::string& more = "") {
  return R"({"type": ")" + type + R"(", "url": "https://ca.test/chal/)" + type +
         R"(", "status": "pending", "token": ")" + token + "\"" + more + "}";
}

std::string AuthorizationJson(const std::string& challenges) {
  return R"({"status": "pending", "expires": "2026-01-09T03:04:05Z", "wildcard": true,
      "identifier": {"type": "dns", "value": "a.test"}, "challenges": [)" +
         challenges + "]}";
}

TEST(ParseAuthorizationTest, FindsChallengesByType) {
  CW_ASSERT_OK_AND_ASSIGN(
      const Authorization authorization,
      ParseAuthorization(AuthorizationJson(ChallengeJson("http-01", kToken) + "," +
                                           ChallengeJson("dns-01", kToken)),
                         "https://ca.test/authz/1"));
  EXPECT_TRUE(authorization.wildcard);
  EXPECT_EQ(authorization.identifier, DnsIdentifier("a.test"));
  ASSERT_NE(authorization.Find("dns-01"), nullptr);
  EXPECT_EQ(authorization.Find("dns-01")->token, kToken);
  EXPECT_EQ(authorization.Find("tls-alpn-01"), nullptr);
  EXPECT_EQ(authorization.Error(), std::nullopt);
}

// Fault 43.
TEST(ParseAuthorizationTest, SkipsChallengesThatCannotBeUsed) {
  CW_ASSERT_OK_AND_ASSIGN(
      const Authorization authorization,
      ParseAuthorization(
          AuthorizationJson(ChallengeJson("http-01", "../../etc/passwd-or-so-long") + "," +
                            ChallengeJson("dns-01", "short") + "," +
                            R"({"type": "http-01", "status": "pending"}, 7, null,
                               {"type": "dns-persist-01", "url": "https://ca.test/p",
                                "status": "pending", "issuer-domain-names": ["ca.test"]})"),
          ""));
  ASSERT_EQ(authorization.challenges.size(), 1u);
  EXPECT_EQ(authorization.challenges[0].type, "dns-persist-01");
}

// Fault 43.
TEST(ParseAuthorizationTest, ToleratesNoChallengesButNotAnUnknownStatus) {
  CW_ASSERT_OK_AND_ASSIGN(
      const Authorization authorization,
      ParseAuthorization(
          R"({"status": "valid", "identifier": {"type": "dns", "value": "a.test"}})", ""));
  EXPECT_THAT(authorization.challenges, IsEmpty());
  EXPECT_FALSE(authorization.wildcard);
  EXPECT_THAT(ParseAuthorization(
                  R"({"status": "odd", "identifier": {"type": "dns", "value": "a.test"}})", ""),
              Not(IsOk()));
  EXPECT_THAT(ParseAuthorization(R"({"status": "valid"})", ""), Not(IsOk()));
}

TEST(ParseChallengeTest, ReadsTheErrorOfAFailedOne) {
  CW_ASSERT_OK_AND_ASSIGN(const Challenge challenge,
                          ParseChallenge(ChallengeJson("dns-01", kToken, R"(,
      "validated": "2026-01-02T03:04:05Z", "error": {
        "type": "urn:ietf:params:acme:error:dns", "detail": "NXDOMAIN"})")));
  ASSERT_TRUE(challenge.error.has_value());
  EXPECT_EQ(ClassifyOrderError(*challenge.error), ErrorClass::kNewOrder);
  EXPECT_EQ(absl::ToUnixSeconds(*challenge.validated), 1767323045);
}

TEST(ParseAccountTest, ReadsStatusContactsAndBinding) {
  CW_ASSERT_OK_AND_ASSIGN(const Account account,
                          ParseAccount(R"({"status": "valid", "contact": ["mailto:a@b.test"],
      "termsOfServiceAgreed": true, "externalAccountBinding": {"payload": ""}})",
                                       "https://ca.test/account/1"));
  EXPECT_EQ(account.status, AccountStatus::kValid);
  EXPECT_THAT(account.contacts, ElementsAre("mailto:a@b.test"));
  EXPECT_TRUE(account.terms_of_service_agreed);
  EXPECT_TRUE(account.external_account_bound);
  EXPECT_THAT(ParseAccount("{}", ""), StatusIs(absl::StatusCode::kInvalidArgument));
}

constexpr char kEndpoints[] = R"("newNonce": "https://ca.test/n", "newAccount":
    "https://ca.test/a", "newOrder": "https://ca.test/o")";

// Fault 12.
TEST(ParseDirectoryTest, ToleratesAbsentOptionalAndUnknownMembers) {
  CW_ASSERT_OK_AND_ASSIGN(
      const Directory directory,
      ParseDirectory(std::string("{\"aRandomKey\": \"https://community.test/\", ") +
                     kEndpoints + "}"));
  EXPECT_EQ(directory.new_order, "https://ca.test/o");
  EXPECT_EQ(directory.renewal_info, "");
  EXPECT_THAT(directory.meta.profiles, IsEmpty());
}

TEST(ParseDirectoryTest, ReadsMeta) {
  CW_ASSERT_OK_AND_ASSIGN(const Directory directory,
                          ParseDirectory(std::string("{") + kEndpoints + R"(,
          "renewalInfo": "https://ca.test/r",
          "meta": {"termsOfService": "https://ca.test/tos", "externalAccountRequired": true,
                   "caaIdentities": ["ca.test"],
                   "profiles": {"short": "a week", "odd": 3}}})"));
  EXPECT_EQ(directory.meta.terms_of_service, "https://ca.test/tos");
  EXPECT_TRUE(directory.meta.external_account_required);
  EXPECT_THAT(directory.meta.caa_identities, ElementsAre("ca.test"));
  EXPECT_EQ(directory.meta.profiles.at("short"), "a week");
  EXPECT_EQ(directory.meta.profiles.at("odd"), "");
}

// Fault 104.
TEST(ParseDirectoryTest, LeavesOutOptionalMembersThatCannotBeUsed) {
  for (const char* value : {R"("http://ca.test/x")", R"("/x")", R"("x")", R"("not a URL")",
                            R"("https://")", R"("")", "42", "{}"}) {
    for (const char* member : {"newAuthz", "revokeCert", "keyChange", "renewalInfo"}) {
      CW_ASSERT_OK_AND_ASSIGN(
          const Directory directory,
          ParseDirectory(absl::StrCat("{", kEndpoints, ", \"", member, "\": ", value, "}")));
      EXPECT_THAT(directory.unusable, ElementsAre(member)) << value;
      EXPECT_EQ(directory.new_authz + directory.revoke_cert + directory.key_change +
                    directory.renewal_info,
                "");
      EXPECT_EQ(directory.new_order, "https://ca.test/o");
    }
  }
  EXPECT_THAT(
      ParseDirectory(absl::StrCat("{", kEndpoints, R"(, "keyChange": null})"))->unusable,
      IsEmpty());
}

// Fault 104.
TEST(ParseDirectoryTest, NamesTheRequiredMemberThatCannotBeUsed) {
  for (const char* member : {"newNonce", "newAccount", "newOrder"}) {
    for (const char* value : {R"("http://ca.test/x")", R"("/x")", "42", "null"}) {
      const std::string body =
          absl::StrCat("{", kEndpoints, ", \"", member, "\": ", value, "}");
      EXPECT_THAT(ParseDirectory(body),
                  StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(member)))
          << body;
    }
  }
}

TEST(ParseDirectoryTest, RefusesMissingAndInsecureEndpoints) {
  EXPECT_THAT(ParseDirectory(R"({"newNonce": "https://ca.test/n"})"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("newAccount")));
  const std::string insecure = R"({"newNonce": "http://ca.test/n", "newAccount":
      "http://ca.test/a", "newOrder": "http://ca.test/o"})";
  EXPECT_THAT(ParseDirectory(insecure), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseDirectory(insecure, /*allow_http=*/true), IsOk());
}

// Every URL at which a CA may have itself asked.
TEST(ParseTest, RefusesEachUrlThatIsNotHttpsUnlessAllowed) {
  const std::string directory = R"({"newNonce": "https://ca.test/1",
      "newAccount": "https://ca.test/2", "newOrder": "https://ca.test/3",
      "newAuthz": null})";
  const std::string order = OrderJson("valid", R"(, "certificate": "https://ca.test/cert/1")");
  const std::string challenge = absl::StrCat(R"({"type": "dns-01", "status": "pending",
      "url": "https://ca.test/chall/1", "token": ")",
                                             kToken, "\"}");
  const auto ask = [&](const std::string& body, bool allow_http) -> absl::Status {
    if (absl::StrContains(body, "newNonce")) return ParseDirectory(body, allow_http).status();
    if (absl::StrContains(body, "finalize")) return ParseOrder(body, "", allow_http).status();
    return ParseChallenge(body, allow_http).status();
  };
  int urls = 0;
  for (const std::string& body : {directory, order, challenge}) {
    CW_EXPECT_OK(ask(body, /*allow_http=*/false));
    for (std::size_t at = body.find("https:"); at != std::string::npos;
         at = body.find("https:", at + 1)) {
      std::string plain = body;
      plain.erase(at + 4, 1);
      EXPECT_THAT(ask(plain, /*allow_http=*/false),
                  StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("https")))
          << plain;
      CW_EXPECT_OK(ask(plain, /*allow_http=*/true));
      ++urls;
    }
  }
  EXPECT_EQ(urls, 3 + 4 + 1);
  // One of an authorization is left out, like others that cannot be used.
  const std::string authorization =
      absl::StrCat(R"({"status": "pending",
      "identifier": {"type": "dns", "value": "a.test"}, "challenges": [)",
                   absl::StrReplaceAll(challenge, {{"https", "http"}}), "]}");
  EXPECT_THAT(ParseAuthorization(authorization, "")->challenges, IsEmpty());
  EXPECT_EQ(ParseAuthorization(authorization, "", /*allow_http=*/true)->challenges.size(), 1u);
}

// Fault 97.
TEST(ParseRenewalInfoTest, NeedsAWindowThatEndsAfterItStarts) {
  CW_ASSERT_OK_AND_ASSIGN(const RenewalInfo info, ParseRenewalInfo(R"({"suggestedWindow": {
      "start": "2026-01-02T03:04:05Z", "end": "2026-01-03T03:04:05Z"},
      "explanationURL": "https://ca.test/why"})"));
  EXPECT_EQ(info.window_end - info.window_start, absl::Hours(24));
  EXPECT_EQ(info.explanation_url, "https://ca.test/why");
  for (const char* body :
       {"garbage", "{}", R"({"suggestedWindow": {"start": "2026-01-02T03:04:05Z"}})",
        R"({"suggestedWindow": {"start": "2026-01-02T03:04:05Z", "end":
            "2026-01-02T03:04:05Z"}})",
        R"({"suggestedWindow": {"start": "infinite-past", "end": "infinite-future"}})"}) {
    EXPECT_THAT(ParseRenewalInfo(body), StatusIs(absl::StatusCode::kInvalidArgument)) << body;
  }
}

}  // namespace
}  // namespace certwright::acme
