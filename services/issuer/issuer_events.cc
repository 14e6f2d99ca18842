#include "services/issuer/issuer_events.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"

namespace certwright::issuer_service {
namespace {

using meta::v1::Condition;
using meta::v1::EVENT_SEVERITY_NORMAL;
using meta::v1::EVENT_SEVERITY_WARNING;
using service::ChangedCondition;
using service::EventNews;
using Events = std::vector<EventNews>;

bool Holds(const Condition& condition) {
  return condition.status() == meta::v1::CONDITION_STATUS_TRUE;
}

template <typename T>
const service::Conditions* ConditionsOf(const T* resource) {
  return resource == nullptr ? nullptr : &resource->status().conditions();
}

std::string Text(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", service::FromProto(time), absl::UTCTimeZone());
}

// Reasons for which someone may have to do something.
bool NeedsAttention(const std::string& reason) {
  return reason == "IssuerNotFound" || reason == "IssuerNotReady" || reason == "NoSolver";
}

// Begin, request, failure and success of an issuance.
void AddIssuance(const issuer::v1::Certificate* before, const issuer::v1::Certificate& now,
                 Events& events) {
  const issuer::v1::CertificateStatus none;
  const issuer::v1::CertificateStatus& old = before == nullptr ? none : before->status();
  const issuer::v1::CertificateStatus& status = now.status();
  const Condition* issuing =
      ChangedCondition(&old.conditions(), status.conditions(), "Issuing");
  if (issuing != nullptr && Holds(*issuing)) {
    events.push_back({EVENT_SEVERITY_NORMAL, "Issuing",
                      absl::StrCat(issuing->reason(), ": ", issuing->message())});
  }
  if (!status.certificate_request_name().empty() &&
      status.certificate_request_name() != old.certificate_request_name()) {
    events.push_back({EVENT_SEVERITY_NORMAL, "Requested",
                      absl::StrCat("The CertificateRequest ", status.certificate_request_name(),
                                   " was made.")});
  }
  issuing = service::FindCondition(status.conditions(), "Issuing");
  if (status.failed_issuance_attempts() > old.failed_issuance_attempts() &&
      issuing != nullptr && !Holds(*issuing)) {
    events.push_back({EVENT_SEVERITY_WARNING, issuing->reason(), issuing->message()});
  }
  if (status.revision() > old.revision()) {
    std::string message =
        absl::StrCat("The certificate of revision ", status.revision(), " was issued");
    if (status.has_not_after()) {
      absl::StrAppend(&message, ", valid until ", Text(status.not_after()));
    }
    if (status.has_renewal_time()) {
      absl::StrAppend(&message, ", to be renewed at ", Text(status.renewal_time()));
    }
    events.push_back({EVENT_SEVERITY_NORMAL, "Issued", absl::StrCat(message, ".")});
  }
}

bool Has(const google::protobuf::RepeatedPtrField<issuer::v1::IssuerOutage>& outages,
         const issuer::v1::IssuerOutage& outage) {
  return std::any_of(outages.begin(), outages.end(), [&](const auto& other) {
    return service::IssuerKey(other.issuer_ref(), "") ==
               service::IssuerKey(outage.issuer_ref(), "") &&
           service::FromProto(other.until()) == service::FromProto(outage.until());
  });
}

template <typename T>
Events EventsOfIssuer(const T* before, const T& now) {
  Events events;
  for (const char* type : {"Ready", "AccountKeyRolledOver"}) {
    const Condition* changed =
        ChangedCondition(ConditionsOf(before), now.status().conditions(), type);
    if (changed == nullptr) continue;
    const bool is_ready = changed->type() == "Ready";
    events.push_back({Holds(*changed) ? EVENT_SEVERITY_NORMAL : EVENT_SEVERITY_WARNING,
                      is_ready ? changed->reason() : type, changed->message()});
  }
  return events;
}

}  // namespace

Events EventsOf(const issuer::v1::Certificate* before, const issuer::v1::Certificate& now) {
  Events events;
  AddIssuance(before, now, events);
  const Condition* ready =
      ChangedCondition(ConditionsOf(before), now.status().conditions(), "Ready");
  if (ready != nullptr) {
    const bool was_ready =
        before != nullptr && service::IsTrue(before->status().conditions(), "Ready");
    if (Holds(*ready)) {
      events.push_back({EVENT_SEVERITY_NORMAL, "Ready", ready->message()});
    } else if (was_ready || NeedsAttention(ready->reason())) {
      events.push_back({EVENT_SEVERITY_WARNING, ready->reason(), ready->message()});
    }
  }
  for (const char* type :
       {"RateLimited", "Paused", "IssuancePaced", "RenewalAdjusted", "SecretOverwritten"}) {
    const Condition* limit =
        ChangedCondition(ConditionsOf(before), now.status().conditions(), type);
    if (limit != nullptr) events.push_back({EVENT_SEVERITY_WARNING, type, limit->message()});
  }
  for (const issuer::v1::IssuerOutage& outage : now.status().issuer_outages()) {
    if (before != nullptr && Has(before->status().issuer_outages(), outage)) continue;
    events.push_back(
        {EVENT_SEVERITY_WARNING, "IssuerPassedOver",
         absl::StrCat(service::IssuerKey(outage.issuer_ref(), now.metadata().namespace_()),
                      " is passed over until ", Text(outage.until()), ": ", outage.reason())});
  }
  const issuer::v1::Revocation& revocation = now.status().revocation();
  if (now.status().has_revocation() &&
      (before == nullptr ||
       before->status().revocation().serial_number() != revocation.serial_number())) {
    events.push_back({EVENT_SEVERITY_WARNING, "Revoked",
                      absl::StrCat("The certificate with serial number ",
                                   revocation.serial_number(), " was revoked.")});
  }
  return events;
}

Events EventsOf(const issuer::v1::CertificateRequest* before,
                const issuer::v1::CertificateRequest& now) {
  Events events;
  const auto& conditions = now.status().conditions();
  for (const char* type : {"Approved", "Denied"}) {
    const Condition* verdict = ChangedCondition(ConditionsOf(before), conditions, type);
    if (verdict == nullptr || !Holds(*verdict)) continue;
    const bool approved = verdict->type() == "Approved";
    events.push_back({approved ? EVENT_SEVERITY_NORMAL : EVENT_SEVERITY_WARNING, type,
                      absl::StrCat(verdict->reason(), ": ", verdict->message())});
  }
  const std::string& order = now.status().order_name();
  if (!order.empty() && (before == nullptr || before->status().order_name() != order)) {
    events.push_back({EVENT_SEVERITY_NORMAL, "OrderCreated",
                      absl::StrCat("The Order ", order, " was made.")});
  }
  const Condition* ready = ChangedCondition(ConditionsOf(before), conditions, "Ready");
  // The verdict says it already.
  if (ready == nullptr || ready->reason() == "Denied") return events;
  if (Holds(*ready)) {
    events.push_back({EVENT_SEVERITY_NORMAL, "Issued", ready->message()});
  } else if (ready->reason() == "Failed" || NeedsAttention(ready->reason())) {
    events.push_back({EVENT_SEVERITY_WARNING, ready->reason(), ready->message()});
  } else if (order.empty()) {
    // Once there is an Order, its own events tell how it goes.
    events.push_back({EVENT_SEVERITY_NORMAL, ready->reason(), ready->message()});
  }
  return events;
}

Events EventsOf(const issuer::v1::Issuer* before, const issuer::v1::Issuer& now) {
  return EventsOfIssuer(before, now);
}

Events EventsOf(const issuer::v1::ClusterIssuer* before, const issuer::v1::ClusterIssuer& now) {
  return EventsOfIssuer(before, now);
}

}  // namespace certwright::issuer_service
