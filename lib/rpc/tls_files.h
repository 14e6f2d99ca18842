// The files of a certificate, and copies of them that gRPC may read.
//
// gRPC takes whatever it finds in files, also a key that does not fit or half a file, and then
// refuses every handshake. So it is given copies in memory, which change only when the files
// are good: a bad pair is refused with a line in the log, and the old one stays. Lists of what
// is revoked are taken or refused by themselves, so that a bad pair holds up no revocation.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/rpc/revocations.h"

namespace certwright::rpc {

struct TlsFiles {
  std::string certificate;
  std::string private_key;
  // What the other side's certificate must be signed by.
  std::string ca;
  // What of it counts no more, each empty if there is none: CRLs in PEM, and fingerprints, as
  // Revocations takes them.
  std::string crl = {};
  std::string denied_fingerprints = {};
};

// Reads the files and checks them: key and certificate belong together, the certificate and one
// of the CA's at least are not expired at `now`, and lists are of that CA. INVALID_ARGUMENT
// names the file.
absl::Status CheckTlsFiles(const TlsFiles& files, absl::Time now);

struct TlsCopies {
  // Paths, for gRPC: of key and chain, and of the CA.
  std::string identity;
  std::string ca;
  // What counts no more at the moment; returns null if the files have no list.
  std::function<std::shared_ptr<const Revocations>()> revocations;
};

// Follows the files from now on until the process exits, as gRPC reads the copies for as long
// as it likes; each set of files is followed once. Errors as CheckTlsFiles().
absl::StatusOr<TlsCopies> FollowTlsFiles(const TlsFiles& files);

// Tells `observer` of every change of files that are followed: OK if they are used from then
// on. One for the process; it must not end before that. From a thread of its own.
void SetTlsObserver(std::function<void(const absl::Status&)> observer);

}  // namespace certwright::rpc
