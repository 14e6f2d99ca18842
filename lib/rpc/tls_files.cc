#include "lib/rpc/tls_files.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"
#include "lib/base/secret.h"
#include "lib/base/status_macros.h"
#include "lib/telemetry/log.h"

namespace certwright::rpc {
namespace {

constexpr std::size_t kMaxBytes = 1 << 20;
// Whoever changes files changes more than one.
constexpr int kSettleMilliseconds = 100;
// Some file systems tell nothing of changes that are made elsewhere.
constexpr int kLookMilliseconds = 60'000;

using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;
using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

absl::Status FileError(absl::string_view what, const std::string& file,
                       absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("cannot use ", what, " ", file, ": ", reason));
}

absl::Status OpenSslError(absl::string_view what, const std::string& file) {
  char reason[256] = "";
  ERR_error_string_n(ERR_peek_last_error(), reason, sizeof reason);
  ERR_clear_error();
  return FileError(what, file, reason);
}

absl::StatusOr<base::Secret> ReadFile(absl::string_view what, const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return FileError(what, path, std::generic_category().message(errno));
  std::string contents;
  std::string buffer(16 << 10, '\0');
  ssize_t size = 0;
  while (contents.size() <= kMaxBytes &&
         (size = read(file, buffer.data(), buffer.size())) > 0) {
    contents.append(buffer, 0, static_cast<std::size_t>(size));
  }
  const int error = errno;
  close(file);
  base::Wipe(buffer);
  base::Secret secret(std::move(contents));
  if (size < 0) return FileError(what, path, std::generic_category().message(error));
  if (secret.Reveal().size() > kMaxBytes) return FileError(what, path, "it is over 1 MiB");
  return secret;
}

BioPtr Bio(const base::Secret& pem) {
  return BioPtr(BIO_new_mem_buf(pem.Reveal().data(), static_cast<int>(pem.Reveal().size())),
                &BIO_free);
}

// An encrypted key is an error: nobody is there to ask.
int NoPassword(char*, int, int, void*) { return 0; }

// In order; empty if there is none, or if one is broken.
std::vector<CertificatePtr> ParseCertificates(const base::Secret& pem) {
  std::vector<CertificatePtr> certificates;
  const BioPtr bio = Bio(pem);
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, &NoPassword, nullptr)) {
    certificates.emplace_back(certificate, &X509_free);
  }
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) return {};
  if (!certificates.empty()) ERR_clear_error();
  return certificates;
}

bool IsExpired(const CertificatePtr& certificate, absl::Time now) {
  time_t time = absl::ToTimeT(now);
  return X509_cmp_time(X509_get0_notAfter(certificate.get()), &time) < 0;
}

struct TlsPems {
  base::Secret identity;
  base::Secret ca;
};

absl::Status CheckPair(const TlsFiles& files, const base::Secret& chain,
                       const base::Secret& key, absl::Time now) {
  const std::vector<CertificatePtr> certificates = ParseCertificates(chain);
  if (certificates.empty()) return OpenSslError("certificate file", files.certificate);
  if (IsExpired(certificates.front(), now)) {
    return FileError("certificate file", files.certificate, "the certificate has expired");
  }
  const KeyPtr parsed(PEM_read_bio_PrivateKey(Bio(key).get(), nullptr, &NoPassword, nullptr),
                      &EVP_PKEY_free);
  if (parsed == nullptr) return OpenSslError("private key file", files.private_key);
  if (X509_check_private_key(certificates.front().get(), parsed.get()) != 1) {
    ERR_clear_error();
    return FileError("private key file", files.private_key, "it does not fit the certificate");
  }
  return absl::OkStatus();
}

absl::Status CheckCa(const TlsFiles& files, const base::Secret& ca, absl::Time now) {
  const std::vector<CertificatePtr> roots = ParseCertificates(ca);
  if (roots.empty()) return OpenSslError("CA file", files.ca);
  for (const CertificatePtr& root : roots) {
    if (!IsExpired(root, now)) return absl::OkStatus();
  }
  return FileError("CA file", files.ca, "the CA has expired");
}

absl::StatusOr<TlsPems> Load(const TlsFiles& files, absl::Time now) {
  ERR_clear_error();
  CW_ASSIGN_OR_RETURN(base::Secret chain, ReadFile("certificate file", files.certificate));
  CW_ASSIGN_OR_RETURN(base::Secret key, ReadFile("private key file", files.private_key));
  CW_ASSIGN_OR_RETURN(base::Secret ca, ReadFile("CA file", files.ca));
  CW_RETURN_IF_ERROR(CheckPair(files, chain, key, now));
  CW_RETURN_IF_ERROR(CheckCa(files, ca, now));
  base::Secret identity(absl::StrCat(key.Reveal(), "\n", chain.Reveal()));
  return TlsPems{std::move(identity), std::move(ca)};
}

struct RevocationTexts {
  // Whether any is configured.
  bool present = false;
  std::string ca;
  std::string crl;
  std::string denied_fingerprints;

  bool operator==(const RevocationTexts&) const = default;
};

absl::StatusOr<std::string> ReadList(absl::string_view what, const std::string& path) {
  if (path.empty()) return "";
  CW_ASSIGN_OR_RETURN(const base::Secret text, ReadFile(what, path));
  // An empty list is written as a CRL without entries, or as a comment: this is half a write.
  if (text.Reveal().empty()) return FileError(what, path, "it is empty");
  return std::string(text.Reveal());
}

absl::StatusOr<RevocationTexts> LoadRevocations(const TlsFiles& files, const base::Secret& ca) {
  RevocationTexts texts;
  texts.present = !files.crl.empty() || !files.denied_fingerprints.empty();
  texts.ca = std::string(ca.Reveal());
  CW_ASSIGN_OR_RETURN(texts.crl, ReadList("CRL file", files.crl));
  CW_ASSIGN_OR_RETURN(texts.denied_fingerprints,
                      ReadList("file of denied fingerprints", files.denied_fingerprints));
  return texts;
}

absl::StatusOr<std::shared_ptr<const Revocations>> ParseRevocations(
    const TlsFiles& files, const RevocationTexts& texts) {
  if (!texts.present) return nullptr;
  auto revocations = std::make_shared<Revocations>();
  if (!files.crl.empty()) {
    const absl::Status added = revocations->AddLists(texts.ca, texts.crl);
    if (!added.ok()) return FileError("CRL file", files.crl, added.message());
  }
  const absl::Status added = revocations->AddFingerprints(texts.denied_fingerprints);
  if (!added.ok()) {
    return FileError("file of denied fingerprints", files.denied_fingerprints, added.message());
  }
  return revocations;
}

// A file in memory that is replaced as a whole: its path leads to the old contents or the new.
class MemoryFile {
 public:
  MemoryFile() = default;
  ~MemoryFile() {
    if (file_ >= 0) close(file_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  absl::Status Replace(absl::string_view contents) {
    const int file = memfd_create("certwright-tls", MFD_CLOEXEC);
    if (file < 0) return absl::ErrnoToStatus(errno, "cannot make a file in memory");
    const bool written =
        write(file, contents.data(), contents.size()) == static_cast<ssize_t>(contents.size());
    if (!written) {
      close(file);
      return absl::InternalError("cannot write a file in memory");
    }
    if (file_ < 0) {
      file_ = file;
      return absl::OkStatus();
    }
    const bool replaced = dup3(file, file_, O_CLOEXEC) >= 0;
    const int error = errno;
    close(file);
    if (!replaced) return absl::ErrnoToStatus(error, "cannot replace a file in memory");
    return absl::OkStatus();
  }
  std::string path() const { return absl::StrCat("/proc/self/fd/", file_); }

 private:
  int file_ = -1;
};

struct Observer {
  base::Mutex mutex;
  std::function<void(const absl::Status&)> tell CW_GUARDED_BY(mutex);
};

Observer& TheObserver() {
  static auto* const kObserver = new Observer;
  return *kObserver;
}

// Follows one set of files. Not destroyed once started.
class Follower {
 public:
  explicit Follower(TlsFiles files) : files_(std::move(files)) {}
  ~Follower() {
    if (notifications_ >= 0) close(notifications_);
    if (stop_ >= 0) close(stop_);
  }
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  absl::Status Start() {
    // Before the files are read, so that no change is missed.
    Watch();
    absl::StatusOr<TlsPems> pems = Load(files_, base::Clock::Real().Now());
    if (!pems.ok()) return pems.status();
    CW_RETURN_IF_ERROR(Take(*std::move(pems)));
    CW_RETURN_IF_ERROR(TakeRevocations().status());
    stop_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_ < 0) return absl::ErrnoToStatus(errno, "cannot make an event");
    thread_ = std::thread([this] { Run(); });
    return absl::OkStatus();
  }

  void Stop() {
    eventfd_write(stop_, 1);
    thread_.join();
  }

  TlsCopies copies() const {
    return {identity_.path(), ca_.path(), [this] {
              base::MutexLock lock(mutex_);
              return revocations_;
            }};
  }

 private:
  void Watch() {
    notifications_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (notifications_ < 0) {
      telemetry::LogWarning("changes of TLS files are seen within a minute only: no inotify");
      return;
    }
    // Also where links lead to: Kubernetes swaps a link beside the files, others the target.
    std::set<std::string> folders;
    for (const std::string& path : {files_.certificate, files_.private_key, files_.ca,
                                    files_.crl, files_.denied_fingerprints}) {
      if (path.empty()) continue;
      std::error_code ignored;
      for (const auto& place : {std::filesystem::absolute(path, ignored),
                                std::filesystem::canonical(path, ignored)}) {
        if (place.has_parent_path()) folders.insert(place.parent_path());
      }
    }
    for (const std::string& folder : folders) {
      inotify_add_watch(notifications_, folder.c_str(),
                        IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB);
    }
  }

  // Whether something has changed, or all shall end, before the time was up.
  bool WaitForChange(int milliseconds) {
    pollfd wait[] = {{stop_, POLLIN, 0}, {notifications_, POLLIN, 0}};
    if (poll(wait, 2, milliseconds) <= 0) return false;
    if (wait[0].revents != 0) stopping_ = true;
    char events[16 * (sizeof(inotify_event) + NAME_MAX + 1)];
    while (read(notifications_, events, sizeof events) > 0) {
    }
    return true;
  }

  void Run() {
    while (!stopping_) {
      if (WaitForChange(kLookMilliseconds)) {
        for (int i = 0; i < 10 && !stopping_ && WaitForChange(kSettleMilliseconds); ++i) {
        }
      }
      if (!stopping_) Look();
    }
  }

  void Look() {
    Report(LookAtPair(), refused_, "new TLS files are used",
           "changed TLS files are refused; the old ones stay in use");
    Report(TakeRevocations(), refused_revocations_,
           "new lists of revoked certificates are used",
           "changed lists of revoked certificates are refused; the old ones stay in use");
    WarnOfOldLists();
  }

  // Whether there is anything new, which is in use then.
  absl::StatusOr<bool> LookAtPair() {
    CW_ASSIGN_OR_RETURN(TlsPems pems, Load(files_, base::Clock::Real().Now()));
    if (pems.identity.Reveal() == pems_.identity.Reveal() &&
        pems.ca.Reveal() == pems_.ca.Reveal()) {
      return false;
    }
    CW_RETURN_IF_ERROR(Take(std::move(pems)));
    return true;
  }

  void Report(const absl::StatusOr<bool>& taken, std::string& refused, absl::string_view used,
              absl::string_view not_used) const {
    // Once for each trouble, not at every look.
    if (!taken.ok() && refused == taken.status().message()) return;
    refused = std::string(taken.status().message());
    if (taken.ok() && !*taken) return;
    if (taken.ok()) {
      telemetry::LogInfo(used, {{"certificate", files_.certificate}});
    } else {
      telemetry::LogWarning(not_used, {{"error", taken.status().message()}});
    }
    Observer& observer = TheObserver();
    base::MutexLock lock(observer.mutex);
    if (observer.tell) observer.tell(taken.status());
  }

  // As LookAtPair(). By the CA that is in use.
  absl::StatusOr<bool> TakeRevocations() {
    CW_ASSIGN_OR_RETURN(RevocationTexts texts, LoadRevocations(files_, pems_.ca));
    if (texts == revocation_texts_) return false;
    CW_ASSIGN_OR_RETURN(auto revocations, ParseRevocations(files_, texts));
    const bool first = revocation_texts_.ca.empty();
    revocation_texts_ = std::move(texts);
    warned_of_old_lists_ = false;
    base::MutexLock lock(mutex_);
    revocations_ = std::move(revocations);
    return revocation_texts_.present && !first;
  }

  void WarnOfOldLists() {
    const std::shared_ptr<const Revocations> revocations = copies().revocations();
    if (revocations == nullptr || warned_of_old_lists_ ||
        revocations->next_update() > base::Clock::Real().Now()) {
      return;
    }
    warned_of_old_lists_ = true;
    telemetry::LogWarning(
        "a list of revoked certificates is out of date; what it revokes stays so, but what was "
        "revoked since is not known",
        {{"file", files_.crl}});
  }

  absl::Status Take(TlsPems pems) {
    CW_RETURN_IF_ERROR(identity_.Replace(pems.identity.Reveal()));
    CW_RETURN_IF_ERROR(ca_.Replace(pems.ca.Reveal()));
    pems_ = std::move(pems);
    return absl::OkStatus();
  }

  const TlsFiles files_;
  int notifications_ = -1;
  int stop_ = -1;
  std::thread thread_;
  // Of the thread alone.
  bool stopping_ = false;
  MemoryFile identity_;
  MemoryFile ca_;
  // What the copies hold.
  TlsPems pems_;
  RevocationTexts revocation_texts_;
  bool warned_of_old_lists_ = false;
  // Why the files as they are now are not used; empty if they are.
  std::string refused_;
  std::string refused_revocations_;

  mutable base::Mutex mutex_;
  std::shared_ptr<const Revocations> revocations_ CW_GUARDED_BY(mutex_);
};

// Never destroyed.
struct Followers {
  base::Mutex mutex;
  std::map<std::tuple<std::string, std::string, std::string, std::string, std::string>,
           Follower*>
      followers CW_GUARDED_BY(mutex);
};

Followers& TheFollowers() {
  static auto* const kFollowers = new Followers;
  return *kFollowers;
}

// OpenSSL takes itself down when the process exits, and must not be in use then.
void StopFollowers() {
  Followers& all = TheFollowers();
  base::MutexLock lock(all.mutex);
  for (const auto& [files, follower] : all.followers) follower->Stop();
}

}  // namespace

absl::Status CheckTlsFiles(const TlsFiles& files, absl::Time now) {
  CW_ASSIGN_OR_RETURN(const TlsPems pems, Load(files, now));
  CW_ASSIGN_OR_RETURN(const RevocationTexts texts, LoadRevocations(files, pems.ca));
  return ParseRevocations(files, texts).status();
}

absl::StatusOr<TlsCopies> FollowTlsFiles(const TlsFiles& files) {
  Followers& all = TheFollowers();
  base::MutexLock lock(all.mutex);
  const std::tuple key(files.certificate, files.private_key, files.ca, files.crl,
                       files.denied_fingerprints);
  if (const auto known = all.followers.find(key); known != all.followers.end()) {
    return known->second->copies();
  }
  auto follower = std::make_unique<Follower>(files);
  CW_RETURN_IF_ERROR(follower->Start());
  // Runs before what OpenSSL has registered when it was used just now.
  static const int registered = std::atexit(StopFollowers);
  if (registered != 0) telemetry::LogWarning("TLS files are followed into the exit");
  return all.followers.emplace(key, follower.release()).first->second->copies();
}

void SetTlsObserver(std::function<void(const absl::Status&)> observer) {
  Observer& the_observer = TheObserver();
  base::MutexLock lock(the_observer.mutex);
  the_observer.tell = std::move(observer);
}

}  // namespace certwright::rpc
