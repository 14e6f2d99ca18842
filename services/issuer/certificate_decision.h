// What a Certificate needs next: pure functions of what is stored and of the time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/certificate_request.pb.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "lib/pki/certificate.h"
#include "services/issuer/finding.h"
#include "services/issuer/issuance_pace.h"
#include "services/issuer/issuer_choice.h"
#include "services/issuer/private_cas.h"
#include "services/issuer/renewal.h"
#include "services/issuer/secret_users.h"

namespace certwright::issuer_service {

// What a Secret's key pair is. Reading keys and certificates is the dearest part of a pass, so
// this is kept for as long as the Secret does not change.
struct KeyPairFacts {
  // What makes it unusable, if anything does: then the rest is not set.
  std::optional<Finding> problem;
  absl::Time not_before;
  absl::Time not_after;
  pki::SubjectAltNames names;
  pki::KeySpec key_spec;
  // In lower-case hexadecimal.
  std::string serial_number;
  // FingerprintOf() the certificate.
  std::string fingerprint;
  // How the CA is asked about it (RFC 9773 §4.1); empty if it cannot be named.
  std::string certificate_id;
};

KeyPairFacts ReadKeyPair(const issuer::v1::Secret& secret);
// The same for a Secret whose tls.key is known to hold `key`.
KeyPairFacts ReadKeyPair(const issuer::v1::Secret& secret, const pki::PrivateKey& key);

// What is stored about one Certificate. Pointers may be null where nothing is stored.
struct CertificateSnapshot {
  const issuer::v1::Certificate* certificate = nullptr;
  // spec.secret_name, and its key pair; both or neither.
  const issuer::v1::Secret* secret = nullptr;
  const KeyPairFacts* key_pair = nullptr;
  // Of the Secret.
  std::vector<SecretUser> secret_users = {};
  // status.certificate_request_name, and whether its key still waits.
  const issuer::v1::CertificateRequest* request = nullptr;
  bool has_next_key = false;
  // What the issuer signs with at present, if the certificate in the Secret does not lead
  // there.
  const PrivateCa* other_ca = nullptr;
  // The pair that the Certificate was given last, as kept for it (kept_key_pair.h); both or
  // neither.
  const issuer::v1::Secret* kept = nullptr;
  const KeyPairFacts* kept_pair = nullptr;
};

// Whether the Secret holds a good key pair that is not the one that was given last.
bool HoldsAnothers(const CertificateSnapshot& snapshot);

// Nothing if the Secret holds what the spec asks for, to be renewed later than `now`.
std::optional<Finding> FindReasonToIssue(const CertificateSnapshot& snapshot, absl::Time now);

// What renewal.h is to know of a key pair without a problem.
PresentCertificate PresentOf(const issuer::v1::Certificate& certificate,
                             const KeyPairFacts& present);

// When to renew it: what renewal.h makes of the spec, of the key pair, which has no problem,
// and of the CA's advice, if status holds some about this certificate.
RenewalPlan RenewalPlanOf(const issuer::v1::Certificate& certificate,
                          const KeyPairFacts& present);
absl::Time RenewalTimeOf(const issuer::v1::Certificate& certificate,
                         const KeyPairFacts& present);

// Whether the present certificate is the one that RevokeCertificate revoked.
bool IsRevoked(const issuer::v1::Certificate& certificate, const KeyPairFacts& present);

// That the key of the certificate on the way is no longer what it was asked for with.
Finding LostNextKey(const issuer::v1::Certificate& certificate);

// Whether the request is over without a certificate.
bool HasFailed(const issuer::v1::CertificateRequest& request);

// When to try again after `request` has failed, as the `failed_attempts`th in a row.
absl::Time NextAttemptAfter(const issuer::v1::CertificateRequest& request, int failed_attempts,
                            absl::Time now);

enum class CertificateAction {
  // All is well until `at`.
  kReady,
  // Make a key and a request.
  kBegin,
  // The request is on its way.
  kWait,
  // Too soon after a failure, or after others were begun: wait until `at`.
  kBackOff,
  // Write the Secret again with the pair that is kept, which serves.
  kPutBack,
  // The request has a certificate: write the Secret.
  kComplete,
  // The request has failed.
  kFail,
  // Give the request up, pass its issuer over and ask the next one.
  kFallBack,
  // The Secret is not the Certificate's to write, or nothing is to follow a revoked one.
  kBlocked,
};

struct CertificateDecision {
  CertificateAction action = CertificateAction::kReady;
  // Why; for kReady empty.
  Finding finding;
  absl::Time at = absl::InfiniteFuture();
  // Whether the present key pair does until there is another.
  bool present_serves = false;
  // For kFallBack.
  IssuerTrouble trouble = {};
  // For kBegin and kFallBack.
  IssuanceCause cause = IssuanceCause::kUnasked;
  // For kBackOff: that it is the pace that holds it, or that the pair that is kept is put back
  // then.
  bool paced = false;
  bool kept_serves = false;
  // For kReady: that the renewal is overdue and begins at `at`.
  bool overdue = false;
};

CertificateDecision DecideCertificate(const CertificateSnapshot& snapshot,
                                      const FallbackRules& rules, const PaceRules& pace,
                                      absl::Time now);

// Whether `request` asks for what the Certificate's spec says.
bool RequestFitsSpec(const issuer::v1::CertificateRequest& request,
                     const issuer::v1::Certificate& certificate);

}  // namespace certwright::issuer_service
