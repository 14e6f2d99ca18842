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

constexpr char kPaced[] = "IssuancePaced";
constexpr char kAdjusted[] = "RenewalAdjusted";

std::string Text(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

// When the present certificate is renewed, and RenewalAdjusted if that is not what was asked.
void DescribeRenewal(const KeyPairFacts& present, absl::Time now, Certificate& certificate) {
  issuer::v1::CertificateStatus& status = *certificate.mutable_status();
  RenewalPlan plan = RenewalPlanOf(certificate, present);
  *status.mutable_renewal_time() = service::ToProto(plan.time);
  if (plan.adjusted_reason.empty()) {
    return service::RemoveCondition(*status.mutable_conditions(), kAdjusted);
  }
  const service::ConditionUpdate adjusted{kAdjusted, true, std::move(plan.adjusted_reason),
                                          std::move(plan.adjusted_message)};
  service::SetCondition(*status.mutable_conditions(), adjusted,
                        certificate.metadata().generation(), now);
}

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

void FollowPace(const CertificateDecision& decision, absl::Time now, Certificate& certificate) {
  auto& conditions = *certificate.mutable_status()->mutable_conditions();
  if (!decision.paced) return service::RemoveCondition(conditions, kPaced);
  const auto& starts = certificate.status().issuance_starts();
  const service::ConditionUpdate paced{
      kPaced, true, decision.finding.reason,
      absl::StrCat(decision.finding.message, " The next issuance waits until ",
                   Text(decision.at), ", since ", starts.size(),
                   " were begun lately, the last at ",
                   Text(service::FromProto(starts.rbegin()->time())),
                   ". issuancePace in the configuration of the issuer service changes that.")};
  service::SetCondition(conditions, paced, certificate.metadata().generation(), now);
}

void NoteOverdue(const CertificateDecision& decision, issuer::v1::CertificateStatus& status) {
  if (decision.overdue) {
    *status.mutable_overdue_renewal_time() = service::ToProto(decision.at);
  } else {
    status.clear_overdue_renewal_time();
  }
}

absl::Duration OverdueWait(const Certificate& certificate, absl::Time now) {
  const issuer::v1::CertificateStatus& status = certificate.status();
  const bool serves =
      status.has_renewal_time() && service::IsTrue(status.conditions(), "Ready");
  const absl::Time due = service::FromProto(status.renewal_time());
  if (!serves || !IsOverdue(due, now)) return absl::ZeroDuration();
  const PresentCertificate present{service::FromProto(status.not_before()),
                                   service::FromProto(status.not_after())};
  const double jitter = JitterOf(certificate.metadata().uid(), present);
  return StartOfOverdue(due, present.not_after, jitter, now) - now;
}

bool IsRenewedEarly(const Certificate& certificate, const KeyPairFacts& present,
                    absl::Time now) {
  const meta::v1::Condition* issuing =
      service::FindCondition(certificate.status().conditions(), "Issuing");
  return issuing != nullptr && issuing->reason() == "Renewing" &&
         !present.problem.has_value() && now < EndOfFirstTenth(PresentOf(certificate, present));
}

bool HasUnseenSpec(const Certificate& certificate) {
  const meta::v1::Condition* ready =
      service::FindCondition(certificate.status().conditions(), "Ready");
  return ready == nullptr ||
         ready->observed_generation() != certificate.metadata().generation();
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
    return service::RemoveCondition(*status.mutable_conditions(), kAdjusted);
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
  DescribeRenewal(present, now, certificate);
}

}  // namespace certwright::issuer_service
