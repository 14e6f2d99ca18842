#include "lib/acme/chain_choice.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/renewal_info.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/test_ca.h"

namespace certwright::acme {
namespace {

using base::IsOkAndHolds;
using base::StatusIs;

class ChainChoiceTest : public testing::Test {
 protected:
  // A leaf below an intermediate below a root of this name, without the root.
  std::vector<pki::Certificate> ChainBelow(const std::string& root_name) {
    const pki::TestCa root(root_name);
    const pki::TestCa intermediate = root.MakeIntermediate("Intermediate of " + root_name);
    pki::TestCertificateSpec spec;
    spec.names.dns_names = {"a.test"};
    return intermediate.ChainFor(intermediate.Sign(root.key().public_key(), spec));
  }

  const std::vector<std::vector<pki::Certificate>> chains_ = {ChainBelow("Root X"),
                                                              ChainBelow("Root Y")};
};

TEST_F(ChainChoiceTest, MatchesIssuerOrSubjectOfTheTopmost) {
  EXPECT_EQ(ChooseChain(chains_, "Root Y").index, 1u);
  EXPECT_EQ(ChooseChain(chains_, "Intermediate of Root Y").index, 1u);
  EXPECT_TRUE(ChooseChain(chains_, "Root X").preferred_found);
}

TEST_F(ChainChoiceTest, DefaultWinsWithoutAPreferenceOrAMatch) {
  EXPECT_EQ(ChooseChain(chains_, "").index, 0u);
  EXPECT_TRUE(ChooseChain(chains_, "").preferred_found);
  EXPECT_EQ(ChooseChain(chains_, "Root").index, 0u);
  EXPECT_FALSE(ChooseChain(chains_, "Root").preferred_found);
}

TEST_F(ChainChoiceTest, EmptyChainsAreNeverPreferred) {
  EXPECT_FALSE(IsPreferredChain({}, "Root X"));
  EXPECT_EQ(ChooseChain({{}, chains_[1]}, "Root Y").index, 1u);
}

TEST_F(ChainChoiceTest, LeafsOwnNameIsNoPreference) {
  const pki::TestCa root("Root Z");
  pki::TestCertificateSpec spec;
  spec.common_name = "a.test";
  const std::vector<pki::Certificate> leaf_only = {root.Sign(root.key().public_key(), spec)};
  EXPECT_FALSE(IsPreferredChain(leaf_only, "a.test"));
  EXPECT_TRUE(IsPreferredChain(leaf_only, "Root Z"));
}

TEST_F(ChainChoiceTest, CertIdMatchesTheExampleOfRfc9773) {
  pki::Certificate certificate = chains_[0][0];
  certificate.authority_key_id =
      absl::HexStringToBytes("69885B6B87464041E1B37B847BA0AE2CDE01C8D4");
  certificate.serial_der = absl::HexStringToBytes("0087654321");
  EXPECT_THAT(CertId(certificate), IsOkAndHolds("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"));
}

TEST_F(ChainChoiceTest, CertIdNeedsAnAuthorityKeyIdentifier) {
  pki::Certificate certificate = chains_[0][0];
  certificate.authority_key_id.clear();
  EXPECT_THAT(CertId(certificate), StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace certwright::acme
