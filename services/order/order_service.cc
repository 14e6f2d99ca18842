#include "services/order/order_service.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/pki/csr.h"
#include "lib/pki/names.h"
#include "lib/service/metadata.h"
#include "services/order/order_names.h"

namespace certwright::order {
namespace {

constexpr int kMaxNames = 100;
constexpr int kMaxProfileBytes = 64;
constexpr int kMaxReplacesBytes = 256;

using Normalize = absl::StatusOr<std::string> (*)(absl::string_view);

void NormalizeEach(google::protobuf::RepeatedPtrField<std::string>& names, Normalize normalize,
                   absl::string_view field, rpc::Violations& violations) {
  for (int i = 0; i < names.size(); ++i) {
    absl::StatusOr<std::string> normal = normalize(names[i]);
    if (normal.ok()) {
      names[i] = *std::move(normal);
    } else {
      violations.Add(rpc::Indexed(field, i), normal.status().message());
    }
  }
}

// False if a name breaks a rule: then there is nothing to compare a request with.
bool ValidateNames(v1::OrderSpec& spec, rpc::Violations& violations) {
  rpc::Violations broken;
  NormalizeEach(*spec.mutable_dns_names(), pki::NormalizeDnsName, "spec.dnsNames", broken);
  NormalizeEach(*spec.mutable_ip_addresses(), pki::NormalizeIpAddress, "spec.ipAddresses",
                broken);
  const int names = spec.dns_names_size() + spec.ip_addresses_size();
  broken.Require(names <= kMaxNames, "spec.dnsNames",
                 absl::StrCat("must be, with spec.ipAddresses, at most ", kMaxNames, " names"));
  for (const rpc::FieldViolation& violation : broken.all()) {
    violations.Add(violation.field, violation.description);
  }
  return broken.empty();
}

void ValidateRequest(const v1::OrderSpec& spec, bool names_are_good,
                     rpc::Violations& violations) {
  if (spec.request().empty()) {
    return violations.Add("spec.request", "is required: a signing request in PEM");
  }
  const absl::StatusOr<pki::Csr> csr = pki::ParseCsrPem(spec.request());
  if (!csr.ok()) return violations.Add("spec.request", csr.status().message());
  violations.Require(csr->names.uris.empty() && csr->names.email_addresses.empty(),
                     "spec.request",
                     "must not ask for URIs or email addresses: ACME certifies DNS names and "
                     "IP addresses only");
  if (!names_are_good) return;
  const absl::StatusOr<pki::SubjectAltNames> ordered = OrderedNames(spec);
  if (!ordered.ok()) return violations.Add("spec.dnsNames", ordered.status().message());
  if (ordered->empty()) {
    return violations.Add("spec.dnsNames", "must hold a name, or spec.ipAddresses an address");
  }
  const std::string difference = RequestDifference(*csr, *ordered);
  violations.Require(difference.empty(), "spec.request", difference);
}

service::VerbOptions<v1::Order> MakeOptions() {
  service::VerbOptions<v1::Order> options;
  options.kind = "Order";
  options.validate = ValidateOrder;
  options.owned = true;
  options.delete_by_mark = true;
  return options;
}

}  // namespace

void ValidateOrder(v1::Order& order, rpc::Violations& violations) {
  v1::OrderSpec& spec = *order.mutable_spec();
  service::CheckIssuerRef(spec.issuer_ref(), "spec.issuerRef", violations);
  const bool names_are_good = ValidateNames(spec, violations);
  ValidateRequest(spec, names_are_good, violations);
  violations.Require(!spec.has_duration() || spec.duration().seconds() > 0, "spec.duration",
                     "must be positive");
  violations.Require(spec.profile().size() <= kMaxProfileBytes, "spec.profile",
                     absl::StrCat("must be at most ", kMaxProfileBytes, " bytes long"));
  violations.Require(spec.replaces().size() <= kMaxReplacesBytes, "spec.replaces",
                     absl::StrCat("must be at most ", kMaxReplacesBytes, " bytes long"));
}

OrderService::OrderService(const rpc::CallEnvironment& calls, OrderStore& orders)
    : Service("certwright.order.v1.OrderService", calls), verbs_(MakeOptions(), orders, calls) {
  AddMethods();
}

void OrderService::AddMethods() {
  Unary<v1::CreateOrderRequest>([this](rpc::CallContext call, const auto& create) {
    return verbs_.Create<v1::CreateOrderResponse>(std::move(call), create.order(),
                                                  &v1::CreateOrderResponse::mutable_order);
  });
  Unary<v1::GetOrderRequest>([this](rpc::CallContext call, const auto& get) {
    return verbs_.Get<v1::GetOrderResponse>(std::move(call), get.namespace_(), get.name(),
                                            &v1::GetOrderResponse::mutable_order);
  });
  Unary<v1::ListOrdersRequest>([this](rpc::CallContext call, const auto& list) {
    return verbs_.List<v1::ListOrdersResponse>(std::move(call), list,
                                               &v1::ListOrdersResponse::add_orders);
  });
  Unary<v1::DeleteOrderRequest>([this](rpc::CallContext call, const auto& deletion) {
    return verbs_.Delete<v1::DeleteOrderResponse>(std::move(call), deletion.namespace_(),
                                                  deletion.name());
  });
  Watch<v1::WatchOrdersRequest>(
      [this](std::shared_ptr<rpc::WatchCall> watch, const auto& request) {
        verbs_.Watch(std::move(watch), request, &v1::WatchOrdersResponse::mutable_order);
      });
}

}  // namespace certwright::order
