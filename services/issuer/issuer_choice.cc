#include "services/issuer/issuer_choice.h"

#include <algorithm>
#include <array>

#include "absl/strings/string_view.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"
#include "services/issuer/issuance_failure.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;
using meta::v1::IssuerRef;

constexpr std::array<absl::string_view, 6> kOutOfReach = {
    "AccountDoesNotExist", "IssuerNotFound",    "IssuerNotReady",
    "RateLimited",         "ServerUnavailable", "UserActionRequired"};

// InfinitePast() if the issuer is not passed over.
absl::Time PassedOverUntil(const Certificate& certificate, const IssuerRef& ref,
                           absl::Time now) {
  for (const issuer::v1::IssuerOutage& outage : certificate.status().issuer_outages()) {
    const absl::Time until = service::FromProto(outage.until());
    if (SameIssuer(outage.issuer_ref(), ref) && now < until) return until;
  }
  return absl::InfinitePast();
}

IssuerTrouble TroubleOfFailed(const CertificateRequest& request, const FallbackRules& rules,
                              absl::Time now) {
  IssuerTrouble trouble;
  const auto& types = request.status().failure_types();
  const FailureClass failure = ClassOfProblems({types.begin(), types.end()});
  if (!AnotherIssuerMayHelp(failure)) return trouble;
  trouble.from = now;
  trouble.until = now + (failure == FailureClass::kRefused ? rules.refusal_hold : rules.hold);
  return trouble;
}

}  // namespace

std::vector<IssuerRef> IssuersOf(const issuer::v1::CertificateSpec& spec) {
  std::vector<IssuerRef> issuers = {spec.issuer_ref()};
  issuers.insert(issuers.end(), spec.fallback_issuer_refs().begin(),
                 spec.fallback_issuer_refs().end());
  return issuers;
}

bool SameIssuer(const IssuerRef& a, const IssuerRef& b) {
  return a.name() == b.name() && service::IsCluster(a) == service::IsCluster(b);
}

bool HasIssuer(const issuer::v1::CertificateSpec& spec, const IssuerRef& ref) {
  const std::vector<IssuerRef> issuers = IssuersOf(spec);
  return std::any_of(issuers.begin(), issuers.end(),
                     [&ref](const IssuerRef& issuer) { return SameIssuer(issuer, ref); });
}

IssuerRef ChooseIssuer(const Certificate& certificate, absl::Time now) {
  const std::vector<IssuerRef> issuers = IssuersOf(certificate.spec());
  return *std::min_element(
      issuers.begin(), issuers.end(), [&](const IssuerRef& a, const IssuerRef& b) {
        return PassedOverUntil(certificate, a, now) < PassedOverUntil(certificate, b, now);
      });
}

IssuerRef IssuerInUse(const Certificate& certificate) {
  return certificate.status().has_issuer_in_use() ? certificate.status().issuer_in_use()
                                                  : certificate.spec().issuer_ref();
}

absl::Time AnotherIssuerAt(const Certificate& certificate, const IssuerRef& asked,
                           absl::Time now) {
  absl::Time earliest = absl::InfiniteFuture();
  for (const IssuerRef& issuer : IssuersOf(certificate.spec())) {
    if (SameIssuer(issuer, asked)) continue;
    earliest = std::min(earliest, PassedOverUntil(certificate, issuer, now));
  }
  return earliest;
}

bool IsOutOfReach(const std::string& reason) {
  return std::find(kOutOfReach.begin(), kOutOfReach.end(), reason) != kOutOfReach.end();
}

IssuerTrouble TroubleOf(const CertificateRequest& request, const FallbackRules& rules,
                        absl::Time now) {
  const auto& conditions = request.status().conditions();
  const meta::v1::Condition* ready = service::FindCondition(conditions, "Ready");
  IssuerTrouble trouble;
  if (ready == nullptr || ready->status() == meta::v1::CONDITION_STATUS_TRUE) return trouble;
  const absl::Time retry = request.status().has_retry_time()
                               ? service::FromProto(request.status().retry_time())
                               : now;
  const meta::v1::Condition* available = service::FindCondition(conditions, "IssuerAvailable");
  if (ready->reason() == "Failed") {
    trouble = TroubleOfFailed(request, rules, now);
  } else if (ready->reason() == "RateLimited") {
    if (retry - now > rules.longest_wait) trouble.from = now;
    trouble.until = retry;
  } else if (available != nullptr && available->status() == meta::v1::CONDITION_STATUS_FALSE) {
    trouble.from = service::FromProto(available->last_transition_time()) + rules.after;
    trouble.until = std::max(trouble.from, now) + rules.hold;
  }
  trouble.until = std::max(trouble.until, retry);
  trouble.reason = ready->message();
  return trouble;
}

void AddOutage(const IssuerRef& ref, const IssuerTrouble& trouble, absl::Time now,
               issuer::v1::CertificateStatus& status) {
  auto& outages = *status.mutable_issuer_outages();
  outages.erase(std::remove_if(outages.begin(), outages.end(),
                               [&](const issuer::v1::IssuerOutage& outage) {
                                 return SameIssuer(outage.issuer_ref(), ref) ||
                                        service::FromProto(outage.until()) <= now;
                               }),
                outages.end());
  issuer::v1::IssuerOutage& outage = *outages.Add();
  *outage.mutable_issuer_ref() = ref;
  *outage.mutable_until() = service::ToProto(trouble.until);
  outage.set_reason(trouble.reason);
}

}  // namespace certwright::issuer_service
