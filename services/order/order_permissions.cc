#include "services/order/order_permissions.h"

#include <set>
#include <string>

#include "lib/service/permissions.h"

namespace certwright::order {

using rpc::Effect;
using rpc::Scope;
using rpc::ServiceRole;
using service::Only;
using service::Read;
using service::With;

rpc::PermissionTable OrderPermissions() {
  const std::set<ServiceRole> issuer = {ServiceRole::kIssuer};
  const std::string prefix = "certwright.order.v1.OrderService.";
  rpc::PermissionTable table;
  table[prefix + "CreateOrder"] = Only(issuer, Scope::kNamespace, Effect::kChanges);
  table[prefix + "DeleteOrder"] = Only(issuer, Scope::kNamespace, Effect::kChanges);
  table[prefix + "GetOrder"] = With(issuer, Read(Scope::kNamespace));
  table[prefix + "ListOrders"] = Read(Scope::kOneOrAllNamespaces);
  table[prefix + "WatchOrders"] = With(issuer, Read(Scope::kOneOrAllNamespaces));
  table[service::kListEventsMethod] = With(issuer, Read(Scope::kOneOrAllNamespaces));
  return table;
}

}  // namespace certwright::order
