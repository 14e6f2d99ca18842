// Private keys in PEM: input[0] chooses a kind, input[1] a place in the DER of a key of that
// kind, and the rest is written over what is there.
#include <algorithm>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/base/fuzz.h"
#include "lib/pki/key.h"
#include "lib/pki/pem.h"

namespace certwright::pki {
namespace {

struct Kind {
  const char* label;
  std::string der;
};

// Of keys that are nobody's: their secret octets are all the same.
Kind KindOf(unsigned char choice) {
  const std::string octets = std::string(64, '2');
  switch (choice % 3) {
    case 0:
      return {"PRIVATE KEY",
              absl::HexStringToBytes("302e020100300506032b657004220420" + octets)};
    case 1:
      return {"EC PRIVATE KEY", absl::HexStringToBytes(absl::StrCat(
                                    "30310201010420", octets, "a00a06082a8648ce3d030107"))};
    default:
      return {"RSA PRIVATE KEY", absl::HexStringToBytes("301b020100020100020100020100020100"
                                                        "020100020100020100020100")};
  }
}

void CheckKey(absl::string_view pem) {
  const absl::StatusOr<PrivateKey> key = PrivateKey::ParsePem(pem);
  if (!key.ok()) return;
  for (const KeyEncoding encoding : {KeyEncoding::kPkcs1, KeyEncoding::kPkcs8}) {
    const absl::StatusOr<PrivateKey> again =
        PrivateKey::ParsePem(key->ToPem(encoding).Reveal());
    CW_FUZZ_CHECK(again.ok() && again->spec() == key->spec());
    CW_FUZZ_CHECK(again->public_key() == key->public_key());
  }
  CW_FUZZ_CHECK(!key->public_key().Spki().empty());
}

}  // namespace
}  // namespace certwright::pki

CW_FUZZ_TARGET(input) {
  using namespace certwright::pki;
  if (input.size() < 2) return;
  Kind kind = KindOf(static_cast<unsigned char>(input[0]));
  const std::size_t at = static_cast<unsigned char>(input[1]) % (kind.der.size() + 1);
  input.remove_prefix(2);
  kind.der.replace(at, std::min(input.size(), kind.der.size() - at), std::string(input));
  CheckKey(EncodePem(kind.label, kind.der));
}
