// What a program of the tests answers over HTTPS, asked with a client of its own; blocking.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/harness/process.h"

namespace certwright::harness {

// The body of the answer to a GET of `url`, or to a POST if there is a body to send. Its TLS
// must lead to `ca_pem`. INTERNAL if the answer is not 200.
absl::StatusOr<std::string> Fetch(const std::string& url, const std::string& ca_pem,
                                  std::string body = "");

// OK once a GET of `url` is answered with 200; FAILED_PRECONDITION with the end of its log if
// `process` ends before, DEADLINE_EXCEEDED after `timeout`.
absl::Status WaitForAnswer(Process& process, const std::string& url, const std::string& ca_pem,
                           absl::Duration timeout);

}  // namespace certwright::harness
