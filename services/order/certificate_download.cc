#include "services/order/certificate_download.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/acme/chain_choice.h"
#include "lib/acme/problem.h"
#include "lib/base/status_macros.h"
#include "lib/pki/certificate.h"
#include "lib/telemetry/log.h"

namespace certwright::order {
namespace {

using Chain = std::vector<pki::Certificate>;

constexpr std::size_t kMaxAlternates = 10;

// Sorts the chain that the CA handed out, and checks it.
absl::Status TakeChain(const CertificateToDownload& wanted, Chain& chain) {
  CW_ASSIGN_OR_RETURN(chain, pki::ChainFromLeaf(std::move(chain), wanted.public_key));
  pki::ChainExpectation expectation;
  expectation.public_key = &wanted.public_key;
  expectation.names = wanted.names;
  expectation.now = wanted.now;
  return pki::VerifyIssuedChain(chain, expectation);
}

// The default chain first, then the alternates that could be had and are good.
runtime::Awaitable<std::vector<Chain>> AllChains(runtime::Context context,
                                                 CertificateAuthority& authority,
                                                 const CertificateToDownload& wanted,
                                                 acme::CertificateChain offered) {
  std::vector<runtime::Awaitable<absl::StatusOr<acme::CertificateChain>>> downloads;
  for (const std::string& url : offered.alternate_urls) {
    if (downloads.size() == kMaxAlternates) break;
    downloads.push_back(authority.DownloadAlternate(context, url));
  }
  auto results = co_await runtime::WhenAll(std::move(downloads));
  std::vector<Chain> chains;
  chains.push_back(std::move(offered.certificates));
  for (absl::StatusOr<acme::CertificateChain>& result : results) {
    const absl::Status usable =
        result.ok() ? TakeChain(wanted, result->certificates) : result.status();
    if (usable.ok()) {
      chains.push_back(std::move(result->certificates));
    } else {
      telemetry::LogWarning("an alternate chain cannot be used", {{"error", usable.message()}});
    }
  }
  co_return chains;
}

}  // namespace

runtime::Awaitable<absl::StatusOr<DownloadedCertificate>> DownloadVerified(
    runtime::Context context, CertificateAuthority& authority, CertificateToDownload wanted) {
  CW_CO_ASSIGN_OR_RETURN(acme::CertificateChain offered,
                         co_await authority.DownloadCertificate(context, wanted.url));
  const absl::Status verified = TakeChain(wanted, offered.certificates);
  if (!verified.ok()) {
    co_return acme::ErrorWithClass(
        absl::IsOutOfRange(verified) ? verified.code() : absl::StatusCode::kFailedPrecondition,
        absl::StrCat("the CA issued a certificate that is not the one asked for: ",
                     verified.message()),
        acme::ErrorClass::kPermanent);
  }
  DownloadedCertificate downloaded;
  if (wanted.preferred_chain.empty() ||
      acme::IsPreferredChain(offered.certificates, wanted.preferred_chain)) {
    downloaded.pem = pki::ToPem(offered.certificates);
    co_return downloaded;
  }
  const std::vector<Chain> chains =
      co_await AllChains(context, authority, wanted, std::move(offered));
  const acme::ChainChoice choice = acme::ChooseChain(chains, wanted.preferred_chain);
  downloaded.pem = pki::ToPem(chains[choice.index]);
  downloaded.preferred_found = choice.preferred_found;
  co_return downloaded;
}

}  // namespace certwright::order
