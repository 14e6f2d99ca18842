// Errors between services: absl::Status inside, grpc::Status with google.rpc details on the
// wire, nothing lost in between.
//
// Details ride in an absl::Status as one payload (kDetailsUrl: a serialized
// google.rpc.Status), so base::Annotate() keeps them. Every error leaves with an ErrorInfo of
// domain "certwright". Details are kept under 4 KiB, since gRPC drops larger trailers and
// the error with them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "grpcpp/support/status.h"

namespace certwright::rpc {

inline constexpr char kDetailsUrl[] = "type.googleapis.com/google.rpc.Status";
inline constexpr char kErrorDomain[] = "certwright";

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

struct FieldViolation {
  // "spec.dnsNames[1]"
  std::string field;
  // The rule that is broken, as a clause: "must be a DNS name".
  std::string description;
};

// INVALID_ARGUMENT whose message lists all violations, with BadRequest. `violations` is not
// empty.
absl::Status InvalidArgument(const std::vector<FieldViolation>& violations);

// NOT_FOUND and ALREADY_EXISTS with ResourceInfo; `resource_namespace` is empty for
// cluster-wide kinds.
absl::Status NotFound(absl::string_view kind, absl::string_view resource_namespace,
                      absl::string_view name);
absl::Status AlreadyExists(absl::string_view kind, absl::string_view resource_namespace,
                           absl::string_view name);

// FAILED_PRECONDITION with PreconditionFailure; `reason` is UPPER_SNAKE_CASE.
absl::Status FailedPrecondition(absl::string_view reason, absl::string_view message);

// RESOURCE_EXHAUSTED with QuotaFailure; `subject` is whose quota it is, `message` says how much
// there may be and how much there is.
absl::Status QuotaExceeded(absl::string_view subject, absl::string_view message);

// `status` with RetryInfo.
absl::Status WithRetryAfter(const absl::Status& status, absl::Duration delay);
std::optional<absl::Duration> RetryAfterOf(const absl::Status& status);

// `status` with this ErrorInfo reason instead of the one derived from its code.
absl::Status WithReason(const absl::Status& status, absl::string_view reason);
// Empty if the status carries none.
std::string ErrorReasonOf(const absl::Status& status);

// The violations of an INVALID_ARGUMENT.
std::vector<FieldViolation> ViolationsOf(const absl::Status& status);

}  // namespace certwright::rpc
