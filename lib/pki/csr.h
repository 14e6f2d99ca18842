// Certificate signing requests (RFC 2986): making them and reading them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/pki/key.h"
#include "lib/pki/names.h"

namespace certwright::pki {

// Parts of an X.500 name; each may have several values (RFC 5280 appendix A.1).
struct Subject {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> countries;
  std::vector<std::string> organizational_units;
  std::vector<std::string> localities;
  std::vector<std::string> provinces;
  std::vector<std::string> street_addresses;
  std::vector<std::string> postal_codes;
  std::string serial_number;

  friend bool operator==(const Subject&, const Subject&) = default;
};

struct CsrSpec {
  Subject subject;
  SubjectAltNames names;
  // Names of RFC 5280 usages in cert-manager's words ("digital signature", "server auth" …);
  // INVALID_ARGUMENT for others. Empty: no usage extension is asked for.
  std::vector<std::string> usages;
  bool is_ca = false;
};

struct Csr {
  std::string der;
  Subject subject;
  SubjectAltNames names;
  // In cert-manager's words; an extended usage that has none is a dotted identifier.
  std::vector<std::string> usages;
  bool is_ca = false;
  PublicKey public_key;
};

// INVALID_ARGUMENT, naming the part, unless a request can have this subject: RFC 5280 bounds
// the lengths of its parts, and countries are two letters.
absl::Status CheckSubject(const Subject& subject);

// The PEM of a request signed by `key` with SHA-256 (SHA-384/512 for P-384/P-521).
absl::StatusOr<std::string> CreateCsrPem(const CsrSpec& spec, const PrivateKey& key);

// At most 64 KiB and one PEM block; the request's own signature is verified.
absl::StatusOr<Csr> ParseCsrPem(absl::string_view pem);

}  // namespace certwright::pki
