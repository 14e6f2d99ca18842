// Files that are there completely, and on disk, or not at all. What is written goes to a new
// file first, which no link that others have planted leads elsewhere.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace certwright::base {

// UNAVAILABLE, or RESOURCE_EXHAUSTED for a full disk: "path: what: strerror(error)".
absl::Status FileError(const std::string& path, absl::string_view what, int error);

// Makes what was created, renamed or removed in the folder of `path` last.
absl::Status SyncFolderOf(const std::string& path);

// Makes the content of `path` last.
absl::Status SyncFile(const std::string& path);

// Gives the file at `temporary` the name `path`, for good. ALREADY_EXISTS if there is a file of
// that name, unless `replace`.
absl::Status PutInPlace(const std::string& temporary, const std::string& path, bool replace);

// A file of mode 0600 with this content. ALREADY_EXISTS if there is one.
absl::Status WriteNewFile(const std::string& path, absl::string_view content);

// The same in place of what is there: whoever reads it finds the old content or the new one.
absl::Status ReplaceFile(const std::string& path, absl::string_view content);

}  // namespace certwright::base
