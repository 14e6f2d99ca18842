#include "services/issuer/certificate_revocation.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/acme/problem.h"
#include "lib/base/status_macros.h"
#include "lib/pki/csr.h"
#include "lib/rpc/status.h"
#include "lib/rpc/validation.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"
#include "lib/service/metadata.h"
#include "lib/telemetry/log.h"
#include "services/issuer/given_certificate.h"

namespace certwright::issuer_service {
namespace {

namespace v1 = issuer::v1;

// What the CA did is written down though the caller has gone.
constexpr absl::Duration kSaveTimeout = absl::Seconds(10);
constexpr int kMaxTries = 5;

absl::Status NotIssued() {
  return rpc::FailedPrecondition("NOT_ISSUED", "there is no certificate to revoke");
}

std::optional<acme::RevocationReason> ToAcme(v1::RevocationReason reason) {
  switch (reason) {
    case v1::REVOCATION_REASON_KEY_COMPROMISE:
      return acme::RevocationReason::kKeyCompromise;
    case v1::REVOCATION_REASON_SUPERSEDED:
      return acme::RevocationReason::kSuperseded;
    case v1::REVOCATION_REASON_CESSATION_OF_OPERATION:
      return acme::RevocationReason::kCessationOfOperation;
    default:
      return std::nullopt;
  }
}

// Why the certificate was revoked, as the end of a sentence.
std::string Because(v1::RevocationReason reason) {
  switch (reason) {
    case v1::REVOCATION_REASON_KEY_COMPROMISE:
      return " because its key was compromised";
    case v1::REVOCATION_REASON_SUPERSEDED:
      return " because it was superseded";
    case v1::REVOCATION_REASON_CESSATION_OF_OPERATION:
      return " because its names are no longer served";
    default:
      return "";
  }
}

absl::Status Check(const v1::RevokeCertificateRequest& request) {
  rpc::Violations violations;
  violations.Require(!request.name().empty(), "name", "is required");
  violations.Require(v1::RevocationReason_IsValid(request.reason()), "reason",
                     "must be one of the reasons of RevocationReason");
  return violations.ToStatus();
}

// The account cannot revoke, but whoever has the certificate's key may be able to: the CA does
// not know the account, does not let it, or there is none that may be used.
bool AccountIsRefused(const absl::Status& error) {
  return acme::HasProblemType(error, "unauthorized") ||
         acme::ClassOf(error) == acme::ErrorClass::kReregister;
}

}  // namespace

runtime::Awaitable<absl::StatusOr<v1::Certificate>> CertificateRevocation::Find(
    runtime::Context context, const std::string& resource_namespace, const std::string& name) {
  auto found = co_await stores_.certificates.Get(context, resource_namespace, name);
  if (absl::IsNotFound(found.status())) {
    co_return rpc::NotFound("Certificate", resource_namespace, name);
  }
  co_return found;
}

runtime::Awaitable<absl::StatusOr<v1::RevokeCertificateResponse>> CertificateRevocation::Revoke(
    runtime::Context context, v1::RevokeCertificateRequest request) {
  CW_CO_RETURN_IF_ERROR(Check(request));
  if (request.namespace_().empty()) request.set_namespace_(service::kDefaultNamespace);
  CW_CO_ASSIGN_OR_RETURN(v1::Certificate certificate,
                         co_await Find(context, request.namespace_(), request.name()));
  CW_CO_ASSIGN_OR_RETURN(const Present present, co_await ReadPresent(context, certificate));
  CW_CO_RETURN_IF_ERROR(co_await AskCa(context, certificate, present, request.reason()));
  telemetry::LogInfo("certificate revoked", {{"namespace", request.namespace_()},
                                             {"certificate", request.name()},
                                             {"serial", present.certificate.serial_hex}});
  const auto save = runtime::Context::WithTimeout(environment_.clock(), kSaveTimeout);
  absl::Status written;
  for (int tries = 0; tries < kMaxTries; ++tries) {
    written = co_await TryWriteDown(save, std::move(certificate), present, request.reason());
    if (!absl::IsAborted(written)) break;
    CW_CO_ASSIGN_OR_RETURN(certificate,
                           co_await Find(save, request.namespace_(), request.name()));
  }
  CW_CO_RETURN_IF_ERROR(written);
  co_return v1::RevokeCertificateResponse();
}

runtime::Awaitable<absl::StatusOr<CertificateRevocation::Present>>
CertificateRevocation::ReadPresent(runtime::Context context,
                                   const v1::Certificate& certificate) {
  auto secret = co_await stores_.secrets.Get(context, certificate.metadata().namespace_(),
                                             certificate.spec().secret_name());
  if (absl::IsNotFound(secret.status())) co_return NotIssued();
  if (!secret.ok()) co_return secret.status();
  std::optional<pki::PrivateKey> key;
  auto& data = *secret->mutable_data();
  if (data.contains(kPrivateKeyKey)) {
    base::Secret pem(std::move(data[kPrivateKeyKey]));
    absl::StatusOr<pki::PrivateKey> parsed = pki::PrivateKey::ParsePem(pem.Reveal());
    if (parsed.ok()) key = *std::move(parsed);
  }
  CW_CO_ASSIGN_OR_RETURN(std::vector<pki::Certificate> chain, GivenChain(certificate, *secret));
  Present present{std::move(chain.front()), std::move(key)};
  const bool fits =
      present.key.has_value() && present.key->public_key() == present.certificate.public_key;
  if (!fits) present.key.reset();
  co_return present;
}

runtime::Awaitable<absl::Status> CertificateRevocation::AskCa(
    runtime::Context context, const v1::Certificate& certificate, const Present& present,
    v1::RevocationReason reason) {
  const meta::v1::IssuerRef ref = certificate.status().has_issuer_in_use()
                                      ? certificate.status().issuer_in_use()
                                      : certificate.spec().issuer_ref();
  const std::string& resource_namespace = certificate.metadata().namespace_();
  CW_CO_ASSIGN_OR_RETURN(const AnyIssuer issuer,
                         co_await accounts_.FindIssuer(context, ref, resource_namespace));
  if (!issuer.spec.has_acme()) {
    co_return rpc::FailedPrecondition(
        "NOT_ACME", absl::StrCat(service::IssuerKey(ref, resource_namespace),
                                 " is not an ACME issuer, so it revokes nothing"));
  }
  const std::string& der = present.certificate.der;
  absl::Status revoked;
  const bool by_key = reason == v1::REVOCATION_REASON_KEY_COMPROMISE && present.key.has_value();
  if (!by_key) {
    const auto account = co_await accounts_.Find(context, ref, resource_namespace);
    revoked = account.status();
    bool may_try_key = absl::IsFailedPrecondition(revoked);
    if (account.ok()) {
      revoked = co_await (*account)->client->RevokeCertificate(context, *(*account)->signer,
                                                               der, ToAcme(reason));
      may_try_key = AccountIsRefused(revoked);
    }
    if (revoked.ok()) co_return revoked;
    if (!may_try_key || !present.key.has_value()) {
      if (!account.ok()) co_return revoked;
      co_return CaError("the certificate could not be revoked", revoked);
    }
  }
  const auto client = accounts_.ClientFor(issuer.spec.acme());
  revoked = co_await client->RevokeCertificateByKey(context, *present.key, der, ToAcme(reason));
  if (revoked.ok()) co_return revoked;
  co_return CaError("the CA did not revoke the certificate, as its own key asks for", revoked);
}

runtime::Awaitable<absl::Status> CertificateRevocation::TryWriteDown(
    runtime::Context context, v1::Certificate certificate, const Present& present,
    v1::RevocationReason reason) {
  // It was given another one meanwhile, which was not revoked.
  if (!WasGiven(certificate, FingerprintOf(present.certificate))) co_return absl::OkStatus();
  const v1::Certificate current = certificate;
  const absl::Time now = environment_.clock().Now();
  v1::CertificateStatus& status = *certificate.mutable_status();
  v1::Revocation& revocation = *status.mutable_revocation();
  revocation.set_serial_number(present.certificate.serial_hex);
  *revocation.mutable_time() = service::ToProto(now);
  revocation.set_reason(reason);
  std::vector<store::Mutation> mutations;
  if (reason == v1::REVOCATION_REASON_KEY_COMPROMISE) {
    CW_CO_ASSIGN_OR_RETURN(
        mutations,
        co_await GiveUpRequestFor(context, present.certificate.public_key, certificate));
  }
  // One on the way is what is wanted.
  const bool begin = reason != v1::REVOCATION_REASON_CESSATION_OF_OPERATION &&
                     status.certificate_request_name().empty();
  if (begin) {
    const service::ConditionUpdate issuing{
        "Issuing", true, "ManuallyTriggered",
        absl::StrCat("The certificate was revoked", Because(reason), ".")};
    service::SetCondition(*status.mutable_conditions(), issuing,
                          certificate.metadata().generation(), now);
  }
  CW_CO_ASSIGN_OR_RETURN(std::optional<store::Mutation> put,
                         stores_.certificates.StatusMutation(current, certificate));
  if (put.has_value()) mutations.push_back(*std::move(put));
  if (mutations.empty()) co_return absl::OkStatus();
  const auto committed =
      co_await stores_.certificates.store().Commit(context, std::move(mutations));
  co_return committed.status();
}

runtime::Awaitable<absl::StatusOr<std::vector<store::Mutation>>>
CertificateRevocation::GiveUpRequestFor(runtime::Context context, const pki::PublicKey& key,
                                        v1::Certificate& certificate) {
  std::vector<store::Mutation> mutations;
  const std::string name = certificate.status().certificate_request_name();
  if (name.empty()) co_return mutations;
  const auto request =
      co_await stores_.requests.Get(context, certificate.metadata().namespace_(), name);
  if (absl::IsNotFound(request.status())) co_return mutations;
  if (!request.ok()) co_return request.status();
  const absl::StatusOr<pki::Csr> csr = pki::ParseCsrPem(request->spec().request());
  if (csr.ok() && !(csr->public_key == key)) co_return mutations;
  certificate.mutable_status()->clear_certificate_request_name();
  certificate.mutable_status()->clear_next_private_key_secret_name();
  v1::CertificateRequest marked;
  CW_CO_ASSIGN_OR_RETURN(std::optional<store::Mutation> mark,
                         stores_.requests.MarkMutation(*request, marked));
  if (mark.has_value()) mutations.push_back(*std::move(mark));
  co_return mutations;
}

}  // namespace certwright::issuer_service
