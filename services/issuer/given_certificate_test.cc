#include "services/issuer/given_certificate.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/test_ca.h"
#include "lib/rpc/status.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

using testing::SizeIs;

const pki::TestCa& Ca() {
  static const pki::TestCa& ca = *new pki::TestCa(pki::TestCa().MakeIntermediate());
  return ca;
}

std::string IssueChain() {
  pki::SubjectAltNames names;
  names.dns_names = {"site.test"};
  return Ca().Issue(names).chain_pem;
}

issuer::v1::Secret SecretWith(const std::string& chain_pem) {
  issuer::v1::Secret secret;
  secret.mutable_metadata()->set_name("site-tls");
  (*secret.mutable_data())[kCertificateKey] = chain_pem;
  return secret;
}

issuer::v1::Certificate Given(const std::string& chain_pem) {
  issuer::v1::Certificate certificate;
  certificate.mutable_status()->set_sha256_fingerprint(
      FingerprintOf(pki::ParseChainPem(chain_pem)->front()));
  return certificate;
}

TEST(GivenCertificateTest, OnlyTheNotedOneIsTheCertificates) {
  const std::string chain_pem = IssueChain();
  const issuer::v1::Certificate certificate = Given(chain_pem);
  const auto chain = GivenChain(certificate, SecretWith(chain_pem));
  CW_ASSERT_OK(chain);
  EXPECT_EQ(pki::ToPem(*chain), chain_pem);
  // Of the same CA for the same names.
  const absl::Status other = GivenChain(certificate, SecretWith(IssueChain())).status();
  EXPECT_EQ(other.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(rpc::ErrorReasonOf(other), "NOT_GIVEN");
}

TEST(GivenCertificateTest, TheNotedOneHasToComeFirst) {
  const std::string chain_pem = IssueChain();
  const issuer::v1::Secret secret = SecretWith(IssueChain() + chain_pem);
  EXPECT_EQ(rpc::ErrorReasonOf(GivenChain(Given(chain_pem), secret).status()), "NOT_GIVEN");
}

TEST(GivenCertificateTest, WithoutANoteNothingWasGiven) {
  const issuer::v1::Certificate certificate;
  EXPECT_EQ(rpc::ErrorReasonOf(GivenChain(certificate, SecretWith(IssueChain())).status()),
            "NOT_GIVEN");
  EXPECT_FALSE(WasGiven(certificate, ""));
}

TEST(GivenCertificateTest, SaysThatThereIsNone) {
  const std::string chain_pem = IssueChain();
  issuer::v1::Secret temporary = SecretWith(chain_pem);
  (*temporary.mutable_metadata()->mutable_annotations())[kTemporaryAnnotation] = "true";
  for (const issuer::v1::Secret& secret :
       {issuer::v1::Secret(), SecretWith(""), SecretWith("no PEM"), temporary}) {
    EXPECT_EQ(rpc::ErrorReasonOf(GivenChain(Given(chain_pem), secret).status()), "NOT_ISSUED");
  }
}

}  // namespace
}  // namespace certwright::issuer_service
