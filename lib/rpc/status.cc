#include "lib/rpc/status.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace certwright::rpc {
namespace {

// gRPC drops trailers of more than 8 KiB, in which the message is twice (clients such as
// grpcurl show the copy in the details) and the details are in base64.
constexpr std::size_t kMaxDetailsBytes = 4 * 1024;
constexpr std::size_t kMaxMessageBytes = 1536;
constexpr std::size_t kMaxBadRequestBytes = kMaxDetailsBytes - kMaxMessageBytes - 256;
constexpr std::size_t kMaxViolations = 20;

google::rpc::Status DetailsOf(const absl::Status& status) {
  google::rpc::Status details;
  const absl::optional<absl::Cord> payload = status.GetPayload(kDetailsUrl);
  if (payload.has_value() && !details.ParseFromString(std::string(*payload))) details.Clear();
  return details;
}

absl::Status WithDetails(absl::Status status, const google::rpc::Status& details) {
  status.SetPayload(kDetailsUrl, absl::Cord(details.SerializeAsString()));
  return status;
}

template <typename Detail>
bool FindDetail(const google::rpc::Status& details, Detail* found) {
  return std::any_of(details.details().begin(), details.details().end(), [&](const auto& any) {
    return any.template Is<Detail>() && any.UnpackTo(found);
  });
}

// Replaces the detail of this type, or adds it.
template <typename Detail>
void SetDetail(google::rpc::Status& details, const Detail& detail) {
  for (google::protobuf::Any& any : *details.mutable_details()) {
    if (any.Is<Detail>()) {
      any.PackFrom(detail);
      return;
    }
  }
  details.add_details()->PackFrom(detail);
}

void SetReason(google::rpc::Status& details, absl::string_view reason) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(kErrorDomain);
  SetDetail(details, info);
}

// What ErrorInfo says where nothing more specific was said: the code's own name.
std::string DefaultReason(absl::StatusCode code) { return absl::StatusCodeToString(code); }

std::string Shortened(absl::string_view text, std::size_t limit) {
  if (text.size() <= limit) return std::string(text);
  return absl::StrCat(text.substr(0, limit), " …");
}

absl::Status ResourceError(absl::StatusCode code, absl::string_view kind,
                           absl::string_view resource_namespace, absl::string_view name,
                           absl::string_view what) {
  const std::string full = resource_namespace.empty()
                               ? std::string(name)
                               : absl::StrCat(resource_namespace, "/", name);
  google::rpc::ResourceInfo info;
  info.set_resource_type(std::string(kind));
  info.set_resource_name(full);
  info.set_description(std::string(what));
  google::rpc::Status details;
  SetReason(details, DefaultReason(code));
  SetDetail(details, info);
  return WithDetails(absl::Status(code, absl::StrCat(kind, " ", full, " ", what)), details);
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status details = DetailsOf(status);
  google::rpc::ErrorInfo info;
  if (!FindDetail(details, &info)) SetReason(details, DefaultReason(status.code()));
  const std::string message = Shortened(status.message(), kMaxMessageBytes);
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  while (details.ByteSizeLong() > kMaxDetailsBytes) details.mutable_details()->RemoveLast();
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      details.SerializeAsString());
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
  if (!status.error_details().empty()) {
    result.SetPayload(kDetailsUrl, absl::Cord(status.error_details()));
  }
  return result;
}

absl::Status InvalidArgument(const std::vector<FieldViolation>& violations) {
  google::rpc::BadRequest bad_request;
  std::string message;
  const std::size_t shown = std::min(violations.size(), kMaxViolations);
  for (std::size_t i = 0; i < shown; ++i) {
    const std::string description = Shortened(violations[i].description, 200);
    auto& field = *bad_request.add_field_violations();
    field.set_field(Shortened(violations[i].field, 100));
    field.set_description(description);
    absl::StrAppend(&message, message.empty() ? "" : "; ", field.field(), ": ", description);
  }
  if (shown < violations.size()) {
    absl::StrAppend(&message, "; and ", violations.size() - shown, " more");
  }
  while (bad_request.ByteSizeLong() > kMaxBadRequestBytes) {
    bad_request.mutable_field_violations()->RemoveLast();
  }
  google::rpc::Status details;
  SetReason(details, "INVALID_FIELDS");
  SetDetail(details, bad_request);
  return WithDetails(absl::InvalidArgumentError(message), details);
}

absl::Status NotFound(absl::string_view kind, absl::string_view resource_namespace,
                      absl::string_view name) {
  return ResourceError(absl::StatusCode::kNotFound, kind, resource_namespace, name,
                       "does not exist");
}

absl::Status AlreadyExists(absl::string_view kind, absl::string_view resource_namespace,
                           absl::string_view name) {
  return ResourceError(absl::StatusCode::kAlreadyExists, kind, resource_namespace, name,
                       "exists already");
}

absl::Status FailedPrecondition(absl::string_view reason, absl::string_view message) {
  google::rpc::PreconditionFailure failure;
  auto& violation = *failure.add_violations();
  violation.set_type(std::string(reason));
  violation.set_description(Shortened(message, 500));
  google::rpc::Status details;
  SetReason(details, reason);
  SetDetail(details, failure);
  return WithDetails(absl::FailedPreconditionError(message), details);
}

absl::Status WithRetryAfter(const absl::Status& status, absl::Duration delay) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(delay));
  retry.mutable_retry_delay()->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(delay % absl::Seconds(1))));
  google::rpc::Status details = DetailsOf(status);
  SetDetail(details, retry);
  return WithDetails(status, details);
}

std::optional<absl::Duration> RetryAfterOf(const absl::Status& status) {
  google::rpc::RetryInfo retry;
  if (!FindDetail(DetailsOf(status), &retry)) return std::nullopt;
  return absl::Seconds(retry.retry_delay().seconds()) +
         absl::Nanoseconds(retry.retry_delay().nanos());
}

absl::Status WithReason(const absl::Status& status, absl::string_view reason) {
  google::rpc::Status details = DetailsOf(status);
  SetReason(details, reason);
  return WithDetails(status, details);
}

std::string ErrorReasonOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  if (!FindDetail(DetailsOf(status), &info)) return "";
  return info.reason();
}

std::vector<FieldViolation> ViolationsOf(const absl::Status& status) {
  google::rpc::BadRequest bad_request;
  std::vector<FieldViolation> violations;
  if (!FindDetail(DetailsOf(status), &bad_request)) return violations;
  for (const auto& violation : bad_request.field_violations()) {
    violations.push_back({violation.field(), violation.description()});
  }
  return violations;
}

}  // namespace certwright::rpc
