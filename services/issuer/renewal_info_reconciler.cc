#include "services/issuer/renewal_info_reconciler.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "lib/acme/problem.h"
#include "lib/base/status_macros.h"
#include "lib/service/conditions.h"
#include "lib/store/resource_key.h"
#include "services/issuer/issuer_choice.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;

// RFC 9773 §4.3.2 leaves the wait to the CA, within reason.
constexpr absl::Duration kShortestWait = absl::Minutes(1);
constexpr absl::Duration kLongestWait = absl::Hours(24);
constexpr absl::Duration kDefaultWait = absl::Hours(6);
// After an answer that is of no use.
constexpr absl::Duration kFirstRetry = absl::Minutes(5);
// A CA that knows nothing of the certificate, or of renewal information, may learn it.
constexpr absl::Duration kHopelessRetry = absl::Hours(24);
constexpr absl::Duration kCallTimeout = absl::Seconds(30);

absl::Time DrawMoment(const acme::RenewalInfo& answer, base::Random& random) {
  return answer.window_start + (answer.window_end - answer.window_start) * random.Uniform();
}

absl::Duration WaitAfterError(const issuer::v1::RenewalInfo& before, const absl::Status& error,
                              absl::Time now) {
  if (const auto retry_at = acme::RetryAtOf(error); retry_at.has_value()) {
    return std::clamp(*retry_at - now, kShortestWait, kLongestWait);
  }
  if (acme::ClassOf(error) == acme::ErrorClass::kPermanent) return kHopelessRetry;
  // Twice the last wait, if that one was after an error too.
  if (before.last_error().empty()) return kFirstRetry;
  const absl::Duration last =
      service::FromProto(before.next_check()) - service::FromProto(before.last_checked());
  return std::clamp(2 * last, kFirstRetry, kDefaultWait);
}

}  // namespace

issuer::v1::RenewalInfo AdoptRenewalInfo(const issuer::v1::RenewalInfo& before,
                                         const absl::StatusOr<acme::RenewalInfo>& answer,
                                         absl::Time now, base::Random& random) {
  issuer::v1::RenewalInfo advice = before;
  *advice.mutable_last_checked() = service::ToProto(now);
  if (!answer.ok()) {
    *advice.mutable_next_check() =
        service::ToProto(now + WaitAfterError(before, answer.status(), now));
    // A CA without renewal information is no error that anyone should look at.
    const bool offered = !absl::IsUnimplemented(answer.status());
    advice.set_last_error(offered ? std::string(answer.status().message()) : "");
    return advice;
  }
  advice.clear_last_error();
  const bool same_window = before.has_selected_time() &&
                           service::FromProto(before.window_start()) == answer->window_start &&
                           service::FromProto(before.window_end()) == answer->window_end;
  if (!same_window) {
    *advice.mutable_window_start() = service::ToProto(answer->window_start);
    *advice.mutable_window_end() = service::ToProto(answer->window_end);
    *advice.mutable_selected_time() = service::ToProto(DrawMoment(*answer, random));
    *advice.mutable_suggested_time() = service::ToProto(now);
  }
  advice.set_explanation_url(answer->explanation_url);
  const absl::Duration wait =
      answer->retry_at.has_value()
          ? std::clamp(*answer->retry_at - now, kShortestWait, kLongestWait)
          : kDefaultWait;
  *advice.mutable_next_check() = service::ToProto(now + wait);
  return advice;
}

runtime::Awaitable<absl::StatusOr<controller::Result>> RenewalInfoReconciler::Reconcile(
    runtime::Context context, std::string key) {
  CW_CO_ASSIGN_OR_RETURN(const store::ResourceName name, store::ParseQueueKey(key));
  absl::StatusOr<Certificate> certificate =
      co_await stores_.certificates.Get(context, name.resource_namespace, name.name);
  if (absl::IsNotFound(certificate.status())) co_return controller::Result();
  if (!certificate.ok()) co_return certificate.status();
  const issuer::v1::RenewalInfo before = certificate->status().renewal_info();
  controller::Result result;
  if (before.certificate_id().empty()) co_return result;
  const absl::Time now = environment_.clock().Now();
  // A CA must not be asked about a certificate that has ended (RFC 9773 §4.3); its successor
  // wakes this key.
  if (certificate->status().has_not_after() &&
      now >= service::FromProto(certificate->status().not_after())) {
    co_return result;
  }
  const absl::Time due = service::FromProto(before.next_check());
  // A look that lies ahead was noted under a clock that has been set back since.
  const bool in_order = service::FromProto(before.last_checked()) <= now;
  if (before.has_next_check() && now < due && in_order) {
    result.requeue_after = due - now;
    co_return result;
  }
  CW_CO_ASSIGN_OR_RETURN(const std::shared_ptr<acme::AcmeClient> client,
                         co_await FindClient(context, *certificate));
  if (client == nullptr) {
    // What another issuer, or this one in former days, has advised counts no more.
    issuer::v1::RenewalInfo nothing;
    nothing.set_certificate_id(before.certificate_id());
    if (before.has_next_check()) {
      CW_CO_RETURN_IF_ERROR(co_await Write(context, name, std::move(nothing)));
    }
    co_return result;
  }
  const absl::StatusOr<acme::RenewalInfo> answer =
      co_await client->GetRenewalInfo(context.Within(kCallTimeout), before.certificate_id());
  // Being stopped says nothing about the CA.
  CW_CO_RETURN_IF_ERROR(context.Check());
  issuer::v1::RenewalInfo advice =
      AdoptRenewalInfo(before, answer, environment_.clock().Now(), environment_.random);
  result.requeue_after = service::FromProto(advice.next_check()) - environment_.clock().Now();
  CW_CO_RETURN_IF_ERROR(co_await Write(context, name, std::move(advice)));
  co_return result;
}

runtime::Awaitable<absl::StatusOr<std::shared_ptr<acme::AcmeClient>>>
RenewalInfoReconciler::FindClient(runtime::Context context, const Certificate& certificate) {
  absl::StatusOr<AnyIssuer> issuer = co_await accounts_.FindIssuer(
      context, IssuerInUse(certificate), certificate.metadata().namespace_());
  if (absl::IsNotFound(issuer.status())) co_return nullptr;
  if (!issuer.ok()) co_return issuer.status();
  const bool wanted = issuer->spec.has_acme() && issuer->spec.acme().renewal_information() !=
                                                     issuer::v1::RENEWAL_INFORMATION_NONE;
  if (!wanted) co_return nullptr;
  co_return accounts_.ClientFor(issuer->spec.acme());
}

runtime::Awaitable<absl::Status> RenewalInfoReconciler::Write(runtime::Context context,
                                                              store::ResourceName name,
                                                              issuer::v1::RenewalInfo advice) {
  // The Certificate may have changed while the CA was asked, which is not to be asked again
  // for that.
  constexpr int kTries = 5;
  absl::Status status;
  for (int i = 0; i < kTries; ++i) {
    absl::StatusOr<Certificate> certificate =
        co_await stores_.certificates.Get(context, name.resource_namespace, name.name);
    if (!certificate.ok()) {
      co_return absl::IsNotFound(certificate.status()) ? absl::OkStatus()
                                                       : certificate.status();
    }
    issuer::v1::RenewalInfo& kept = *certificate->mutable_status()->mutable_renewal_info();
    // It is about a certificate that has been replaced.
    if (kept.certificate_id() != advice.certificate_id()) co_return absl::OkStatus();
    kept = advice;
    const auto written =
        co_await stores_.certificates.UpdateStatus(context, *std::move(certificate));
    status = written.status();
    if (!absl::IsAborted(status)) break;
  }
  co_return status;
}

}  // namespace certwright::issuer_service
