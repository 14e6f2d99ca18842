#include "lib/acme/exchange.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/acme/link_header.h"
#include "lib/acme/problem.h"
#include "lib/acme/retry_after.h"
#include "lib/acme/url.h"
#include "lib/base/status_macros.h"

namespace certwright::acme {
namespace {

absl::Status CheckUrl(const std::string& url, bool allow_http) {
  if (IsCaUrl(url, allow_http)) return absl::OkStatus();
  return ErrorWithClass(absl::StatusCode::kFailedPrecondition,
                        "the CA's URL is not an https URL; check the issuer's server",
                        ErrorClass::kOperator);
}

// `error` of HttpClient::Send(), with its class. `context` is the caller's, without the
// timeout of the one exchange.
absl::Status SendError(const absl::Status& error, const runtime::Context& context,
                       absl::Duration timeout) {
  CW_RETURN_IF_ERROR(context.Check());
  switch (error.code()) {
    case absl::StatusCode::kCancelled:
      return error;
    case absl::StatusCode::kDeadlineExceeded:
      return ErrorWithClass(
          absl::StatusCode::kUnavailable,
          absl::StrCat("the CA did not answer within ", absl::FormatDuration(timeout)),
          ErrorClass::kRetryBackoff);
    case absl::StatusCode::kFailedPrecondition:
      return ErrorWithClass(error.code(), error.message(), ErrorClass::kOperator);
    case absl::StatusCode::kInvalidArgument:
      return ErrorWithClass(error.code(), error.message(), ErrorClass::kPermanent);
    default:
      return ErrorWithClass(absl::StatusCode::kUnavailable, error.message(),
                            ErrorClass::kRetryBackoff);
  }
}

// The media type without parameters, in lower case.
std::string MediaType(const http::HttpResponse& response) {
  const std::string value = http::FindHeader(response.headers, "Content-Type").value_or("");
  return absl::AsciiStrToLower(
      absl::StripAsciiWhitespace(absl::string_view(value).substr(0, value.find(';'))));
}

}  // namespace

runtime::Awaitable<absl::StatusOr<http::HttpResponse>> Exchange(http::HttpClient& http,
                                                                runtime::Context context,
                                                                CaOptions options,
                                                                http::HttpRequest request) {
  CW_CO_RETURN_IF_ERROR(context.Check());
  CW_CO_RETURN_IF_ERROR(CheckUrl(request.url, options.allow_http));
  request.headers.push_back({"User-Agent", options.user_agent});
  request.headers.push_back({"Accept-Language", "en"});
  request.trust = options.trust;
  request.https_only = !options.allow_http;
  const bool may_change = request.method == "POST";
  const runtime::Context bounded = context.Within(options.request_timeout);
  absl::StatusOr<http::HttpResponse> response = co_await http.Send(bounded, std::move(request));
  if (!response.ok()) {
    const absl::Status error = SendError(response.status(), context, options.request_timeout);
    const bool may_have_changed = may_change && http::WasSent(response.status());
    co_return may_have_changed ? http::MarkAsSent(error) : error;
  }
  co_return response;
}

absl::Status CheckAnswer(const http::HttpResponse& response, absl::Time now) {
  const std::string media_type = MediaType(response);
  const bool success = response.status >= 200 && response.status < 300;
  const bool is_problem = media_type == "application/problem+json";
  if (success && !is_problem) return absl::OkStatus();
  Problem problem;
  if (is_problem || media_type == "application/json") {
    absl::StatusOr<Problem> parsed = ParseProblem(response.body);
    if (parsed.ok()) problem = *std::move(parsed);
  }
  // Where to go to agree to new terms (RFC 8555 §7.3.3).
  if (problem.ShortType() == "userActionRequired") {
    const std::vector<std::string> terms =
        LinksByRel(http::FindHeaders(response.headers, "Link"), "terms-of-service");
    if (problem.instance.empty() && !terms.empty()) problem.instance = terms.front();
    problem.instance = ResolveCaUrl(response.url, problem.instance, /*allow_http=*/true)
                           .value_or(problem.instance);
  }
  return ProblemStatus(response.status, problem, RetryAfterOf(response, now), now);
}

std::optional<absl::Time> RetryAfterOf(const http::HttpResponse& response, absl::Time now) {
  const std::optional<std::string> value = http::FindHeader(response.headers, "Retry-After");
  if (!value.has_value()) return std::nullopt;
  return ParseRetryAfter(*value, now);
}

absl::Status SenselessAnswer(absl::string_view why) {
  return ErrorWithClass(absl::StatusCode::kUnavailable,
                        absl::StrCat("the CA's answer makes no sense: ", why),
                        ErrorClass::kRetryBackoff);
}

}  // namespace certwright::acme
