// Orders of the fake CA: RFC 8555 §7.4, RFC 9773 §5, and profiles.
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "lib/pki/names.h"
#include "tests/fakes/ca_reply.h"
#include "tests/fakes/ca_server.h"

namespace certwright::fakes {
namespace {

namespace json = boost::json;

// Sorted and without doubles, or why not.
absl::StatusOr<std::vector<Identifier>> ReadIdentifiers(const json::object& payload) {
  const json::value* list = payload.if_contains("identifiers");
  if (list == nullptr || !list->is_array() || list->as_array().empty()) {
    return absl::InvalidArgumentError("an order has identifiers");
  }
  std::set<Identifier> identifiers;
  for (const json::value& item : list->as_array()) {
    if (!item.is_object()) return absl::InvalidArgumentError("an identifier is an object");
    Identifier identifier{StringAt(item.as_object(), "type"),
                          StringAt(item.as_object(), "value")};
    const bool is_ip = identifier.type == "ip";
    if (!is_ip && identifier.type != "dns") return absl::UnimplementedError("not this type");
    absl::StatusOr<std::string> value = is_ip ? pki::NormalizeIpAddress(identifier.value)
                                              : pki::NormalizeDnsName(identifier.value);
    if (!value.ok()) return value.status();
    identifier.value = *std::move(value);
    identifiers.insert(std::move(identifier));
  }
  return std::vector<Identifier>(identifiers.begin(), identifiers.end());
}

std::string NamesOf(const std::vector<Identifier>& identifiers) {
  return absl::StrJoin(identifiers, " ", [](std::string* out, const Identifier& identifier) {
    absl::StrAppend(out, identifier.value);
  });
}

std::string KeyOf(const OrderEntry& order) {
  return absl::StrCat(order.account, " ", order.profile, " ", NamesOf(order.identifiers));
}

const Refusal* FindRefusal(const std::map<std::string, Refusal>& refusals,
                           const std::string& name) {
  for (const auto& [refused, refusal] : refusals) {
    if (name == refused || absl::EndsWith(name, absl::StrCat(".", refused))) return &refusal;
  }
  return nullptr;
}

}  // namespace

Reply CaServer::NewOrder(Call& call) {
  const std::optional<json::object> payload = call.Object();
  if (!payload.has_value()) return ProblemReply(400, "malformed", "no JSON object");
  if (payload->contains("notBefore") || payload->contains("notAfter")) {
    return ProblemReply(400, "malformed", "notBefore and notAfter are not supported");
  }
  absl::StatusOr<std::vector<Identifier>> identifiers = ReadIdentifiers(*payload);
  if (absl::IsUnimplemented(identifiers.status())) {
    return ProblemReply(400, "unsupportedIdentifier", identifiers.status().message());
  }
  if (!identifiers.ok()) return ProblemReply(400, "malformed", identifiers.status().message());
  OrderEntry order;
  order.account = call.account;
  order.identifiers = *std::move(identifiers);
  order.profile = StringAt(*payload, "profile");
  order.replaces = StringAt(*payload, "replaces");
  if (!order.profile.empty() && !options_.profiles.contains(order.profile)) {
    return ProblemReply(400, "invalidProfile", "the directory has no such profile");
  }
  base::MutexLock lock(mutex_);
  if (std::optional<Reply> refusal = CheckNames(order.identifiers)) return *std::move(refusal);
  if (std::optional<Reply> refusal = CheckReplaces(order)) return *std::move(refusal);
  const Id existing = behaviour_.reuse_orders ? FindOrder(order) : 0;
  if (existing != 0) return OrderReply(call, 200, existing);
  return OrderReply(call, 201, StoreOrder(std::move(order)));
}

std::optional<Reply> CaServer::CheckNames(const std::vector<Identifier>& identifiers) const {
  json::array subproblems;
  const Refusal* first = nullptr;
  for (const Identifier& identifier : identifiers) {
    const Refusal* refusal = FindRefusal(behaviour_.refused_names, identifier.value);
    if (refusal == nullptr) continue;
    if (first == nullptr) first = refusal;
    json::object problem = ProblemObject(refusal->status, refusal->type, refusal->detail);
    problem["identifier"] = ToJson(identifier);
    subproblems.push_back(std::move(problem));
  }
  if (first == nullptr) return std::nullopt;
  Reply reply = ProblemReply(*first);
  if (identifiers.size() > 1) {
    json::object problem = ProblemObject(first->status, first->type, first->detail);
    problem["subproblems"] = std::move(subproblems);
    reply.body = JsonReply(first->status, problem).body;
  }
  return reply;
}

// RFC 9773 §5.
std::optional<Reply> CaServer::CheckReplaces(const OrderEntry& order) {
  if (order.replaces.empty()) return std::nullopt;
  const CertificateEntry* certificate = FindCertificate(order.replaces);
  if (certificate == nullptr) {
    return ProblemReply(404, "malformed", "replaces names no certificate of this CA");
  }
  if (certificate->account != order.account) {
    return ProblemReply(403, "unauthorized", "the replaced certificate is another's");
  }
  const std::set<Identifier> before(certificate->identifiers.begin(),
                                    certificate->identifiers.end());
  const bool overlap =
      std::any_of(order.identifiers.begin(), order.identifiers.end(),
                  [&before](const Identifier& name) { return before.contains(name); });
  if (!overlap) return ProblemReply(400, "malformed", "the replaced certificate has no name");
  const auto replacement = orders_.find(certificate->replaced_by);
  if (replacement != orders_.end() && OrderStatus(replacement->second) != "invalid") {
    return ProblemReply(409, "alreadyReplaced", "another order replaces that certificate");
  }
  return std::nullopt;
}

Id CaServer::FindOrder(const OrderEntry& like) {
  const auto newest = newest_orders_.find(KeyOf(like));
  if (newest == newest_orders_.end()) return 0;
  const auto order = orders_.find(newest->second);
  if (order == orders_.end()) return 0;
  const std::string status = OrderStatus(order->second);
  return status == "pending" || status == "ready" ? order->first : 0;
}

Id CaServer::StoreOrder(OrderEntry order) {
  ++orders_by_names_[NamesOf(order.identifiers)];
  const std::string key = KeyOf(order);
  std::erase_if(order.identifiers, [this](const Identifier& identifier) CW_REQUIRES(mutex_) {
    return identifier.value == behaviour_.drop_identifier;
  });
  if (!behaviour_.add_identifier.empty()) {
    order.identifiers.push_back({"dns", behaviour_.add_identifier});
  }
  for (const Identifier& identifier : order.identifiers) {
    order.authorizations.push_back(MakeAuthorization(order.account, identifier));
  }
  order.expires = absl::Now() + behaviour_.order_lifetime;
  const Id id = ++last_id_;
  if (CertificateEntry* replaced = FindCertificate(order.replaces)) replaced->replaced_by = id;
  newest_orders_[key] = id;
  orders_.emplace(id, std::move(order));
  orders_by_age_.push_back(id);
  ForgetOldOrders();
  return id;
}

Reply CaServer::Order(Call& call) {
  if (!call.ReadsOnly()) return ProblemReply(400, "malformed", "orders are only read");
  const Id id = ParseId(call.rest);
  base::MutexLock lock(mutex_);
  const auto order = orders_.find(id);
  if (order == orders_.end()) return ProblemReply(404, "malformed", "no such order");
  if (order->second.account != call.account) {
    return ProblemReply(403, "unauthorized", "another's order");
  }
  return OrderReply(call, 200, id);
}

// Not kept, so that it always fits its authorizations (RFC 8555 §7.1.6).
std::string CaServer::OrderStatus(const OrderEntry& order) {
  if (order.finalized) return absl::Now() >= order.valid_at ? "valid" : "processing";
  if (absl::Now() >= order.expires) return "invalid";
  bool is_ready = true;
  for (const Id id : order.authorizations) {
    const auto authorization = authorizations_.find(id);
    if (authorization == authorizations_.end()) return "invalid";
    const std::string status = AuthorizationStatus(authorization->second);
    if (status != "pending" && status != "valid") return "invalid";
    is_ready = is_ready && status == "valid";
  }
  return is_ready ? "ready" : "pending";
}

Reply CaServer::OrderReply(const Call& call, int status, Id id) {
  const OrderEntry& order = orders_.at(id);
  const std::string order_status = OrderStatus(order);
  json::object object;
  object["status"] = order_status;
  object["expires"] = ToText(order.expires);
  std::vector<Identifier> identifiers = order.identifiers;
  Shuffle(identifiers);
  json::array& names = object["identifiers"].emplace_array();
  for (const Identifier& identifier : identifiers) names.push_back(ToJson(identifier));
  std::vector<Id> authorizations = order.authorizations;
  Shuffle(authorizations);
  json::array& urls = object["authorizations"].emplace_array();
  for (const Id authorization : authorizations) {
    urls.push_back(json::string(call.Url(absl::StrCat("/authorization/", authorization))));
  }
  object["finalize"] = call.Url(absl::StrCat("/finalize/", id));
  if (!order.profile.empty()) object["profile"] = order.profile;
  if (!order.replaces.empty()) object["replaces"] = order.replaces;
  if (order_status == "valid") {
    object["certificate"] = call.Url(absl::StrCat("/certificate/", order.certificate));
  }
  Reply reply = JsonReply(status, object);
  AddHeader(reply, "Location", call.Url(absl::StrCat("/order/", id)));
  if (order_status == "pending" || order_status == "processing") AddRetryAfter(reply);
  return reply;
}

void CaServer::ForgetOldOrders() {
  while (orders_by_age_.size() > options_.max_orders) {
    const auto order = orders_.find(orders_by_age_.front());
    orders_by_age_.pop_front();
    if (const auto newest = newest_orders_.find(KeyOf(order->second));
        newest != newest_orders_.end() && newest->second == order->first) {
      newest_orders_.erase(newest);
    }
    if (const auto certificate = certificates_.find(order->second.certificate);
        certificate != certificates_.end()) {
      certificates_by_cert_id_.erase(certificate->second.cert_id);
      certificates_.erase(certificate);
    }
    for (const Id id : order->second.authorizations) ForgetAuthorization(id);
    orders_.erase(order);
  }
}

}  // namespace certwright::fakes
