// PEM text, and the certificates in it. The first octet of the input chooses between a whole
// text and the DER inside of one block.
#include <string>
#include <vector>

#include "lib/base/fuzz.h"
#include "lib/pki/certificate.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "lib/pki/pem.h"

namespace certwright::pki {
namespace {

void CheckBlocks(absl::string_view text) {
  constexpr PemLimits kLimits = {.max_bytes = 4096, .max_blocks = 3};
  const absl::StatusOr<std::vector<PemBlock>> blocks = ParsePem(text, kLimits);
  if (!blocks.ok()) return;
  CW_FUZZ_CHECK(text.size() <= kLimits.max_bytes && blocks->size() <= kLimits.max_blocks);
  std::string written;
  for (const PemBlock& block : *blocks) written += EncodePem(block.label, block.der);
  const absl::StatusOr<std::vector<PemBlock>> again = ParsePem(written, {1 << 20, 3});
  CW_FUZZ_CHECK(again.ok() && again->size() == blocks->size());
  for (std::size_t i = 0; i < blocks->size(); ++i) {
    CW_FUZZ_CHECK((*again)[i].label == (*blocks)[i].label);
    CW_FUZZ_CHECK((*again)[i].der == (*blocks)[i].der && !(*blocks)[i].der.empty());
  }
}

void CheckCertificate(const Certificate& certificate) {
  CW_FUZZ_CHECK(certificate.x509 != nullptr && !certificate.der.empty());
  CW_FUZZ_CHECK(certificate.serial_hex.size() == 2 * certificate.serial_der.size());
  CW_FUZZ_CHECK(!certificate.public_key.Spki().empty());
  for (const std::string& name : certificate.names.dns_names) {
    for (const char c : name) CW_FUZZ_CHECK(c > ' ' && c <= '~' && !(c >= 'A' && c <= 'Z'));
  }
  // google.protobuf.Timestamp holds the years 1 to 9999.
  for (const absl::Time time : {certificate.not_before, certificate.not_after}) {
    CW_FUZZ_CHECK(time >= absl::FromCivil(absl::CivilYear(1), absl::UTCTimeZone()));
    CW_FUZZ_CHECK(time < absl::FromCivil(absl::CivilYear(10000), absl::UTCTimeZone()));
  }
}

void CheckChain(absl::string_view pem) {
  const absl::StatusOr<std::vector<Certificate>> chain = ParseChainPem(pem);
  if (!chain.ok()) return;
  CW_FUZZ_CHECK(!chain->empty() && chain->size() <= 20 && pem.size() <= 256 << 10);
  for (const Certificate& certificate : *chain) CheckCertificate(certificate);
  const absl::StatusOr<std::vector<Certificate>> again = ParseChainPem(ToPem(*chain));
  CW_FUZZ_CHECK(again.ok() && again->size() == chain->size());
  const Certificate& leaf = chain->front();
  CW_FUZZ_CHECK(again->front().der == leaf.der);
  (void)VerifyIssuedChain(*chain, {&leaf.public_key, leaf.names, leaf.not_before});
  (void)VerifyAgainstRoots(*chain, {TopmostCertificate(*chain)}, leaf.not_before);
  // Before and after its time it is not to be delivered.
  for (const absl::Time now :
       {leaf.not_before - absl::Hours(2), leaf.not_after + absl::Seconds(1)}) {
    CW_FUZZ_CHECK(!VerifyIssuedChain(*chain, {&leaf.public_key, leaf.names, now}).ok());
  }
}

void CheckText(absl::string_view pem) {
  CheckBlocks(pem);
  CheckChain(pem);
  const absl::StatusOr<Csr> csr = ParseCsrPem(pem);
  if (csr.ok()) CW_FUZZ_CHECK(!csr->der.empty());
  // No text is both.
  CW_FUZZ_CHECK(!csr.ok() || !ParseChainPem(pem).ok());
  CW_FUZZ_CHECK(!csr.ok() || !PrivateKey::ParsePem(pem).ok());
}

}  // namespace
}  // namespace certwright::pki

CW_FUZZ_TARGET(input) {
  using namespace certwright::pki;
  if (input.empty()) return;
  const char choice = input.front();
  input.remove_prefix(1);
  switch (choice) {
    case 'c':
      return CheckText(EncodePem("CERTIFICATE", input));
    case 'r':
      return CheckText(EncodePem("CERTIFICATE REQUEST", input));
    default:
      return CheckText(input);
  }
}
