// Finding: why something is not as a Certificate wants it, as its condition says it.
#pragma once

#include <string>

namespace certwright::issuer_service {

// The reasons are cert-manager's where it has one.
struct Finding {
  std::string reason;
  std::string message;
};

}  // namespace certwright::issuer_service
