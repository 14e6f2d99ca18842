// Which of the chains that a CA offers to deliver (RFC 8555 §7.4.2).
#pragma once

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/pki/certificate.h"

namespace certwright::acme {

struct ChainChoice {
  std::size_t index = 0;
  // Whether the chain is the preferred one; true if none was.
  bool preferred_found = true;
};

// Whether the topmost certificate of `chain` is issued by or is `preferred`, a
// common name.
bool IsPreferredChain(const std::vector<pki::Certificate>& chain, absl::string_view preferred);

// The first preferred chain, else the first, which is the CA's default.
ChainChoice ChooseChain(const std::vector<std::vector<pki::Certificate>>& chains,
                        absl::string_view preferred);

}  // namespace certwright::acme
