#include "services/issuer/secret_ownership.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/service/conditions.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::Secret;
using testing::AllOf;
using testing::HasSubstr;

const absl::Time kCreated = absl::FromUnixSeconds(1767323045);

Certificate Site() {
  Certificate certificate;
  certificate.mutable_metadata()->set_namespace_("web");
  certificate.mutable_metadata()->set_name("site");
  *certificate.mutable_metadata()->mutable_create_time() = service::ToProto(kCreated);
  certificate.mutable_spec()->set_secret_name("site-tls");
  return certificate;
}

// A Secret with that mark and handed over to that Certificate, if they are not empty.
Secret Marked(const std::string& writer, const std::string& allowed = "") {
  Secret secret;
  auto& annotations = *secret.mutable_metadata()->mutable_annotations();
  if (!writer.empty()) annotations[kCertificateNameAnnotation] = writer;
  if (!allowed.empty()) annotations[kAllowCertificateAnnotation] = allowed;
  return secret;
}

SecretUser Names(const std::string& certificate, absl::Duration later) {
  return {SecretUse::kTarget, "web/" + certificate, kCreated + later};
}

// "" if the Certificate site may write its Secret.
std::string Reason(const Secret* secret, std::vector<SecretUser> users = {}) {
  users.push_back(Names("site", absl::ZeroDuration()));
  const auto finding = WhyNotWrite(Site(), secret, users);
  return finding.has_value() ? finding->reason : "";
}
std::string Message(const Secret* secret, const std::vector<SecretUser>& users) {
  const auto finding = WhyNotWrite(Site(), secret, users);
  return finding.has_value() ? finding->message : "";
}

// Fault 100.
TEST(WhyNotWriteTest, OnlyWhatIsAbsentOrMarkedOrHandedOverIsWritten) {
  EXPECT_EQ(Reason(nullptr), "");
  struct Case {
    Secret secret;
    std::string reason;
  };
  const std::vector<Case> cases = {
      {Marked("site"), ""},
      {Marked("", "site"), ""},
      {Marked("other", "site"), ""},
      // Of a Certificate that is gone, or names another Secret now.
      {Marked("other"), "SecretNotOwned"},
      {Marked("other", "third"), "SecretNotOwned"},
      {Marked("Site"), "SecretNotOwned"},
      {Marked("site-2"), "SecretNotOwned"},
      {Marked(""), "SecretNotOwned"},
      {Marked("", "other"), "SecretNotOwned"},
      {Marked("", "Site"), "SecretNotOwned"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Reason(&c.secret), c.reason) << c.secret.ShortDebugString();
  }
  const Secret others = Marked("other");
  EXPECT_THAT(Message(&others, {}), AllOf(HasSubstr("made for the Certificate other"),
                                          HasSubstr("certwright.io/allow-certificate")));
  const Secret opaque = Marked("");
  EXPECT_THAT(Message(&opaque, {}),
              AllOf(HasSubstr("site-tls"), HasSubstr("certwright.io/allow-certificate")));
}

// Fault 100.
TEST(WhyNotWriteTest, WhatOthersNeedIsRefusedWhoeverHandsItOver) {
  struct Case {
    SecretUser user;
    // Whether it may be made where there is none.
    bool absent_may_be_made;
    std::string says;
  };
  const std::vector<Case> cases = {
      {{SecretUse::kNextKey, "web/www", {}}, false, "next key of the Certificate www"},
      {{SecretUse::kPassword, "web/www", {}}, false, "Certificate www has the password"},
      {{SecretUse::kCaKeyPair, "Issuer web/ca", {}}, true, "CA of Issuer web/ca"},
      {{SecretUse::kAccountKey, "Issuer web/ca", {}}, false, "Issuer web/ca keeps its account"},
      {{SecretUse::kExternalAccountKey, "Issuer web/ca", {}}, false, "external account"},
      {{SecretUse::kVaultCredential, "Issuer web/ca", {}}, false, "credentials for Vault"},
      {{SecretUse::kSolverCredential, "ClusterIssuer le", {}}, false, "of a solver"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.says);
    for (const Secret& secret :
         {Marked(""), Marked("", "site"), Marked("gone"), Marked("gone", "site")}) {
      EXPECT_EQ(Reason(&secret, {c.user}), "SecretNotOwned");
      EXPECT_THAT(Message(&secret, {c.user}), AllOf(HasSubstr("site-tls"), HasSubstr(c.says)));
    }
    EXPECT_EQ(Reason(nullptr, {c.user}), c.absent_may_be_made ? "" : "SecretNotOwned");
    // What it has written stays its own, whoever comes to read it.
    const Secret own = Marked("site");
    EXPECT_EQ(Reason(&own, {c.user}), "");
  }
}

// Fault 100.
TEST(WhyNotWriteTest, OfTwoCertificatesTheWriterMayThenTheOlder) {
  const SecretUser older = Names("other", -absl::Seconds(1));
  const SecretUser same_age = Names("aaa", absl::ZeroDuration());
  const SecretUser younger = Names("other", absl::Seconds(1));
  const Secret own = Marked("site");
  const Secret others = Marked("other");
  const Secret gone = Marked("gone");
  const Secret handed = Marked("", "site");
  struct Case {
    const Secret* secret;
    SecretUser rival;
    std::string reason;
  };
  const std::vector<Case> cases = {
      {&own, older, ""},
      {&others, older, "IncorrectCertificate"},
      {&others, younger, "IncorrectCertificate"},
      {nullptr, older, "IncorrectCertificate"},
      {nullptr, same_age, "IncorrectCertificate"},
      {nullptr, younger, ""},
      {&gone, older, "SecretNotOwned"},
      {&gone, younger, "SecretNotOwned"},
      {&handed, older, ""},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Reason(c.secret, {c.rival}), c.reason)
        << (c.secret == nullptr ? "absent" : c.secret->ShortDebugString()) << c.rival.key
        << c.rival.since;
  }
  EXPECT_THAT(Message(nullptr, {older}), HasSubstr("Certificate other"));
}

// Fault 101.
TEST(WhyNoAccountKeyTest, ItIsKeptWhereNoCertificateReplacesIt) {
  const Secret plain = Marked("");
  EXPECT_EQ(WhyNoAccountKey("key", nullptr, {}), "");
  EXPECT_EQ(WhyNoAccountKey("key", &plain, {}), "");
  EXPECT_EQ(WhyNoAccountKey("key", &plain, {{SecretUse::kAccountKey, "Issuer web/ca", {}}}),
            "");
  // One that has been refused it.
  EXPECT_EQ(WhyNoAccountKey("key", &plain, {Names("site", absl::ZeroDuration())}), "");

  const Secret written = Marked("site");
  Secret next_key;
  (*next_key.mutable_metadata()->mutable_labels())[kNextPrivateKeyLabel] = "true";
  EXPECT_THAT(WhyNoAccountKey("key", &written, {}),
              AllOf(HasSubstr("Secret key"), HasSubstr("Certificate site")));
  EXPECT_THAT(WhyNoAccountKey("key", &next_key, {}), HasSubstr("next key of a Certificate"));
  EXPECT_THAT(WhyNoAccountKey("key", nullptr, {{SecretUse::kNextKey, "web/site", {}}}),
              HasSubstr("next key of the Certificate site"));
}

}  // namespace
}  // namespace certwright::issuer_service
