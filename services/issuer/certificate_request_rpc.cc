#include "services/issuer/certificate_request_rpc.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "lib/base/status_macros.h"
#include "lib/pki/csr.h"
#include "lib/rpc/access.h"
#include "lib/rpc/status.h"
#include "services/issuer/certificate_request_reconciler.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/issuable.h"
#include "services/issuer/signing_issuers.h"

namespace certwright::issuer_service {

namespace v1 = issuer::v1;

namespace {

// Of a verdict.
constexpr std::size_t kMaxReason = 64;
constexpr std::size_t kMaxMessage = 1024;
// A reconciler may write at the same time.
constexpr int kMaxTries = 5;
constexpr char kReservedPrefix[] = "certwright.io/";

bool IsCamelCaseWord(const std::string& text) {
  return absl::ascii_isupper(static_cast<unsigned char>(text.front())) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); });
}

// What is left to Certificates.
void CheckNotReserved(const v1::CertificateRequest& request, rpc::Violations& violations) {
  violations.Require(request.spec().replaces().empty(), "spec.replaces",
                     "must not be given: only Certificates set it");
  for (const auto& [key, value] : request.metadata().annotations()) {
    violations.Require(!absl::StartsWith(key, kReservedPrefix), "metadata.annotations",
                       "must not have keys that begin with \"certwright.io/\"");
  }
}

absl::Status IsAnotherRequest(const v1::CertificateRequest& request) {
  return absl::AbortedError(absl::StrCat(
      "the CertificateRequest ", request.metadata().namespace_(), "/",
      request.metadata().name(),
      " is not the one of the given uid: that one was deleted, and another one has its name; "
      "read it, and decide about what it asks for"));
}

void ValidateRequestOfUser(v1::CertificateRequest& request, rpc::Violations& violations) {
  ValidateCertificateRequest(request, violations);
  CheckNotReserved(request, violations);
}

}  // namespace

CertificateRequestRpc::CertificateRequestRpc(service::Environment environment, Stores& stores,
                                             Accounts& accounts, const Callers& callers,
                                             const rpc::CallEnvironment& calls)
    : Service("certwright.issuer.v1.CertificateRequestService", calls),
      environment_(environment),
      stores_(stores),
      accounts_(accounts),
      callers_(callers),
      requests_({.kind = "CertificateRequest",
                 .validate = ValidateRequestOfUser,
                 .check =
                     [this](runtime::Context context, const v1::CertificateRequest& request) {
                       return CheckIssuable(std::move(context), request);
                     },
                 .delete_by_mark = true},
                stores.requests, calls) {
  AddMethods();
}

absl::Status CertificateRequestRpc::CheckMayUseKey(
    const rpc::CallContext& call, const v1::CertificateRequest& request) const {
  const auto& annotations = request.metadata().annotations();
  const auto named = annotations.find(kPrivateKeySecretAnnotation);
  if (named == annotations.end() || environment().permissions == nullptr)
    return absl::OkStatus();
  v1::GetSecretRequest read;
  read.set_namespace_(request.metadata().namespace_());
  read.set_name(named->second);
  const absl::Status allowed = environment().permissions->Check(call.caller, read);
  if (allowed.ok()) return allowed;
  return base::Annotate(allowed, absl::StrCat("the annotation ", kPrivateKeySecretAnnotation,
                                              " is for whoever may read that Secret"));
}

runtime::Awaitable<absl::Status> CertificateRequestRpc::CheckIssuable(
    runtime::Context context, const v1::CertificateRequest& request) {
  CW_CO_ASSIGN_OR_RETURN(const pki::Csr csr, pki::ParseCsrPem(request.spec().request()));
  std::vector<meta::v1::IssuerRef> issuers = {request.spec().issuer_ref()};
  const AskedOfAcme asked = AskedBy(csr);
  CW_CO_ASSIGN_OR_RETURN(const rpc::Violations found,
                         co_await WhyNobodyIssues(context, accounts_, std::move(issuers),
                                                  request.metadata().namespace_(), asked));
  // All of it is said by the signing request.
  rpc::Violations violations;
  for (const rpc::FieldViolation& violation : found.all()) {
    violations.Add("spec.request", absl::StrCat(absl::StripPrefix(violation.field, "spec."),
                                                " ", violation.description));
  }
  co_return violations.ToStatus();
}

runtime::Awaitable<absl::StatusOr<v1::CreateCertificateRequestResponse>>
CertificateRequestRpc::Create(rpc::CallContext call, v1::CertificateRequest request) {
  CW_CO_RETURN_IF_ERROR(CheckMayUseKey(call, request));
  request.mutable_spec()->set_requester(Callers::NameOf(call));
  co_return co_await requests_.Create(
      std::move(call), std::move(request),
      &v1::CreateCertificateRequestResponse::mutable_certificate_request);
}

runtime::Awaitable<absl::StatusOr<v1::CertificateRequest>> CertificateRequestRpc::Judge(
    rpc::CallContext call, Judged judged, service::ConditionUpdate verdict) {
  const std::string other = verdict.type == "Approved" ? "Denied" : "Approved";
  absl::Status raced;
  for (int tries = 0; tries < kMaxTries; ++tries) {
    auto request =
        co_await stores_.requests.Get(call.context, judged.resource_namespace, judged.name);
    if (absl::IsNotFound(request.status())) {
      co_return rpc::NotFound("CertificateRequest", judged.resource_namespace, judged.name);
    }
    if (!request.ok()) co_return request.status();
    // The write below fails if another one takes its place after this.
    if (request->metadata().uid() != judged.uid) co_return IsAnotherRequest(*request);
    CW_CO_RETURN_IF_ERROR(callers_.RequireApprover(call, request->spec().issuer_ref()));
    auto& conditions = *request->mutable_status()->mutable_conditions();
    if (service::IsTrue(conditions, other)) {
      co_return rpc::FailedPrecondition(
          "ALREADY_JUDGED", absl::StrCat("the CertificateRequest is already ", other));
    }
    if (service::IsTrue(conditions, verdict.type)) co_return request;
    if (CertificateRequestReconciler::IsFinal(*request) ||
        request->metadata().has_delete_time()) {
      co_return rpc::FailedPrecondition("FINAL",
                                        "the CertificateRequest has come to its end already");
    }
    service::SetCondition(conditions, verdict, request->metadata().generation(),
                          environment_.clock().Now());
    auto written = co_await stores_.requests.UpdateStatus(call.context, *std::move(request));
    raced = written.status();
    if (!absl::IsAborted(raced)) co_return written;
  }
  co_return raced;
}

template <typename Response, typename Request>
runtime::Awaitable<absl::StatusOr<Response>> CertificateRequestRpc::JudgeAndWrap(
    rpc::CallContext call, Request request, service::ConditionUpdate verdict) {
  if (request.namespace_().empty()) request.set_namespace_(service::kDefaultNamespace);
  if (!request.reason().empty()) verdict.reason = request.reason();
  if (!request.message().empty()) verdict.message = request.message();
  rpc::Violations violations;
  rpc::CheckName(request.namespace_(), "namespace", violations);
  rpc::CheckName(request.name(), "name", violations);
  violations.Require(!request.uid().empty(), "uid",
                     "is required: metadata.uid of the CertificateRequest that was looked at");
  violations.Require(IsCamelCaseWord(verdict.reason) && verdict.reason.size() <= kMaxReason,
                     "reason", "must be one CamelCase word of at most 64 letters and digits");
  violations.Require(verdict.message.size() <= kMaxMessage, "message",
                     "must be at most 1024 bytes");
  CW_CO_RETURN_IF_ERROR(violations.ToStatus());
  Judged judged{request.namespace_(), request.name(), request.uid()};
  CW_CO_ASSIGN_OR_RETURN(
      v1::CertificateRequest written,
      co_await Judge(std::move(call), std::move(judged), std::move(verdict)));
  Response response;
  *response.mutable_certificate_request() = std::move(written);
  co_return response;
}

void CertificateRequestRpc::AddMethods() {
  Unary<v1::CreateCertificateRequestRequest>(
      [this](rpc::CallContext call, const auto& request) {
        return Create(std::move(call), request.certificate_request());
      });
  Unary<v1::GetCertificateRequestRequest>([this](rpc::CallContext call, const auto& request) {
    return requests_.Get(std::move(call), request.namespace_(), request.name(),
                         &v1::GetCertificateRequestResponse::mutable_certificate_request);
  });
  Unary<v1::ListCertificateRequestsRequest>([this](rpc::CallContext call, const auto& request) {
    return requests_.List(std::move(call), request,
                          &v1::ListCertificateRequestsResponse::add_certificate_requests);
  });
  Unary<v1::DeleteCertificateRequestRequest>(
      [this](rpc::CallContext call, const auto& request) {
        return requests_.Delete<v1::DeleteCertificateRequestResponse>(
            std::move(call), request.namespace_(), request.name());
      });
  Watch<v1::WatchCertificateRequestsRequest>(
      [this](std::shared_ptr<rpc::WatchCall> watch, const auto& request) {
        requests_.Watch(std::move(watch), request,
                        &v1::WatchCertificateRequestsResponse::mutable_certificate_request);
      });
  Unary<v1::ApproveCertificateRequestRequest>([this](rpc::CallContext call,
                                                     const auto& request) {
    service::ConditionUpdate verdict{"Approved", true, "ApprovedByUser", "Approved by a user."};
    return JudgeAndWrap<v1::ApproveCertificateRequestResponse>(std::move(call), request,
                                                               std::move(verdict));
  });
  Unary<v1::DenyCertificateRequestRequest>([this](rpc::CallContext call, const auto& request) {
    service::ConditionUpdate verdict{"Denied", true, "DeniedByUser", "Denied by a user."};
    return JudgeAndWrap<v1::DenyCertificateRequestResponse>(std::move(call), request,
                                                            std::move(verdict));
  });
}

}  // namespace certwright::issuer_service
