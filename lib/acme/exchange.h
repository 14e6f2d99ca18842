// One HTTP exchange with a CA, and what its answer means.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/http/http_client.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"

namespace certwright::acme {

// How to reach a CA.
struct CaOptions {
  std::string directory_url;
  http::TlsTrust trust;
  std::string user_agent;
  // Accept http:// URLs; for tests only.
  bool allow_http = false;
  // Bounds one HTTP exchange.
  absl::Duration request_timeout = absl::Seconds(30);
};

// Sends `request` with the headers that every request has. An answer of any HTTP status is a
// success; errors carry an ErrorClass: kRetryBackoff for trouble on the way, kOperator for a
// refused TLS certificate or a URL that is not https. CANCELLED and DEADLINE_EXCEEDED mean
// that `context` has ended. http::WasSent() if it is a POST that the CA may have acted upon.
runtime::Awaitable<absl::StatusOr<http::HttpResponse>> Exchange(http::HttpClient& http,
                                                                runtime::Context context,
                                                                CaOptions options,
                                                                http::HttpRequest request);

// OK for a 2xx answer that is no problem document; else ProblemStatus().
absl::Status CheckAnswer(const http::HttpResponse& response, absl::Time now);

// What Retry-After says, if anything.
std::optional<absl::Time> RetryAfterOf(const http::HttpResponse& response, absl::Time now);

// The error of a 2xx answer that does not hold what it should.
absl::Status SenselessAnswer(absl::string_view why);

}  // namespace certwright::acme
