#include "services/issuer/limit_conditions.h"

#include "lib/service/conditions.h"

namespace certwright::issuer_service {
namespace {

constexpr char kRateLimited[] = "RateLimited";
constexpr char kPaused[] = "Paused";

void CopyCondition(const meta::v1::Condition& condition, absl::Time now,
                   issuer::v1::Certificate& certificate) {
  const service::ConditionUpdate update{condition.type(), true, condition.reason(),
                                        condition.message()};
  service::SetCondition(*certificate.mutable_status()->mutable_conditions(), update,
                        certificate.metadata().generation(), now);
}

}  // namespace

void FollowRateLimit(const issuer::v1::CertificateRequest* request, absl::Time now,
                     issuer::v1::Certificate& certificate) {
  issuer::v1::CertificateStatus& status = *certificate.mutable_status();
  if (request != nullptr && service::IsTrue(request->status().conditions(), kRateLimited)) {
    CopyCondition(*service::FindCondition(request->status().conditions(), kRateLimited), now,
                  certificate);
    *status.mutable_next_attempt_time() = request->status().retry_time();
  } else if (service::FindCondition(status.conditions(), kRateLimited) != nullptr) {
    service::RemoveCondition(*status.mutable_conditions(), kRateLimited);
    status.clear_next_attempt_time();
  }
}

void FollowPause(const issuer::v1::CertificateRequest& request, absl::Time now,
                 issuer::v1::Certificate& certificate) {
  if (IsPaused(request)) {
    CopyCondition(*service::FindCondition(request.status().conditions(), kPaused), now,
                  certificate);
  } else {
    service::RemoveCondition(*certificate.mutable_status()->mutable_conditions(), kPaused);
  }
}

bool IsPaused(const issuer::v1::CertificateRequest& request) {
  return service::IsTrue(request.status().conditions(), kPaused);
}

}  // namespace certwright::issuer_service
