// PEM text, and the certificates and keys in it. The first octet of the input chooses between a
// whole text, the DER inside of one block, and DER alone.
#include <algorithm>
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

// Sorted from `leaf`, it has nothing twice and nothing new, and every link holds.
void CheckSorted(const std::vector<Certificate>& chain, const Certificate& leaf) {
  const auto sorted = ChainFromLeaf(chain, leaf.public_key);
  if (!sorted.ok()) return;
  CW_FUZZ_CHECK(!sorted->empty() && sorted->size() <= chain.size());
  CW_FUZZ_CHECK(sorted->front().public_key == leaf.public_key);
  for (const Certificate& certificate : *sorted) {
    const auto is_it = [&](const Certificate& other) { return other.der == certificate.der; };
    CW_FUZZ_CHECK(std::count_if(sorted->begin(), sorted->end(), is_it) == 1);
    CW_FUZZ_CHECK(std::any_of(chain.begin(), chain.end(), is_it));
  }
  const Certificate& first = sorted->front();
  const auto verified =
      VerifyIssuedChain(*sorted, {&first.public_key, first.names, first.not_before});
  CW_FUZZ_CHECK(sorted->size() == 1 || verified.ok() || !first.other_name_kinds.empty() ||
                first.not_after <= first.not_before);
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
  CheckSorted(*chain, leaf);
  CheckSorted(*chain, chain->back());
  (void)VerifyIssuedChain(*chain, {&leaf.public_key, leaf.names, leaf.not_before});
  (void)VerifyAgainstRoots(*chain, {TopmostCertificate(*chain)}, leaf.not_before);
  // Before and after its time it is not to be delivered.
  for (const absl::Time now :
       {leaf.not_before - absl::Hours(2), leaf.not_after + absl::Seconds(1)}) {
    CW_FUZZ_CHECK(!VerifyIssuedChain(*chain, {&leaf.public_key, leaf.names, now}).ok());
  }
}

// A key is found among other blocks, wherever they are.
void CheckKey(absl::string_view text) {
  const absl::StatusOr<PrivateKey> key = PrivateKey::ParsePem(text);
  if (!key.ok()) return;
  const std::string beside = EncodePem("EC PARAMETERS", "beside");
  const absl::StatusOr<PrivateKey> again =
      PrivateKey::ParsePem(beside + std::string(key->ToPem().Reveal()) + beside);
  CW_FUZZ_CHECK(again.ok() && again->public_key() == key->public_key());
  // With another of its kind beside it, it is not clear which is meant.
  CW_FUZZ_CHECK(!PrivateKey::ParsePem(std::string(key->ToPem().Reveal()) +
                                      EncodePem("PRIVATE KEY", "other"))
                     .ok());
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
    case 'd':
      return CheckChain(input);
    case 'k':
      return CheckKey(input);
    case 'c':
      return CheckText(EncodePem("CERTIFICATE", input));
    case 'r':
      return CheckText(EncodePem("CERTIFICATE REQUEST", input));
    default:
      return CheckText(input);
  }
}
