#include "cli/small_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "absl/strings/str_cat.h"

namespace certwright::cli {
namespace {

constexpr std::size_t kMaxBytes = 256 << 10;

absl::Status CannotRead(const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
}

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return CannotRead(path);
  std::string contents;
  char buffer[4096];
  ssize_t size = 0;
  while (contents.size() <= kMaxBytes && (size = read(file, buffer, sizeof buffer)) > 0) {
    contents.append(buffer, static_cast<std::size_t>(size));
  }
  const absl::Status status = size < 0 ? CannotRead(path) : absl::OkStatus();
  close(file);
  if (!status.ok()) return status;
  if (contents.size() > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is larger than 256 KiB"));
  }
  return contents;
}

}  // namespace certwright::cli
