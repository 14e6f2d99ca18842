#include "services/solver/solver_permissions.h"

#include <set>
#include <string>

#include "lib/service/permissions.h"

namespace certwright::solver {

using rpc::Effect;
using rpc::Scope;
using rpc::ServiceRole;
using service::Change;
using service::Only;
using service::Read;
using service::With;

rpc::PermissionTable SolverPermissions() {
  const std::set<ServiceRole> order = {ServiceRole::kOrder};
  const std::set<ServiceRole> issuer = {ServiceRole::kIssuer};
  const std::string prefix = "certwright.solver.v1.ChallengeService.";
  rpc::PermissionTable table;
  table[prefix + "CreateChallenge"] = Only(order, Scope::kNamespace, Effect::kChanges);
  table[prefix + "DeleteChallenge"] = Only(order, Scope::kNamespace, Effect::kChanges);
  table[prefix + "GetChallenge"] = With(order, Read(Scope::kNamespace));
  table[prefix + "ListChallenges"] = With(issuer, Read(Scope::kOneOrAllNamespaces));
  table[prefix + "WatchChallenges"] = With(order, Read(Scope::kOneOrAllNamespaces));
  table[prefix + "RetryChallenge"] = Change(Scope::kNamespace);
  table["certwright.solver.v1.PresentationService.ListPresentations"] =
      Read(Scope::kOneOrAllNamespaces);
  // Has the solver ask nameservers anywhere: those that the caller names, and those that the
  // zone of a name names.
  table["certwright.solver.v1.PropagationService.CheckPropagation"] = {
      .roles = {rpc::Role::kAdmin}, .scope = Scope::kCluster};
  table[service::kListEventsMethod] = With(issuer, Read(Scope::kOneOrAllNamespaces));
  return table;
}

}  // namespace certwright::solver
