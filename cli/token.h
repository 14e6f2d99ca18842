// Bearer tokens for callers without a certificate.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "lib/base/secret.h"

namespace certwright::cli {

// 256 random bits as base64url.
absl::StatusOr<base::Secret> MakeToken();

// What the services' configurations need to know `token` as `name`, as YAML. INVALID_ARGUMENT
// unless the name is a DNS label.
absl::StatusOr<std::string> TokenConfiguration(const std::string& name,
                                               const base::Secret& token);

}  // namespace certwright::cli
