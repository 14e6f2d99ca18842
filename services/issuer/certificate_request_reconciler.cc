#include "services/issuer/certificate_request_reconciler.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/acme/rate_limit_detail.h"
#include "lib/base/fault_point.h"
#include "lib/base/status_macros.h"
#include "lib/pki/certificate.h"
#include "lib/pki/csr.h"
#include "lib/rpc/client_call.h"
#include "lib/rpc/refusal.h"
#include "lib/rpc/status.h"
#include "lib/service/conditions.h"
#include "lib/service/derived_name.h"
#include "lib/service/issuer_ref.h"
#include "services/issuer/issuable.h"
#include "services/issuer/issuer_choice.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateRequest;
using order::v1::OrderService;

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
// Whoever waits for a limit looks again within this, since those before may have given up.
constexpr absl::Duration kLongestQueued = absl::Hours(1);
constexpr int kMaxFailureTypes = 20;
constexpr char kQueued[] = "Queued";
constexpr char kRateLimited[] = "RateLimited";

absl::StatusOr<order::v1::Order> MakeOrder(const CertificateRequest& request,
                                           const AnyIssuer& issuer) {
  CW_ASSIGN_OR_RETURN(const pki::Csr csr, pki::ParseCsrPem(request.spec().request()));
  order::v1::Order order;
  meta::v1::ObjectMeta& metadata = *order.mutable_metadata();
  metadata.set_namespace_(request.metadata().namespace_());
  metadata.set_name(CertificateRequestReconciler::OrderName(request));
  *metadata.mutable_labels() = request.metadata().labels();
  meta::v1::OwnerReference& owner = *metadata.mutable_owner();
  owner.set_kind("CertificateRequest");
  owner.set_namespace_(request.metadata().namespace_());
  owner.set_name(request.metadata().name());
  owner.set_uid(request.metadata().uid());
  order::v1::OrderSpec& spec = *order.mutable_spec();
  spec.set_request(request.spec().request());
  *spec.mutable_issuer_ref() = request.spec().issuer_ref();
  spec.set_common_name(csr.subject.common_name);
  spec.mutable_dns_names()->Assign(csr.names.dns_names.begin(), csr.names.dns_names.end());
  spec.mutable_ip_addresses()->Assign(csr.names.ip_addresses.begin(),
                                      csr.names.ip_addresses.end());
  if (issuer.spec.acme().enable_duration_feature() && request.spec().has_duration()) {
    *spec.mutable_duration() = request.spec().duration();
  }
  spec.set_profile(issuer.spec.acme().profile());
  spec.set_replaces(request.spec().replaces());
  return order;
}

// Whether the issuer's CA may sign the request, before it is asked.
absl::Status CheckOrderable(const CertificateRequest& request, const AnyIssuer& issuer) {
  CW_ASSIGN_OR_RETURN(const pki::Csr csr, pki::ParseCsrPem(request.spec().request()));
  rpc::Violations violations;
  CheckAcmeSigns(AskedBy(csr), issuer.spec.acme(), violations);
  return base::Annotate(violations.ToStatus(), "The issuer cannot get this signed");
}

// Until when a request waits for its turn.
std::optional<absl::Time> QueuedUntil(const CertificateRequest& request) {
  const auto* ready = service::FindCondition(request.status().conditions(), "Ready");
  if (ready == nullptr || ready->reason() != kQueued) return std::nullopt;
  return service::FromProto(request.status().retry_time());
}

// What the failure, or the wait, of the Order tells about when and where to try again.
void CopyTrouble(const order::v1::Order& order, CertificateRequest& request) {
  auto& types = *request.mutable_status()->mutable_failure_types();
  types.Clear();
  for (const order::v1::Failure& failure : order.status().failures()) {
    if (!failure.type().empty() && types.size() < kMaxFailureTypes)
      *types.Add() = failure.type();
  }
  request.mutable_status()->clear_retry_time();
  if (!order.status().has_retry_time()) return;
  *request.mutable_status()->mutable_retry_time() = order.status().retry_time();
}

// Where the CA has paused these names: the URL at which a person can end that.
void CopyPause(const order::v1::Order& order, CertificateRequest& request, absl::Time now) {
  for (const order::v1::Failure& failure : order.status().failures()) {
    const auto url = acme::UnpauseUrl(failure.detail());
    if (!url.has_value()) continue;
    const service::ConditionUpdate paused{
        "Paused", true, "IdentifierPaused",
        absl::StrCat("The CA takes no orders of this account for these names any more, since "
                     "they have failed for long. Make them provable, visit ",
                     *url, " and then call RenewCertificate.")};
    return service::SetCondition(*request.mutable_status()->mutable_conditions(), paused,
                                 request.metadata().generation(), now);
  }
}

}  // namespace

runtime::Awaitable<absl::StatusOr<order::v1::Order>> GrpcOrders::Create(
    runtime::Context context, order::v1::Order order) {
  using AsyncStub = OrderService::StubInterface::async_interface;
  order::v1::GetOrderRequest get;
  get.set_namespace_(order.metadata().namespace_());
  get.set_name(order.metadata().name());
  order::v1::CreateOrderRequest create;
  *create.mutable_order() = std::move(order);
  auto created = co_await rpc::CallUnary(context.Within(kCallTimeout), stub_.async(),
                                         &AsyncStub::CreateOrder, std::move(create));
  if (created.ok()) co_return std::move(*created->mutable_order());
  if (!absl::IsAlreadyExists(created.status())) co_return created.status();
  auto found = co_await rpc::CallUnary(context.Within(kCallTimeout), stub_.async(),
                                       &AsyncStub::GetOrder, std::move(get));
  if (!found.ok()) co_return found.status();
  co_return std::move(*found->mutable_order());
}

runtime::Awaitable<absl::Status> GrpcOrders::Delete(runtime::Context context,
                                                    std::string resource_namespace,
                                                    std::string name) {
  order::v1::DeleteOrderRequest request;
  request.set_namespace_(std::move(resource_namespace));
  request.set_name(std::move(name));
  const auto deleted = co_await rpc::CallUnary(
      context.Within(kCallTimeout), stub_.async(),
      &OrderService::StubInterface::async_interface::DeleteOrder, std::move(request));
  co_return absl::IsNotFound(deleted.status()) ? absl::OkStatus() : deleted.status();
}

std::string CertificateRequestReconciler::OrderName(const CertificateRequest& request) {
  return service::DerivedName(request.metadata().name(), {request.metadata().uid()});
}

bool CertificateRequestReconciler::IsFinal(const CertificateRequest& request) {
  const auto* ready = service::FindCondition(request.status().conditions(), "Ready");
  return ready != nullptr && (ready->status() == meta::v1::CONDITION_STATUS_TRUE ||
                              ready->reason() == "Failed" || ready->reason() == "Denied");
}

bool CertificateRequestReconciler::IsFinal(const order::v1::Order& order) {
  switch (order.status().state()) {
    case order::v1::ORDER_STATE_VALID:
    case order::v1::ORDER_STATE_INVALID:
    case order::v1::ORDER_STATE_EXPIRED:
    case order::v1::ORDER_STATE_ERRORED:
      return true;
    default:
      return false;
  }
}

bool CertificateRequestReconciler::NeedsPass(const CertificateRequest* before,
                                             const CertificateRequest* now) {
  if (before == nullptr || now == nullptr) return true;
  const auto decided = [](const CertificateRequest& request) {
    return std::pair(service::IsTrue(request.status().conditions(), "Approved"),
                     service::IsTrue(request.status().conditions(), "Denied"));
  };
  // One deleted and made anew within one re-list is seen as a change of what it replaced.
  return before->metadata().uid() != now->metadata().uid() ||
         before->metadata().generation() != now->metadata().generation() ||
         before->metadata().has_delete_time() != now->metadata().has_delete_time() ||
         decided(*before) != decided(*now);
}

runtime::Awaitable<absl::StatusOr<controller::Result>> CertificateRequestReconciler::Reconcile(
    runtime::Context context, std::string key) {
  CW_CO_ASSIGN_OR_RETURN(const store::ResourceName name, store::ParseQueueKey(key));
  absl::StatusOr<Request> request =
      co_await stores_.requests.Get(context, name.resource_namespace, name.name);
  if (absl::IsNotFound(request.status())) co_return controller::Result();
  if (!request.ok()) co_return request.status();
  if (request->metadata().has_delete_time()) {
    CW_CO_RETURN_IF_ERROR(co_await CleanUp(context, *std::move(request)));
    co_return controller::Result();
  }
  if (IsFinal(*request)) co_return controller::Result();
  const absl::Status advanced = co_await Advance(context, *request);
  const auto written = co_await stores_.requests.UpdateStatus(context, *std::move(request));
  if (!written.ok()) co_return written.status();
  base::Reach(base::FaultPoint::kRequestFollowed);
  if (!advanced.ok()) co_return advanced;
  controller::Result result;
  if (const auto until = QueuedUntil(*written); until.has_value()) {
    result.requeue_after =
        std::clamp(*until - environment_.clock().Now(), absl::Milliseconds(10), kLongestQueued);
  }
  co_return result;
}

runtime::Awaitable<absl::Status> CertificateRequestReconciler::CleanUp(runtime::Context context,
                                                                       Request request) {
  CW_CO_RETURN_IF_ERROR(co_await admission_.GiveUp(context, request));
  CW_CO_RETURN_IF_ERROR(
      co_await orders_.Delete(context, request.metadata().namespace_(), OrderName(request)));
  base::Reach(base::FaultPoint::kRequestOrderDeleted);
  const absl::Status deleted = co_await stores_.requests.Delete(
      context, request.metadata().namespace_(), request.metadata().name());
  co_return absl::IsNotFound(deleted) ? absl::OkStatus() : deleted;
}

runtime::Awaitable<absl::Status> CertificateRequestReconciler::Advance(runtime::Context context,
                                                                       Request& request) {
  auto& conditions = *request.mutable_status()->mutable_conditions();
  ApplyApprovalPolicy(request);
  if (service::IsTrue(conditions, "Denied")) {
    const auto* denied = service::FindCondition(conditions, "Denied");
    SetReady(request, false, "Denied",
             absl::StrCat("The request was denied: ", denied->message()));
    *request.mutable_status()->mutable_failure_time() =
        service::ToProto(environment_.clock().Now());
    co_return co_await admission_.GiveUp(context, request);
  }
  if (!service::IsTrue(conditions, "Approved")) co_return absl::OkStatus();
  const meta::v1::IssuerRef ref = request.spec().issuer_ref();
  const std::string resource_namespace = request.metadata().namespace_();
  absl::StatusOr<AnyIssuer> issuer =
      co_await accounts_.FindIssuer(context, ref, resource_namespace);
  // The issuer's appearance, and its getting ready, wake this request again.
  if (absl::IsNotFound(issuer.status())) {
    SetReady(request, false, "IssuerNotFound",
             absl::StrCat(service::IssuerKey(ref, resource_namespace), " does not exist."));
    co_return absl::OkStatus();
  }
  if (!issuer.ok()) co_return issuer.status();
  const std::string order_name = OrderName(request);
  if (request.status().order_name().empty() && !IsReady(*issuer)) {
    const auto* ready = service::FindCondition(issuer->status.conditions(), "Ready");
    SetReady(request, false, "IssuerNotReady",
             absl::StrCat(service::IssuerKey(ref, resource_namespace), " is not ready: ",
                          ready == nullptr ? "it was just created." : ready->message()));
    co_return absl::OkStatus();
  }
  if (!issuer->spec.has_acme()) {
    co_return co_await SignLocally(context, request, *std::move(issuer));
  }
  if (request.status().order_name().empty()) {
    const absl::Status orderable = CheckOrderable(request, *issuer);
    if (!orderable.ok()) {
      Fail(request, std::string(orderable.message()));
      co_return absl::OkStatus();
    }
  }
  CW_CO_ASSIGN_OR_RETURN(const bool its_turn, co_await TakeTurn(context, request, *issuer));
  if (!its_turn) co_return absl::OkStatus();
  auto order = co_await FindOrCreateOrder(context, request, *issuer);
  if (rpc::IsRefusal(order.status())) {
    Fail(request,
         absl::StrCat("The order service does not take this: ", order.status().message()));
    co_return co_await admission_.NotTaken(context, request);
  }
  if (!order.ok()) {
    SetReady(request, false, "Pending",
             absl::StrCat("The order service could not be asked: ", order.status().message()));
    co_return order.status();
  }
  request.mutable_status()->set_order_name(order_name);
  co_return co_await FollowOrder(context, request, **order, *issuer);
}

runtime::Awaitable<absl::StatusOr<bool>> CertificateRequestReconciler::TakeTurn(
    runtime::Context context, Request& request, const AnyIssuer& issuer) {
  const bool placed = !request.status().order_name().empty() ||
                      orders_.Find(store::QueueKey(request.metadata().namespace_(),
                                                   OrderName(request))) != nullptr;
  if (placed) co_return true;
  CW_CO_ASSIGN_OR_RETURN(const OrderAdmission::Admission admission,
                         co_await admission_.Admit(context, request, issuer));
  if (admission.now) {
    request.mutable_status()->clear_retry_time();
    co_return true;
  }
  *request.mutable_status()->mutable_retry_time() = service::ToProto(admission.expected);
  SetReady(request, false, kQueued, admission.message);
  SetRateLimited(request, admission.reason, admission.message);
  co_return false;
}

runtime::Awaitable<absl::Status> CertificateRequestReconciler::FollowOrder(
    runtime::Context context, Request& request, const order::v1::Order& order,
    const AnyIssuer& issuer) {
  CW_CO_ASSIGN_OR_RETURN(std::string limited_by,
                         co_await admission_.Follow(context, request, order, issuer));
  Follow(order, request);
  const auto* ready = service::FindCondition(request.status().conditions(), "Ready");
  if (ready->reason() == kRateLimited) {
    if (limited_by.empty()) limited_by = kRateLimited;
    SetRateLimited(request, std::move(limited_by), ready->message());
  }
  co_return absl::OkStatus();
}

runtime::Awaitable<absl::Status> CertificateRequestReconciler::SignLocally(
    runtime::Context context, Request& request, AnyIssuer issuer) {
  const auto issued = co_await signing_.Sign(context, request, std::move(issuer));
  if (issued.ok()) {
    Accept(issued->certificate_pem, issued->ca_pem, request);
  } else if (SigningIssuers::IsFinal(issued.status())) {
    Fail(request, absl::StrCat("The issuer does not sign this: ", issued.status().message()));
  } else {
    // So that a fallback issuer is turned to where Vault is away for long.
    const bool away =
        absl::IsUnavailable(issued.status()) || absl::IsDeadlineExceeded(issued.status());
    SetReady(request, false, away ? "ServerUnavailable" : "Pending",
             absl::StrCat("The issuer could not sign yet: ", issued.status().message()));
    co_return issued.status();
  }
  co_return absl::OkStatus();
}

void CertificateRequestReconciler::ApplyApprovalPolicy(Request& request) const {
  auto& conditions = *request.mutable_status()->mutable_conditions();
  if (service::IsTrue(conditions, "Approved") || service::IsTrue(conditions, "Denied")) return;
  service::ConditionUpdate verdict{"Approved", true, "certwright.io",
                                   "Approved by the issuer service."};
  if (!approval_policy_.approves_everything()) {
    const auto csr = pki::ParseCsrPem(request.spec().request());
    if (!csr.ok()) return Fail(request, std::string(csr.status().message()));
    const ApprovalDecision decision = approval_policy_.Decide(request, *csr);
    switch (decision.verdict) {
      case ApprovalDecision::Verdict::kApprove:
        verdict.reason = "Policy";
        verdict.message = absl::StrCat("Approved by the rule \"", decision.rule,
                                       "\" of the approval policy.");
        break;
      case ApprovalDecision::Verdict::kDeny:
        verdict = {"Denied", true, "Policy", decision.why};
        break;
      case ApprovalDecision::Verdict::kWait:
        // The verdict, when it comes, wakes this request again.
        return SetReady(request, false, "Pending",
                        absl::StrCat(decision.why, " ApproveCertificateRequest lets it pass."));
    }
  }
  service::SetCondition(conditions, verdict, request.metadata().generation(),
                        environment_.clock().Now());
}

runtime::Awaitable<absl::StatusOr<std::shared_ptr<const order::v1::Order>>>
CertificateRequestReconciler::FindOrCreateOrder(runtime::Context context,
                                                const Request& request,
                                                const AnyIssuer& issuer) {
  std::shared_ptr<const order::v1::Order> known =
      orders_.Find(store::QueueKey(request.metadata().namespace_(), OrderName(request)));
  if (known != nullptr) co_return known;
  CW_CO_ASSIGN_OR_RETURN(order::v1::Order order, MakeOrder(request, issuer));
  base::Reach(base::FaultPoint::kRequestOrdering);
  CW_CO_ASSIGN_OR_RETURN(order::v1::Order created,
                         co_await orders_.Create(context, std::move(order)));
  base::Reach(base::FaultPoint::kRequestOrdered);
  co_return std::make_shared<const order::v1::Order>(std::move(created));
}

void CertificateRequestReconciler::Follow(const order::v1::Order& order,
                                          Request& request) const {
  if (order.status().state() == order::v1::ORDER_STATE_VALID) {
    return Accept(order.status().certificate(), "", request);
  }
  CopyTrouble(order, request);
  if (IsFinal(order)) {
    CopyPause(order, request, environment_.clock().Now());
    return Fail(request, order.status().reason());
  }
  const auto* ready = service::FindCondition(order.status().conditions(), "Ready");
  if (ready == nullptr || ready->message().empty()) {
    return SetReady(request, false, "Pending",
                    absl::StrCat("Waiting for the Order ", order.metadata().name(), "."));
  }
  const bool final_word = ready->reason() == "Failed" || ready->reason() == "Denied";
  SetReady(request, false, final_word ? "Pending" : ready->reason(), ready->message());
}

void CertificateRequestReconciler::Accept(const std::string& certificate, const std::string& ca,
                                          Request& request) const {
  const auto csr = pki::ParseCsrPem(request.spec().request());
  const auto chain = pki::ParseChainPem(certificate);
  if (!csr.ok() || !chain.ok()) {
    return Fail(request, absl::StrCat("The certificate cannot be read: ",
                                      (csr.ok() ? chain.status() : csr.status()).message()));
  }
  pki::ChainExpectation expected;
  expected.public_key = &csr->public_key;
  expected.names = csr->names;
  expected.now = environment_.clock().Now();
  const absl::Status verified = pki::VerifyIssuedChain(*chain, expected);
  if (!verified.ok()) {
    return Fail(request, absl::StrCat("The certificate is not what was asked for: ",
                                      verified.message()));
  }
  std::vector<pki::Certificate> served = *chain;
  // Clients have the root, or do not trust it.
  if (served.size() > 1 && pki::IsSelfSigned(served.back())) served.pop_back();
  request.mutable_status()->set_certificate(pki::ToPem(served));
  request.mutable_status()->set_ca(ca.empty() ? pki::TopmostCertificate(*chain).Pem() : ca);
  SetReady(request, true, "Issued", "The certificate was issued.");
}

void CertificateRequestReconciler::SetRateLimited(Request& request, std::string reason,
                                                  std::string message) const {
  const service::ConditionUpdate limited{"RateLimited", true, std::move(reason),
                                         std::move(message)};
  service::SetCondition(*request.mutable_status()->mutable_conditions(), limited,
                        request.metadata().generation(), environment_.clock().Now());
}

void CertificateRequestReconciler::SetReady(Request& request, bool ready, std::string reason,
                                            std::string message) const {
  auto& conditions = *request.mutable_status()->mutable_conditions();
  const int32_t generation = request.metadata().generation();
  const absl::Time now = environment_.clock().Now();
  if (IsOutOfReach(reason)) {
    const service::ConditionUpdate unavailable{"IssuerAvailable", false, reason, message};
    service::SetCondition(conditions, unavailable, generation, now);
  } else {
    service::RemoveCondition(conditions, "IssuerAvailable");
  }
  if (reason != kQueued && reason != kRateLimited) {
    service::RemoveCondition(conditions, "RateLimited");
  }
  const service::ConditionUpdate update{"Ready", ready, std::move(reason), std::move(message)};
  service::SetCondition(conditions, update, generation, now);
}

void CertificateRequestReconciler::Fail(Request& request, std::string message) const {
  *request.mutable_status()->mutable_failure_time() =
      service::ToProto(environment_.clock().Now());
  SetReady(request, false, "Failed", std::move(message));
}

}  // namespace certwright::issuer_service
