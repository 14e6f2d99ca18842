#include "services/issuer/certificate_decision.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/acme/renewal_info.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "lib/pki/names.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/given_certificate.h"
#include "services/issuer/issuance_failure.h"
#include "services/issuer/kinds.h"
#include "services/issuer/limit_conditions.h"
#include "services/issuer/secret_ownership.h"
#include "services/issuer/secret_repairs.h"

namespace certwright::issuer_service {
namespace {

// What a CA asks for by Retry-After is believed up to this.
constexpr absl::Duration kLongestRetryAfter = absl::Hours(7 * 24);
// How often a CA that has paused the names is asked whether a person has ended that.
constexpr absl::Duration kPausedRetry = absl::Hours(24);
// Clocks are put right by as much all the time.
constexpr absl::Duration kClockSlack = absl::Minutes(1);

std::string Value(const issuer::v1::Secret& secret, const char* key) {
  const auto it = secret.data().find(key);
  return it == secret.data().end() ? "" : it->second;
}

std::string Annotation(const issuer::v1::Secret& secret, const char* key) {
  const auto it = secret.metadata().annotations().find(key);
  return it == secret.metadata().annotations().end() ? "" : it->second;
}

pki::SubjectAltNames NamesOf(const issuer::v1::CertificateSpec& spec) {
  return CsrSpecOf(spec).names;
}

std::optional<Finding> CheckOwner(const issuer::v1::Certificate& certificate,
                                  const issuer::v1::Secret& secret) {
  if (Annotation(secret, kCertificateNameAnnotation) != certificate.metadata().name()) {
    return Finding{"IncorrectCertificate", "The Secret was not written for this Certificate."};
  }
  const std::vector<meta::v1::IssuerRef> issuers = IssuersOf(certificate.spec());
  const bool known =
      std::any_of(issuers.begin(), issuers.end(), [&secret](const meta::v1::IssuerRef& ref) {
        return Annotation(secret, kIssuerNameAnnotation) == ref.name() &&
               Annotation(secret, kIssuerKindAnnotation) == service::IssuerKindName(ref);
      });
  if (known) return std::nullopt;
  return Finding{"IncorrectIssuer", "The Secret holds a certificate of another issuer."};
}

std::string DescribeRenewal(const issuer::v1::Certificate& certificate) {
  const issuer::v1::RenewalInfo& advice = certificate.status().renewal_info();
  std::string message = "The certificate is due for renewal.";
  if (!advice.explanation_url().empty()) {
    absl::StrAppend(&message, " The CA explains: ", advice.explanation_url());
  }
  return message;
}

// Whether RenewCertificate was called.
bool IsManual(const meta::v1::Condition* issuing) {
  return issuing != nullptr && issuing->status() == meta::v1::CONDITION_STATUS_TRUE &&
         issuing->reason() == "ManuallyTriggered";
}

// What the request's condition Ready says.
const meta::v1::Condition* ReadyOf(const issuer::v1::CertificateRequest& request) {
  return service::FindCondition(request.status().conditions(), "Ready");
}

// Reasons of a request that tell more than why it was begun.
bool Explains(const meta::v1::Condition& condition) {
  return condition.reason() == "IssuerNotFound" || condition.reason() == "IssuerNotReady" ||
         condition.reason() == "AccountDoesNotExist" ||
         condition.reason() == "UserActionRequired" || condition.reason() == "NoSolver";
}

// Begins an issuance, or waits until the pace allows it.
CertificateDecision BeginAtPace(const issuer::v1::Certificate& certificate, Finding finding,
                                IssuanceCause cause, const PaceRules& pace, absl::Time now) {
  CertificateDecision decision;
  decision.action = CertificateAction::kBegin;
  decision.finding = std::move(finding);
  decision.cause = cause;
  const absl::Time next = NextIssuanceAt(certificate.status(), cause, pace, now);
  if (next <= now) return decision;
  decision.action = CertificateAction::kBackOff;
  decision.at = next;
  decision.paced = true;
  return decision;
}

// What follows from the trouble of the request's issuer, if there is another to turn to.
void ConsiderFallback(const CertificateSnapshot& snapshot, const FallbackRules& rules,
                      const PaceRules& pace, absl::Time now, CertificateDecision& decision) {
  const IssuerTrouble trouble = TroubleOf(*snapshot.request, rules, now);
  const absl::Time at = std::max(
      {trouble.from,
       AnotherIssuerAt(*snapshot.certificate, snapshot.request->spec().issuer_ref(), now),
       NextIssuanceAt(snapshot.certificate->status(), IssuanceCause::kAsked, pace, now)});
  if (at <= now) {
    decision.action = CertificateAction::kFallBack;
    decision.cause = IssuanceCause::kAsked;
    decision.trouble = trouble;
  } else if (decision.action == CertificateAction::kWait) {
    decision.at = at;
  }
}

CertificateDecision DecideRequest(const CertificateSnapshot& snapshot,
                                  const FallbackRules& rules, const PaceRules& pace,
                                  const Finding& finding, absl::Time now) {
  CertificateDecision decision;
  const issuer::v1::CertificateRequest& request = *snapshot.request;
  if (!RequestFitsSpec(request, *snapshot.certificate)) {
    return BeginAtPace(*snapshot.certificate,
                       {"RequestChanged", "The spec has changed since the request was made."},
                       IssuanceCause::kAsked, pace, now);
  }
  const meta::v1::Condition* ready = ReadyOf(request);
  if (!snapshot.has_next_key) {
    decision.action = CertificateAction::kFail;
    decision.finding = LostNextKey(*snapshot.certificate);
  } else if (service::IsTrue(request.status().conditions(), "Ready")) {
    decision.action = CertificateAction::kComplete;
  } else if (HasFailed(request)) {
    decision.action = CertificateAction::kFail;
    decision.finding = {ready->reason(), ready->message()};
    ConsiderFallback(snapshot, rules, pace, now, decision);
    if (decision.action == CertificateAction::kFallBack) decision.finding = finding;
  } else {
    decision.action = CertificateAction::kWait;
    decision.finding = finding;
    if (ready != nullptr && !ready->message().empty()) {
      decision.finding.message = ready->message();
      if (Explains(*ready)) decision.finding.reason = ready->reason();
    }
    ConsiderFallback(snapshot, rules, pace, now, decision);
    if (decision.action == CertificateAction::kFallBack) decision.finding = finding;
  }
  return decision;
}

}  // namespace

namespace {

// `known_key` is what tls.key holds; nullptr if that has to be read.
KeyPairFacts ReadKeyPair(const issuer::v1::Secret& secret, const pki::PrivateKey* known_key) {
  KeyPairFacts facts;
  if (!Annotation(secret, kTemporaryAnnotation).empty()) {
    facts.problem = {"DoesNotExist", "The Secret holds only a temporary certificate."};
    return facts;
  }
  const std::string certificate_pem = Value(secret, kCertificateKey);
  const auto key_pem = secret.data().find(kPrivateKeyKey);
  if (certificate_pem.empty() || key_pem == secret.data().end() || key_pem->second.empty()) {
    facts.problem = {"MissingData", "The Secret lacks tls.crt or tls.key."};
    return facts;
  }
  const auto chain = pki::ParseChainPem(certificate_pem);
  if (!chain.ok()) {
    facts.problem = {"InvalidCertificate",
                     absl::StrCat("tls.crt cannot be read: ", chain.status().message())};
    return facts;
  }
  const absl::StatusOr<pki::PrivateKey> key =
      known_key != nullptr ? *known_key : pki::PrivateKey::ParsePem(key_pem->second);
  if (!key.ok()) {
    facts.problem = {"InvalidKeyPair",
                     absl::StrCat("tls.key cannot be read: ", key.status().message())};
    return facts;
  }
  const pki::Certificate& leaf = chain->front();
  if (!(key->public_key() == leaf.public_key)) {
    facts.problem = {"InvalidKeyPair", "tls.key does not belong to tls.crt."};
    return facts;
  }
  facts.not_before = leaf.not_before;
  facts.not_after = leaf.not_after;
  facts.names = leaf.names;
  facts.key_spec = key->spec();
  facts.serial_number = leaf.serial_hex;
  facts.fingerprint = FingerprintOf(leaf);
  facts.certificate_id = acme::CertId(leaf).value_or("");
  return facts;
}

}  // namespace

KeyPairFacts ReadKeyPair(const issuer::v1::Secret& secret) {
  return ReadKeyPair(secret, nullptr);
}

KeyPairFacts ReadKeyPair(const issuer::v1::Secret& secret, const pki::PrivateKey& key) {
  return ReadKeyPair(secret, &key);
}

PresentCertificate PresentOf(const issuer::v1::Certificate& certificate,
                             const KeyPairFacts& present) {
  const issuer::v1::CertificateStatus& status = certificate.status();
  PresentCertificate known{present.not_before, present.not_after};
  if (!WasGiven(certificate, present.fingerprint)) return known;
  if (status.has_issuance_time()) known.issued = service::FromProto(status.issuance_time());
  known.renewed_early = status.renewed_early();
  return known;
}

absl::Time RenewalTimeOf(const issuer::v1::Certificate& certificate,
                         const KeyPairFacts& present) {
  return RenewalPlanOf(certificate, present).time;
}

RenewalPlan RenewalPlanOf(const issuer::v1::Certificate& certificate,
                          const KeyPairFacts& present) {
  const issuer::v1::RenewalInfo& info = certificate.status().renewal_info();
  std::optional<RenewalAdvice> advice;
  if (info.has_selected_time() && info.certificate_id() == present.certificate_id) {
    advice = {service::FromProto(info.selected_time()),
              service::FromProto(info.suggested_time())};
  }
  return PlanRenewal(certificate.spec(), certificate.metadata().uid(),
                     PresentOf(certificate, present), advice);
}

namespace {

// When a certificate that leads to another CA than the issuer's present one is renewed: what
// that CA would advise.
absl::Time OtherCaTimeOf(const CertificateSnapshot& snapshot) {
  const issuer::v1::Certificate& certificate = *snapshot.certificate;
  const std::string& uid = certificate.metadata().uid();
  const PresentCertificate present = PresentOf(certificate, *snapshot.key_pair);
  const PrivateCa& ca = *snapshot.other_ca;
  const RenewalAdvice advice{ca.since + SpreadOf(ca) * JitterOf(uid, present), ca.since};
  return RenewalTime(certificate.spec(), uid, present, advice);
}

}  // namespace

bool IsRevoked(const issuer::v1::Certificate& certificate, const KeyPairFacts& present) {
  return certificate.status().has_revocation() && !present.problem.has_value() &&
         certificate.status().revocation().serial_number() == present.serial_number;
}

Finding LostNextKey(const issuer::v1::Certificate& certificate) {
  return {"NextKeyLost",
          absl::StrCat("Somebody has changed or deleted the Secret ",
                       certificate.status().next_private_key_secret_name(),
                       ", in which the key of the next certificate waited. Another key and "
                       "certificate follow after a pause.")};
}

bool HasFailed(const issuer::v1::CertificateRequest& request) {
  const meta::v1::Condition* ready = ReadyOf(request);
  return ready != nullptr && ready->status() == meta::v1::CONDITION_STATUS_FALSE &&
         (ready->reason() == "Failed" || ready->reason() == "Denied");
}

absl::Time NextAttemptAfter(const issuer::v1::CertificateRequest& request, int failed_attempts,
                            absl::Time now) {
  const issuer::v1::CertificateRequestStatus& status = request.status();
  const bool denied = service::IsTrue(status.conditions(), "Denied");
  const FailureClass failure =
      denied ? FailureClass::kRefused
             : ClassOfProblems({status.failure_types().begin(), status.failure_types().end()});
  if (IsPaused(request)) return now + kPausedRetry;
  const absl::Time next = now + FailureBackoff(failure, failed_attempts);
  if (!status.has_retry_time()) return next;
  return std::max(next,
                  std::min(service::FromProto(status.retry_time()), now + kLongestRetryAfter));
}

bool HoldsAnothers(const CertificateSnapshot& snapshot) {
  const KeyPairFacts* present = snapshot.key_pair;
  return present != nullptr && !present->problem.has_value() &&
         !snapshot.certificate->status().sha256_fingerprint().empty() &&
         !WasGiven(*snapshot.certificate, present->fingerprint);
}

std::optional<Finding> FindReasonToIssue(const CertificateSnapshot& snapshot, absl::Time now) {
  const issuer::v1::Certificate& certificate = *snapshot.certificate;
  if (snapshot.secret == nullptr) {
    return Finding{"DoesNotExist", absl::StrCat("The Secret ", certificate.spec().secret_name(),
                                                " does not exist yet.")};
  }
  const KeyPairFacts& present = *snapshot.key_pair;
  if (present.problem.has_value()) return present.problem;
  if (!(present.key_spec == KeySpecOf(certificate.spec()))) {
    return Finding{"SecretMismatch", "The private key is not what spec.privateKey asks for."};
  }
  if (auto finding = CheckOwner(certificate, *snapshot.secret)) return finding;
  const std::string difference =
      pki::NameSetDifference(*pki::NormalizeNames(NamesOf(certificate.spec())), present.names);
  if (!difference.empty()) {
    return Finding{
        "RequestChanged",
        absl::StrCat("The present certificate is for other names: ", difference, ".")};
  }
  const std::string digest = Annotation(*snapshot.secret, kRequestDigestAnnotation);
  if (absl::StartsWith(digest, kRequestDigestVersion) &&
      digest != RequestDigest(certificate.spec())) {
    return Finding{
        "RequestChanged",
        "The present certificate was asked for with another subject, lifetime or use."};
  }
  if (now >= present.not_after) return Finding{"Expired", "The certificate has expired."};
  const meta::v1::Condition* issuing =
      service::FindCondition(certificate.status().conditions(), "Issuing");
  if (IsManual(issuing)) {
    return Finding{issuing->reason(), issuing->message()};
  }
  if (IsRevoked(certificate, present)) {
    return Finding{"Revoked", "The certificate was revoked."};
  }
  if (snapshot.other_ca != nullptr && now >= OtherCaTimeOf(snapshot)) {
    return Finding{
        "CaReplaced",
        "The issuer signs with another CA, to which this certificate does not lead."};
  }
  if (now >= RenewalTimeOf(certificate, present)) {
    return Finding{"Renewing", DescribeRenewal(certificate)};
  }
  return std::nullopt;
}

bool RequestFitsSpec(const issuer::v1::CertificateRequest& request,
                     const issuer::v1::Certificate& certificate) {
  const auto& annotations = request.metadata().annotations();
  const auto generation = annotations.find(kCertificateGenerationAnnotation);
  // Made for this very spec.
  if (generation != annotations.end() &&
      generation->second == absl::StrCat(certificate.metadata().generation())) {
    return true;
  }
  const issuer::v1::CertificateSpec& spec = certificate.spec();
  const auto csr = pki::ParseCsrPem(request.spec().request());
  if (!csr.ok()) return false;
  const auto wanted = pki::NormalizeNames(NamesOf(spec));
  const auto asked = pki::NormalizeNames(csr->names);
  return wanted.ok() && asked.ok() && *wanted == *asked && AsksForSubjectOf(spec, *csr) &&
         csr->public_key.spec() == KeySpecOf(spec) &&
         HasIssuer(spec, request.spec().issuer_ref()) &&
         request.spec().duration().seconds() == spec.duration().seconds() &&
         std::equal(request.spec().usages().begin(), request.spec().usages().end(),
                    spec.usages().begin(), spec.usages().end());
}

namespace {

// Nothing follows a certificate that was revoked because its names are no longer served.
bool IsTheLast(const issuer::v1::Certificate& certificate, const Finding& finding) {
  return finding.reason == "Revoked" &&
         certificate.status().revocation().reason() ==
             issuer::v1::REVOCATION_REASON_CESSATION_OF_OPERATION;
}

// When the next attempt after a failure may be made: at once if the spec has changed since or
// somebody asked for a new certificate.
absl::Time NextAttempt(const issuer::v1::Certificate& certificate, absl::Time now) {
  const issuer::v1::CertificateStatus& status = certificate.status();
  const meta::v1::Condition* issuing = service::FindCondition(status.conditions(), "Issuing");
  const bool same_spec = issuing != nullptr &&
                         issuing->observed_generation() == certificate.metadata().generation();
  if (!status.has_next_attempt_time() || !same_spec || IsManual(issuing)) {
    return absl::InfinitePast();
  }
  // A failure that lies ahead was noted under a clock that has been set back since, and so was
  // the time of the next attempt.
  const bool in_order = service::FromProto(status.last_failure_time()) <= now + kClockSlack;
  return in_order ? service::FromProto(status.next_attempt_time()) : absl::InfinitePast();
}

// Whether a key pair for which that was found does until there is another.
bool Serves(const issuer::v1::Certificate& certificate, const Finding& finding,
            const KeyPairFacts* present) {
  return finding.reason == "Renewing" || finding.reason == "CaReplaced" ||
         (finding.reason == "ManuallyTriggered" && !IsRevoked(certificate, *present));
}

// From when on a renewal counts as one that its certificate has served for.
absl::Time EndOfService(const PresentCertificate& present, const PaceRules& pace) {
  return std::max(EndOfFirstTenth(present), present.issued + pace.window / 4);
}

// What an issuance that would begin now is for.
IssuanceCause CauseOf(const CertificateSnapshot& snapshot, const Finding& finding,
                      const PaceRules& pace, absl::Time now) {
  const issuer::v1::Certificate& certificate = *snapshot.certificate;
  if (HasNewSpec(certificate) || finding.reason == "ManuallyTriggered" ||
      finding.reason == "Revoked") {
    return IssuanceCause::kAsked;
  }
  if (!Serves(certificate, finding, snapshot.key_pair)) return IssuanceCause::kUnasked;
  if (finding.reason != "Renewing") return IssuanceCause::kAsked;
  const PresentCertificate present = PresentOf(certificate, *snapshot.key_pair);
  if (now < EndOfFirstTenth(present)) return IssuanceCause::kAdvised;
  return now >= EndOfService(present, pace) ? IssuanceCause::kScheduled
                                            : IssuanceCause::kUnasked;
}

// When a renewal begins that was due while nothing could be renewed; one that is not overdue
// may begin.
absl::Time StartOfRenewal(const issuer::v1::Certificate& certificate,
                          const KeyPairFacts& present, absl::Time now) {
  const issuer::v1::CertificateStatus& status = certificate.status();
  const absl::Time due = RenewalTimeOf(certificate, present);
  if (status.failed_issuance_attempts() > 0 || !IsOverdue(due, now)) return due;
  const double jitter = JitterOf(certificate.metadata().uid(), PresentOf(certificate, present));
  const absl::Time start = StartOfOverdue(due, present.not_after, jitter, now);
  if (!status.has_overdue_renewal_time()) return start;
  return std::min(start, service::FromProto(status.overdue_renewal_time()));
}

CertificateDecision DecideBeginning(const CertificateSnapshot& snapshot, const Finding& finding,
                                    const PaceRules& pace, absl::Time now) {
  const issuer::v1::Certificate& certificate = *snapshot.certificate;
  CertificateDecision decision =
      BeginAtPace(certificate, finding, CauseOf(snapshot, finding, pace, now), pace, now);
  if (decision.paced && finding.reason == "Renewing") {
    // Then it is one that is scheduled.
    const absl::Time scheduled =
        std::max(EndOfService(PresentOf(certificate, *snapshot.key_pair), pace),
                 NextIssuanceAt(certificate.status(), IssuanceCause::kScheduled, pace, now));
    decision.at = std::min(decision.at, scheduled);
  }
  const absl::Time next = NextAttempt(certificate, now);
  if (next > now && (!decision.paced || next >= decision.at)) {
    decision.action = CertificateAction::kBackOff;
    decision.paced = false;
    decision.at = next;
  }
  if (decision.action != CertificateAction::kBegin || finding.reason != "Renewing") {
    return decision;
  }
  const absl::Time start = StartOfRenewal(certificate, *snapshot.key_pair, now);
  if (start <= now) return decision;
  decision.action = CertificateAction::kReady;
  decision.overdue = true;
  decision.at = start;
  return decision;
}

// Whether the pair that is kept would serve in the Secret, which needs no CA then.
bool KeptServes(const CertificateSnapshot& snapshot, absl::Time now) {
  if (snapshot.kept == nullptr) return false;
  CertificateSnapshot as_kept = snapshot;
  as_kept.secret = snapshot.kept;
  as_kept.key_pair = snapshot.kept_pair;
  const std::optional<Finding> finding = FindReasonToIssue(as_kept, now);
  return !finding.has_value() || Serves(*snapshot.certificate, *finding, snapshot.kept_pair);
}

// Writes the Secret with what is kept, at a pace at which others may write it too.
CertificateDecision DecidePutBack(const issuer::v1::Certificate& certificate, Finding finding,
                                  absl::Time now) {
  CertificateDecision decision;
  decision.finding = std::move(finding);
  decision.action = CertificateAction::kPutBack;
  const absl::Time next = NextRepairAt(certificate.status(), now);
  if (next <= now) return decision;
  decision.action = CertificateAction::kBackOff;
  decision.at = next;
  decision.kept_serves = true;
  return decision;
}

CertificateDecision Block(Finding finding) {
  CertificateDecision decision;
  decision.action = CertificateAction::kBlocked;
  decision.finding = std::move(finding);
  return decision;
}

}  // namespace

CertificateDecision DecideCertificate(const CertificateSnapshot& snapshot,
                                      const FallbackRules& rules, const PaceRules& pace,
                                      absl::Time now) {
  const issuer::v1::Certificate& certificate = *snapshot.certificate;
  if (auto why_not = WhyNotWrite(certificate, snapshot.secret, snapshot.secret_users)) {
    return Block(*std::move(why_not));
  }
  CertificateDecision decision;
  const std::optional<Finding> finding = FindReasonToIssue(snapshot, now);
  if (!finding.has_value()) {
    if (HoldsAnothers(snapshot) && KeptServes(snapshot, now)) {
      return DecidePutBack(
          certificate,
          {"IncorrectCertificate",
           "The Secret holds another key pair than the Certificate was given."},
          now);
    }
    decision.at = RenewalTimeOf(certificate, *snapshot.key_pair);
    if (snapshot.other_ca != nullptr) {
      decision.at = std::min(decision.at, OtherCaTimeOf(snapshot));
    }
    return decision;
  }
  if (snapshot.request == nullptr && IsTheLast(certificate, *finding)) {
    return Block({"Revoked",
                  "The certificate was revoked because its names are no longer served. "
                  "RenewCertificate gets a new one."});
  }
  decision = snapshot.request != nullptr ? DecideRequest(snapshot, rules, pace, *finding, now)
                                         : DecideBeginning(snapshot, *finding, pace, now);
  if (decision.action == CertificateAction::kComplete) return decision;
  decision.present_serves = Serves(certificate, *finding, snapshot.key_pair);
  const bool is_own = decision.present_serves && !HoldsAnothers(snapshot);
  return is_own || !KeptServes(snapshot, now) ? decision
                                              : DecidePutBack(certificate, *finding, now);
}

}  // namespace certwright::issuer_service
