// What a Certificate's Secret holds besides tls.crt, tls.key and ca.crt: other forms of the key
// pair, key stores and trust stores, labels and annotations.
//
// Two annotations say what was written: a digest of it all, and the keys of the template's
// labels and annotations, so that what is no longer asked for can be taken away. A Secret
// without outputs has neither.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "lib/base/secret.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

inline constexpr char kDerKey[] = "key.der";
inline constexpr char kCombinedPemKey[] = "tls-combined.pem";
inline constexpr char kPkcs12Key[] = "keystore.p12";
inline constexpr char kPkcs12TruststoreKey[] = "truststore.p12";
inline constexpr char kJksKey[] = "keystore.jks";
inline constexpr char kJksTruststoreKey[] = "truststore.jks";

inline constexpr char kOutputsDigestAnnotation[] = "certwright.io/outputs-digest";
inline constexpr char kTemplateKeysAnnotation[] = "certwright.io/template-keys";

struct KeystorePassword {
  // Empty if the key store has none.
  base::Secret value;
  // Of the Secret that holds it: tells passwords apart without saying anything about them.
  std::string version;
};

struct KeystorePasswords {
  KeystorePassword pkcs12;
  KeystorePassword jks;
};

// Whether tls.key is encoded as the spec says; also if there is no key that could be.
bool HasKeyEncoding(const issuer::v1::CertificateSpec& spec, const issuer::v1::Secret& secret);

// Encodes it so. INVALID_ARGUMENT, with `secret` as it was, if it cannot be read.
absl::Status PutKeyEncoding(const issuer::v1::CertificateSpec& spec,
                            issuer::v1::Secret& secret);

// Whether the spec asks for anything that this file is about, or the Secret has it.
bool ConcernsOutputs(const issuer::v1::CertificateSpec& spec, const issuer::v1::Secret& secret);

// The passwords of the key stores that the spec asks for. NOT_FOUND names what is missing.
runtime::Awaitable<absl::StatusOr<KeystorePasswords>> ReadKeystorePasswords(
    runtime::Context context, Stores& stores, const issuer::v1::Certificate& certificate);

// Brings the outputs of `secret` in line with its tls.crt, tls.key and ca.crt and with the
// spec. INVALID_ARGUMENT, with `secret` as it was, if a key store cannot be made, for example
// for its password. Key stores cost some 10 ms.
absl::Status WriteOutputs(const issuer::v1::CertificateSpec& spec,
                          const KeystorePasswords& passwords, issuer::v1::Secret& secret);

// Whether WriteOutputs() has been there with the same arguments, and nobody has changed
// anything since.
bool OutputsAreCurrent(const issuer::v1::CertificateSpec& spec,
                       const KeystorePasswords& passwords, const issuer::v1::Secret& secret);

}  // namespace certwright::issuer_service
