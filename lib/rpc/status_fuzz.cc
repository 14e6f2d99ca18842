// Errors that other services answer with, and messages made of what users sent. The input is
// "message\ndetails".
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "google/rpc/status.pb.h"
#include "lib/base/fuzz.h"
#include "lib/rpc/status.h"

namespace certwright::rpc {
namespace {

// What gRPC lets through.
constexpr std::size_t kMaxTrailerBytes = 8 * 1024;

// As gRPC writes them: the message percent-encoded, the details in base64.
std::size_t TrailerBytes(const grpc::Status& status) {
  std::size_t size = status.error_details().size() * 4 / 3 + 4;
  for (const char c : status.error_message()) size += c < ' ' || c > '~' || c == '%' ? 3 : 1;
  return size;
}

void CheckSent(const absl::Status& status) {
  const grpc::Status sent = ToGrpc(status);
  CW_FUZZ_CHECK(static_cast<int>(sent.error_code()) == static_cast<int>(status.code()));
  CW_FUZZ_CHECK(TrailerBytes(sent) < kMaxTrailerBytes);
  google::rpc::Status details;
  CW_FUZZ_CHECK(details.ParseFromString(sent.error_details()));
  CW_FUZZ_CHECK(details.details_size() > 0 && details.message() == sent.error_message());
  // Passing it on changes nothing more.
  const grpc::Status passed_on = ToGrpc(FromGrpc(sent));
  CW_FUZZ_CHECK(passed_on.error_message() == sent.error_message());
  CW_FUZZ_CHECK(TrailerBytes(passed_on) < kMaxTrailerBytes);
}

void CheckReceived(const std::string& message, const std::string& details) {
  const absl::Status status =
      FromGrpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, message, details));
  (void)RetryAfterOf(status);
  (void)ViolationsOf(status);
  CheckSent(status);
  const absl::Status later = WithRetryAfter(status, absl::Seconds(7));
  CW_FUZZ_CHECK(RetryAfterOf(later) == absl::Seconds(7));
  const absl::Status reasoned = WithReason(status, "REASON");
  CW_FUZZ_CHECK(ErrorReasonOf(reasoned) == "REASON");
  CheckSent(reasoned);
}

void CheckViolations(absl::string_view text) {
  std::vector<FieldViolation> violations;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    violations.push_back({std::string(parts.first), std::string(parts.second)});
  }
  const absl::Status status = InvalidArgument(violations);
  CW_FUZZ_CHECK(ViolationsOf(status).size() <= violations.size());
  CheckSent(status);
}

}  // namespace
}  // namespace certwright::rpc

CW_FUZZ_TARGET(input) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(input, absl::MaxSplits('\n', 1));
  certwright::rpc::CheckReceived(parts.first, parts.second);
  certwright::rpc::CheckViolations(input);
}
