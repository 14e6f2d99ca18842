// Problem documents (RFC 7807 as RFC 8555 §6.7 uses them), what each of them
// asks of a client, and how both travel inside an absl::Status.
//
// Every function of lib/acme that talks to a CA returns absl::Status or
// StatusOr; when it fails, ProblemOf(), ClassOf() and RetryAtOf() tell what the
// CA said, what to do, and when. base::Annotate() keeps all three.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/acme/identifier.h"

namespace certwright::acme {

struct Subproblem {
  std::string type;
  std::string detail;
  std::optional<Identifier> identifier;

  friend bool operator==(const Subproblem&, const Subproblem&) = default;
};

// Texts are stripped of control characters and cut at 1 KiB, so that they may
// be shown; at 4 KiB a detail with the long URL that ends a pause.
struct Problem {
  std::string type;  // a URI; empty if the answer had none
  std::string title;
  std::string detail;
  int status = 0;  // what the document says, 0 if nothing; the HTTP status may differ
  std::string instance;
  std::vector<Subproblem> subproblems;  // at most 100
  std::vector<std::string> algorithms;  // of badSignatureAlgorithm

  // "rateLimited" for "urn:ietf:params:acme:error:rateLimited"; other types
  // unchanged.
  std::string ShortType() const;
  // ShortType, detail and subproblems on one line, at most 1 KiB.
  std::string Describe() const;

  friend bool operator==(const Problem&, const Problem&) = default;
};

// What the answer asks of the client; the worst is last, and decides for a problem of parts.
enum class ErrorClass {
  kNone,          // the status is OK
  kAlreadyDone,   // what was asked for is so already
  kRetryNonce,    // repeat with the nonce of that answer; AcmeClient does so itself
  kRetryBackoff,  // a fault on the way or in the CA: again, later and later
  kRetryAt,       // not before RetryAtOf()
  kRereadOrder,   // the order is in another state than thought
  kReregister,    // the CA does not know the account: register its key once more
  kNewOrder,      // this order is dead, another may succeed
  kOperator,      // a person must act; trying again is harmless but useless
  kPermanent,     // the same request will be refused for ever
};
absl::string_view ErrorClassName(ErrorClass error_class);

// INVALID_ARGUMENT unless `body` is a JSON object (64 KiB and 16 levels at
// most). Members of the wrong kind count as absent.
absl::StatusOr<Problem> ParseProblem(absl::string_view body);

// The class of an error answer; `problem` is empty if the answer carried none.
ErrorClass Classify(int http_status, const Problem& problem);

// The class of the `error` inside a failed challenge or order.
ErrorClass ClassifyOrderError(const Problem& problem);

// The error of an answer with `http_status`. `retry_at`, if any, turns
// kRetryBackoff into kRetryAt; `now` serves for the default wait of a rate
// limit without one (1 h).
absl::Status ProblemStatus(int http_status, const Problem& problem,
                           std::optional<absl::Time> retry_at, absl::Time now);

// The error of a failed challenge or order.
absl::Status OrderErrorStatus(const Problem& problem, absl::Time now);

// An error of this library's own: no answer, or one that makes no sense.
absl::Status ErrorWithClass(absl::StatusCode code, absl::string_view message,
                            ErrorClass error_class);

std::optional<Problem> ProblemOf(const absl::Status& status);
// For statuses that do not carry a class: by code, kNone for OK.
ErrorClass ClassOf(const absl::Status& status);
std::optional<absl::Time> RetryAtOf(const absl::Status& status);
// The HTTP status of the answer, if there was one.
std::optional<int> HttpStatusOf(const absl::Status& status);
// Whether the status carries a problem of this ShortType().
bool HasProblemType(const absl::Status& status, absl::string_view short_type);

}  // namespace certwright::acme
