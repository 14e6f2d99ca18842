#include "services/solver/rfc2136_provider.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/status_macros.h"
#include "lib/dns/server_address.h"
#include "services/solver/host_addresses.h"

namespace certwright::solver {
namespace {

using runtime::Awaitable;
using runtime::Context;

absl::StatusOr<dns::TsigAlgorithm> ToAlgorithm(issuer::v1::TsigAlgorithm algorithm) {
  switch (algorithm) {
    case issuer::v1::TSIG_ALGORITHM_UNSPECIFIED:
    case issuer::v1::TSIG_ALGORITHM_HMAC_SHA256:
      return dns::TsigAlgorithm::kHmacSha256;
    case issuer::v1::TSIG_ALGORITHM_HMAC_SHA512:
      return dns::TsigAlgorithm::kHmacSha512;
    case issuer::v1::TSIG_ALGORITHM_HMAC_SHA1:
      return dns::TsigAlgorithm::kHmacSha1;
    case issuer::v1::TSIG_ALGORITHM_HMAC_MD5:
      return dns::TsigAlgorithm::kHmacMd5;
    default:
      return absl::FailedPreconditionError(
          "the solver's TSIG algorithm is not supported; use HMAC_SHA256 or HMAC_SHA512");
  }
}

// Null if updates are to be unsigned.
absl::StatusOr<std::shared_ptr<const dns::TsigKey>> MakeKey(const SolverConfig& config) {
  const issuer::v1::Rfc2136& settings = config.solver.dns01().rfc2136();
  if (settings.tsig_key_name().empty()) return std::shared_ptr<const dns::TsigKey>();
  const base::Secret* secret = config.Find(settings.tsig_secret_secret_ref());
  if (secret == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("the issuer service sent no value of the TSIG secret \"",
                     settings.tsig_secret_secret_ref().name(), "\""));
  }
  auto key = std::make_shared<dns::TsigKey>();
  key->name = settings.tsig_key_name();
  CW_ASSIGN_OR_RETURN(key->algorithm, ToAlgorithm(settings.tsig_algorithm()));
  absl::StatusOr<base::Secret> parsed = dns::ParseTsigSecret(secret->Reveal());
  if (!parsed.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the TSIG secret \"", settings.tsig_secret_secret_ref().name(),
                     "\" cannot be used: ", parsed.status().message()));
  }
  key->secret = *std::move(parsed);
  return std::shared_ptr<const dns::TsigKey>(std::move(key));
}

class Rfc2136Provider final : public Dns01Provider {
 public:
  Rfc2136Provider(dns::UpdateBatcher& batcher, dns::DnsResolver& resolver,
                  std::vector<std::string> nameservers, dns::ServerPolicy policy,
                  std::shared_ptr<const SolverConfig> config,
                  std::shared_ptr<const dns::TsigKey> key)
      : batcher_(batcher),
        resolver_(resolver),
        nameservers_(std::move(nameservers)),
        policy_(std::move(policy)),
        config_(std::move(config)),
        key_(std::move(key)) {}

  Dns01Capabilities capabilities() const override { return Dns01Capabilities(); }

  std::string account() const override {
    return absl::StrCat("rfc2136 ", absl::StrJoin(settings().nameservers(), ","), " ",
                        settings().tsig_key_name());
  }

  Awaitable<absl::Status> Present(Context context, Dns01Record record) override {
    return Apply(std::move(context), std::move(record), dns::TxtChange::Kind::kAdd);
  }

  Awaitable<absl::Status> CleanUp(Context context, Dns01Record record) override {
    return Apply(std::move(context), std::move(record), dns::TxtChange::Kind::kRemove);
  }

 private:
  const issuer::v1::Rfc2136& settings() const { return config_->solver.dns01().rfc2136(); }

  Awaitable<absl::Status> Apply(Context context, Dns01Record record,
                                dns::TxtChange::Kind kind) {
    dns::UpdateTarget target;
    absl::StatusOr<std::vector<std::string>> servers = co_await FindServers(context);
    if (!servers.ok()) co_return MarkNothingChanged(servers.status());
    target.servers = *std::move(servers);
    target.zone = std::move(record.zone);
    target.key = key_;
    target.tcp_only = settings().protocol() == issuer::v1::DNS_PROTOCOL_TCP;
    dns::TxtChange change;
    change.kind = kind;
    change.name = std::move(record.name);
    change.value = std::move(record.value);
    change.ttl = record.ttl_seconds;
    absl::Status status =
        co_await batcher_.Apply(std::move(context), std::move(target), std::move(change));
    const bool refused = dns::IsUpdateRefused(status) || absl::IsInvalidArgument(status);
    co_return refused ? MarkNothingChanged(std::move(status)) : status;
  }

  // The addresses of the nameservers that may be updated, in the configuration's order.
  Awaitable<absl::StatusOr<std::vector<std::string>>> FindServers(Context context) {
    std::vector<std::string> servers;
    absl::Status left_out;
    for (const std::string& text : settings().nameservers()) {
      CW_CO_ASSIGN_OR_RETURN(const dns::NameserverAddress nameserver,
                             dns::ParseNameserver(text));
      const absl::StatusOr<HostAddresses> addresses =
          co_await FindHostAddresses(context, resolver_, nameserver.host, nameservers_);
      if (!addresses.ok()) {
        left_out = addresses.status();
        continue;
      }
      for (const std::string& ip : addresses->All()) {
        const dns::ServerAddress server{ip, nameserver.port};
        if (absl::Status allowed = policy_.Check(server); !allowed.ok()) {
          left_out = std::move(allowed);
        } else {
          servers.push_back(server.ToString());
        }
      }
    }
    if (!servers.empty()) co_return servers;
    if (!left_out.ok()) co_return left_out;
    co_return absl::FailedPreconditionError("the solver names no nameserver to update");
  }

  dns::UpdateBatcher& batcher_;
  dns::DnsResolver& resolver_;
  const std::vector<std::string> nameservers_;
  const dns::ServerPolicy policy_;
  const std::shared_ptr<const SolverConfig> config_;
  const std::shared_ptr<const dns::TsigKey> key_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<Dns01Provider>> Rfc2136Providers::Find(
    std::shared_ptr<const SolverConfig> config) {
  const issuer::v1::Dns01Solver& solver = config->solver.dns01();
  if (!solver.has_rfc2136()) return UnsupportedProvider(solver);
  CW_ASSIGN_OR_RETURN(std::shared_ptr<const dns::TsigKey> key, MakeKey(*config));
  return std::shared_ptr<Dns01Provider>(std::make_shared<Rfc2136Provider>(
      batcher_, resolver_, nameservers_, policy_, std::move(config), std::move(key)));
}

}  // namespace certwright::solver
