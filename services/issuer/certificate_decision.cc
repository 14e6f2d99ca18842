#include "services/issuer/certificate_decision.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "lib/pki/names.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"
#include "services/issuer/certificate_validation.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Minutes(1);
constexpr int kShortBackoffs = 3;
constexpr absl::Duration kLastBackoff = absl::Hours(24);
constexpr absl::Duration kShortLifetime = absl::Hours(10 * 24);

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
    return Finding{"IncorrectCertificate", "The Secret was written for another Certificate."};
  }
  const meta::v1::IssuerRef& ref = certificate.spec().issuer_ref();
  if (Annotation(secret, kIssuerNameAnnotation) != ref.name() ||
      Annotation(secret, kIssuerKindAnnotation) != service::IssuerKindName(ref)) {
    return Finding{"IncorrectIssuer", "The Secret holds a certificate of another issuer."};
  }
  return std::nullopt;
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

bool HasFailed(const issuer::v1::CertificateRequest& request) {
  const meta::v1::Condition* ready = ReadyOf(request);
  return ready != nullptr && ready->status() == meta::v1::CONDITION_STATUS_FALSE &&
         (ready->reason() == "Failed" || ready->reason() == "Denied");
}

// Reasons of a request that tell more than why it was begun.
bool Explains(const meta::v1::Condition& condition) {
  return condition.reason() == "IssuerNotFound" || condition.reason() == "IssuerNotReady" ||
         condition.reason() == "NoSolver";
}

CertificateDecision DecideRequest(const CertificateSnapshot& snapshot, const Finding& finding) {
  CertificateDecision decision;
  const issuer::v1::CertificateRequest& request = *snapshot.request;
  if (!RequestFitsSpec(request, *snapshot.certificate)) {
    decision.action = CertificateAction::kBegin;
    decision.finding = {"RequestChanged", "The spec has changed since the request was made."};
    return decision;
  }
  const meta::v1::Condition* ready = ReadyOf(request);
  if (service::IsTrue(request.status().conditions(), "Ready")) {
    decision.action = CertificateAction::kComplete;
  } else if (HasFailed(request)) {
    decision.action = CertificateAction::kFail;
    decision.finding = {ready->reason(), ready->message()};
  } else {
    decision.action = CertificateAction::kWait;
    decision.finding = finding;
    if (ready != nullptr && !ready->message().empty()) {
      decision.finding.message = ready->message();
      if (Explains(*ready)) decision.finding.reason = ready->reason();
    }
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
  return facts;
}

}  // namespace

KeyPairFacts ReadKeyPair(const issuer::v1::Secret& secret) {
  return ReadKeyPair(secret, nullptr);
}

KeyPairFacts ReadKeyPair(const issuer::v1::Secret& secret, const pki::PrivateKey& key) {
  return ReadKeyPair(secret, &key);
}

absl::Time RenewalTime(const issuer::v1::CertificateSpec& spec, absl::Time not_before,
                       absl::Time not_after) {
  const absl::Duration lifetime = not_after - not_before;
  const absl::Duration wanted = absl::Seconds(spec.renew_before().seconds());
  absl::Duration before = lifetime < kShortLifetime ? lifetime / 2 : lifetime / 3;
  if (spec.has_renew_before() && wanted < lifetime) {
    before = wanted;
  } else if (spec.renew_before_percentage() > 0) {
    before = lifetime * spec.renew_before_percentage() / 100;
  }
  return not_after - before;
}

absl::Duration FailureBackoff(int failed_attempts) {
  if (failed_attempts > kShortBackoffs) return kLastBackoff;
  absl::Duration backoff = kFirstBackoff;
  for (int i = 1; i < failed_attempts; ++i) backoff *= 10;
  return backoff;
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
  if (now >= RenewalTime(certificate.spec(), present.not_before, present.not_after)) {
    return Finding{"Renewing", "The certificate is due for renewal."};
  }
  const meta::v1::Condition* issuing =
      service::FindCondition(certificate.status().conditions(), "Issuing");
  if (IsManual(issuing)) {
    return Finding{issuing->reason(), issuing->message()};
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
         request.spec().issuer_ref().name() == spec.issuer_ref().name() &&
         service::IsCluster(request.spec().issuer_ref()) ==
             service::IsCluster(spec.issuer_ref()) &&
         request.spec().duration().seconds() == spec.duration().seconds() &&
         std::equal(request.spec().usages().begin(), request.spec().usages().end(),
                    spec.usages().begin(), spec.usages().end());
}

CertificateDecision DecideCertificate(const CertificateSnapshot& snapshot, absl::Time now) {
  CertificateDecision decision;
  const issuer::v1::Certificate& certificate = *snapshot.certificate;
  if (!snapshot.secret_owner.empty()) {
    decision.action = CertificateAction::kBlocked;
    decision.finding = {
        "IncorrectCertificate",
        absl::StrCat("The Secret ", certificate.spec().secret_name(),
                     " belongs to the Certificate ", snapshot.secret_owner,
                     ", which names it too: give each its own spec.secretName.")};
    return decision;
  }
  const std::optional<Finding> finding = FindReasonToIssue(snapshot, now);
  if (!finding.has_value()) {
    decision.at = RenewalTime(certificate.spec(), snapshot.key_pair->not_before,
                              snapshot.key_pair->not_after);
    return decision;
  }
  if (snapshot.request != nullptr) return DecideRequest(snapshot, *finding);
  decision.finding = *finding;
  const meta::v1::Condition* issuing =
      service::FindCondition(certificate.status().conditions(), "Issuing");
  const bool manual = IsManual(issuing);
  // A changed spec is a new beginning.
  const bool same_spec = issuing != nullptr &&
                         issuing->observed_generation() == certificate.metadata().generation();
  if (certificate.status().has_next_attempt_time() && same_spec && !manual) {
    const absl::Time next = service::FromProto(certificate.status().next_attempt_time());
    if (now < next) {
      decision.action = CertificateAction::kBackOff;
      decision.at = next;
      return decision;
    }
  }
  decision.action = CertificateAction::kBegin;
  return decision;
}

}  // namespace certwright::issuer_service
