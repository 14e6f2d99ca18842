// Files that only their owner may read.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace certwright::cli {

// Writes `path` with mode 0600 in one step: whoever reads it finds the old contents or the new
// ones, also after a crash.
absl::Status WritePrivateFile(const std::string& path, absl::string_view contents);

// At most 256 KiB. NOT_FOUND if there is none.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

}  // namespace certwright::cli
