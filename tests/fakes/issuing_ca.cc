#include "tests/fakes/issuing_ca.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "lib/base/base64.h"
#include "lib/pki/openssl.h"
#include "lib/pki/pem.h"
#include "tests/fakes/random_bytes.h"

namespace certwright::fakes {
namespace {

constexpr char kIntermediateName[] = "Fake Intermediate";

pki::TestCa CrossSign(const pki::TestCa& root, const pki::PrivateKey& key) {
  pki::TestCertificateSpec spec;
  spec.common_name = kIntermediateName;
  spec.is_ca = true;
  return pki::TestCa(key, {root.Sign(key.public_key(), spec), root.root()});
}

std::string SubjectKeyId(const pki::Certificate& certificate) {
  const ASN1_OCTET_STRING* id = X509_get0_subject_key_id(certificate.x509.get());
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(id)),
                     static_cast<std::size_t>(ASN1_STRING_length(id)));
}

// Sixteen octets that are in a certificate as they are: positive, and no zeros in front.
std::string RandomSerial() {
  std::string serial = RandomBytes(16);
  serial[0] = static_cast<char>((serial[0] & 0x3f) | 0x40);
  return serial;
}

pki::SubjectAltNames NamesFor(pki::SubjectAltNames names, ChainVariant variant) {
  if (variant == ChainVariant::kExtraName) names.dns_names.push_back("extra.example");
  if (variant == ChainVariant::kMissingName && !names.dns_names.empty()) {
    names.dns_names.pop_back();
    // A certificate has a name.
    if (names.dns_names.empty()) names.dns_names.push_back("other.example");
  }
  return names;
}

}  // namespace

IssuingCa::IssuingCa(int alternate_roots) {
  issuers_.push_back(pki::TestCa("Fake Root").MakeIntermediate(kIntermediateName));
  for (int i = 1; i <= alternate_roots; ++i) {
    const pki::TestCa root(absl::StrCat("Fake Alternate Root ", i));
    issuers_.push_back(CrossSign(root, issuers_[0].key()));
  }
  key_id_ = base::Base64UrlEncode(SubjectKeyId(issuers_[0].certificate()));
}

IssuedLeaf IssuingCa::Issue(const pki::Csr& csr, absl::Duration lifetime,
                            absl::Duration backdating, ChainVariant variant) const {
  pki::TestCertificateSpec spec;
  spec.names = NamesFor(csr.names, variant);
  spec.usages = {"digital signature", "server auth"};
  spec.not_before = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now() - backdating));
  if (variant == ChainVariant::kExpired) spec.not_before -= lifetime + absl::Hours(1);
  if (variant == ChainVariant::kNotYetValid) spec.not_before += absl::Hours(2);
  spec.not_after = spec.not_before + lifetime;
  spec.serial = RandomSerial();
  const pki::PublicKey key = variant == ChainVariant::kForOtherKey
                                 ? pki::PrivateKey::Generate({}).value().public_key()
                                 : csr.public_key;
  return {.der = issuers_[0].SignDer(key, spec),
          .cert_id = absl::StrCat(key_id_, ".", base::Base64UrlEncode(spec.serial)),
          .not_before = spec.not_before,
          .not_after = spec.not_after};
}

std::string IssuingCa::Chain(const std::string& leaf_der, std::size_t root,
                             ChainVariant variant) const {
  std::string leaf = pki::EncodePem("CERTIFICATE", leaf_der);
  const std::string intermediate = issuers_[root].certificate().Pem();
  switch (variant) {
    case ChainVariant::kWithPrivateKey: {
      const auto key = pki::PrivateKey::Generate({});
      return absl::StrCat(leaf, key.value().ToPem().Reveal(), intermediate);
    }
    case ChainVariant::kWrongOrder:
      return absl::StrCat(intermediate, leaf);
    case ChainVariant::kDuplicate:
      return absl::StrCat(leaf, leaf, intermediate);
    case ChainVariant::kWithRoot:
      return absl::StrCat(leaf, intermediate, RootPem(root));
    case ChainVariant::kWithoutIntermediate:
      return leaf;
    case ChainVariant::kOddPem: {
      std::string text = absl::StrCat("# the leaf\n", leaf, "\n# its issuer\n", intermediate);
      text.pop_back();
      return absl::StrReplaceAll(text, {{"\n", "\r\n"}});
    }
    case ChainVariant::kRunTogether:
      leaf.pop_back();
      return absl::StrCat("\xef\xbb\xbf", leaf, intermediate);
    case ChainVariant::kOldLabels:
      return absl::StrCat(
          pki::EncodePem("X509 CERTIFICATE", leaf_der),
          pki::EncodePem("TRUSTED CERTIFICATE", issuers_[root].certificate().der));
    case ChainVariant::kDer:
      return absl::StrCat(leaf_der, issuers_[root].certificate().der);
    default:
      return absl::StrCat(leaf, intermediate);
  }
}

}  // namespace certwright::fakes
