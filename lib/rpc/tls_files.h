// The files of a certificate, and copies of them that gRPC may read.
//
// gRPC takes whatever it finds in files, also a key that does not fit or half a file, and then
// refuses every handshake. So it is given copies in memory, which change only when the files
// are good: a bad pair is refused with a line in the log, and the old one stays.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace certwright::rpc {

struct TlsFiles {
  std::string certificate;
  std::string private_key;
  // What the other side's certificate must be signed by.
  std::string ca;
};

// Reads the three files and checks them: key and certificate belong together, the certificate
// and one of the CA's at least are not expired at `now`. INVALID_ARGUMENT names the file.
absl::Status CheckTlsFiles(const TlsFiles& files, absl::Time now);

// Paths of the copies, for gRPC.
struct TlsCopies {
  // Key and chain.
  std::string identity;
  std::string ca;
};

// Follows the files from now on until the process exits, as gRPC reads the copies for as long
// as it likes; each set of files is followed once. Errors as CheckTlsFiles().
absl::StatusOr<TlsCopies> FollowTlsFiles(const TlsFiles& files);

// Tells `observer` of every change of files that are followed: OK if they are used from then
// on. One for the process; it must not end before that. From a thread of its own.
void SetTlsObserver(std::function<void(const absl::Status&)> observer);

}  // namespace certwright::rpc
