// X.509 certificates and chains as a CA hands them out (RFC 5280).
//
// Errors: INVALID_ARGUMENT says what in the chain is wrong, by position; input bytes are
// never echoed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "lib/pki/name_constraints.h"
#include "lib/pki/names.h"

struct x509_st;  // OpenSSL's X509

namespace certwright::pki {

struct Certificate {
  std::string der;
  std::string subject_common_name;
  std::string issuer_common_name;
  // Subject and issuer as one-line RFC 4514 text, for messages and comparison.
  std::string subject;
  std::string issuer;
  SubjectAltNames names;
  // Kinds of subject alternative names that `names` cannot hold ("directoryName").
  std::vector<std::string> other_name_kinds;
  // In cert-manager's words; an extended usage that has none is a dotted identifier.
  std::vector<std::string> usages;
  absl::Time not_before;
  absl::Time not_after;
  // Serial number's DER content octets (two's complement, leading 00 kept) and lower-case hex.
  std::string serial_der;
  std::string serial_hex;
  std::string authority_key_id;  // keyIdentifier octets; empty if absent
  bool is_ca = false;
  PublicKey public_key;
  // What `der` holds, as OpenSSL's object: reading a key anew costs more than a signature.
  // Not null; OpenSSL locks what it caches inside.
  std::shared_ptr<x509_st> x509;
  // What the names below this CA must be; as the certificate says it.
  NameConstraints name_constraints = {};

  std::string Pem() const;
};

// All certificates of a PEM text, or of DER, one after the other, in order. At most 256 KiB and
// 20 certificates. Blocks with the labels of old tools (RFC 7468 §5.1) and OpenSSL's TRUSTED
// CERTIFICATE count as certificates; any other block refuses the whole (RFC 8555 §11.4: a CA
// must never hand out a key). What is tolerated around blocks: see pem.h.
absl::StatusOr<std::vector<Certificate>> ParseChainPem(absl::string_view text);

// The chain that `certificates` hold, from the one for `leaf_key` upwards, each signed by the
// next, however they are sorted. Certificates that are no part of it are left out: doubles, and
// those of other paths, of which the one that comes first counts. FAILED_PRECONDITION if no
// certificate is for that key, if it is not clear which, or if there are others but none that
// signed it. Nothing else is checked.
absl::StatusOr<std::vector<Certificate>> ChainFromLeaf(std::vector<Certificate> certificates,
                                                       const PublicKey& leaf_key);

std::string ToPem(const std::vector<Certificate>& chain);

// What an issued chain must satisfy before it may be delivered.
struct ChainExpectation {
  const PublicKey* public_key = nullptr;
  // DNS names and IP addresses; compared as sets with the leaf's. The common name of the
  // request may be among them.
  SubjectAltNames names;
  absl::Time now;
};

// OK if the leaf has the expected key and exactly the expected names, is valid now (a
// not_before up to 1 h ahead is forgiven: clocks differ), and each certificate is signed by
// the next. FAILED_PRECONDITION otherwise, saying which check failed; OUT_OF_RANGE if only the
// time is not within the leaf's, so that a clock may be wrong rather than the certificate.
absl::Status VerifyIssuedChain(const std::vector<Certificate>& chain,
                               const ChainExpectation& expected);

// OK if `chain` leads to one of `roots`, by OpenSSL's path validation at `now`.
absl::Status VerifyAgainstRoots(const std::vector<Certificate>& chain,
                                const std::vector<Certificate>& roots, absl::Time now);

// Whether `certificate` names `ca` as its issuer, and `ca` may have signed it and has.
bool IsSignedBy(const Certificate& certificate, const Certificate& ca);

// Whether it names itself as its issuer.
bool IsSelfSigned(const Certificate& certificate);

// The certificate that signed itself, if the chain ends with one; else its last certificate.
// `chain` is not empty.
const Certificate& TopmostCertificate(const std::vector<Certificate>& chain);

}  // namespace certwright::pki
