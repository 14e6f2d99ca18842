#include "services/issuer/certificate_reconciler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/fault_point.h"
#include "lib/base/secret.h"
#include "lib/base/status_macros.h"
#include "lib/pki/key.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"
#include "lib/telemetry/log.h"
#include "services/issuer/certificate_clean_up.h"
#include "services/issuer/certificate_status.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/issuance_resources.h"
#include "services/issuer/issuer_choice.h"
#include "services/issuer/kept_key_pair.h"
#include "services/issuer/limit_conditions.h"
#include "services/issuer/next_key.h"
#include "services/issuer/secret_outputs.h"
#include "services/issuer/secret_repairs.h"
#include "services/issuer/temporary_certificate.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Certificate;
using issuer::v1::CertificateRequest;
using issuer::v1::Secret;

constexpr int kMaxRequestNames = 10;
bool IsKeyCompromised(const Certificate& certificate, const KeyPairFacts* present) {
  return present != nullptr && IsRevoked(certificate, *present) &&
         certificate.status().revocation().reason() ==
             issuer::v1::REVOCATION_REASON_KEY_COMPROMISE;
}

// Adds to what AddOutputs() answered.
void NoteOtherCa(absl::Time renewal, issuer::v1::CertificateStatus& status,
                 std::string& trouble) {
  *status.mutable_renewal_time() = service::ToProto(renewal);
  absl::StrAppend(
      &trouble, trouble.empty() ? "" : ", and ",
      "its issuer signs with another CA, to which it does not lead: it is renewed at ",
      absl::FormatTime(absl::RFC3339_sec, renewal, absl::UTCTimeZone()), ".");
}

}  // namespace

CertificateReconciler::CertificateReconciler(service::Environment environment, Stores& stores,
                                             const CertificateRequests& requests,
                                             const SecretUsers& secret_users,
                                             const PrivateCas& private_cas,
                                             FallbackRules fallback_rules, PaceRules pace_rules)
    : environment_(environment),
      stores_(stores),
      requests_(requests),
      secret_users_(secret_users),
      private_cas_(private_cas),
      fallback_rules_(fallback_rules),
      pace_rules_(pace_rules),
      issuance_seconds_(environment.metrics.GetHistogram(
          "certwright_issuer_issuance_seconds",
          "Time from the beginning of an issuance to the Secret.")),
      issued_(environment.metrics.GetCounter("certwright_issuer_certificates_issued_total",
                                             "Certificates written to their Secrets.")),
      failed_(environment.metrics.GetCounter("certwright_issuer_certificates_failed_total",
                                             "Issuances that failed.")),
      new_keys_(environment.timers) {}

runtime::Awaitable<absl::StatusOr<controller::Result>> CertificateReconciler::Reconcile(
    runtime::Context context, std::string key) {
  CW_CO_ASSIGN_OR_RETURN(const store::ResourceName name, store::ParseQueueKey(key));
  absl::StatusOr<Certificate> certificate =
      co_await stores_.certificates.Get(context, name.resource_namespace, name.name);
  if (absl::IsNotFound(certificate.status())) {
    CW_CO_RETURN_IF_ERROR(
        co_await CleanUpAfter(context, stores_, requests_, fresh_keys_, name));
    co_return controller::Result();
  }
  if (!certificate.ok()) co_return certificate.status();
  CW_CO_ASSIGN_OR_RETURN(World world, co_await Read(context, *std::move(certificate)));
  CW_CO_ASSIGN_OR_RETURN(CertificateDecision decision, co_await Decide(context, world));
  world.present_serves = decision.present_serves;
  co_return co_await Act(context, std::move(world), std::move(decision));
}

runtime::Awaitable<absl::StatusOr<CertificateDecision>> CertificateReconciler::Decide(
    runtime::Context context, World& world) {
  CertificateSnapshot snapshot;
  snapshot.certificate = &world.certificate;
  snapshot.secret = world.secret.has_value() ? &*world.secret : nullptr;
  snapshot.key_pair = world.key_pair.get();
  snapshot.secret_users = secret_users_.Of(store::QueueKey(
      world.certificate.metadata().namespace_(), world.certificate.spec().secret_name()));
  snapshot.request = world.request.has_value() ? &*world.request : nullptr;
  snapshot.has_next_key = world.next_key.has_value();
  snapshot.other_ca = world.ca_fit == CaFit::kOtherCa ? world.ca.get() : nullptr;
  const absl::Time now = environment_.clock().Now();
  CertificateDecision decision = DecideCertificate(snapshot, fallback_rules_, pace_rules_, now);
  const bool serves = decision.present_serves || decision.action == CertificateAction::kReady;
  const bool is_own = serves && !HoldsAnothers(snapshot);
  if (is_own || world.certificate.status().revision() == 0) co_return decision;
  CW_CO_ASSIGN_OR_RETURN(world.kept,
                         co_await ReadKeptKeyPair(context, stores_, world.certificate));
  if (!world.kept.has_value()) co_return decision;
  world.kept_pair = ReadKeyPair(*world.kept);
  snapshot.kept = &*world.kept;
  snapshot.kept_pair = &*world.kept_pair;
  decision = DecideCertificate(snapshot, fallback_rules_, pace_rules_, now);
  if (decision.action != CertificateAction::kPutBack) Wipe(*world.kept);
  co_return decision;
}

runtime::Awaitable<absl::StatusOr<CertificateReconciler::World>> CertificateReconciler::Read(
    runtime::Context context, Certificate certificate) {
  World world;
  const std::string resource_namespace = certificate.metadata().namespace_();
  absl::StatusOr<Secret> secret = co_await stores_.secrets.Get(
      context, resource_namespace, certificate.spec().secret_name());
  if (!secret.ok() && !absl::IsNotFound(secret.status())) co_return secret.status();
  if (secret.ok()) {
    world.key_pair = known_key_pairs_.FactsOf(*secret);
    world.ca =
        private_cas_.Of(service::IssuerKey(IssuerInUse(certificate), resource_namespace));
    if (world.ca != nullptr) world.ca_fit = FitOf(*secret, *world.ca);
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
    // One that a user has made under this name since is not the Certificate's.
    if (request.ok() && !request->metadata().has_delete_time() &&
        request->metadata().owner().uid() == certificate.metadata().uid()) {
      world.request = *std::move(request);
    }
    if (next_key.ok() && IsNextKey(*next_key)) world.next_key = *std::move(next_key);
  }
  world.certificate = std::move(certificate);
  co_return world;
}

runtime::Awaitable<absl::StatusOr<controller::Result>> CertificateReconciler::Act(
    runtime::Context context, World world, CertificateDecision decision) {
  controller::Result result;
  const absl::Time now = environment_.clock().Now();
  const Certificate current = world.certificate;
  std::vector<store::Mutation> mutations;
  const absl::Time again =
      std::min(decision.at, ForgetRepairs(now, *world.certificate.mutable_status()));
  if (again != absl::InfiniteFuture()) result.requeue_after = again - now;
  FollowPace(decision, now, world.certificate);
  switch (decision.action) {
    case CertificateAction::kReady: {
      // A Secret that is well again needs no request any more.
      CW_CO_ASSIGN_OR_RETURN(mutations, GiveUpRequest(world));
      Abandon(world);
      CW_CO_ASSIGN_OR_RETURN(std::string trouble,
                             co_await RefreshOutputs(context, world, mutations));
      DescribePresent(requests_, *world.key_pair, now, world.certificate);
      if (world.ca_fit == CaFit::kOtherCa) {
        NoteOtherCa(decision.at, *world.certificate.mutable_status(), trouble);
      }
      SetReady(true, UpToDate(trouble), now, world.certificate);
      FollowRateLimit(nullptr, now, world.certificate);
      NoteOverdue(decision, *world.certificate.mutable_status());
      break;
    }
    case CertificateAction::kWait:
    case CertificateAction::kBlocked:
    case CertificateAction::kBackOff:
      FollowRateLimit(decision.action == CertificateAction::kWait ? &*world.request : nullptr,
                      now, world.certificate);
      if (decision.kept_serves) {
        DescribePresent(requests_, *world.kept_pair, now, world.certificate);
      } else if (world.key_pair != nullptr) {
        DescribePresent(requests_, *world.key_pair, now, world.certificate);
      }
      SetReadyFor(world, decision.finding);
      break;
    case CertificateAction::kFallBack:
      AddOutage(world.request->spec().issuer_ref(), decision.trouble, now,
                *world.certificate.mutable_status());
      telemetry::LogWarning("turning to another issuer",
                            {{"namespace", current.metadata().namespace_()},
                             {"certificate", current.metadata().name()},
                             {"issuer", service::IssuerKey(world.request->spec().issuer_ref(),
                                                           current.metadata().namespace_())},
                             {"reason", decision.trouble.reason}});
      [[fallthrough]];
    case CertificateAction::kBegin:
      CW_CO_RETURN_IF_ERROR(co_await Begin(context, std::move(world),
                                           std::move(decision.finding), decision.cause));
      co_return result;
    case CertificateAction::kPutBack:
      CW_CO_RETURN_IF_ERROR(co_await PutBack(context, std::move(world)));
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
  // One that has failed tells why.
  if (!world.request.has_value() || HasFailed(*world.request)) return mutations;
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

void CertificateReconciler::SetReadyFor(World& world, const Finding& finding) const {
  SetReady(world.present_serves, world.present_serves ? UpToDate() : finding,
           environment_.clock().Now(), world.certificate);
}

runtime::Awaitable<absl::StatusOr<std::string>> CertificateReconciler::FreeRequestName(
    runtime::Context context, const Certificate& certificate) {
  const meta::v1::ObjectMeta& metadata = certificate.metadata();
  for (int i = 0; i < kMaxRequestNames; ++i) {
    const std::string name = RequestName(certificate, i);
    const auto taken = co_await stores_.requests.Get(context, metadata.namespace_(), name);
    if (absl::IsNotFound(taken.status())) co_return name;
    if (!taken.ok()) co_return taken.status();
  }
  co_return absl::UnavailableError(absl::StrCat(
      "others have made CertificateRequests of all names that the next one of Certificate ",
      metadata.name(), " could have"));
}

runtime::Awaitable<absl::StatusOr<std::string>> CertificateReconciler::AddOutputs(
    runtime::Context context, const Certificate& certificate, Secret& secret) {
  CW_CO_RETURN_IF_ERROR(PutKeyEncoding(certificate.spec(), secret));
  if (!ConcernsOutputs(certificate.spec(), secret)) co_return std::string();
  const auto passwords = co_await ReadKeystorePasswords(context, stores_, certificate);
  absl::Status status = passwords.status();
  if (passwords.ok() && !OutputsAreCurrent(certificate.spec(), *passwords, secret)) {
    status = WriteOutputs(certificate.spec(), *passwords, secret);
  }
  if (status.ok()) co_return std::string();
  if (!absl::IsNotFound(status) && !absl::IsInvalidArgument(status)) co_return status;
  // A Secret that appears or changes wakes the Certificate.
  co_return absl::StrCat("what else its Secret is to hold is not: ", status.message());
}

runtime::Awaitable<absl::StatusOr<std::string>> CertificateReconciler::RefreshOutputs(
    runtime::Context context, const World& world, std::vector<store::Mutation>& mutations) {
  const issuer::v1::CertificateSpec& spec = world.certificate.spec();
  const bool has_old_chain = world.ca_fit == CaFit::kOldChain;
  if (!has_old_chain && HasKeyEncoding(spec, *world.secret) &&
      !ConcernsOutputs(spec, *world.secret)) {
    co_return std::string();
  }
  Secret secret = *world.secret;
  if (has_old_chain) PutChain(*world.ca, secret);
  auto trouble = co_await AddOutputs(context, world.certificate, secret);
  auto put = stores_.secrets.UpdateMutation(*world.secret, secret);
  Wipe(secret);
  CW_CO_RETURN_IF_ERROR(put);
  if (put->has_value()) mutations.push_back(**std::move(put));
  co_return trouble;
}

runtime::Awaitable<absl::Status> CertificateReconciler::RefuseToBegin(runtime::Context context,
                                                                      World world,
                                                                      std::string why) {
  const Certificate current = world.certificate;
  // That Secret's end wakes the Certificate.
  SetReadyFor(world, {"SecretNotOwned", std::move(why)});
  std::vector<store::Mutation> none;
  const auto committed = co_await Commit(context, current, world.certificate, std::move(none));
  co_return committed.status();
}

runtime::Awaitable<absl::Status> CertificateReconciler::Begin(runtime::Context context,
                                                              World world, Finding finding,
                                                              IssuanceCause cause) {
  Certificate& certificate = world.certificate;
  const auto place = co_await FindPlaceForNextKey(context, stores_, certificate);
  if (absl::IsFailedPrecondition(place.status())) {
    std::string why(place.status().message());
    co_return co_await RefuseToBegin(context, std::move(world), std::move(why));
  }
  CW_CO_RETURN_IF_ERROR(place);
  CW_CO_ASSIGN_OR_RETURN(
      const pki::PrivateKey key,
      co_await ChooseNextKey(context, new_keys_, certificate, world.secret,
                             IsKeyCompromised(certificate, world.key_pair.get())));
  CW_CO_ASSIGN_OR_RETURN(std::string csr_pem,
                         pki::CreateCsrPem(CsrSpecOf(certificate.spec()), key));
  CW_CO_ASSIGN_OR_RETURN(std::string name, co_await FreeRequestName(context, certificate));
  const base::Secret key_pem = key.ToPem(KeyEncodingOf(certificate.spec()));

  const Certificate current = certificate;
  Secret next_key = MakeNextKeySecret(certificate, key_pem);
  const absl::Time now = environment_.clock().Now();
  Status& status = *certificate.mutable_status();
  // A good Secret was there, and only others can have put it away.
  const bool others_wrote = cause == IssuanceCause::kUnasked && status.revision() > 0 &&
                            (world.key_pair == nullptr || world.key_pair->problem.has_value());
  if (others_wrote) NoteRepair(now, certificate);
  NoteIssuance(cause, certificate.metadata().generation(), pace_rules_, now, status);
  const meta::v1::Condition* last = service::FindCondition(status.conditions(), "Issuing");
  if (last != nullptr && last->observed_generation() != certificate.metadata().generation()) {
    // A changed spec is a new beginning.
    status.clear_failed_issuance_attempts();
    status.clear_issuer_outages();
  }
  const meta::v1::IssuerRef issuer = ChooseIssuer(certificate, now);
  CertificateRequest request =
      MakeRequest(certificate, name, std::move(csr_pem), issuer, world.key_pair.get(), now);
  FollowRateLimit(nullptr, now, certificate);
  status.set_next_private_key_secret_name(next_key.metadata().name());
  status.set_certificate_request_name(std::move(name));
  if (world.key_pair != nullptr) {
    DescribePresent(requests_, *world.key_pair, now, certificate);
  }
  const service::ConditionUpdate issuing{"Issuing", true, finding.reason, finding.message};
  service::SetCondition(*status.mutable_conditions(), issuing,
                        certificate.metadata().generation(), now);
  SetReadyFor(world, finding);

  // A request on its way asks for what is no longer wanted.
  CW_CO_ASSIGN_OR_RETURN(std::vector<store::Mutation> mutations, GiveUpRequest(world));
  CW_CO_ASSIGN_OR_RETURN(store::Mutation put_key, stores_.secrets.CreateMutation(next_key));
  // A key left by an earlier attempt is of no more use.
  put_key.expected_revision = *place;
  mutations.push_back(std::move(put_key));
  CW_CO_ASSIGN_OR_RETURN(store::Mutation put_request, stores_.requests.CreateMutation(request));
  mutations.push_back(std::move(put_request));
  if (!world.secret.has_value() && WantsTemporaryCertificate(certificate)) {
    CW_CO_ASSIGN_OR_RETURN(Secret temporary,
                           MakeTemporarySecret(certificate, key, key_pem, now));
    CW_CO_ASSIGN_OR_RETURN(store::Mutation put, stores_.secrets.CreateMutation(temporary));
    mutations.push_back(std::move(put));
    Wipe(temporary);
  }
  Wipe(next_key);
  base::Reach(base::FaultPoint::kCertificateBeginning);
  const auto committed = co_await Commit(context, current, certificate, std::move(mutations));
  CW_CO_RETURN_IF_ERROR(committed);
  base::Reach(base::FaultPoint::kCertificateBegun);
  store::ResourceStore<Secret>::SetRevision(next_key, *committed);
  fresh_keys_.Keep(next_key.metadata(), key);
  if (world.next_key.has_value()) fresh_keys_.Take(world.next_key->metadata());
  co_return absl::OkStatus();
}

absl::StatusOr<std::vector<store::Mutation>> CertificateReconciler::WriteSecret(
    const World& world, Secret& secret) const {
  std::vector<store::Mutation> mutations;
  if (world.secret.has_value()) {
    CW_ASSIGN_OR_RETURN(std::optional<store::Mutation> put,
                        stores_.secrets.UpdateMutation(*world.secret, secret));
    if (put.has_value()) mutations.push_back(*std::move(put));
  } else {
    CW_ASSIGN_OR_RETURN(store::Mutation put, stores_.secrets.CreateMutation(secret));
    mutations.push_back(std::move(put));
  }
  return mutations;
}

runtime::Awaitable<absl::Status> CertificateReconciler::PutBack(runtime::Context context,
                                                                World world) {
  Certificate& certificate = world.certificate;
  const Certificate current = certificate;
  Secret secret = world.secret.value_or(Secret());
  Fill(certificate, *world.kept, secret);
  CW_CO_ASSIGN_OR_RETURN(const std::string trouble,
                         co_await AddOutputs(context, certificate, secret));
  const absl::Time now = environment_.clock().Now();
  if (!HasUnseenSpec(certificate)) NoteRepair(now, certificate);
  DescribePresent(requests_, *world.kept_pair, now, certificate);
  SetReady(true, UpToDate(trouble), now, certificate);
  CW_CO_ASSIGN_OR_RETURN(std::vector<store::Mutation> mutations, WriteSecret(world, secret));
  Wipe(*world.kept);
  Wipe(secret);
  const auto committed = co_await Commit(context, current, certificate, std::move(mutations));
  CW_CO_RETURN_IF_ERROR(committed);
  telemetry::LogWarning("a Secret was written again with the pair that is kept",
                        {{"namespace", certificate.metadata().namespace_()},
                         {"certificate", certificate.metadata().name()},
                         {"secret", certificate.spec().secret_name()}});
  co_return absl::OkStatus();
}

runtime::Awaitable<absl::Status> CertificateReconciler::Complete(runtime::Context context,
                                                                 World world) {
  Certificate& certificate = world.certificate;
  const Certificate current = certificate;
  const CertificateRequest& request = *world.request;
  Secret kept = MakeKeptKeyPair(certificate, request, *world.next_key);
  const std::optional<pki::PrivateKey> fresh = fresh_keys_.Take(world.next_key->metadata());
  const auto facts = std::make_shared<const KeyPairFacts>(
      fresh.has_value() ? ReadKeyPair(kept, *fresh) : ReadKeyPair(kept));
  if (facts->problem.has_value()) {
    Wipe(kept);
    Finding lost = LostNextKey(certificate);
    co_return co_await Fail(context, std::move(world), std::move(lost));
  }
  Secret secret = world.secret.value_or(Secret());
  Fill(certificate, kept, secret);
  CW_CO_ASSIGN_OR_RETURN(const std::string trouble,
                         co_await AddOutputs(context, certificate, secret));

  const absl::Time now = environment_.clock().Now();
  const meta::v1::Condition* issuing =
      service::FindCondition(certificate.status().conditions(), "Issuing");
  if (issuing != nullptr) {
    const absl::Duration took = now - service::FromProto(issuing->last_transition_time());
    issuance_seconds_.Observe(absl::ToDoubleSeconds(took));
  }
  Status& status = *certificate.mutable_status();
  FollowRateLimit(nullptr, now, certificate);
  FollowPause(request, now, certificate);
  status.set_renewed_early(world.key_pair != nullptr &&
                           IsRenewedEarly(certificate, *world.key_pair, now));
  *status.mutable_issuance_time() = service::ToProto(now);
  status.clear_overdue_renewal_time();
  service::RemoveCondition(*status.mutable_conditions(), "Issuing");
  status.set_revision(status.revision() + 1);
  status.clear_last_failure_time();
  status.clear_failed_issuance_attempts();
  status.clear_next_attempt_time();
  status.clear_next_private_key_secret_name();
  status.clear_certificate_request_name();
  *status.mutable_issuer_in_use() = request.spec().issuer_ref();
  NoteGiven(*facts, status);
  DescribePresent(requests_, *facts, now, certificate);
  SetReady(true, UpToDate(trouble), now, certificate);

  CW_CO_ASSIGN_OR_RETURN(std::vector<store::Mutation> mutations, WriteSecret(world, secret));
  CW_CO_ASSIGN_OR_RETURN(store::Mutation keep, stores_.kept_key_pairs.CreateMutation(kept));
  // The pair that was kept before has been replaced.
  keep.expected_revision.reset();
  mutations.push_back(std::move(keep));
  mutations.push_back(stores_.secrets.DeleteMutation(*world.next_key));
  Wipe(kept);
  Wipe(secret);
  Wipe(*world.next_key);
  base::Reach(base::FaultPoint::kCertificateCompleting);
  const auto committed = co_await Commit(context, current, certificate, std::move(mutations));
  CW_CO_RETURN_IF_ERROR(committed);
  base::Reach(base::FaultPoint::kCertificateCompleted);
  store::ResourceStore<Secret>::SetRevision(secret, *committed);
  known_key_pairs_.Remember(secret, facts);
  issued_.Increment();
  telemetry::LogInfo("certificate issued", {{"namespace", certificate.metadata().namespace_()},
                                            {"certificate", certificate.metadata().name()},
                                            {"revision", certificate.status().revision()}});
  co_return co_await Prune(context, stores_, requests_, certificate);
}

runtime::Awaitable<absl::Status> CertificateReconciler::Fail(runtime::Context context,
                                                             World world, Finding finding) {
  Certificate& certificate = world.certificate;
  const Certificate current = certificate;
  const absl::Time now = environment_.clock().Now();
  Status& status = *certificate.mutable_status();
  FollowRateLimit(nullptr, now, certificate);
  FollowPause(*world.request, now, certificate);
  *status.mutable_last_failure_time() = service::ToProto(now);
  status.set_failed_issuance_attempts(status.failed_issuance_attempts() + 1);
  *status.mutable_next_attempt_time() = service::ToProto(
      NextAttemptAfter(*world.request, status.failed_issuance_attempts(), now));
  status.clear_certificate_request_name();
  status.clear_next_private_key_secret_name();
  const service::ConditionUpdate issuing{"Issuing", false, finding.reason, finding.message};
  service::SetCondition(*status.mutable_conditions(), issuing,
                        certificate.metadata().generation(), now);
  if (world.key_pair != nullptr) {
    DescribePresent(requests_, *world.key_pair, now, certificate);
  }
  SetReadyFor(world, finding);
  failed_.Increment();
  telemetry::LogWarning("issuance failed", {{"namespace", certificate.metadata().namespace_()},
                                            {"certificate", certificate.metadata().name()},
                                            {"reason", finding.message}});
  // One without its key leads nowhere.
  CW_CO_ASSIGN_OR_RETURN(std::vector<store::Mutation> mutations, GiveUpRequest(world));
  if (world.next_key.has_value()) {
    mutations.push_back(stores_.secrets.DeleteMutation(*world.next_key));
    fresh_keys_.Take(world.next_key->metadata());
  }
  const auto committed = co_await Commit(context, current, certificate, std::move(mutations));
  co_return committed.status();
}

}  // namespace certwright::issuer_service
