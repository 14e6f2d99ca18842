// Feeds arbitrary text to everything that reads PEM, and arbitrary DER behind valid PEM.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "lib/pki/certificate.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "lib/pki/pem.h"

namespace certwright::pki {
namespace {

void ParseAsEverything(absl::string_view pem) {
  absl::StatusOr<std::vector<Certificate>> chain = ParseChainPem(pem);
  if (chain.ok()) {
    // What was read is written so that it reads as the same.
    absl::StatusOr<std::vector<Certificate>> again = ParseChainPem(ToPem(*chain));
    if (!again.ok() || again->size() != chain->size()) std::abort();
    const PublicKey& key = chain->front().public_key;
    (void)VerifyIssuedChain(*chain, {&key, chain->front().names, absl::UnixEpoch()});
    (void)VerifyAgainstRoots(*chain, {TopmostCertificate(*chain)}, absl::UnixEpoch());
  }
  absl::StatusOr<Csr> csr = ParseCsrPem(pem);
  if (csr.ok() && csr->der.empty()) std::abort();
  absl::StatusOr<PrivateKey> key = PrivateKey::ParsePem(pem);
  if (key.ok() && !PrivateKey::ParsePem(key->ToPem().Reveal()).ok()) std::abort();
}

}  // namespace
}  // namespace certwright::pki

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace certwright::pki;
  if (size == 0) return 0;
  constexpr absl::string_view kLabels[] = {"CERTIFICATE", "CERTIFICATE REQUEST", "PRIVATE KEY",
                                           "RSA PRIVATE KEY", "EC PRIVATE KEY"};
  constexpr size_t kCount = sizeof kLabels / sizeof *kLabels;
  // The first octet chooses between a whole text and the inside of a block.
  const size_t choice = data[0] % (kCount + 1);
  absl::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (choice == kCount) {
    ParseAsEverything(rest);
  } else {
    ParseAsEverything(EncodePem(kLabels[choice], rest));
  }
  return 0;
}
