#include "lib/service/permissions.h"

#include <utility>

namespace certwright::service {

using rpc::Effect;
using rpc::Role;
using rpc::Rule;

std::set<Role> Readers() {
  return {Role::kViewer, Role::kRequester, Role::kApprover, Role::kAdmin};
}

Rule Read(rpc::Scope scope) { return {.roles = Readers(), .scope = scope}; }

Rule Change(rpc::Scope scope, std::set<Role> roles) {
  roles.insert(Role::kAdmin);
  return {.roles = std::move(roles), .scope = scope, .effect = Effect::kChanges};
}

Rule With(std::set<rpc::ServiceRole> services, Rule rule) {
  rule.services = std::move(services);
  return rule;
}

Rule Only(std::set<rpc::ServiceRole> services, rpc::Scope scope, Effect effect) {
  return {.services = std::move(services), .scope = scope, .effect = effect};
}

}  // namespace certwright::service
