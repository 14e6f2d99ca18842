// Revocations: which certificates count no more, by lists of a CA (RFC 5280 §5) and by a list
// of fingerprints of one's own.
//
// A list that should have been replaced by now (nextUpdate) still counts, and what is not in
// it stays good: nobody is let in who was kept out, and a CA that is late does not stop every
// service. next_update() is there to warn of it.
//
// Threading: safe from any thread once all is added.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/pki/openssl.h"

namespace certwright::rpc {

// What is asked of a certificate, found once.
struct CertificateFacts {
  // Takes `certificate`, which is not null.
  explicit CertificateFacts(pki::OpensslPtr<X509> certificate);

  pki::OpensslPtr<X509> x509;
  // SHA-256 of the DER, in lower-case hexadecimal.
  std::string fingerprint;
  // Sign and magnitude.
  std::string serial;
  absl::Time not_before;
  absl::Time not_after;

  // For messages: the serial number as certificates' tools show it.
  std::string SerialText() const;
};

class Revocations {
 public:
  // Adds X.509 CRLs in PEM, one at least, each signed by a certificate of `ca`.
  // INVALID_ARGUMENT says what is wrong: also a list for a part of the certificates only, or
  // with another critical extension, as it does not mean what it seems to.
  absl::Status AddLists(absl::string_view ca, absl::string_view crls);

  // Adds fingerprints as in CertificateFacts, one a line, between empty lines and those that
  // start with '#'. INVALID_ARGUMENT names the line that is something else.
  absl::Status AddFingerprints(absl::string_view fingerprints);

  // UNAUTHENTICATED, saying why, if `certificate` is revoked or denied.
  absl::Status Check(const CertificateFacts& certificate) const;

  // When the first of the lists is out of date; InfiniteFuture() without any.
  absl::Time next_update() const { return next_update_; }

 private:
  struct List {
    pki::OpensslPtr<X509> issuer;
    std::set<std::string> serials;
  };

  std::vector<List> lists_;
  std::set<std::string> denied_;
  absl::Time next_update_ = absl::InfiniteFuture();
};

}  // namespace certwright::rpc
