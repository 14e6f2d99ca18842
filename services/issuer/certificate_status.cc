#include "services/issuer/certificate_status.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/pki/certificate.h"
#include "lib/service/conditions.h"
#include "lib/store/resource_key.h"
#include "services/issuer/given_certificate.h"
#include "services/issuer/renewal.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;

// CAs are asked about renewal this soon after an issuance, so that certificates issued at once
// are not asked about at once.
constexpr absl::Duration kFirstRenewalCheck = absl::Minutes(1);
constexpr char kUpToDate[] = "The certificate is up to date.";

bool IsOfOwnRequest(const CertificateRequests& all, const Certificate& certificate,
                    const KeyPairFacts& present) {
  const auto requests = all.Of(
      store::QueueKey(certificate.metadata().namespace_(), certificate.metadata().name()));
  return std::ranges::any_of(requests, [&](const CertificateRequests::Shared& request) {
    if (request->metadata().owner().uid() != certificate.metadata().uid()) return false;
    const auto chain = pki::ParseChainPem(request->status().certificate());
    return chain.ok() && !chain->empty() &&
           FingerprintOf(chain->front()) == present.fingerprint;
  });
}

}  // namespace

Finding UpToDate(const std::string& trouble) {
  return {"Ready", trouble.empty()
                       ? kUpToDate
                       : absl::StrCat("The certificate is up to date, but ", trouble)};
}

void SetReady(bool ready, const Finding& finding, absl::Time now, Certificate& certificate) {
  const service::ConditionUpdate update{"Ready", ready, finding.reason, finding.message};
  service::SetCondition(*certificate.mutable_status()->mutable_conditions(), update,
                        certificate.metadata().generation(), now);
}

void NoteGiven(const KeyPairFacts& facts, issuer::v1::CertificateStatus& status) {
  status.set_serial_number(facts.serial_number);
  status.set_sha256_fingerprint(facts.fingerprint);
}

void DescribePresent(const CertificateRequests& requests, const KeyPairFacts& present,
                     absl::Time now, Certificate& certificate) {
  issuer::v1::CertificateStatus& status = *certificate.mutable_status();
  if (present.problem.has_value()) {
    status.clear_not_before();
    status.clear_not_after();
    status.clear_renewal_time();
    status.clear_renewal_info();
    return;
  }
  *status.mutable_not_before() = service::ToProto(present.not_before);
  *status.mutable_not_after() = service::ToProto(present.not_after);
  if (status.sha256_fingerprint().empty() && IsOfOwnRequest(requests, certificate, present)) {
    NoteGiven(present, status);
  }
  const std::string certificate_id =
      WasGiven(certificate, present.fingerprint) ? present.certificate_id : "";
  if (status.renewal_info().certificate_id() != certificate_id) {
    const double part = JitterOf(certificate.metadata().uid(),
                                 PresentCertificate{present.not_before, present.not_after});
    issuer::v1::RenewalInfo info;
    info.set_certificate_id(certificate_id);
    *info.mutable_next_check() = service::ToProto(now + kFirstRenewalCheck * part);
    *status.mutable_renewal_info() = std::move(info);
  }
  if (certificate_id.empty()) status.clear_renewal_info();
  if (!IsRevoked(certificate, present)) status.clear_revocation();
  *status.mutable_renewal_time() = service::ToProto(RenewalTimeOf(certificate, present));
}

}  // namespace certwright::issuer_service
