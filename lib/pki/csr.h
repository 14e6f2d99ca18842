// Certificate signing requests (RFC 2986): making them and reading them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/pki/key.h"
#include "lib/pki/name_constraints.h"
#include "lib/pki/names.h"
#include "lib/pki/subject.h"

namespace certwright::pki {

struct CsrSpec {
  Subject subject;
  SubjectAltNames names;
  // Names of RFC 5280 usages in cert-manager's words ("digital signature", "server auth" …);
  // INVALID_ARGUMENT for others. Empty: no usage extension is asked for.
  std::vector<std::string> usages;
  bool is_ca = false;
  // The subject as EncodeLiteralSubject() reads it; then `subject` must be empty.
  std::string literal_subject = {};
  // Only for a CA. In any spelling that NormalizeNameConstraints() takes.
  NameConstraints name_constraints = {};
  // Of the request's own signature, as SignatureDigestOf() reads it.
  std::string signature_algorithm = {};
};

struct Csr {
  std::string der;
  Subject subject;
  SubjectAltNames names;
  // In cert-manager's words; an extended usage that has none is a dotted identifier.
  std::vector<std::string> usages;
  bool is_ca = false;
  PublicKey public_key;
  // All of the subject, as the request holds it.
  std::string subject_der = {};
  NameConstraints name_constraints = {};
  // Dotted identifiers of the other extensions that are asked for, which nothing above tells
  // of, but for a subjectKeyIdentifier.
  std::vector<std::string> other_extensions = {};
};

// The DER of the subject that a request for `spec` has.
absl::StatusOr<std::string> SubjectDerOf(const CsrSpec& spec);

// The PEM of a request signed by `key`, unless `spec` says otherwise with SHA-256 (SHA-384/512
// for P-384/P-521). Names must be in their one spelling.
absl::StatusOr<std::string> CreateCsrPem(const CsrSpec& spec, const PrivateKey& key);

// At most 64 KiB and one PEM block; the request's own signature is verified. Refused are names
// and constraints of kinds that Csr cannot hold, and constraints in a request for no CA.
absl::StatusOr<Csr> ParseCsrPem(absl::string_view pem);
// The same of DER. For requests that come once: it does not remember them, as that does.
absl::StatusOr<Csr> ParseCsrDer(std::string der);

}  // namespace certwright::pki
