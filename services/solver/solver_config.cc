#include "services/solver/solver_config.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/dns/server_address.h"
#include "lib/service/conditions.h"
#include "lib/service/peers.h"
#include "lib/service/store_config.h"

namespace certwright::solver {
namespace {

constexpr int kMaxWorkers = 10'000;

void AddAll(std::vector<std::string> more, std::vector<std::string>& problems) {
  for (std::string& problem : more) problems.push_back(std::move(problem));
}

absl::StatusOr<http::AddressRanges> ParseRanges(
    const google::protobuf::RepeatedPtrField<std::string>& ranges) {
  return http::AddressRanges::Parse({ranges.begin(), ranges.end()});
}

void ValidateDns(const config::v1::SolverConfig& config, std::vector<std::string>& problems) {
  for (int i = 0; i < config.recursive_nameservers_size(); ++i) {
    const auto address = dns::ParseServerAddress(config.recursive_nameservers(i));
    if (address.ok()) continue;
    problems.push_back(
        absl::StrCat("recursiveNameservers[", i, "]: ", address.status().message()));
  }
  if (config.authoritative_port() < 0 || config.authoritative_port() > 65535) {
    problems.push_back("authoritativePort: must be 1 to 65535, or 0 for the default");
  }
  if (const auto ranges = ParseRanges(config.dns_allowed_ranges()); !ranges.ok()) {
    problems.push_back(absl::StrCat("dnsAllowedRanges: ", ranges.status().message()));
  }
  for (int i = 0; i < config.dns_allowed_ports_size(); ++i) {
    if (config.dns_allowed_ports(i) >= 1 && config.dns_allowed_ports(i) <= 65535) continue;
    problems.push_back(absl::StrCat("dnsAllowedPorts[", i, "]: must be 1 to 65535"));
  }
}

void ValidateLimits(const config::v1::SchedulerLimits& limits,
                    std::vector<std::string>& problems) {
  if (limits.total() < 0) problems.push_back("limits.total: must not be negative");
  if (limits.per_issuer() < 0) problems.push_back("limits.perIssuer: must not be negative");
  if (limits.per_provider() < 0) problems.push_back("limits.perProvider: must not be negative");
}

}  // namespace

std::vector<std::string> ValidateConfig(const config::v1::SolverConfig& config) {
  std::vector<std::string> problems = service::ValidateServer(config.server());
  AddAll(service::ValidateStore(config.store()), problems);
  AddAll(service::ValidatePeer(config.issuer(), "issuer"), problems);
  if (config.workers() < 0 || config.workers() > kMaxWorkers) {
    problems.push_back("workers: must be 1 to 10000, or 0 for the default");
  }
  ValidateLimits(config.limits(), problems);
  ValidateDns(config, problems);
  if (const auto ranges = ParseRanges(config.self_check_allowed_ranges()); !ranges.ok()) {
    problems.push_back(absl::StrCat("selfCheckAllowedRanges: ", ranges.status().message()));
  }
  if (config.has_retention() && config.retention().seconds() <= 0) {
    problems.push_back("retention: must be at least a second");
  }
  return problems;
}

SolverOptions ToOptions(const config::v1::SolverConfig& config) {
  SolverOptions options;
  if (config.workers() > 0) options.workers = config.workers();
  const config::v1::SchedulerLimits& limits = config.limits();
  if (limits.total() > 0) options.limits.total = limits.total();
  if (limits.per_issuer() > 0) options.limits.per_issuer = limits.per_issuer();
  if (limits.per_provider() > 0) options.limits.per_account = limits.per_provider();
  options.nameservers.assign(config.recursive_nameservers().begin(),
                             config.recursive_nameservers().end());
  if (config.authoritative_port() > 0) options.authoritative_port = config.authoritative_port();
  options.dns_policy =
      dns::ServerPolicy(*ParseRanges(config.dns_allowed_ranges()),
                        {config.dns_allowed_ports().begin(), config.dns_allowed_ports().end()});
  options.allowed_ranges = *ParseRanges(config.self_check_allowed_ranges());
  options.http01_listen = config.http01_listen();
  if (config.has_retention()) options.retention = service::FromProto(config.retention());
  return options;
}

}  // namespace certwright::solver
