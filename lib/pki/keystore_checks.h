// What all key stores of keystore.h ask of their contents.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/base/secret.h"
#include "lib/pki/certificate.h"
#include "lib/pki/key.h"

namespace certwright::pki {

absl::Status CheckKeystorePassword(const base::Secret& password);
absl::Status CheckKeystoreChain(const PrivateKey& key, const std::vector<Certificate>& chain);
absl::Status CheckTruststoreCertificates(const std::vector<Certificate>& certificates);

// "ca-1" for the index 0.
std::string TruststoreAlias(size_t index);

}  // namespace certwright::pki
