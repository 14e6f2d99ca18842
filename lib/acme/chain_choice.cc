#include "lib/acme/chain_choice.h"

namespace certwright::acme {

bool IsPreferredChain(const std::vector<pki::Certificate>& chain, absl::string_view preferred) {
  if (chain.empty() || preferred.empty()) return false;
  const pki::Certificate& top = pki::TopmostCertificate(chain);
  // A chain of the leaf alone has no CA's subject to match.
  const bool is_subject = chain.size() > 1 && top.subject_common_name == preferred;
  return top.issuer_common_name == preferred || is_subject;
}

ChainChoice ChooseChain(const std::vector<std::vector<pki::Certificate>>& chains,
                        absl::string_view preferred) {
  if (preferred.empty()) return {};
  for (std::size_t i = 0; i < chains.size(); ++i) {
    if (IsPreferredChain(chains[i], preferred)) return {i, true};
  }
  return {0, false};
}

}  // namespace certwright::acme
