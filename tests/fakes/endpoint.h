// Endpoint: the kinds of resources of an ACME CA, for what is counted and broken by kind.
#pragma once

#include <array>
#include <cstddef>
#include <cstdlib>

namespace certwright::fakes {

enum class Endpoint {
  kDirectory,
  kNewNonce,
  kNewAccount,
  kAccount,
  kNewOrder,
  kOrder,
  kAuthz,
  kChallenge,
  kFinalize,
  kCertificate,
  kRenewalInfo,
  kKeyChange,
  kRevokeCert,
};
inline constexpr std::array kEndpoints = {
    Endpoint::kDirectory, Endpoint::kNewNonce,    Endpoint::kNewAccount,  Endpoint::kAccount,
    Endpoint::kNewOrder,  Endpoint::kOrder,       Endpoint::kAuthz,       Endpoint::kChallenge,
    Endpoint::kFinalize,  Endpoint::kCertificate, Endpoint::kRenewalInfo, Endpoint::kKeyChange,
    Endpoint::kRevokeCert};

inline std::size_t Index(Endpoint endpoint) { return static_cast<std::size_t>(endpoint); }

}  // namespace certwright::fakes
