// Rfc2136Providers: DNS-01 at nameservers that take dynamic updates (RFC 2136), which hold as
// many values per name as one likes. Changes that come at about the same time go out together.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/dns/resolver.h"
#include "lib/dns/server_policy.h"
#include "lib/dns/update_batcher.h"
#include "services/solver/dns01_provider.h"

namespace certwright::solver {

class Rfc2136Providers final : public Dns01Providers {
 public:
  // `nameservers` resolve the names of nameservers; empty for the system's. `policy` says which
  // of these may be updated. References must outlive this and what it found.
  Rfc2136Providers(dns::UpdateBatcher& batcher, dns::DnsResolver& resolver,
                   std::vector<std::string> nameservers, dns::ServerPolicy policy)
      : batcher_(batcher),
        resolver_(resolver),
        nameservers_(std::move(nameservers)),
        policy_(std::move(policy)) {}

  absl::StatusOr<std::shared_ptr<Dns01Provider>> Find(
      std::shared_ptr<const SolverConfig> config) override;

 private:
  dns::UpdateBatcher& batcher_;
  dns::DnsResolver& resolver_;
  const std::vector<std::string> nameservers_;
  const dns::ServerPolicy policy_;
};

}  // namespace certwright::solver
