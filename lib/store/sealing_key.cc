#include "lib/store/sealing_key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/base/new_file.h"
#include "lib/base/status_macros.h"
#include "lib/pki/aes_gcm.h"
#include "lib/store/sealed_record.h"

namespace certwright::store {
namespace {

// Base64 of 32 octets is 44 characters; some white space may surround it.
constexpr std::size_t kMaxFileBytes = 128;

absl::Status CheckPermissions(const std::string& path, const struct stat& file) {
  if (!S_ISREG(file.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": the key file is not a file"));
  }
  const bool own = file.st_uid == geteuid();
  if (!own && file.st_uid != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": the key file belongs to user ", file.st_uid, "; it must belong to user ",
        geteuid(), ", who runs this program, or to root"));
  }
  const mode_t forbidden = own ? 077 : 037;
  if ((file.st_mode & forbidden) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("%s: the key file has mode %04o, so that others can read it; run "
                      "\"chmod %s %s\", and think about a new key",
                      path, file.st_mode & 07777, own ? "0600" : "0640", path));
}

absl::StatusOr<base::Secret> ReadKeyFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    const std::string what =
        absl::StrCat(path, ": the key file cannot be opened: ", std::strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(what) : absl::UnavailableError(what);
  }
  const auto close_file = absl::MakeCleanup([file] { close(file); });
  struct stat status {};
  if (fstat(file, &status) != 0) {
    return absl::UnavailableError(
        absl::StrCat(path, ": the key file cannot be read: ", std::strerror(errno)));
  }
  CW_RETURN_IF_ERROR(CheckPermissions(path, status));
  std::string text(kMaxFileBytes, '\0');
  const ssize_t size = read(file, text.data(), text.size());
  if (size < 0) {
    return absl::UnavailableError(
        absl::StrCat(path, ": the key file cannot be read: ", std::strerror(errno)));
  }
  text.resize(static_cast<std::size_t>(size));
  return base::Secret(std::move(text));
}

}  // namespace

SealingKey::SealingKey(const base::Secret& key)
    : id_(pki::DeriveKey(key, "certwright sealing key id")
              .Reveal()
              .substr(0, kSealingKeyIdBytes)),
      wrapping_key_(pki::DeriveKey(key, "certwright sealing key wrap")),
      attesting_key_(pki::DeriveKey(key, "certwright sealing key attest")) {}

std::string SealingKey::Wrap(const base::Secret& data_key) const {
  return pki::AesGcmSeal(wrapping_key_, id_, data_key.Reveal());
}

absl::StatusOr<base::Secret> SealingKey::Unwrap(absl::string_view wrapped) const {
  auto data_key = pki::AesGcmOpen(wrapping_key_, id_, wrapped);
  if (data_key.has_value() && data_key->Reveal().size() == pki::kAesKeyBytes) {
    return *std::move(data_key);
  }
  return absl::DataLossError("the data key of the sealed record does not open");
}

std::string SealingKey::Attest(absl::string_view statement) const {
  return std::string(pki::DeriveKey(attesting_key_, statement).Reveal());
}

std::string SealingKeyName(absl::string_view id) {
  return absl::StrCat("sealing key ", absl::BytesToHexString(id));
}

absl::StatusOr<SealingKey> ReadSealingKey(const std::string& path) {
  CW_ASSIGN_OR_RETURN(const base::Secret text, ReadKeyFile(path));
  std::string bytes;
  const bool decoded = absl::Base64Unescape(absl::StripAsciiWhitespace(text.Reveal()), &bytes);
  const base::Secret key(std::move(bytes));
  if (!decoded || key.Reveal().size() != pki::kAesKeyBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     ": the key file must hold 32 bytes in base64; "
                     "\"openssl rand -base64 32\" makes such a key"));
  }
  return SealingKey(key);
}

absl::Status MakeSealingKey(const std::string& path) {
  std::string text = absl::Base64Escape(pki::NewAesKey().Reveal());
  text.push_back('\n');
  const base::Secret key(std::move(text));
  return base::WriteNewFile(path, key.Reveal());
}

}  // namespace certwright::store
