#include "lib/rpc/caller_certificates.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/digest.h"
#include "lib/pki/test_ca.h"

namespace certwright::rpc {
namespace {

using base::IsOk;
using base::StatusIs;
using pki::Certificate;
using pki::TestCa;
using ::testing::AllOf;
using ::testing::HasSubstr;

// What gRPC tells of a client.
class PeerForTest final : public grpc::AuthContext {
 public:
  PeerForTest() = default;
  PeerForTest(const Certificate& leaf, const std::vector<Certificate>& sent) {
    properties_["x509_pem_cert"] = leaf.Pem();
    properties_["x509_pem_cert_chain"] = pki::ToPem(sent);
  }

  bool IsPeerAuthenticated() const override { return !properties_.empty(); }
  std::vector<grpc::string_ref> GetPeerIdentity() const override { return {}; }
  std::string GetPeerIdentityPropertyName() const override { return ""; }
  std::vector<grpc::string_ref> FindPropertyValues(const std::string& name) const override {
    const auto found = properties_.find(name);
    if (found == properties_.end()) return {};
    return {grpc::string_ref(found->second.data(), found->second.size())};
  }
  grpc::AuthPropertyIterator begin() const override { return Nowhere(); }
  grpc::AuthPropertyIterator end() const override { return Nowhere(); }
  void AddProperty(const std::string& name, const grpc::string_ref& value) override {
    properties_[name] = std::string(value.data(), value.size());
  }
  bool SetPeerIdentityPropertyName(const std::string&) override { return false; }

 private:
  // Its base has no public constructor.
  struct Nowhere : grpc::AuthPropertyIterator {};

  std::map<std::string, std::string> properties_;
};

Certificate Leaf(const TestCa& ca, absl::Time not_after = pki::TestNotAfter(),
                 const std::string& serial = "") {
  pki::TestCertificateSpec spec;
  spec.names.dns_names = {"client.test"};
  spec.not_after = not_after;
  spec.serial = serial;
  return ca.Sign(pki::PrivateKey::Generate({})->public_key(), spec);
}

std::string FingerprintOf(const Certificate& certificate) {
  return absl::BytesToHexString(pki::Sha256(certificate.der));
}

class CallerCertificatesTest : public ::testing::Test {
 protected:
  absl::Status Revoke(const std::string& crls) {
    auto lists = std::make_shared<Revocations>();
    const absl::Status added = lists->AddLists(ca_.certificate().Pem(), crls);
    if (added.ok()) revocations_ = std::move(lists);
    return added;
  }
  absl::Status Deny(const std::string& fingerprints) {
    auto lists = std::make_shared<Revocations>();
    const absl::Status added = lists->AddFingerprints(fingerprints);
    if (added.ok()) revocations_ = std::move(lists);
    return added;
  }
  absl::Status Check(const Certificate& leaf, const std::vector<Certificate>& sent = {}) const {
    return certificates_.Check(PeerForTest(leaf, sent));
  }

  const TestCa ca_;
  base::FakeClock clock_;
  std::shared_ptr<const Revocations> revocations_;
  const CallerCertificates certificates_{[this] { return revocations_; }, clock_};
};

TEST_F(CallerCertificatesTest, ACallerWithoutACertificateHasNoneToBeRefusedFor) {
  CW_EXPECT_OK(certificates_.Check(PeerForTest()));
}

TEST_F(CallerCertificatesTest, ACertificateCountsUntilItEnds) {
  const Certificate leaf = Leaf(ca_, clock_.Now() + absl::Seconds(5));
  CW_EXPECT_OK(Check(leaf));
  clock_.Advance(absl::Seconds(5));
  CW_EXPECT_OK(Check(leaf));
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Check(leaf), StatusIs(absl::StatusCode::kUnauthenticated,
                                    HasSubstr("has expired at 2026-01-02T03:04:10")));
}

TEST_F(CallerCertificatesTest, AClockBeforeItsBeginRefusesIt) {
  clock_.StepWall(pki::TestNotBefore() - clock_.Now() - absl::Seconds(1));
  EXPECT_THAT(Check(Leaf(ca_)),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("not valid yet")));
}

TEST_F(CallerCertificatesTest, ARevokedCertificateIsRefusedFromTheNextCallOn) {
  const Certificate leaf = Leaf(ca_, pki::TestNotAfter(), "\x12\x34");
  CW_ASSERT_OK(Revoke(ca_.RevocationList({Leaf(ca_)})));
  CW_EXPECT_OK(Check(leaf));
  CW_ASSERT_OK(Revoke(ca_.RevocationList({Leaf(ca_), leaf})));
  EXPECT_THAT(Check(leaf), StatusIs(absl::StatusCode::kUnauthenticated,
                                    HasSubstr("serial number 1234 is revoked")));
  CW_ASSERT_OK(Revoke(ca_.RevocationList({})));
  CW_EXPECT_OK(Check(leaf));
}

TEST_F(CallerCertificatesTest, ARevokedIntermediateIsRefusedToo) {
  const TestCa intermediate = ca_.MakeIntermediate();
  const Certificate leaf = Leaf(intermediate);
  CW_ASSERT_OK(Revoke(ca_.RevocationList({})));
  CW_EXPECT_OK(Check(leaf, {intermediate.certificate()}));
  CW_ASSERT_OK(Revoke(ca_.RevocationList({intermediate.certificate()})));
  EXPECT_THAT(Check(leaf, {intermediate.certificate()}),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("is revoked")));
}

TEST_F(CallerCertificatesTest, AListCountsForCertificatesOfItsOwnCaOnly) {
  const TestCa other("Other Root");
  const std::string serial = "\x12\x34";
  CW_ASSERT_OK(Revoke(ca_.RevocationList({Leaf(other, pki::TestNotAfter(), serial)})));
  EXPECT_THAT(Check(Leaf(ca_, pki::TestNotAfter(), serial)),
              StatusIs(absl::StatusCode::kUnauthenticated));
  CW_EXPECT_OK(Check(Leaf(other, pki::TestNotAfter(), serial)));
}

TEST_F(CallerCertificatesTest, AListThatIsOutOfDateStillRevokesAndIsTold) {
  const Certificate leaf = Leaf(ca_);
  const absl::Time next = clock_.Now() - absl::Hours(1);
  CW_ASSERT_OK(Revoke(ca_.RevocationList({leaf}, next)));
  EXPECT_THAT(Check(leaf), StatusIs(absl::StatusCode::kUnauthenticated));
  CW_EXPECT_OK(Check(Leaf(ca_)));
  EXPECT_EQ(revocations_->next_update(), next);
}

TEST_F(CallerCertificatesTest, OfSeveralListsAllCountAndTheFirstToBeOutOfDateIsTold) {
  const std::vector<Certificate> leaves = {Leaf(ca_), Leaf(ca_)};
  const absl::Time sooner = clock_.Now() + absl::Hours(1);
  const std::string first = ca_.RevocationList({leaves[0]}, sooner);
  const std::string second = ca_.RevocationList({leaves[1]}, sooner + absl::Hours(1));
  for (const std::string& lists : {first + second, second + first}) {
    CW_ASSERT_OK(Revoke(lists));
    for (const Certificate& leaf : leaves) {
      EXPECT_THAT(Check(leaf), StatusIs(absl::StatusCode::kUnauthenticated));
    }
    EXPECT_EQ(revocations_->next_update(), sooner);
  }
}

TEST_F(CallerCertificatesTest, AListOfAnotherCaIsRefused) {
  // Of the same name, with another key.
  EXPECT_THAT(Revoke(TestCa().RevocationList({})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not signed by a CA")));
  EXPECT_THAT(Revoke(absl::StrCat(ca_.RevocationList({}), TestCa("Other").RevocationList({}))),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("list 2")));
}

TEST_F(CallerCertificatesTest, AListThatIsCutOrNoneIsRefused) {
  const std::string crl = ca_.RevocationList({Leaf(ca_)});
  for (const std::string& text :
       {std::string(), std::string("none"), crl.substr(0, crl.size() / 2),
        crl + crl.substr(0, crl.size() / 2), ca_.certificate().Pem(),
        absl::StrReplaceAll(crl, {{"A", "B"}})}) {
    EXPECT_THAT(Revoke(text), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
}

TEST_F(CallerCertificatesTest, ADeniedFingerprintIsRefused) {
  const Certificate leaf = Leaf(ca_);
  CW_ASSERT_OK(Deny("# Lost with a laptop.\n\n" + FingerprintOf(leaf) + "\r\n"));
  EXPECT_THAT(Check(leaf),
              StatusIs(absl::StatusCode::kUnauthenticated,
                       AllOf(HasSubstr(FingerprintOf(leaf)), HasSubstr("is denied"))));
  CW_EXPECT_OK(Check(Leaf(ca_)));
  const TestCa intermediate = ca_.MakeIntermediate();
  CW_ASSERT_OK(Deny(FingerprintOf(intermediate.certificate())));
  EXPECT_THAT(Check(Leaf(intermediate), {intermediate.certificate()}),
              StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST_F(CallerCertificatesTest, ALineThatIsNoFingerprintIsNamed) {
  const std::string good(64, 'a');
  for (const std::string& line : {std::string("x"), std::string(64, 'A'), std::string(63, 'a'),
                                  good + " # ann", "sha256:" + good}) {
    EXPECT_THAT(Deny("# list\n" + good + "\n" + line),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("line 3")))
        << line;
  }
}

TEST_F(CallerCertificatesTest, ACallerCannotMakeItRememberMuch) {
  const Certificate leaf = Leaf(ca_);
  EXPECT_THAT(Check(leaf, std::vector<Certificate>(100, leaf)),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("32 KiB")));
}

}  // namespace
}  // namespace certwright::rpc
