#include "services/issuer/certificate_reconciler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/secret.h"
#include "lib/base/status_macros.h"
#include "lib/pki/key.h"
#include "lib/service/conditions.h"
#include "lib/service/derived_name.h"
#include "lib/service/issuer_ref.h"
#include "lib/telemetry/log.h"
#include "services/issuer/certificate_validation.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;
using issuer::v1::Secret;

constexpr int kMaxRequestNames = 100;
constexpr std::size_t kMaxKnownKeyPairs = 100'000;

std::string NextKeySecretName(const Certificate& certificate) {
  return service::SuffixedName(certificate.metadata().name(), "next-key");
}

// The key for the next request: the present one where the policy keeps it and it fits.
absl::StatusOr<pki::PrivateKey> NextKey(const Certificate& certificate,
                                        const std::optional<Secret>& secret) {
  const issuer::v1::CertificateSpec& spec = certificate.spec();
  if (spec.private_key().rotation_policy() == issuer::v1::ROTATION_POLICY_NEVER &&
      secret.has_value() && secret->data().contains(kPrivateKeyKey)) {
    auto present = pki::PrivateKey::ParsePem(secret->data().at(kPrivateKeyKey));
    if (present.ok() && present->spec() == KeySpecOf(spec)) return present;
  }
  return pki::PrivateKey::Generate(KeySpecOf(spec));
}

void SetOwner(const Certificate& certificate, meta::v1::ObjectMeta& metadata) {
  meta::v1::OwnerReference& owner = *metadata.mutable_owner();
  owner.set_kind("Certificate");
  owner.set_namespace_(certificate.metadata().namespace_());
  owner.set_name(certificate.metadata().name());
  owner.set_uid(certificate.metadata().uid());
}

CertificateRequest MakeRequest(const Certificate& certificate, std::string name,
                               std::string csr_pem) {
  CertificateRequest request;
  meta::v1::ObjectMeta& metadata = *request.mutable_metadata();
  metadata.set_namespace_(certificate.metadata().namespace_());
  metadata.set_name(std::move(name));
  *metadata.mutable_labels() = certificate.metadata().labels();
  (*metadata.mutable_annotations())[kCertificateNameAnnotation] = certificate.metadata().name();
  (*metadata.mutable_annotations())[kCertificateRevisionAnnotation] =
      absl::StrCat(certificate.status().revision() + 1);
  (*metadata.mutable_annotations())[kCertificateGenerationAnnotation] =
      absl::StrCat(certificate.metadata().generation());
  SetOwner(certificate, metadata);
  issuer::v1::CertificateRequestSpec& spec = *request.mutable_spec();
  spec.set_request(std::move(csr_pem));
  *spec.mutable_issuer_ref() = certificate.spec().issuer_ref();
  *spec.mutable_duration() = certificate.spec().duration();
  *spec.mutable_usages() = certificate.spec().usages();
  spec.set_is_ca(certificate.spec().is_ca());
  spec.set_requester("certwright.io/certificates");
  return request;
}

Secret MakeNextKeySecret(const Certificate& certificate, const base::Secret& key_pem) {
  Secret secret;
  secret.mutable_metadata()->set_namespace_(certificate.metadata().namespace_());
  secret.mutable_metadata()->set_name(NextKeySecretName(certificate));
  (*secret.mutable_metadata()->mutable_labels())["certwright.io/next-private-key"] = "true";
  SetOwner(certificate, *secret.mutable_metadata());
  secret.set_type("Opaque");
  (*secret.mutable_data())[kPrivateKeyKey] = std::string(key_pem.Reveal());
  return secret;
}

void Wipe(Secret& secret) {
  for (auto& [key, value] : *secret.mutable_data()) base::Wipe(value);
}

}  // namespace

CertificateReconciler::CertificateReconciler(service::Environment environment, Stores& stores,
                                             const CertificateRequests& requests)
    : environment_(environment),
      stores_(stores),
      requests_(requests),
      issuance_seconds_(environment.metrics.GetHistogram(
          "certwright_issuer_issuance_seconds",
          "Time from the beginning of an issuance to the Secret.")),
      issued_(environment.metrics.GetCounter("certwright_issuer_certificates_issued_total",
                                             "Certificates written to their Secrets.")),
      failed_(environment.metrics.GetCounter("certwright_issuer_certificates_failed_total",
                                             "Issuances that failed.")) {}

runtime::Awaitable<absl::StatusOr<controller::Result>> CertificateReconciler::Reconcile(
    runtime::Context context, std::string key) {
  CW_CO_ASSIGN_OR_RETURN(const store::ResourceName name, store::ParseQueueKey(key));
  absl::StatusOr<Certificate> certificate =
      co_await stores_.certificates.Get(context, name.resource_namespace, name.name);
  if (absl::IsNotFound(certificate.status())) {
    CW_CO_RETURN_IF_ERROR(co_await CleanUpAfter(context, name.resource_namespace, name.name));
    co_return controller::Result();
  }
  if (!certificate.ok()) co_return certificate.status();
  CW_CO_ASSIGN_OR_RETURN(World world, co_await Read(context, *std::move(certificate)));
  CertificateSnapshot snapshot;
  snapshot.certificate = &world.certificate;
  snapshot.secret = world.secret.has_value() ? &*world.secret : nullptr;
  snapshot.key_pair = world.key_pair.get();
  snapshot.request = world.request_is_of_use ? &*world.request : nullptr;
  snapshot.secret_owner = world.secret_owner;
  CertificateDecision decision = DecideCertificate(snapshot, environment_.clock().Now());
  co_return co_await Act(context, std::move(world), std::move(decision));
}

runtime::Awaitable<absl::StatusOr<CertificateReconciler::World>> CertificateReconciler::Read(
    runtime::Context context, Certificate certificate) {
  World world;
  const std::string resource_namespace = certificate.metadata().namespace_();
  absl::StatusOr<Secret> secret = co_await stores_.secrets.Get(
      context, resource_namespace, certificate.spec().secret_name());
  if (!secret.ok() && !absl::IsNotFound(secret.status())) co_return secret.status();
  if (secret.ok()) {
    CW_CO_ASSIGN_OR_RETURN(world.secret_owner,
                           co_await FindSecretOwner(context, certificate, *secret));
    world.key_pair = FactsOf(*secret);
    world.secret = *std::move(secret);
  }
  const std::string request_name = certificate.status().certificate_request_name();
  if (!request_name.empty()) {
    absl::StatusOr<CertificateRequest> request =
        co_await stores_.requests.Get(context, resource_namespace, request_name);
    if (!request.ok() && !absl::IsNotFound(request.status())) co_return request.status();
    absl::StatusOr<Secret> next_key = co_await stores_.secrets.Get(
        context, resource_namespace, certificate.status().next_private_key_secret_name());
    if (!next_key.ok() && !absl::IsNotFound(next_key.status())) co_return next_key.status();
    if (request.ok() && !request->metadata().has_delete_time()) {
      world.request = *std::move(request);
    }
    if (next_key.ok()) world.next_key = *std::move(next_key);
    // A request without its key is of no use.
    world.request_is_of_use = world.request.has_value() && world.next_key.has_value();
  }
  world.certificate = std::move(certificate);
  co_return world;
}

runtime::Awaitable<absl::StatusOr<std::string>> CertificateReconciler::FindSecretOwner(
    runtime::Context context, const Certificate& certificate, const Secret& secret) {
  const auto it = secret.metadata().annotations().find(kCertificateNameAnnotation);
  if (it == secret.metadata().annotations().end() ||
      it->second == certificate.metadata().name()) {
    co_return std::string();
  }
  const std::string owner = it->second;
  absl::StatusOr<Certificate> other =
      co_await stores_.certificates.Get(context, certificate.metadata().namespace_(), owner);
  if (absl::IsNotFound(other.status())) co_return std::string();
  if (!other.ok()) co_return other.status();
  const bool names_it = other->spec().secret_name() == certificate.spec().secret_name();
  co_return names_it ? owner : std::string();
}

runtime::Awaitable<absl::StatusOr<controller::Result>> CertificateReconciler::Act(
    runtime::Context context, World world, CertificateDecision decision) {
  controller::Result result;
  const absl::Time now = environment_.clock().Now();
  const Certificate current = world.certificate;
  std::vector<store::Mutation> mutations;
  if (decision.at != absl::InfiniteFuture()) result.requeue_after = decision.at - now;
  switch (decision.action) {
    case CertificateAction::kReady: {
      // A Secret that is well again needs no request any more.
      CW_CO_ASSIGN_OR_RETURN(mutations, GiveUpRequest(world));
      Abandon(world);
      DescribePresent(world.certificate, *world.key_pair);
      SetReady(world.certificate, true, {"Ready", "The certificate is up to date."});
      break;
    }
    case CertificateAction::kWait:
    case CertificateAction::kBlocked:
    case CertificateAction::kBackOff:
      if (world.key_pair != nullptr) DescribePresent(world.certificate, *world.key_pair);
      SetReady(world.certificate, false, decision.finding);
      break;
    case CertificateAction::kBegin:
      CW_CO_RETURN_IF_ERROR(
          co_await Begin(context, std::move(world), std::move(decision.finding)));
      co_return result;
    case CertificateAction::kComplete:
      CW_CO_RETURN_IF_ERROR(co_await Complete(context, std::move(world)));
      co_return result;
    case CertificateAction::kFail:
      CW_CO_RETURN_IF_ERROR(
          co_await Fail(context, std::move(world), std::move(decision.finding)));
      co_return result;
  }
  const auto committed =
      co_await Commit(context, current, world.certificate, std::move(mutations));
  CW_CO_RETURN_IF_ERROR(committed);
  co_return result;
}

absl::StatusOr<std::vector<store::Mutation>> CertificateReconciler::GiveUpRequest(
    const World& world) const {
  std::vector<store::Mutation> mutations;
  if (!world.request.has_value()) return mutations;
  CertificateRequest marked;
  CW_ASSIGN_OR_RETURN(std::optional<store::Mutation> mark,
                      stores_.requests.MarkMutation(*world.request, marked));
  if (mark.has_value()) mutations.push_back(*std::move(mark));
  return mutations;
}

void CertificateReconciler::Abandon(World& world) const {
  Status& status = *world.certificate.mutable_status();
  if (status.certificate_request_name().empty()) return;
  status.clear_certificate_request_name();
  status.clear_next_private_key_secret_name();
  service::RemoveCondition(*status.mutable_conditions(), "Issuing");
}

runtime::Awaitable<absl::StatusOr<int64_t>> CertificateReconciler::Commit(
    runtime::Context context, const Certificate& current, Certificate& changed,
    std::vector<store::Mutation> mutations) {
  CW_CO_ASSIGN_OR_RETURN(std::optional<store::Mutation> put_status,
                         stores_.certificates.StatusMutation(current, changed));
  if (put_status.has_value()) mutations.push_back(*std::move(put_status));
  if (mutations.empty()) co_return 0;
  co_return co_await stores_.certificates.store().Commit(context, std::move(mutations));
}

void CertificateReconciler::SetReady(Certificate& certificate, bool ready,
                                     const Finding& finding) const {
  // A renewal on its way does not make the present certificate unready.
  const bool still_valid =
      certificate.status().has_not_after() &&
      service::FromProto(certificate.status().not_after()) > environment_.clock().Now() &&
      (finding.reason == "Renewing" || finding.reason == "ManuallyTriggered");
  if (!ready && still_valid) return;
  const service::ConditionUpdate update{"Ready", ready, finding.reason, finding.message};
  service::SetCondition(*certificate.mutable_status()->mutable_conditions(), update,
                        certificate.metadata().generation(), environment_.clock().Now());
}

void CertificateReconciler::DescribePresent(Certificate& certificate,
                                            const KeyPairFacts& present) const {
  Status& status = *certificate.mutable_status();
  if (present.problem.has_value()) {
    status.clear_not_before();
    status.clear_not_after();
    status.clear_renewal_time();
    return;
  }
  *status.mutable_not_before() = service::ToProto(present.not_before);
  *status.mutable_not_after() = service::ToProto(present.not_after);
  *status.mutable_renewal_time() =
      service::ToProto(RenewalTime(certificate.spec(), present.not_before, present.not_after));
}

std::shared_ptr<const KeyPairFacts> CertificateReconciler::FactsOf(const Secret& secret) {
  {
    base::MutexLock lock(mutex_);
    const auto it = key_pairs_.find(secret.metadata().uid());
    if (it != key_pairs_.end() &&
        it->second.resource_version == secret.metadata().resource_version()) {
      return it->second.facts;
    }
  }
  auto facts = std::make_shared<const KeyPairFacts>(ReadKeyPair(secret));
  Remember(secret, facts);
  return facts;
}

void CertificateReconciler::Remember(const Secret& secret,
                                     std::shared_ptr<const KeyPairFacts> facts) {
  base::MutexLock lock(mutex_);
  if (key_pairs_.size() >= kMaxKnownKeyPairs) key_pairs_.clear();
  key_pairs_[secret.metadata().uid()] = {secret.metadata().resource_version(),
                                         std::move(facts)};
}

runtime::Awaitable<absl::StatusOr<std::string>> CertificateReconciler::FreeRequestName(
    runtime::Context context, const Certificate& certificate) {
  const int revision = certificate.status().revision() + 1;
  for (int i = 0; i < kMaxRequestNames; ++i) {
    const std::string suffix = i == 0 ? absl::StrCat(revision) : absl::StrCat(revision, "-", i);
    const std::string name = service::SuffixedName(certificate.metadata().name(), suffix);
    const auto taken =
        co_await stores_.requests.Get(context, certificate.metadata().namespace_(), name);
    if (absl::IsNotFound(taken.status())) co_return name;
    if (!taken.ok()) co_return taken.status();
  }
  co_return absl::UnavailableError("too many old CertificateRequests are still being deleted");
}

runtime::Awaitable<absl::Status> CertificateReconciler::Begin(runtime::Context context,
                                                              World world, Finding finding) {
  Certificate& certificate = world.certificate;
  CW_CO_ASSIGN_OR_RETURN(const pki::PrivateKey key, NextKey(certificate, world.secret));
  CW_CO_ASSIGN_OR_RETURN(std::string csr_pem,
                         pki::CreateCsrPem(CsrSpecOf(certificate.spec()), key));
  CW_CO_ASSIGN_OR_RETURN(std::string name, co_await FreeRequestName(context, certificate));
  const base::Secret key_pem = key.ToPem(KeyEncodingOf(certificate.spec()));

  const Certificate current = certificate;
  Secret next_key = MakeNextKeySecret(certificate, key_pem);
  CertificateRequest request = MakeRequest(certificate, name, std::move(csr_pem));
  Status& status = *certificate.mutable_status();
  status.set_next_private_key_secret_name(next_key.metadata().name());
  status.set_certificate_request_name(std::move(name));
  const absl::Time now = environment_.clock().Now();
  if (world.key_pair != nullptr) DescribePresent(certificate, *world.key_pair);
  const service::ConditionUpdate issuing{"Issuing", true, finding.reason, finding.message};
  service::SetCondition(*status.mutable_conditions(), issuing,
                        certificate.metadata().generation(), now);
  SetReady(certificate, false, finding);

  // A request on its way asks for what is no longer wanted.
  CW_CO_ASSIGN_OR_RETURN(std::vector<store::Mutation> mutations, GiveUpRequest(world));
  CW_CO_ASSIGN_OR_RETURN(store::Mutation put_key, stores_.secrets.CreateMutation(next_key));
  // A key left by an earlier attempt is of no more use.
  put_key.expected_revision.reset();
  mutations.push_back(std::move(put_key));
  CW_CO_ASSIGN_OR_RETURN(store::Mutation put_request, stores_.requests.CreateMutation(request));
  mutations.push_back(std::move(put_request));
  Wipe(next_key);
  const auto committed = co_await Commit(context, current, certificate, std::move(mutations));
  CW_CO_RETURN_IF_ERROR(committed);
  store::ResourceStore<Secret>::SetRevision(next_key, *committed);
  fresh_keys_.Keep(next_key.metadata(), key);
  if (world.next_key.has_value()) fresh_keys_.Take(world.next_key->metadata());
  co_return absl::OkStatus();
}

runtime::Awaitable<absl::Status> CertificateReconciler::Complete(runtime::Context context,
                                                                 World world) {
  Certificate& certificate = world.certificate;
  const Certificate current = certificate;
  const CertificateRequest& request = *world.request;
  Secret secret = world.secret.value_or(Secret());
  meta::v1::ObjectMeta& metadata = *secret.mutable_metadata();
  metadata.set_namespace_(certificate.metadata().namespace_());
  metadata.set_name(certificate.spec().secret_name());
  auto& annotations = *metadata.mutable_annotations();
  annotations[kCertificateNameAnnotation] = certificate.metadata().name();
  annotations[kIssuerNameAnnotation] = certificate.spec().issuer_ref().name();
  annotations[kIssuerKindAnnotation] = service::IssuerKindName(certificate.spec().issuer_ref());
  secret.set_type(kTlsSecretType);
  auto& data = *secret.mutable_data();
  data[kCertificateKey] = request.status().certificate();
  data[kPrivateKeyKey] = world.next_key->data().at(kPrivateKeyKey);
  data[kCaKey] = request.status().ca();

  const absl::Time now = environment_.clock().Now();
  const meta::v1::Condition* issuing =
      service::FindCondition(certificate.status().conditions(), "Issuing");
  if (issuing != nullptr) {
    const absl::Duration took = now - service::FromProto(issuing->last_transition_time());
    issuance_seconds_.Observe(absl::ToDoubleSeconds(took));
  }
  Status& status = *certificate.mutable_status();
  service::RemoveCondition(*status.mutable_conditions(), "Issuing");
  status.set_revision(status.revision() + 1);
  status.clear_last_failure_time();
  status.clear_failed_issuance_attempts();
  status.clear_next_attempt_time();
  status.clear_next_private_key_secret_name();
  status.clear_certificate_request_name();
  const std::optional<pki::PrivateKey> fresh = fresh_keys_.Take(world.next_key->metadata());
  const auto facts = std::make_shared<const KeyPairFacts>(
      fresh.has_value() ? ReadKeyPair(secret, *fresh) : ReadKeyPair(secret));
  DescribePresent(certificate, *facts);
  SetReady(certificate, true, {"Ready", "The certificate is up to date."});

  std::vector<store::Mutation> mutations;
  if (world.secret.has_value()) {
    CW_CO_ASSIGN_OR_RETURN(std::optional<store::Mutation> put,
                           stores_.secrets.UpdateMutation(*world.secret, secret));
    if (put.has_value()) mutations.push_back(*std::move(put));
  } else {
    CW_CO_ASSIGN_OR_RETURN(store::Mutation put, stores_.secrets.CreateMutation(secret));
    mutations.push_back(std::move(put));
  }
  mutations.push_back(stores_.secrets.DeleteMutation(*world.next_key));
  Wipe(secret);
  Wipe(*world.next_key);
  const auto committed = co_await Commit(context, current, certificate, std::move(mutations));
  CW_CO_RETURN_IF_ERROR(committed);
  store::ResourceStore<Secret>::SetRevision(secret, *committed);
  Remember(secret, facts);
  issued_.Increment();
  telemetry::LogInfo("certificate issued", {{"namespace", certificate.metadata().namespace_()},
                                            {"certificate", certificate.metadata().name()},
                                            {"revision", certificate.status().revision()}});
  // The first request of a Certificate has nothing before it.
  const bool first =
      request.metadata().name() == service::SuffixedName(certificate.metadata().name(), "1");
  if (first) co_return absl::OkStatus();
  co_return co_await Prune(context, certificate);
}

runtime::Awaitable<absl::Status> CertificateReconciler::Fail(runtime::Context context,
                                                             World world, Finding finding) {
  Certificate& certificate = world.certificate;
  const Certificate current = certificate;
  const absl::Time now = environment_.clock().Now();
  Status& status = *certificate.mutable_status();
  *status.mutable_last_failure_time() = service::ToProto(now);
  status.set_failed_issuance_attempts(status.failed_issuance_attempts() + 1);
  *status.mutable_next_attempt_time() =
      service::ToProto(now + FailureBackoff(status.failed_issuance_attempts()));
  status.clear_certificate_request_name();
  status.clear_next_private_key_secret_name();
  const service::ConditionUpdate issuing{"Issuing", false, finding.reason, finding.message};
  service::SetCondition(*status.mutable_conditions(), issuing,
                        certificate.metadata().generation(), now);
  if (world.key_pair != nullptr) DescribePresent(certificate, *world.key_pair);
  SetReady(certificate, false, finding);
  failed_.Increment();
  telemetry::LogWarning("issuance failed", {{"namespace", certificate.metadata().namespace_()},
                                            {"certificate", certificate.metadata().name()},
                                            {"reason", finding.message}});
  std::vector<store::Mutation> mutations;
  mutations.push_back(stores_.secrets.DeleteMutation(*world.next_key));
  fresh_keys_.Take(world.next_key->metadata());
  const auto committed = co_await Commit(context, current, certificate, std::move(mutations));
  co_return committed.status();
}

runtime::Awaitable<absl::Status> CertificateReconciler::Prune(runtime::Context context,
                                                              const Certificate& certificate) {
  std::vector<CertificateRequests::Shared> requests = requests_.Of(
      store::QueueKey(certificate.metadata().namespace_(), certificate.metadata().name()));
  std::erase_if(requests,
                [](const auto& request) { return request->metadata().has_delete_time(); });
  const std::size_t keep =
      static_cast<std::size_t>(certificate.spec().revision_history_limit());
  if (requests.size() <= keep) co_return absl::OkStatus();
  std::sort(requests.begin(), requests.end(), [](const auto& a, const auto& b) {
    return service::FromProto(a->metadata().create_time()) <
           service::FromProto(b->metadata().create_time());
  });
  requests.resize(requests.size() - keep);
  for (const CertificateRequests::Shared& request : requests) {
    const auto marked = co_await stores_.requests.MarkDeleted(
        context, request->metadata().namespace_(), request->metadata().name());
    if (!absl::IsNotFound(marked.status())) CW_CO_RETURN_IF_ERROR(marked);
  }
  co_return absl::OkStatus();
}

runtime::Awaitable<absl::Status> CertificateReconciler::CleanUpAfter(
    runtime::Context context, std::string resource_namespace, std::string name) {
  const auto requests = requests_.Of(store::QueueKey(resource_namespace, name));
  for (const CertificateRequests::Shared& request : requests) {
    const auto marked = co_await stores_.requests.MarkDeleted(context, resource_namespace,
                                                              request->metadata().name());
    if (!absl::IsNotFound(marked.status())) CW_CO_RETURN_IF_ERROR(marked);
  }
  const std::string next_key = service::SuffixedName(name, "next-key");
  const auto secret = co_await stores_.secrets.Get(context, resource_namespace, next_key);
  if (absl::IsNotFound(secret.status())) co_return absl::OkStatus();
  CW_CO_RETURN_IF_ERROR(secret);
  if (!secret->metadata().labels().contains("certwright.io/next-private-key")) {
    co_return absl::OkStatus();
  }
  fresh_keys_.Take(secret->metadata());
  co_return co_await stores_.secrets.Delete(context, resource_namespace, next_key);
}

}  // namespace certwright::issuer_service
