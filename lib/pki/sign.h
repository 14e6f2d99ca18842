// Signing certificates as a private CA, or with their own key (RFC 5280 §4).
//
// Every certificate gets a serial number of 128 random bits, both key identifiers (SHA-1 of
// the key, §4.2.1.2 method 1), critical basicConstraints, and alternative names that are
// critical if its subject is empty. The signature's digest fits the signer's key.
//
// Threading: safe from any thread; a signature costs as much as one with the signer's key does,
// which for RSA is some milliseconds.
//
// Errors: FAILED_PRECONDITION, saying why, for a CA that cannot sign this; INVALID_ARGUMENT
// for a template that no certificate can be made of.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "lib/pki/certificate.h"
#include "lib/pki/certificate_template.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"

namespace certwright::pki {

struct SigningCa {
  Certificate certificate;
  // Those above `certificate`, each signed by the next; may be empty.
  std::vector<Certificate> chain;
  PrivateKey key;
};

// The subject, names, usages, constraints, kind and key that `csr` asks for. The caller
// decides whether it may have them, and sets the rest.
CertificateTemplate TemplateFromCsr(const Csr& csr);

// OK if `ca` can sign at `now`: its certificate is a CA's that may sign certificates, is valid
// then, and is for its key. FAILED_PRECONDITION otherwise.
absl::Status CheckSigningCa(const SigningCa& ca, absl::Time now);

// `values.not_before` is the moment that CheckSigningCa() is asked about; `values.not_after` is
// cut to the CA's own. FAILED_PRECONDITION too for a CA certificate below one whose path length
// forbids it.
//
// Names are not compared with the CA's own name constraints: whoever validates does that.
absl::StatusOr<Certificate> SignCertificate(const SigningCa& ca,
                                            const CertificateTemplate& values);

// Signed by the key it is for; `values.public_key` is ignored. Every certificate names its
// issuer (RFC 5280 §4.1.2.4), and Java reads none that does not: where the subject is empty,
// the first DNS name or address that fits becomes its common name, or else "Self-signed" does.
absl::StatusOr<Certificate> SelfSign(const PrivateKey& key, CertificateTemplate values);

// `leaf`, then `ca` and those above it, but without what signed itself: what a server sends
// (RFC 8446 §4.4.2).
std::vector<Certificate> ServedChain(const SigningCa& ca, const Certificate& leaf);

}  // namespace certwright::pki
