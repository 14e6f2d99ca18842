#include "services/issuer/account_deactivation.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/acme/problem.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/status.h"
#include "lib/service/issuer_ref.h"
#include "lib/telemetry/log.h"

namespace certwright::issuer_service {
namespace {

// What the CA did is written down though the caller has gone.
constexpr absl::Duration kSaveTimeout = absl::Seconds(10);
constexpr int kMaxTries = 5;

}  // namespace

service::ConditionUpdate DeactivatedCondition(const AnyIssuer& issuer) {
  return {
      "Ready", false, "AccountDeactivated",
      absl::StrCat("The account ", issuer.status.acme().uri(),
                   " was deactivated and asks for no more certificates. To register "
                   "another, delete the Secret ",
                   issuer.spec.acme().private_key_secret_ref().name(), " that holds its key.")};
}

runtime::Awaitable<absl::Status> AccountDeactivation::Deactivate(runtime::Context context,
                                                                 AnyIssuer issuer) {
  if (!issuer.spec.has_acme()) {
    co_return rpc::FailedPrecondition("NOT_ACME", "the issuer is not an ACME issuer");
  }
  const std::string secret_namespace =
      accounts_.SecretNamespace(issuer.ref, issuer.metadata.namespace_());
  const meta::v1::SecretKeyRef& ref = issuer.spec.acme().private_key_secret_ref();
  const auto next = co_await accounts_.ReadSecret(context, secret_namespace, NextKeyRef(ref));
  if (next.ok() && pki::PrivateKey::ParsePem(next->Reveal()).ok()) {
    co_return absl::AbortedError("the account key is being changed; try again in a moment");
  }
  const auto pem = co_await accounts_.ReadSecret(context, secret_namespace, ref);
  if (absl::IsNotFound(pem.status())) {
    co_return rpc::FailedPrecondition("ISSUER_NOT_READY", pem.status().message());
  }
  if (!pem.ok()) co_return pem.status();
  CW_CO_ASSIGN_OR_RETURN(const pki::PrivateKey key, pki::PrivateKey::ParsePem(pem->Reveal()));
  if (!IsRegisteredWith(issuer, key.public_key())) {
    co_return rpc::FailedPrecondition("ISSUER_NOT_READY",
                                      "the account of this key is not registered");
  }
  if (!IsDeactivated(issuer, key.public_key())) {
    CW_CO_RETURN_IF_ERROR(co_await AskCa(context, issuer, key));
  }
  co_return co_await WriteDown(std::move(issuer), key);
}

runtime::Awaitable<absl::Status> AccountDeactivation::AskCa(runtime::Context context,
                                                            const AnyIssuer& issuer,
                                                            pki::PrivateKey key) {
  const auto client = accounts_.ClientFor(issuer.spec.acme());
  const std::string& uri = issuer.status.acme().uri();
  acme::LocalJwsSigner signer(key, uri);
  const auto deactivated = co_await client->DeactivateAccount(context, signer, uri);
  if (deactivated.ok()) co_return absl::OkStatus();
  // It may have been before, by a call whose answer was lost.
  acme::NewAccountRequest look_up;
  look_up.only_return_existing = true;
  const auto found = co_await client->NewAccount(context, key, std::move(look_up));
  const bool gone = found.ok()
                        ? found->status != acme::AccountStatus::kValid
                        : acme::ClassOf(found.status()) == acme::ErrorClass::kReregister ||
                              (acme::HasProblemType(deactivated.status(), "unauthorized") &&
                               acme::HasProblemType(found.status(), "unauthorized"));
  co_return gone ? absl::OkStatus()
                 : CaError("the CA did not deactivate the account", deactivated.status());
}

runtime::Awaitable<absl::Status> AccountDeactivation::WriteDown(AnyIssuer issuer,
                                                                pki::PrivateKey key) {
  const auto context = runtime::Context::WithTimeout(environment_.clock(), kSaveTimeout);
  const std::string resource_namespace = issuer.metadata.namespace_();
  absl::Status written;
  for (int tries = 0; tries < kMaxTries; ++tries) {
    if (!IsRegisteredWith(issuer, key.public_key())) {
      co_return absl::AbortedError(
          "the account was deactivated, and its issuer changed to another meanwhile");
    }
    const absl::Time now = environment_.clock().Now();
    issuer::v1::IssuerStatus status = issuer.status;
    if (!status.acme().has_deactivated_time()) {
      *status.mutable_acme()->mutable_deactivated_time() = service::ToProto(now);
    }
    service::SetCondition(*status.mutable_conditions(), DeactivatedCondition(issuer),
                          issuer.metadata.generation(), now);
    written = co_await accounts_.WriteStatus(context, issuer, std::move(status));
    if (!absl::IsAborted(written)) break;
    CW_CO_ASSIGN_OR_RETURN(
        issuer, co_await accounts_.FindIssuer(context, issuer.ref, resource_namespace));
  }
  accounts_.Forget(service::IssuerKey(issuer.ref, resource_namespace));
  CW_CO_RETURN_IF_ERROR(written);
  telemetry::LogInfo("account deactivated", {{"issuer", issuer.metadata.name()},
                                             {"account", issuer.status.acme().uri()}});
  co_return absl::OkStatus();
}

}  // namespace certwright::issuer_service
