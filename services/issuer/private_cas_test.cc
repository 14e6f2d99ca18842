#include "services/issuer/private_cas.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/test_ca.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Secret;
using testing::ElementsAre;
using testing::IsEmpty;

// What an issuer with the key pair of `ca` signs with, and trusts.
PrivateCa Of(const pki::TestCa& ca) {
  const bool is_root = pki::IsSelfSigned(ca.certificate());
  return {ca.certificate(), is_root ? "" : ca.certificate().Pem(), ca.root().Pem()};
}

Secret SignedBy(const pki::TestCa& ca) {
  static const pki::PrivateKey key = *pki::PrivateKey::Generate(pki::KeySpec());
  pki::TestCertificateSpec spec;
  spec.names.dns_names = {"a.example"};
  Secret secret;
  auto& data = *secret.mutable_data();
  data[kCertificateKey] = pki::ToPem(ca.ChainFor(ca.Sign(key.public_key(), spec)));
  data[kCaKey] = ca.root().Pem();
  data["users"] = "own";
  return secret;
}

// One more certificate for the key and the name of `ca`, made by itself.
pki::TestCa Renewed(const pki::TestCa& ca) {
  pki::TestCertificateSpec spec;
  spec.common_name = ca.certificate().subject_common_name;
  spec.is_ca = true;
  spec.usages = {"cert sign", "crl sign"};
  const pki::Certificate renewed = ca.Sign(ca.key().public_key(), spec);
  return pki::TestCa(ca.key(), {renewed});
}

// Fault 111.
TEST(FitOfTest, OnlyACertificateThatLeadsToTheCaFits) {
  const pki::TestCa root("Root");
  const pki::TestCa intermediate = root.MakeIntermediate("Intermediate");
  EXPECT_EQ(FitOf(SignedBy(root), Of(root)), CaFit::kFits);
  EXPECT_EQ(FitOf(SignedBy(intermediate), Of(intermediate)), CaFit::kFits);

  // Other keys, with the same name or another one.
  EXPECT_EQ(FitOf(SignedBy(root), Of(pki::TestCa("Root"))), CaFit::kOtherCa);
  EXPECT_EQ(FitOf(SignedBy(root), Of(pki::TestCa("Other"))), CaFit::kOtherCa);
  // The same root above does not do: what is below it was replaced.
  EXPECT_EQ(FitOf(SignedBy(intermediate), Of(root.MakeIntermediate("Intermediate"))),
            CaFit::kOtherCa);
  EXPECT_EQ(FitOf(SignedBy(intermediate), Of(root)), CaFit::kOtherCa);
}

// Fault 111.
TEST(FitOfTest, ARenewedCaOfTheSameKeyAndNameChangesOnlyWhatIsAbove) {
  const pki::TestCa root("Root");
  const pki::TestCa renewed = Renewed(root);
  ASSERT_NE(renewed.certificate().der, root.certificate().der);
  Secret secret = SignedBy(root);
  const std::string leaf = secret.data().at(kCertificateKey);
  ASSERT_EQ(FitOf(secret, Of(renewed)), CaFit::kOldChain);
  PutChain(Of(renewed), secret);
  EXPECT_EQ(FitOf(secret, Of(renewed)), CaFit::kFits);
  EXPECT_EQ(secret.data().at(kCertificateKey), leaf);
  EXPECT_EQ(secret.data().at(kCaKey), renewed.certificate().Pem());
  EXPECT_EQ(secret.data().at("users"), "own");
}

TEST(FitOfTest, AnIntermediateUnderAnotherRootIsPutIntoTheChain) {
  const pki::TestCa intermediate = pki::TestCa("Root").MakeIntermediate("Intermediate");
  const pki::TestCa other_root("Other Root");
  pki::TestCertificateSpec spec;
  spec.common_name = "Intermediate";
  spec.is_ca = true;
  spec.usages = {"cert sign", "crl sign"};
  const pki::Certificate crossed = other_root.Sign(intermediate.key().public_key(), spec);
  const PrivateCa ca = Of(pki::TestCa(intermediate.key(), {crossed, other_root.certificate()}));
  Secret secret = SignedBy(intermediate);
  ASSERT_EQ(FitOf(secret, ca), CaFit::kOldChain);
  PutChain(ca, secret);
  const auto chain = pki::ParseChainPem(secret.data().at(kCertificateKey));
  const auto roots = pki::ParseChainPem(secret.data().at(kCaKey));
  ASSERT_TRUE(chain.ok() && roots.ok());
  EXPECT_EQ(chain->size(), 2u);
  EXPECT_TRUE(
      pki::VerifyAgainstRoots(*chain, *roots, pki::TestNotBefore() + absl::Hours(1)).ok());
}

TEST(FitOfTest, WhatIsNoCertificateAndTheCaItselfFit) {
  const pki::TestCa root("Root");
  Secret secret;
  EXPECT_EQ(FitOf(secret, Of(root)), CaFit::kFits);
  (*secret.mutable_data())[kCertificateKey] = "garbage";
  EXPECT_EQ(FitOf(secret, Of(root)), CaFit::kFits);
  const pki::TestCa intermediate = root.MakeIntermediate();
  (*secret.mutable_data())[kCertificateKey] = intermediate.certificate().Pem();
  EXPECT_EQ(FitOf(secret, Of(intermediate)), CaFit::kFits);
}

TEST(SpreadOfTest, IsASecondForEachCertificateAndAnHourAtMost) {
  PrivateCa ca = Of(pki::TestCa());
  for (const auto& [leaves, spread] :
       std::vector<std::pair<int, absl::Duration>>{{0, absl::ZeroDuration()},
                                                   {1, absl::Seconds(1)},
                                                   {600, absl::Minutes(10)},
                                                   {10'000, absl::Hours(1)}}) {
    ca.leaves = static_cast<std::size_t>(leaves);
    EXPECT_EQ(SpreadOf(ca), spread);
  }
}

TEST(PrivateCasTest, WakesTheCertificatesOfAnIssuerWhoseCaHasChanged) {
  std::vector<std::string> woken;
  PrivateCas cas(
      [](const std::string& issuer) {
        return issuer == "Issuer web/ca" ? std::vector<std::string>{"web/a", "web/b"}
                                         : std::vector<std::string>();
      },
      [&](const std::string& key) { woken.push_back(key); });
  EXPECT_EQ(cas.Of("Issuer web/ca"), nullptr);
  const pki::TestCa first;
  cas.Set("Issuer web/ca", Of(first));
  EXPECT_THAT(woken, ElementsAre("web/a", "web/b"));
  ASSERT_NE(cas.Of("Issuer web/ca"), nullptr);
  EXPECT_EQ(cas.Of("Issuer web/ca")->leaves, 2u);

  woken.clear();
  cas.Set("Issuer web/ca", Of(first));
  EXPECT_THAT(woken, IsEmpty());
  cas.Set("Issuer web/ca", Of(pki::TestCa()));
  EXPECT_THAT(woken, ElementsAre("web/a", "web/b"));
  cas.Forget("Issuer web/ca");
  EXPECT_EQ(cas.Of("Issuer web/ca"), nullptr);
}

// As when a CA is cross-signed, or its root is renewed.
TEST(PrivateCasTest, WhatIsAboveTheCaIsPartOfIt) {
  int woken = 0;
  PrivateCas cas([](const std::string&) { return std::vector<std::string>{"web/a"}; },
                 [&](const std::string&) { ++woken; });
  PrivateCa ca = Of(pki::TestCa());
  cas.Set("Issuer web/ca", ca);
  ca.ca_pem = "another root";
  cas.Set("Issuer web/ca", ca);
  EXPECT_EQ(woken, 2);
  EXPECT_EQ(cas.Of("Issuer web/ca")->ca_pem, "another root");
  ca.chain_pem = "another chain";
  cas.Set("Issuer web/ca", ca);
  EXPECT_EQ(woken, 3);
  EXPECT_EQ(cas.Of("Issuer web/ca")->chain_pem, "another chain");
}

}  // namespace
}  // namespace certwright::issuer_service
