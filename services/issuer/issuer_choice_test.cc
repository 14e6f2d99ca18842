#include "services/issuer/issuer_choice.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/service/conditions.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;
using meta::v1::IssuerRef;

const absl::Time kNow = absl::FromUnixSeconds(1767323045);
const FallbackRules kRules;

IssuerRef Ref(const std::string& name) {
  IssuerRef ref;
  ref.set_name(name);
  return ref;
}

Certificate WithIssuers(const std::string& first, const std::vector<std::string>& others) {
  Certificate certificate;
  certificate.mutable_spec()->mutable_issuer_ref()->set_name(first);
  for (const std::string& other : others) {
    certificate.mutable_spec()->add_fallback_issuer_refs()->set_name(other);
  }
  return certificate;
}

void PassOver(Certificate& certificate, const std::string& name, absl::Duration how_long) {
  AddOutage(Ref(name), {kNow, kNow + how_long, "away"}, kNow, *certificate.mutable_status());
}

CertificateRequest Waiting(const std::string& reason, absl::Duration since) {
  CertificateRequest request;
  auto& conditions = *request.mutable_status()->mutable_conditions();
  service::SetCondition(conditions, {"Ready", false, reason, "as told"}, 1, kNow);
  if (IsOutOfReach(reason)) {
    service::SetCondition(conditions, {"IssuerAvailable", false, reason, ""}, 1, kNow - since);
  }
  return request;
}

CertificateRequest FailedWith(const std::vector<std::string>& types) {
  CertificateRequest request = Waiting("Failed", absl::ZeroDuration());
  request.mutable_status()->mutable_failure_types()->Assign(types.begin(), types.end());
  return request;
}

TEST(ChooseIssuerTest, TakesTheFirstThatIsNotPassedOver) {
  Certificate certificate = WithIssuers("a", {"b", "c"});
  EXPECT_EQ(ChooseIssuer(certificate, kNow).name(), "a");
  PassOver(certificate, "a", absl::Minutes(30));
  EXPECT_EQ(ChooseIssuer(certificate, kNow).name(), "b");
  PassOver(certificate, "b", absl::Minutes(20));
  EXPECT_EQ(ChooseIssuer(certificate, kNow).name(), "c");
  PassOver(certificate, "c", absl::Minutes(25));
  EXPECT_EQ(ChooseIssuer(certificate, kNow).name(), "b");
  EXPECT_EQ(ChooseIssuer(certificate, kNow + absl::Minutes(30)).name(), "a");
}

TEST(ChooseIssuerTest, WithoutFallbackThereIsNoChoice) {
  Certificate certificate = WithIssuers("a", {});
  PassOver(certificate, "a", absl::Hours(1));
  EXPECT_EQ(ChooseIssuer(certificate, kNow).name(), "a");
  EXPECT_EQ(AnotherIssuerAt(certificate, Ref("a"), kNow), absl::InfiniteFuture());
}

TEST(ChooseIssuerTest, KindsTellIssuersApart) {
  IssuerRef cluster = Ref("a");
  cluster.set_kind(meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
  EXPECT_FALSE(SameIssuer(Ref("a"), cluster));
  IssuerRef named = Ref("a");
  named.set_kind(meta::v1::ISSUER_KIND_ISSUER);
  EXPECT_TRUE(SameIssuer(Ref("a"), named));
  EXPECT_FALSE(HasIssuer(WithIssuers("b", {"a"}).spec(), cluster));
  EXPECT_TRUE(HasIssuer(WithIssuers("b", {"a"}).spec(), named));
}

TEST(AnotherIssuerAtTest, TellsWhenOneMayBeAsked) {
  Certificate certificate = WithIssuers("a", {"b"});
  EXPECT_EQ(AnotherIssuerAt(certificate, Ref("a"), kNow), absl::InfinitePast());
  PassOver(certificate, "b", absl::Minutes(5));
  EXPECT_EQ(AnotherIssuerAt(certificate, Ref("a"), kNow), kNow + absl::Minutes(5));
  EXPECT_EQ(AnotherIssuerAt(certificate, Ref("a"), kNow + absl::Minutes(5)),
            absl::InfinitePast());
}

// Faults 33, 55 and 57.
TEST(TroubleOfTest, TellsFromWhenAnIssuerIsPassedOver) {
  struct Case {
    const char* why;
    CertificateRequest request;
    absl::Time from;
    absl::Duration hold;
  };
  const absl::Time never = absl::InfiniteFuture();
  CertificateRequest limited = Waiting("RateLimited", absl::Hours(1));
  *limited.mutable_status()->mutable_retry_time() = service::ToProto(kNow + absl::Hours(3));
  CertificateRequest limited_shortly = limited;
  *limited_shortly.mutable_status()->mutable_retry_time() =
      service::ToProto(kNow + absl::Minutes(15));
  CertificateRequest overloaded = FailedWith({"rateLimited"});
  *overloaded.mutable_status()->mutable_retry_time() = service::ToProto(kNow + absl::Hours(7));
  const std::vector<Case> cases = {
      {"new", CertificateRequest(), never, {}},
      {"on its way", Waiting("Pending", absl::Hours(1)), never, {}},
      {"without solver", Waiting("NoSolver", absl::Hours(1)), never, {}},
      {"in its turn", Waiting("Queued", absl::Hours(1)), never, {}},
      {"denied", Waiting("Denied", absl::Hours(1)), never, {}},
      {"just lost", Waiting("ServerUnavailable", absl::ZeroDuration()), kNow + absl::Minutes(2),
       absl::Minutes(12)},
      {"lost for long", Waiting("ServerUnavailable", absl::Minutes(3)), kNow - absl::Minutes(1),
       absl::Minutes(10)},
      {"no issuer", Waiting("IssuerNotFound", absl::Minutes(2)), kNow, absl::Minutes(10)},
      {"issuer not ready", Waiting("IssuerNotReady", absl::Minutes(2)), kNow,
       absl::Minutes(10)},
      {"new terms", Waiting("UserActionRequired", absl::Minutes(2)), kNow, absl::Minutes(10)},
      {"account ended", Waiting("AccountDoesNotExist", absl::Minutes(2)), kNow,
       absl::Minutes(10)},
      {"limited for long", limited, kNow, absl::Hours(3)},
      {"limited for a while", limited_shortly, never, {}},
      {"refused", FailedWith({"rejectedIdentifier"}), kNow, absl::Hours(24)},
      {"profile withdrawn", FailedWith({"invalidProfile"}), kNow, absl::Hours(24)},
      {"refused by CAA", FailedWith({"caa"}), kNow, absl::Hours(24)},
      {"server failed", FailedWith({"serverInternal"}), kNow, absl::Minutes(10)},
      {"failed, and asked to wait", overloaded, kNow, absl::Hours(7)},
      {"failed for reasons unknown", FailedWith({}), kNow, absl::Minutes(10)},
      {"our proof was wrong", FailedWith({"unauthorized"}), never, {}},
      {"our nameserver is away", FailedWith({"dns"}), never, {}},
  };
  for (const Case& test : cases) {
    const IssuerTrouble trouble = TroubleOf(test.request, kRules, kNow);
    EXPECT_EQ(trouble.from, test.from) << test.why;
    if (test.from == never) continue;
    EXPECT_EQ(trouble.until, kNow + test.hold) << test.why;
    EXPECT_EQ(trouble.reason, "as told") << test.why;
  }
}

TEST(AddOutageTest, KeepsOneForEachIssuerAndForgetsWhatIsOver) {
  Certificate certificate;
  PassOver(certificate, "a", absl::Minutes(1));
  PassOver(certificate, "b", absl::Minutes(5));
  PassOver(certificate, "a", absl::Minutes(2));
  ASSERT_EQ(certificate.status().issuer_outages_size(), 2);
  EXPECT_EQ(certificate.status().issuer_outages(1).issuer_ref().name(), "a");
  AddOutage(Ref("c"), {kNow, kNow + absl::Hours(1), "away"}, kNow + absl::Minutes(3),
            *certificate.mutable_status());
  ASSERT_EQ(certificate.status().issuer_outages_size(), 2);
  EXPECT_EQ(certificate.status().issuer_outages(0).issuer_ref().name(), "b");
  EXPECT_EQ(certificate.status().issuer_outages(1).reason(), "away");
}

}  // namespace
}  // namespace certwright::issuer_service
