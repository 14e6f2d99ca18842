#include "services/issuer/order_admission.h"

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/acme/rate_limit_detail.h"
#include "lib/acme/retry_after.h"
#include "lib/base/status_macros.h"
#include "lib/pki/csr.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;

// How long a request that replaces nothing may wait for its turn behind others.
constexpr absl::Duration kFirstIssuance = absl::Hours(24);
constexpr char kRateLimited[] = "rateLimited";

absl::Time NeededBy(const CertificateRequest& request, const Certificate* certificate) {
  if (certificate != nullptr && certificate->status().has_not_after()) {
    return service::FromProto(certificate->status().not_after());
  }
  return service::FromProto(request.metadata().create_time()) + kFirstIssuance;
}

LimitedOrder ToLimitedOrder(const CertificateRequest& request, const AnyIssuer& issuer) {
  LimitedOrder order;
  order.server = issuer.spec.acme().server();
  order.account = issuer.status.acme().uri();
  order.names = NamesToProve(request);
  return order;
}

std::string Text(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::string Describe(const LimitBuckets::Turn& turn, const std::string& issuer_key) {
  const Draw& draw = turn.waits_for;
  const std::string when = absl::StrCat(" It goes on at about ", Text(turn.expected), ".");
  if (turn.closed) {
    return absl::StrCat("Waits: the CA takes no more for the limit on ",
                        DescribeBucket(draw.bucket), " before then.", when);
  }
  return absl::StrCat("Waits for room in the limit on ", DescribeBucket(draw.bucket), ": ",
                      draw.limit.count, " in ", absl::FormatDuration(draw.limit.window),
                      turn.before == 0 ? "" : absl::StrCat(", ", turn.before, " go before"),
                      ".", when, " ", LimitField(draw.bucket), " of ", issuer_key,
                      " changes the limit.");
}

// The names whose validation the CA calls failed. What failed before the order was placed, or
// without an answer of the CA, counts for nothing there.
std::set<std::string> FailedNames(const order::v1::Order& order, const std::string& account) {
  std::set<std::string> failed;
  if (order.status().url().empty()) return failed;
  for (const order::v1::Failure& failure : order.status().failures()) {
    if (failure.identifier().empty() || failure.type().empty()) continue;
    failed.insert(FailuresBucket(account, failure.identifier()));
  }
  return failed;
}

// What the CA said about a limit; null if it said nothing.
const order::v1::Failure* FindRateLimited(const order::v1::Order& order) {
  const auto& failures = order.status().failures();
  const auto it = std::find_if(failures.begin(), failures.end(), [](const auto& failure) {
    return failure.type() == kRateLimited && !acme::UnpauseUrl(failure.detail()).has_value();
  });
  return it == failures.end() ? nullptr : &*it;
}

bool IsOver(order::v1::OrderState state) {
  return state == order::v1::ORDER_STATE_VALID || state == order::v1::ORDER_STATE_INVALID ||
         state == order::v1::ORDER_STATE_EXPIRED || state == order::v1::ORDER_STATE_ERRORED;
}

}  // namespace

Exemption ExemptionOf(const CertificateRequest& request, const Certificate* certificate,
                      absl::Time now) {
  if (certificate == nullptr) return Exemption::kNone;
  const issuer::v1::RenewalInfo& info = certificate->status().renewal_info();
  const bool advised = !request.spec().replaces().empty() &&
                       info.certificate_id() == request.spec().replaces() &&
                       now >= service::FromProto(info.window_start()) &&
                       now < service::FromProto(info.window_end());
  if (advised) return Exemption::kAdvised;
  return request.metadata().annotations().contains(kRenewsAnnotation) ? Exemption::kRenewal
                                                                      : Exemption::kNone;
}

pki::SubjectAltNames NamesToProve(const CertificateRequest& request) {
  const auto csr = pki::ParseCsrPem(request.spec().request());
  if (!csr.ok()) return {};
  pki::SubjectAltNames names = csr->names;
  // As the order does, which asks for a common name that is a name too.
  const std::string& common_name = csr->subject.common_name;
  if (pki::NormalizeIpAddress(common_name).ok()) {
    names.ip_addresses.push_back(common_name);
  } else if (pki::NormalizeDnsName(common_name).ok()) {
    names.dns_names.push_back(common_name);
  }
  return pki::NormalizeNames(names).value_or(pki::SubjectAltNames());
}

runtime::Awaitable<absl::StatusOr<OrderAdmission::Admission>> OrderAdmission::Admit(
    runtime::Context context, const Request& request, const AnyIssuer& issuer) {
  Admission admission;
  const absl::Time now = environment_.clock().Now();
  CW_CO_RETURN_IF_ERROR(co_await ledger_.Load(context, now));
  const RateLimits limits = RateLimitsOf(issuer.spec.acme());
  if (limits.none() && !ledger_.AnyClosed(now)) {
    admission.now = true;
    co_return admission;
  }
  const meta::v1::ObjectMeta& metadata = request.metadata();
  absl::StatusOr<Certificate> owner = absl::NotFoundError("");
  if (metadata.owner().kind() == "Certificate") {
    owner = co_await stores_.certificates.Get(context, metadata.namespace_(),
                                              metadata.owner().name());
    if (!owner.ok() && !absl::IsNotFound(owner.status())) co_return owner.status();
  }
  const Certificate* certificate = owner.ok() ? &*owner : nullptr;
  LimitedOrder order = ToLimitedOrder(request, issuer);
  order.exemption = ExemptionOf(request, certificate, now);
  LimitBuckets::Request asking;
  asking.uid = metadata.uid();
  asking.key = store::QueueKey(metadata.namespace_(), metadata.name());
  asking.needed_by = NeededBy(request, certificate);
  std::vector<Draw> draws = DrawsOf(limits, order);
  CW_CO_ASSIGN_OR_RETURN(
      const LimitBuckets::Turn turn,
      co_await ledger_.Ask(context, std::move(asking), std::move(draws), now));
  admission.now = turn.now;
  if (turn.now) co_return admission;
  admission.expected = turn.expected;
  admission.reason = LimitReason(turn.waits_for.bucket);
  admission.message = Describe(
      turn, service::IssuerKey(request.spec().issuer_ref(), request.metadata().namespace_()));
  co_return admission;
}

runtime::Awaitable<absl::StatusOr<std::string>> OrderAdmission::Follow(
    runtime::Context context, const Request& request, const order::v1::Order& order,
    const AnyIssuer& issuer) {
  const absl::Time now = environment_.clock().Now();
  const std::string uid = request.metadata().uid();
  const order::v1::OrderStatus& status = order.status();
  CW_CO_RETURN_IF_ERROR(co_await ledger_.Load(context, now));
  std::string reason;
  const order::v1::Failure* limited = FindRateLimited(order);
  if (limited != nullptr) {
    const acme::RateLimitDetail detail = acme::ParseRateLimitDetail(limited->detail());
    const std::string bucket =
        ReachedBucket(detail, ToLimitedOrder(request, issuer), status.url().empty());
    reason = bucket.empty() ? "RateLimited" : LimitReason(bucket);
    const absl::Time until = status.has_retry_time() ? service::FromProto(status.retry_time())
                                                     : now + acme::kDefaultRateLimitDelay;
    if (!bucket.empty() && until > now) {
      CW_CO_RETURN_IF_ERROR(co_await ledger_.Close(
          context, uid, bucket, std::min(until, now + acme::kMaxRetryAfter), now));
    }
  }
  if (IsOver(status.state())) {
    const bool issued = status.state() == order::v1::ORDER_STATE_VALID;
    const auto outcome =
        issued ? LimitBuckets::Outcome::kIssued : LimitBuckets::Outcome::kFailed;
    std::set<std::string> failed = FailedNames(order, issuer.status.acme().uri());
    CW_CO_RETURN_IF_ERROR(co_await End(context, uid, outcome, std::move(failed)));
  } else if (status.has_placed_time()) {
    CW_CO_RETURN_IF_ERROR(co_await ledger_.Placed(context, uid, now));
  }
  co_return reason;
}

runtime::Awaitable<absl::Status> OrderAdmission::GiveUp(runtime::Context context,
                                                        const Request& request) {
  CW_CO_RETURN_IF_ERROR(co_await ledger_.Load(context, environment_.clock().Now()));
  // An order that nobody follows any more may still lead to a certificate.
  const auto outcome = request.status().order_name().empty() ? LimitBuckets::Outcome::kFailed
                                                             : LimitBuckets::Outcome::kIssued;
  std::set<std::string> none_failed;
  co_return co_await End(context, request.metadata().uid(), outcome, std::move(none_failed));
}

runtime::Awaitable<absl::Status> OrderAdmission::NotTaken(runtime::Context context,
                                                          const Request& request) {
  CW_CO_RETURN_IF_ERROR(co_await ledger_.Load(context, environment_.clock().Now()));
  std::set<std::string> none_failed;
  co_return co_await End(context, request.metadata().uid(), LimitBuckets::Outcome::kNotOrdered,
                         std::move(none_failed));
}

runtime::Awaitable<absl::Status> OrderAdmission::End(runtime::Context context, std::string uid,
                                                     LimitBuckets::Outcome outcome,
                                                     std::set<std::string> failed) {
  CW_CO_ASSIGN_OR_RETURN(const std::vector<std::string> may_go_on,
                         co_await ledger_.End(context, std::move(uid), outcome,
                                              std::move(failed), environment_.clock().Now()));
  if (wake_ == nullptr) co_return absl::OkStatus();
  for (const std::string& key : may_go_on) wake_(key);
  co_return absl::OkStatus();
}

}  // namespace certwright::issuer_service
