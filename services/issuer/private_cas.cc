#include "services/issuer/private_cas.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

constexpr absl::Duration kSpreadOfOne = absl::Seconds(1);
constexpr absl::Duration kLongestSpread = absl::Hours(1);

std::string Value(const issuer::v1::Secret& secret, const char* key) {
  const auto it = secret.data().find(key);
  return it == secret.data().end() ? "" : it->second;
}

bool IsTheSame(const PrivateCa& a, const PrivateCa& b) {
  return a.certificate.der == b.certificate.der && a.chain_pem == b.chain_pem &&
         a.ca_pem == b.ca_pem;
}

}  // namespace

CaFit FitOf(const issuer::v1::Secret& secret, const PrivateCa& ca) {
  const std::string chain_pem = Value(secret, kCertificateKey);
  const auto chain = pki::ParseChainPem(chain_pem);
  if (!chain.ok()) return CaFit::kFits;
  const pki::Certificate& leaf = chain->front();
  if (leaf.der == ca.certificate.der) return CaFit::kFits;
  if (!pki::IsSignedBy(leaf, ca.certificate)) return CaFit::kOtherCa;
  const bool current =
      chain_pem == absl::StrCat(leaf.Pem(), ca.chain_pem) && Value(secret, kCaKey) == ca.ca_pem;
  return current ? CaFit::kFits : CaFit::kOldChain;
}

void PutChain(const PrivateCa& ca, issuer::v1::Secret& secret) {
  auto& data = *secret.mutable_data();
  const auto chain = pki::ParseChainPem(data[kCertificateKey]);
  if (!chain.ok()) return;
  data[kCertificateKey] = absl::StrCat(chain->front().Pem(), ca.chain_pem);
  data[kCaKey] = ca.ca_pem;
}

absl::Duration SpreadOf(const PrivateCa& ca) {
  return std::min(kSpreadOfOne * ca.leaves, kLongestSpread);
}

void PrivateCas::Set(const std::string& issuer_key, PrivateCa ca) {
  const std::vector<std::string> certificates = certificates_of_(issuer_key);
  ca.leaves = certificates.size();
  {
    base::MutexLock lock(mutex_);
    Shared& known = cas_[issuer_key];
    if (known != nullptr && IsTheSame(*known, ca)) return;
    known = std::make_shared<const PrivateCa>(std::move(ca));
  }
  for (const std::string& certificate : certificates) wake_(certificate);
}

void PrivateCas::Forget(const std::string& issuer_key) {
  base::MutexLock lock(mutex_);
  cas_.erase(issuer_key);
}

PrivateCas::Shared PrivateCas::Of(const std::string& issuer_key) const {
  base::MutexLock lock(mutex_);
  const auto ca = cas_.find(issuer_key);
  return ca == cas_.end() ? nullptr : ca->second;
}

}  // namespace certwright::issuer_service
