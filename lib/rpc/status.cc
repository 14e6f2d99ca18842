#include "lib/rpc/status.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "lib/base/utf8.h"

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

// What is no UTF-8, a character cut in two included, would make all details unreadable for the
// client.
std::string Readable(absl::string_view text) {
  std::string readable;
  while (!text.empty()) {
    const std::size_t length = base::Utf8Length(text);
    if (length == 0) {
      readable += '?';
    } else {
      absl::StrAppend(&readable, text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return readable;
}

std::string Shortened(absl::string_view bytes, std::size_t limit) {
  std::string readable = Readable(bytes);
  const absl::string_view text = readable;
  if (text.size() <= limit) return readable;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80) --limit;
  return absl::StrCat(text.substr(0, limit), " …");
}

// The size of `text` as a header: bytes that are not printable ASCII become "%XX".
std::size_t EncodedSize(absl::string_view text) {
  std::size_t size = 0;
  for (const char c : text) size += c < ' ' || c > '~' || c == '%' ? 3 : 1;
  return size;
}

std::string ShortenedMessage(absl::string_view text) {
  std::size_t limit = kMaxMessageBytes - 16;
  if (EncodedSize(text) > kMaxMessageBytes && EncodedSize(text.substr(0, limit)) > limit) {
    limit /= 3;
  }
  return Shortened(text, limit);
}

// ErrorInfo first, then what else fits.
google::rpc::Status Fitted(const google::rpc::Status& details, absl::StatusCode code,
                           const std::string& message) {
  google::rpc::ErrorInfo info;
  if (!FindDetail(details, &info)) {
    info.set_reason(DefaultReason(code));
    info.set_domain(kErrorDomain);
  }
  google::rpc::Status fitted;
  fitted.set_code(static_cast<int>(code));
  fitted.set_message(message);
  fitted.add_details()->PackFrom(info);
  if (fitted.ByteSizeLong() > kMaxDetailsBytes) {
    fitted.clear_details();
    SetReason(fitted, DefaultReason(code));
  }
  for (const google::protobuf::Any& any : details.details()) {
    if (any.Is<google::rpc::ErrorInfo>()) continue;
    *fitted.add_details() = any;
    if (fitted.ByteSizeLong() > kMaxDetailsBytes) fitted.mutable_details()->RemoveLast();
  }
  return fitted;
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
  const std::string message = ShortenedMessage(status.message());
  const google::rpc::Status details = Fitted(DetailsOf(status), status.code(), message);
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
  std::size_t shown = 0;
  for (; shown < std::min(violations.size(), kMaxViolations); ++shown) {
    google::rpc::BadRequest::FieldViolation violation;
    violation.set_field(Shortened(violations[shown].field, 100));
    violation.set_description(Shortened(violations[shown].description, 200));
    const std::string text = absl::StrCat(message.empty() ? "" : "; ", violation.field(), ": ",
                                          violation.description());
    // Room for "; and N more" stays, and message and details hold the same violations.
    if (EncodedSize(message) + EncodedSize(text) > kMaxMessageBytes - 64) break;
    *bad_request.add_field_violations() = std::move(violation);
    if (bad_request.ByteSizeLong() > kMaxBadRequestBytes) {
      bad_request.mutable_field_violations()->RemoveLast();
      break;
    }
    message += text;
  }
  if (shown < violations.size()) {
    absl::StrAppend(&message, "; and ", violations.size() - shown, " more");
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

absl::Status QuotaExceeded(absl::string_view subject, absl::string_view message) {
  google::rpc::QuotaFailure failure;
  auto& violation = *failure.add_violations();
  violation.set_subject(Shortened(subject, 200));
  violation.set_description(Shortened(message, 500));
  google::rpc::Status details;
  SetReason(details, "QUOTA_EXCEEDED");
  SetDetail(details, failure);
  return WithDetails(absl::ResourceExhaustedError(message), details);
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
