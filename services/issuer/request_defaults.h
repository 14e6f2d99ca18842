// What a CertificateRequest gets where it does not say: the same for whoever judges it and for
// whoever signs it.
#pragma once

#include <array>

#include "absl/time/time.h"

namespace certwright::issuer_service {

inline constexpr absl::Duration kDefaultDuration = absl::Hours(90 * 24);
inline constexpr std::array kDefaultUsages = {"digital signature", "key encipherment"};

}  // namespace certwright::issuer_service
