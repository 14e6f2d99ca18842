// World: what is stored about one Certificate, for tests of decisions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "lib/service/conditions.h"
#include "services/issuer/certificate_decision.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

inline constexpr absl::Duration kDay = absl::Hours(24);
inline const absl::Time kNow = absl::FromUnixSeconds(1767323045);

// A Certificate whose Secret holds what it asks for, to be spoilt by tests.
struct World {
  World() {
    certificate.mutable_metadata()->set_namespace_("web");
    certificate.mutable_metadata()->set_name("site");
    certificate.mutable_metadata()->set_generation(3);
    issuer::v1::CertificateSpec& spec = *certificate.mutable_spec();
    spec.set_secret_name("site-tls");
    spec.mutable_issuer_ref()->set_name("ca");
    spec.add_dns_names("b.example");
    spec.add_dns_names("a.example");
    rpc::Violations violations;
    ValidateCertificate(certificate, violations);
    EXPECT_TRUE(violations.empty());

    secret.emplace();
    auto& annotations = *secret->mutable_metadata()->mutable_annotations();
    annotations[kCertificateNameAnnotation] = "site";
    annotations[kIssuerNameAnnotation] = "ca";
    annotations[kIssuerKindAnnotation] = "Issuer";
    key_pair.not_before = kNow - kDay;
    key_pair.not_after = kNow + 89 * kDay;
    key_pair.names.dns_names = {"a.example", "b.example"};
    key_pair.serial_number = "0a";
    key_pair.certificate_id = "aki.serial";
    certificate.mutable_metadata()->set_uid("one");
  }

  // What the CA suggested a day ago.
  void SetAdvice(absl::Time selected) {
    issuer::v1::RenewalInfo& info = *certificate.mutable_status()->mutable_renewal_info();
    info.set_certificate_id("aki.serial");
    *info.mutable_selected_time() = service::ToProto(selected);
    *info.mutable_suggested_time() = service::ToProto(kNow - kDay);
  }
  void SetRevoked(issuer::v1::RevocationReason reason) {
    certificate.mutable_status()->mutable_revocation()->set_serial_number("0a");
    certificate.mutable_status()->mutable_revocation()->set_reason(reason);
  }

  void SetIssuing(bool status, const std::string& reason, int generation) {
    service::SetCondition(*certificate.mutable_status()->mutable_conditions(),
                          {"Issuing", status, reason, "said so"}, generation, kNow);
  }
  void AddRequest() {
    static const pki::PrivateKey key = *pki::PrivateKey::Generate(pki::KeySpec());
    request.emplace();
    auto& spec = *request->mutable_spec();
    spec.set_request(*pki::CreateCsrPem(CsrSpecOf(certificate.spec()), key));
    *spec.mutable_issuer_ref() = certificate.spec().issuer_ref();
    *spec.mutable_duration() = certificate.spec().duration();
    *spec.mutable_usages() = certificate.spec().usages();
  }
  void SetRequestReady(bool ready, const std::string& reason, const std::string& message) {
    service::SetCondition(*request->mutable_status()->mutable_conditions(),
                          {"Ready", ready, reason, message}, 1, kNow);
  }

  CertificateSnapshot Snapshot() const {
    CertificateSnapshot snapshot;
    snapshot.certificate = &certificate;
    if (secret.has_value()) {
      snapshot.secret = &*secret;
      snapshot.key_pair = &key_pair;
    }
    if (request.has_value()) snapshot.request = &*request;
    snapshot.has_next_key = has_next_key;
    snapshot.secret_users = secret_users;
    if (kept.has_value()) {
      snapshot.kept = &*kept;
      snapshot.kept_pair = &kept_pair;
    }
    return snapshot;
  }
  std::string Reason(absl::Time now = kNow) const {
    const auto finding = FindReasonToIssue(Snapshot(), now);
    return finding.has_value() ? finding->reason : "";
  }
  CertificateDecision Decide(absl::Time now = kNow) const {
    return DecideCertificate(Snapshot(), FallbackRules(), PaceRules(), now);
  }

  issuer::v1::Certificate certificate;
  std::optional<issuer::v1::Secret> secret;
  KeyPairFacts key_pair;
  std::optional<issuer::v1::CertificateRequest> request;
  bool has_next_key = true;
  std::vector<SecretUser> secret_users;
  std::optional<issuer::v1::Secret> kept;
  KeyPairFacts kept_pair;
};

}  // namespace certwright::issuer_service
