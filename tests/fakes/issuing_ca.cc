#include "tests/fakes/issuing_ca.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "lib/pki/pem.h"

namespace certwright::fakes {
namespace {

constexpr char kIntermediateName[] = "Fake Intermediate";

pki::TestCa CrossSign(const pki::TestCa& root, const pki::PrivateKey& key) {
  pki::TestCertificateSpec spec;
  spec.common_name = kIntermediateName;
  spec.is_ca = true;
  return pki::TestCa(key, {root.Sign(key.public_key(), spec), root.root()});
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
}

pki::Certificate IssuingCa::Issue(const pki::Csr& csr, absl::Duration lifetime,
                                  ChainVariant variant) const {
  pki::TestCertificateSpec spec;
  spec.names = NamesFor(csr.names, variant);
  spec.usages = {"digital signature", "server auth"};
  spec.not_before = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()));
  if (variant == ChainVariant::kExpired) spec.not_before -= lifetime + absl::Hours(1);
  if (variant == ChainVariant::kNotYetValid) spec.not_before += absl::Hours(2);
  spec.not_after = spec.not_before + lifetime;
  if (variant != ChainVariant::kForOtherKey) return issuers_[0].Sign(csr.public_key, spec);
  return issuers_[0].Sign(pki::PrivateKey::Generate({}).value().public_key(), spec);
}

std::string IssuingCa::Chain(const std::string& leaf_der, std::size_t root,
                             ChainVariant variant) const {
  const std::string leaf = pki::EncodePem("CERTIFICATE", leaf_der);
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
    default:
      return absl::StrCat(leaf, intermediate);
  }
}

}  // namespace certwright::fakes
