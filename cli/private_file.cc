#include "cli/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace certwright::cli {
namespace {

constexpr std::size_t kMaxBytes = 256 << 10;

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

bool WriteAll(int file, absl::string_view contents) {
  while (!contents.empty()) {
    const ssize_t written = write(file, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    contents.remove_prefix(static_cast<std::size_t>(written));
  }
  return fsync(file) == 0;
}

absl::Status SyncFolder(const std::string& folder) {
  const int directory = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return Failed("open", folder);
  const bool synced = fsync(directory) == 0;
  absl::Status status = synced ? absl::OkStatus() : Failed("sync", folder);
  close(directory);
  return status;
}

}  // namespace

absl::Status WritePrivateFile(const std::string& path, absl::string_view contents) {
  // mkstemp() makes the file with mode 0600.
  std::string temporary = path + ".XXXXXX";
  const int file = mkstemp(temporary.data());
  if (file < 0) return Failed("make", temporary);
  absl::Status status;
  if (!WriteAll(file, contents)) status = Failed("write", temporary);
  if (close(file) != 0 && status.ok()) status = Failed("write", temporary);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = Failed("write", path);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  const std::string folder = std::filesystem::path(path).parent_path();
  return SyncFolder(folder.empty() ? "." : folder);
}

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return Failed("read", path);
  std::string contents;
  char buffer[4096];
  ssize_t size = 0;
  while (contents.size() <= kMaxBytes && (size = read(file, buffer, sizeof buffer)) > 0) {
    contents.append(buffer, static_cast<std::size_t>(size));
  }
  const absl::Status status = size < 0 ? Failed("read", path) : absl::OkStatus();
  close(file);
  if (!status.ok()) return status;
  if (contents.size() > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is larger than 256 KiB"));
  }
  return contents;
}

}  // namespace certwright::cli
