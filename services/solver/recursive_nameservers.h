// RecursiveNameservers: whom names are asked about.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/repeated_field.h"
#include "lib/dns/server_policy.h"

namespace certwright::solver {

class RecursiveNameservers {
 public:
  // The system's.
  RecursiveNameservers() = default;
  // `configured` are the service's own, which are asked whatever their address; empty for the
  // system's.
  RecursiveNameservers(std::vector<std::string> configured, dns::ServerPolicy policy)
      : configured_(std::move(configured)), policy_(std::move(policy)) {}

  // Those that an issuer or a caller names, as dns::ParseServerAddress() reads them, or without
  // any the service's own. Error if the policy forbids one of them.
  absl::StatusOr<std::vector<std::string>> Choose(
      const google::protobuf::RepeatedPtrField<std::string>& named) const;

 private:
  std::vector<std::string> configured_;
  dns::ServerPolicy policy_;
};

}  // namespace certwright::solver
