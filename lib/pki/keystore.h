// Key stores and trust stores in the files that other programs read: PKCS#12 (RFC 7292) and
// Java's own JKS.
//
// What holds a key comes back as a Secret: its password may be empty or well known. Each call
// chooses new salts, so the bytes differ from call to call though the contents do not.
//
// Cost: deriving keys from the password takes some 10 ms for kModern, so not on a thread that
// has to be quick.
//
// Errors: INVALID_ARGUMENT for a chain that is empty or for another key, for no certificates,
// and for a password or name that the format cannot hold; never the password itself.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/secret.h"
#include "lib/pki/certificate.h"
#include "lib/pki/key.h"

namespace certwright::pki {

enum class Pkcs12Profile {
  // PBES2: AES-256-CBC under a key of PBKDF2 with HMAC-SHA-256; the MAC with SHA-256. Java
  // 8u301
  // and later, Windows 10 1709 and later, OpenSSL 1.0 and later.
  kModern,
  // Triple DES and SHA-1, which everything reads and which protects little.
  kLegacy,
};

// The key with its certificate, the first of `chain`, and the other certificates of the chain.
// The password is UTF-8 without NUL, at most 1024 octets, and may be empty. The friendly name
// is UTF-8 of at most 255 octets; Java calls it the alias.
absl::StatusOr<base::Secret> MakePkcs12(const PrivateKey& key,
                                        const std::vector<Certificate>& chain,
                                        absl::string_view friendly_name,
                                        const base::Secret& password, Pkcs12Profile profile);

// Certificates with the attribute that makes them trusted ones for Java, under the friendly
// names "ca-1", "ca-2" and so on.
absl::StatusOr<std::string> MakePkcs12Truststore(const std::vector<Certificate>& certificates,
                                                 const base::Secret& password,
                                                 Pkcs12Profile profile);

// Version 2 of JKS, whose protection is weak (SHA-1, once): for programs that read nothing
// else. The password as above, but not empty; it is the key's too. The alias is 1 to 255
// printable ASCII characters, and lower-cased, as Java does when it looks for one. The entry
// is dated as its certificate begins.
absl::StatusOr<base::Secret> MakeJks(const PrivateKey& key,
                                     const std::vector<Certificate>& chain,
                                     absl::string_view alias, const base::Secret& password);

// Aliases as for MakePkcs12Truststore().
absl::StatusOr<std::string> MakeJksTruststore(const std::vector<Certificate>& certificates,
                                              const base::Secret& password);

}  // namespace certwright::pki
