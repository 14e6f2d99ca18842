// What asks for certificate after certificate: what a CA gives and a Certificate wants of it,
// and others who write what the services write. The CA sees few orders all the same.
#include <array>
#include <cstdlib>
#include <functional>
#include <random>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/faults/fault_test_world.h"

namespace certwright::fakes {
namespace {

using issuer::v1::Certificate;
using issuer::v1::Secret;

constexpr int kMostOrders = 5;

// Once this has come, whatever would have been asked for at once has been, too.
void IssueOneMore(FakeWorld& world, const std::string& name) {
  Create(world, name);
  ExpectIssued(world, {name});
}

std::string ReasonOf(const Certificate& certificate, const std::string& condition) {
  const auto* found = service::FindCondition(certificate.status().conditions(), condition);
  return found == nullptr ? "" : found->reason();
}

void Update(FakeWorld& world, const Secret& secret) {
  issuer::v1::UpdateSecretRequest request;
  *request.mutable_secret() = secret;
  request.mutable_secret()->mutable_metadata()->clear_resource_version();
  issuer::v1::UpdateSecretResponse response;
  // It may be away.
  world.secrets().UpdateSecret(harness::MakeContext().get(), request, &response);
}

void DeleteSecret(FakeWorld& world, const std::string& name) {
  issuer::v1::DeleteSecretRequest request;
  request.set_name(name);
  issuer::v1::DeleteSecretResponse response;
  world.secrets().DeleteSecret(harness::MakeContext().get(), request, &response);
}

struct Wish {
  const char* name;
  absl::Duration lifetime;
  absl::Duration backdating;
  absl::Duration duration;
  absl::Duration renew_before;
  int percentage;
  const char* adjusted;
  // From now on.
  absl::Duration renewed_after;
};

// Fault 98.
TEST(PaceTest, WhatWouldBeRenewedAtOnceIsIssuedOnce) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  const absl::Duration none;
  const absl::Duration hour = absl::Hours(1);
  const absl::Duration day = 24 * hour;
  const Wish wishes[] = {
      {"half", 30 * day, absl::Seconds(30), 60 * day, 30 * day, 0, "RenewBeforeTooLong",
       17 * day},
      {"nearly", 30 * day, none, 60 * day, 30 * day - absl::Minutes(1), 0, "RenewBeforeTooLong",
       17 * day},
      {"backdated", 2 * hour, hour, none, none, 0, "", absl::Minutes(20)},
      {"long-ago", 90 * day, 90 * day - hour, none, none, 0, "", absl::Minutes(20)},
      {"percentage", 90 * day, hour, none, none, 99, "RenewBeforePercentageTooHigh", 50 * day},
      {"day", day, hour, none, 23 * hour, 0, "RenewBeforeTooLong", 10 * hour},
  };
  for (const Wish& wish : wishes) {
    Behaviour behaviour;
    behaviour.lifetime = wish.lifetime;
    behaviour.backdating = wish.backdating;
    world->ca().SetBehaviour(behaviour);
    Certificate certificate = FakeWorld::MakeCertificate(wish.name, {DnsName(wish.name)});
    issuer::v1::CertificateSpec& spec = *certificate.mutable_spec();
    if (wish.duration > none) {
      spec.mutable_duration()->set_seconds(absl::ToInt64Seconds(wish.duration));
    }
    if (wish.renew_before > none) {
      spec.mutable_renew_before()->set_seconds(absl::ToInt64Seconds(wish.renew_before));
    }
    spec.set_renew_before_percentage(wish.percentage);
    CW_ASSERT_OK(world->CreateCertificate(certificate));
    ExpectIssued(*world, {wish.name});
  }
  world->ca().SetBehaviour({});
  IssueOneMore(*world, "last");
  for (const Wish& wish : wishes) {
    SCOPED_TRACE(wish.name);
    CW_ASSERT_OK_AND_ASSIGN(const Certificate certificate, world->GetCertificate(wish.name));
    EXPECT_EQ(certificate.status().revision(), 1);
    EXPECT_EQ(world->ca().orders_for({DnsName(wish.name)}), 1);
    EXPECT_EQ(ReasonOf(certificate, "RenewalAdjusted"), wish.adjusted);
    EXPECT_GT(service::FromProto(certificate.status().renewal_time()),
              absl::Now() + wish.renewed_after);
    EXPECT_LT(service::FromProto(certificate.status().renewal_time()),
              service::FromProto(certificate.status().not_after()));
  }
}

void CreateIssuer(FakeWorld& world, const std::string& name, const std::string& secret) {
  issuer::v1::CreateIssuerRequest request;
  issuer::v1::Issuer& issuer = *request.mutable_issuer();
  issuer.mutable_metadata()->set_name(name);
  if (secret.empty()) {
    issuer.mutable_spec()->mutable_self_signed();
  } else {
    issuer.mutable_spec()->mutable_ca()->set_secret_name(secret);
  }
  issuer::v1::CreateIssuerResponse response;
  CW_EXPECT_OK(harness::FromGrpc(
      world.issuers().CreateIssuer(harness::MakeContext().get(), request, &response)));
}

Certificate Private(const std::string& name, const std::string& issuer,
                    absl::Duration duration) {
  Certificate certificate = FakeWorld::MakeCertificate(name, {DnsName(name)});
  issuer::v1::CertificateSpec& spec = *certificate.mutable_spec();
  spec.mutable_issuer_ref()->set_name(issuer);
  spec.mutable_issuer_ref()->set_kind(meta::v1::ISSUER_KIND_ISSUER);
  spec.mutable_duration()->set_seconds(absl::ToInt64Seconds(duration));
  return certificate;
}

// Fault 98.
TEST(PaceTest, ACaIssuerWhoseCaEndsSoonSignsOnce) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  CreateIssuer(*world, "self", "");
  Certificate root = Private("root", "self", absl::Hours(2));
  root.mutable_spec()->set_is_ca(true);
  root.mutable_spec()->set_common_name("Root");
  CW_ASSERT_OK(world->CreateCertificate(root));
  CW_ASSERT_OK(world->WaitUntilReady({"root"}, kTimeout));
  CreateIssuer(*world, "ca", "root-tls");
  std::vector<std::string> names;
  // The CA ends within 1 to 1.1 times of these.
  for (const int minutes : {109, 114, 119}) {
    names.push_back(absl::StrCat("leaf-", minutes));
    Certificate leaf = Private(names.back(), "ca", absl::Hours(2160));
    leaf.mutable_spec()->mutable_renew_before()->set_seconds(minutes * 60);
    CW_ASSERT_OK(world->CreateCertificate(leaf));
  }
  CW_ASSERT_OK(world->WaitUntilReady(names, kTimeout));
  IssueOneMore(*world, "last");
  for (const std::string& name : names) {
    CW_ASSERT_OK_AND_ASSIGN(const Certificate leaf, world->GetCertificate(name));
    EXPECT_EQ(leaf.status().revision(), 1);
    EXPECT_EQ(ReasonOf(leaf, "RenewalAdjusted"), "RenewBeforeTooLong");
    EXPECT_GT(service::FromProto(leaf.status().renewal_time()),
              absl::Now() + absl::Minutes(45));
  }
}

// Fault 98.
TEST(PaceTest, TwoWhoFightOverASpecGetFiveOrdersAndAreTold) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  Create(*world, "a");
  ExpectIssued(*world, {"a"});
  const auto rewrite = [&world](const std::string& name) {
    issuer::v1::UpdateCertificateRequest request;
    *request.mutable_certificate() = FakeWorld::MakeCertificate("a", {DnsName(name)});
    issuer::v1::UpdateCertificateResponse response;
    CW_EXPECT_OK(harness::FromGrpc(world->certificates().UpdateCertificate(
        harness::MakeContext().get(), request, &response)));
  };
  for (int i = 0; i < 40; ++i) {
    rewrite(i % 2 == 0 ? "b" : "a");
    // Each sees that the other has won for a while.
    WaitFor(*world, "a", [](const Certificate& certificate) {
      const auto* ready = service::FindCondition(certificate.status().conditions(), "Ready");
      return ready->observed_generation() == certificate.metadata().generation();
    });
    if (i % 5 == 0) IssueOneMore(*world, absl::StrCat("other-", i));
  }
  // No certificate is for this name.
  rewrite("c");
  const Certificate paced = WaitFor(*world, "a", [](const Certificate& certificate) {
    return service::IsTrue(certificate.status().conditions(), "IssuancePaced");
  });
  EXPECT_EQ(world->ca().orders_for({DnsName("c")}), 0);
  EXPECT_LE(world->ca().orders_for({DnsName("a")}) + world->ca().orders_for({DnsName("b")}),
            kMostOrders);
  EXPECT_LE(paced.status().issuance_starts_size(), kMostOrders);
}

// Fault 99.
TEST(PaceTest, AWriterWhoAnswersAtOnceCostsNoOrder) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  Create(*world, "www");
  ExpectIssued(*world, {"www"});
  CW_ASSERT_OK_AND_ASSIGN(const Secret given, world->GetSecret("www-tls"));
  Secret garbage = given;
  (*garbage.mutable_data())["tls.crt"] = "what another tool has";
  int answered = 0;
  // Once it takes half a minute it no longer fights.
  while (answered < 5) {
    Update(*world, garbage);
    ++answered;
    EXPECT_TRUE(harness::WaitUntil(
        [&] {
          const auto secret = world->GetSecret("www-tls");
          return secret.ok() && secret->data().at("tls.crt") == given.data().at("tls.crt");
        },
        kTimeout));
  }
  const Certificate certificate = WaitFor(*world, "www", [&](const Certificate& repaired) {
    return ReadyReason(repaired) == "Ready" &&
           repaired.status().secret_repairs().count() == answered;
  });
  EXPECT_EQ(ReasonOf(certificate, "SecretOverwritten"), "WrittenByOthers");
  EXPECT_EQ(certificate.status().revision(), 1);
  EXPECT_EQ(world->ca().orders_for({DnsName("www")}), 1);
  CW_EXPECT_OK(world->VerifySecret("www-tls", {DnsName("www")}));
}

// CERTWRIGHT_CHAOS_SECONDS in the environment makes it longer or shorter.
absl::Duration ChaosTime() {
  const char* text = std::getenv("CERTWRIGHT_CHAOS_SECONDS");
  int seconds = 0;
  return absl::Seconds(text != nullptr && absl::SimpleAtoi(text, &seconds) ? seconds : 120);
}

// Does something to the Secret of one of `names`, whatever it holds at that time.
class SecondWriter {
 public:
  SecondWriter(FakeWorld& world, const std::vector<std::string>& names)
      : world_(world), names_(names) {}

  void Write() {
    const std::string secret_name = Any() + "-tls";
    const auto secret = world_.GetSecret(secret_name);
    if (!secret.ok()) return;
    Secret changed = *secret;
    auto& data = *changed.mutable_data();
    const auto other = world_.GetSecret(Any() + "-tls");
    switch (random_() % 6) {
      case 0:
        return DeleteSecret(world_, secret_name);
      case 1:
        data["tls.crt"] = "garbage";
        break;
      case 2:
        data.erase("tls.key");
        break;
      case 3:
        if (other.ok()) data["tls.key"] = other->data().at("tls.key");
        break;
      case 4:
        if (other.ok()) data = other->data();
        break;
      default:
        data.clear();
    }
    Update(world_, changed);
  }
  // How long until it writes again.
  absl::Duration Wait() { return absl::Milliseconds(random_() % 400); }

 private:
  const std::string& Any() { return names_[random_() % names_.size()]; }

  FakeWorld& world_;
  const std::vector<std::string>& names_;
  std::mt19937 random_{1};
};

// Fault 99.
TEST(PaceTest, ASecondWriterAtRandomTimesCostsFewOrdersAndAllPairsFitInTheEnd) {
  const auto world = StartWorld(BelievingCa());
  ASSERT_NE(world, nullptr);
  const std::vector<std::string> names = {"one", "two", "three", "four"};
  for (const std::string& name : names) Create(*world, name);
  ExpectIssued(*world, names);
  SecondWriter writer(*world, names);
  const absl::Time end = absl::Now() + ChaosTime();
  while (absl::Now() < end) {
    writer.Write();
    const absl::Time next = absl::Now() + writer.Wait();
    harness::WaitUntil([] { return false; }, next - absl::Now());
  }
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    EXPECT_TRUE(harness::WaitUntil(
        [&] {
          const auto certificate = world->GetCertificate(name);
          return certificate.ok() &&
                 service::IsTrue(certificate->status().conditions(), "Ready") &&
                 world->VerifySecret(name + "-tls", {DnsName(name)}).ok();
        },
        kTimeout));
    EXPECT_LE(world->ca().orders_for({DnsName(name)}), kMostOrders);
    CW_ASSERT_OK_AND_ASSIGN(const Certificate certificate, world->GetCertificate(name));
    EXPECT_EQ(ReasonOf(certificate, "SecretOverwritten"), "WrittenByOthers");
    EXPECT_GE(certificate.status().secret_repairs().count(), 2);
  }
}

}  // namespace
}  // namespace certwright::fakes
