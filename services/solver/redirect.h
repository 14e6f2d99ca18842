// Where an HTTP redirect leads, and whether a CA would go there.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace certwright::solver {

struct HttpTarget {
  std::string url;   // absolute, without fragment
  std::string host;  // without brackets
  int port = 80;
  bool https = false;
};

// INVALID_ARGUMENT unless `url` is an absolute http or https URL with a host and without user
// information.
absl::StatusOr<HttpTarget> ParseHttpTarget(absl::string_view url);

// `location` of an answer from `base`, which may be relative to it (RFC 9110 §10.2.2).
absl::StatusOr<HttpTarget> ResolveRedirect(absl::string_view base, absl::string_view location);

}  // namespace certwright::solver
