#include "lib/base/new_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"

namespace certwright::base {
namespace {

absl::Status Sync(const std::string& path, int flags) {
  const int file = open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0) return FileError(path, "cannot be opened", errno);
  const auto close_file = absl::MakeCleanup([file] { close(file); });
  if (fsync(file) != 0) return FileError(path, "cannot be synced to disk", errno);
  return absl::OkStatus();
}

absl::Status WriteAll(int file, const std::string& path, absl::string_view content) {
  while (!content.empty()) {
    const ssize_t written = write(file, content.data(), content.size());
    if (written < 0 && errno != EINTR) return FileError(path, "cannot be written", errno);
    if (written > 0) content.remove_prefix(static_cast<std::size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status Write(const std::string& path, absl::string_view content, bool replace) {
  const std::string temporary = absl::StrCat(path, ".new");
  // What a start that was cut short has left.
  unlink(temporary.c_str());
  const int file =
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return FileError(temporary, "cannot be made", errno);
  auto remove = absl::MakeCleanup([&temporary] { unlink(temporary.c_str()); });
  absl::Status status = WriteAll(file, temporary, content);
  if (status.ok() && fsync(file) != 0) {
    status = FileError(temporary, "cannot be synced to disk", errno);
  }
  close(file);
  CW_RETURN_IF_ERROR(status);
  CW_RETURN_IF_ERROR(PutInPlace(temporary, path, replace));
  std::move(remove).Cancel();
  return absl::OkStatus();
}

}  // namespace

absl::Status FileError(const std::string& path, absl::string_view what, int error) {
  const std::string message = absl::StrCat(path, ": ", what, ": ", std::strerror(error));
  if (error == ENOSPC || error == EDQUOT) {
    return absl::ResourceExhaustedError(absl::StrCat(message, "; make room on the disk"));
  }
  return absl::UnavailableError(
      absl::StrCat(message, "; check that the folder exists and may be written"));
}

absl::Status SyncFolderOf(const std::string& path) {
  const auto slash = path.rfind('/');
  return Sync(slash == std::string::npos ? "." : path.substr(0, slash + 1),
              O_RDONLY | O_DIRECTORY);
}

absl::Status SyncFile(const std::string& path) { return Sync(path, O_RDONLY); }

absl::Status PutInPlace(const std::string& temporary, const std::string& path, bool replace) {
  const unsigned flags = replace ? 0 : RENAME_NOREPLACE;
  if (renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), flags) != 0) {
    if (errno == EEXIST)
      return absl::AlreadyExistsError(absl::StrCat(path, ": exists already"));
    return FileError(path, "cannot be put in place", errno);
  }
  return SyncFolderOf(path);
}

absl::Status WriteNewFile(const std::string& path, absl::string_view content) {
  return Write(path, content, /*replace=*/false);
}

absl::Status ReplaceFile(const std::string& path, absl::string_view content) {
  return Write(path, content, /*replace=*/true);
}

}  // namespace certwright::base
