#include "services/issuer/secret_repairs.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/service/conditions.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateStatus;

constexpr char kCondition[] = "SecretOverwritten";
constexpr absl::Duration kQuiet = absl::Hours(1);
constexpr absl::Duration kFirstWait = absl::Seconds(1);
constexpr absl::Duration kLongestWait = absl::Seconds(60);
constexpr int kDoublings = 6;

// Of those that are not forgotten; one that lies ahead was noted under a clock that has been
// set back since.
int CountOf(const CertificateStatus& status, absl::Time now) {
  const absl::Time last = service::FromProto(status.secret_repairs().last_time());
  const bool counts = last <= now + kLongestWait && now < last + kQuiet;
  return counts ? status.secret_repairs().count() : 0;
}

}  // namespace

absl::Time NextRepairAt(const CertificateStatus& status, absl::Time now) {
  const int count = CountOf(status, now);
  if (count == 0) return absl::InfinitePast();
  const absl::Duration wait = kFirstWait * (1 << std::min(count - 1, kDoublings));
  return service::FromProto(status.secret_repairs().last_time()) + std::min(wait, kLongestWait);
}

void NoteRepair(absl::Time now, Certificate& certificate) {
  CertificateStatus& status = *certificate.mutable_status();
  issuer::v1::SecretRepairs& repairs = *status.mutable_secret_repairs();
  repairs.set_count(CountOf(status, now) + 1);
  *repairs.mutable_last_time() = service::ToProto(now);
  const service::ConditionUpdate overwritten{
      kCondition, true, "WrittenByOthers",
      absl::StrCat("Somebody else has changed or deleted the Secret ",
                   certificate.spec().secret_name(), ", so that it was written again: ",
                   repairs.count(), repairs.count() == 1 ? " time" : " times", ", last at ",
                   absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", now, absl::UTCTimeZone()),
                   ". It has room for one writer: end the other one, or give the Certificate "
                   "another spec.secretName.")};
  service::SetCondition(*status.mutable_conditions(), overwritten,
                        certificate.metadata().generation(), now);
}

absl::Time ForgetRepairs(absl::Time now, CertificateStatus& status) {
  if (!status.has_secret_repairs()) return absl::InfiniteFuture();
  if (CountOf(status, now) > 0) {
    return service::FromProto(status.secret_repairs().last_time()) + kQuiet;
  }
  status.clear_secret_repairs();
  service::RemoveCondition(*status.mutable_conditions(), kCondition);
  return absl::InfiniteFuture();
}

}  // namespace certwright::issuer_service
