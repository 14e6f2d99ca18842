// Small files, such as keys and certificates.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace certwright::cli {

// At most 256 KiB. NOT_FOUND if there is none.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

}  // namespace certwright::cli
