#include "lib/pki/registered_domain.h"

#include <libpsl.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/pki/names.h"

namespace certwright::pki {

std::string RegisteredDomain(absl::string_view dns_name) {
  const std::string name(absl::StripPrefix(dns_name, "*."));
  // Points into `name`; null for a public suffix.
  const char* domain = psl_registrable_domain(psl_builtin(), name.c_str());
  return domain == nullptr ? name : std::string(domain);
}

std::string AddressUnit(absl::string_view address) {
  std::string octets = IpAddressToOctets(address);
  if (octets.size() != 16) return std::string(address);
  octets.replace(8, 8, 8, '\0');
  return absl::StrCat(IpAddressFromOctets(octets), "/64");
}

}  // namespace certwright::pki
