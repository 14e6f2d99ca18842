#include "lib/service/access_config.h"

#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/rpc/validation.h"

namespace certwright::service {
namespace {

using google::protobuf::RepeatedPtrField;
using rpc::ServiceRole;

constexpr char kTokenPrefix[] = "token:";

std::set<std::string> Identities(const RepeatedPtrField<std::string>& given,
                                 ServiceRole service) {
  if (given.empty()) return {std::string(rpc::NameOf(service))};
  return {given.begin(), given.end()};
}

std::map<ServiceRole, std::set<std::string>> ServicesOf(const config::v1::Access& access) {
  return {
      {ServiceRole::kIssuer, Identities(access.issuer_identities(), ServiceRole::kIssuer)},
      {ServiceRole::kOrder, Identities(access.order_identities(), ServiceRole::kOrder)},
      {ServiceRole::kSolver, Identities(access.solver_identities(), ServiceRole::kSolver)},
  };
}

rpc::Role ToRole(config::v1::Role role) {
  switch (role) {
    case config::v1::ROLE_REQUESTER:
      return rpc::Role::kRequester;
    case config::v1::ROLE_APPROVER:
      return rpc::Role::kApprover;
    case config::v1::ROLE_SECRET_READER:
      return rpc::Role::kSecretReader;
    case config::v1::ROLE_ADMIN:
      return rpc::Role::kAdmin;
    default:
      return rpc::Role::kViewer;
  }
}

bool IsSha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::set<std::string> CheckTokens(const config::v1::Access& access,
                                  std::vector<std::string>& problems) {
  std::set<std::string> names;
  std::set<std::string> digests;
  for (int i = 0; i < access.tokens_size(); ++i) {
    const config::v1::Token& token = access.tokens(i);
    const std::string field = rpc::Indexed("access.tokens", i);
    if (!rpc::IsDnsLabel(token.name())) {
      problems.push_back(absl::StrCat(field, ".name: must be a DNS label"));
    } else if (!names.insert(token.name()).second) {
      problems.push_back(absl::StrCat(field, ".name: is that of an earlier token"));
    }
    if (!IsSha256(token.sha256())) {
      problems.push_back(
          absl::StrCat(field, ".sha256: must be 64 lower-case hexadecimal digits"));
    } else if (!digests.insert(token.sha256()).second) {
      problems.push_back(absl::StrCat(field, ".sha256: is that of an earlier token"));
    }
  }
  return names;
}

void CheckIdentity(const std::string& identity, const std::string& field,
                   const std::map<ServiceRole, std::set<std::string>>& services,
                   const std::set<std::string>& tokens, std::vector<std::string>& problems) {
  if (identity.empty()) {
    problems.push_back(absl::StrCat(field, ".identity: is required"));
    return;
  }
  for (const auto& [service, identities] : services) {
    if (!identities.contains(identity)) continue;
    problems.push_back(absl::StrCat(field, ".identity: is that of the ", rpc::NameOf(service),
                                    " service, which can have no role"));
  }
  const bool is_token = absl::StartsWith(identity, kTokenPrefix);
  if (is_token && !tokens.contains(identity.substr(sizeof kTokenPrefix - 1))) {
    problems.push_back(absl::StrCat(field, ".identity: access.tokens has no such token"));
  }
}

// Of Access or CallerRate.
template <typename Rates>
void CheckRate(const Rates& rates, const std::string& field,
               std::vector<std::string>& problems) {
  const auto check = [&](int value, absl::string_view name) {
    if (value >= 0) return;
    problems.push_back(
        absl::StrCat(field, ".", name, ": must be at least 1, or 0 for the default"));
  };
  check(rates.changes_per_second(), "changesPerSecond");
  check(rates.changes_burst(), "changesBurst");
  check(rates.calls_per_second(), "callsPerSecond");
  check(rates.calls_burst(), "callsBurst");
}

void SetIfGiven(int given, int& option) {
  if (given > 0) option = given;
}

}  // namespace

std::vector<std::string> ValidateAccess(const config::v1::Access& access) {
  std::vector<std::string> problems;
  const auto services = ServicesOf(access);
  for (const auto& [service, identities] : services) {
    if (identities.contains("")) {
      problems.push_back(
          absl::StrCat("access.", rpc::NameOf(service), "Identities: must not be empty"));
    }
  }
  const std::set<std::string> tokens = CheckTokens(access, problems);
  for (int i = 0; i < access.grants_size(); ++i) {
    const config::v1::Grant& grant = access.grants(i);
    const std::string field = rpc::Indexed("access.grants", i);
    CheckIdentity(grant.identity(), field, services, tokens, problems);
    if (grant.role() == config::v1::ROLE_UNSPECIFIED ||
        !config::v1::Role_IsValid(grant.role())) {
      problems.push_back(
          absl::StrCat(field, ".role: must be ROLE_VIEWER, ROLE_REQUESTER, ROLE_APPROVER, ",
                       "ROLE_SECRET_READER or ROLE_ADMIN"));
    }
    for (int j = 0; j < grant.namespaces_size(); ++j) {
      const std::string& name = grant.namespaces(j);
      if (name == rpc::kAllNamespaces || rpc::IsDnsLabel(name)) continue;
      problems.push_back(absl::StrCat(field, ".", rpc::Indexed("namespaces", j),
                                      ": must be a DNS label or \"*\""));
    }
  }
  CheckRate(access, "access", problems);
  std::set<std::string> with_rate;
  for (int i = 0; i < access.rates_size(); ++i) {
    const config::v1::CallerRate& rate = access.rates(i);
    const std::string field = rpc::Indexed("access.rates", i);
    CheckIdentity(rate.identity(), field, services, tokens, problems);
    if (!with_rate.insert(rate.identity()).second) {
      problems.push_back(absl::StrCat(field, ".identity: is that of an earlier rate"));
    }
    CheckRate(rate, field, problems);
  }
  return problems;
}

rpc::CallRateOptions ToCallRate(const config::v1::Access& access) {
  rpc::CallRateOptions options;
  SetIfGiven(access.calls_per_second(), options.per_second);
  SetIfGiven(access.calls_burst(), options.burst);
  for (const config::v1::CallerRate& given : access.rates()) {
    rpc::Rate& own = options.own[given.identity()];
    own = {options.per_second, options.burst};
    SetIfGiven(given.calls_per_second(), own.per_second);
    SetIfGiven(given.calls_burst(), own.burst);
  }
  return options;
}

rpc::ChangeRateOptions ToChangeRate(const config::v1::Access& access) {
  rpc::ChangeRateOptions options;
  SetIfGiven(access.changes_per_second(), options.per_second);
  SetIfGiven(access.changes_burst(), options.burst);
  for (const config::v1::CallerRate& given : access.rates()) {
    rpc::Rate& own = options.own[given.identity()];
    own = {options.per_second, options.burst};
    SetIfGiven(given.changes_per_second(), own.per_second);
    SetIfGiven(given.changes_burst(), own.burst);
  }
  return options;
}

rpc::AccessPolicy ToAccessPolicy(const config::v1::Access& access,
                                 const config::v1::Server& server) {
  rpc::AccessPolicy policy;
  policy.enforced = server.has_tls();
  policy.services = ServicesOf(access);
  for (const config::v1::Grant& given : access.grants()) {
    rpc::Grant grant;
    grant.identity = given.identity();
    grant.role = ToRole(given.role());
    grant.namespaces = {given.namespaces().begin(), given.namespaces().end()};
    if (grant.namespaces.empty()) grant.namespaces.insert(rpc::kAllNamespaces);
    policy.grants.push_back(std::move(grant));
  }
  for (const config::v1::Token& token : access.tokens()) {
    policy.tokens.push_back({token.name(), absl::HexStringToBytes(token.sha256())});
  }
  return policy;
}

}  // namespace certwright::service
