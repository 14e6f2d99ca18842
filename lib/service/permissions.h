// Rules that the services' permission tables are made of. docs/SECURITY.md shows the tables.
#pragma once

#include <set>
#include <string>

#include "lib/rpc/access.h"

namespace certwright::service {

// Everyone who may look at what holds no secret values.
std::set<rpc::Role> Readers();

// Readers() may.
rpc::Rule Read(rpc::Scope scope);
// These roles may, and so may admin.
rpc::Rule Change(rpc::Scope scope, std::set<rpc::Role> roles = {});
// `rule` for these services too.
rpc::Rule With(std::set<rpc::ServiceRole> services, rpc::Rule rule);
// Only these services may: no operator, not even admin.
rpc::Rule Only(std::set<rpc::ServiceRole> services, rpc::Scope scope, rpc::Effect effect);

// EventService, which all three serve. The issuer service gathers what the others tell.
inline constexpr char kListEventsMethod[] = "certwright.meta.v1.EventService.ListEvents";

}  // namespace certwright::service
