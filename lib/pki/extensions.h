// The X.509v3 extensions that requests and certificates have in common (RFC 5280 §4.2).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/pki/name_constraints.h"
#include "lib/pki/names.h"
#include "lib/pki/openssl.h"
#include "lib/pki/usages.h"

namespace certwright::pki {

struct ExtensionValues {
  SubjectAltNames names;
  // Kinds of subject alternative names that `names` cannot hold; only read, never written.
  std::vector<std::string> other_name_kinds;
  UsageSet usages;
  bool is_ca = false;
  NameConstraints name_constraints;
};

// Only the extensions that `values` asks for. The names are critical if the subject is empty
// (§4.2.1.6). The names and constraints must be in
// their one spelling.
absl::StatusOr<OpensslPtr<STACK_OF(X509_EXTENSION)>> EncodeExtensions(
    const ExtensionValues& values, bool subject_is_empty);

// `extensions` may be nullptr. INVALID_ARGUMENT for one that is malformed or there twice. DNS
// names are lower-cased but not otherwise checked: they are what the certificate says.
absl::StatusOr<ExtensionValues> DecodeExtensions(const STACK_OF(X509_EXTENSION) * extensions);

}  // namespace certwright::pki
