// Fault points: named places between two effects on the outside (a commit, a request to the
// CA, a call of another service, a change of DNS), at which a test has this process die or
// stand still as it might at any instruction.
//
// Which one is told by the environment: CERTWRIGHT_FAULT_POINT="order-placed:7" kills the
// process (SIGKILL) when it reaches that point for the 7th time; "order-placed:7:stop" stops it
// (SIGSTOP). Without the variable a fault point costs one load. It gives nobody a new power:
// who sets a process's environment may send it signals, too.
//
// Threading: safe from any thread.
#pragma once

#include <array>
#include <atomic>
#include <optional>

#include "absl/strings/string_view.h"

namespace certwright::base {

enum class FaultPoint {
  // In the store of each service.
  kStoreTransactionBegun,  // nothing is written yet
  kStoreCommitting,        // all is written, and the transaction is not committed
  kStoreCommitted,         // nobody has been told yet
  // Issuer service.
  kAccountKeyStored,       // the CA does not know it
  kAccountRegistered,      // the Issuer's status does not say so
  kCertificateBeginning,   // key and CSR are made
  kCertificateBegun,       // they are stored with the CertificateRequest
  kLimitsSaving,           // what an order takes of a CA's limits is about to be stored
  kLimitsSaved,            // it is
  kRequestOrdering,        // the Order is about to be created
  kRequestOrdered,         // it is, and the CertificateRequest does not say so
  kRequestFollowed,        // what the Order says is stored with the CertificateRequest
  kCertificateCompleting,  // the Secret is about to be written
  kCertificateCompleted,   // it is
  kRequestOrderDeleted,    // the CertificateRequest is still there
  // Order service.
  kOrderPlacing,             // newOrder is about to be sent
  kOrderPlaced,              // it was answered, and the URL is not stored
  kOrderRecorded,            // it is
  kOrderChallengesCreating,  // at the solver service
  kOrderChallengesCreated,
  kOrderFinalizing,         // finalize is about to be sent
  kOrderFinalized,          // it was answered, and nothing is stored
  kOrderDownloaded,         // the certificate is here, and not stored
  kOrderIssued,             // it is stored
  kOrderChallengesDeleted,  // the Order is still there
  // Solver service.
  kChallengePresenting,    // that it will be is about to be stored
  kChallengeIntentStored,  // nothing is out yet
  kChallengePresented,     // it is out, and not stored as such
  kChallengeAccepting,     // the CA is about to be told
  kChallengeAccepted,      // it was, and nothing is stored
  kChallengeFinishing,     // the CA has decided, and that is not stored
  kChallengeFinished,      // it is
  kChallengeRemoving,      // the proof is about to be removed
  kChallengeRemoved,       // it is, and the record of it is still there
  kChallengeForgotten,     // that is gone, too
};

inline constexpr std::array<absl::string_view, 35> kFaultPointNames = {
    "store-transaction-begun",
    "store-committing",
    "store-committed",
    "account-key-stored",
    "account-registered",
    "certificate-beginning",
    "certificate-begun",
    "limits-saving",
    "limits-saved",
    "request-ordering",
    "request-ordered",
    "request-followed",
    "certificate-completing",
    "certificate-completed",
    "request-order-deleted",
    "order-placing",
    "order-placed",
    "order-recorded",
    "order-challenges-creating",
    "order-challenges-created",
    "order-finalizing",
    "order-finalized",
    "order-downloaded",
    "order-issued",
    "order-challenges-deleted",
    "challenge-presenting",
    "challenge-intent-stored",
    "challenge-presented",
    "challenge-accepting",
    "challenge-accepted",
    "challenge-finishing",
    "challenge-finished",
    "challenge-removing",
    "challenge-removed",
    "challenge-forgotten",
};
static_assert(kFaultPointNames.size() ==
              static_cast<std::size_t>(FaultPoint::kChallengeForgotten) + 1);

inline constexpr absl::string_view FaultPointName(FaultPoint point) {
  return kFaultPointNames[static_cast<std::size_t>(point)];
}

// What the environment asks for.
struct FaultPlan {
  FaultPoint point;
  // At which time of reaching it, from 1.
  int at = 1;
  int signal = 0;

  // "<name>[:<number>[:stop]]"; nothing for anything else.
  static std::optional<FaultPlan> Parse(absl::string_view text);
};

namespace internal {
extern const std::optional<FaultPlan> kFaultPlan;
void ReachPlanned();
}  // namespace internal

inline void Reach(FaultPoint point) {
  if (internal::kFaultPlan.has_value() && internal::kFaultPlan->point == point) [[unlikely]] {
    internal::ReachPlanned();
  }
}

}  // namespace certwright::base
