#include "services/order/order_adoption.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/acme/identifier.h"
#include "lib/base/status_macros.h"
#include "lib/service/conditions.h"
#include "services/order/order_names.h"

namespace certwright::order {
namespace {

v1::OrderState ToState(acme::OrderStatus status) {
  switch (status) {
    case acme::OrderStatus::kPending:
      return v1::ORDER_STATE_PENDING;
    case acme::OrderStatus::kReady:
      return v1::ORDER_STATE_READY;
    default:
      return v1::ORDER_STATE_PROCESSING;
  }
}

}  // namespace

absl::StatusOr<acme::NewOrderRequest> MakeRequest(const v1::OrderSpec& spec,
                                                  const issuer::v1::AcmeIssuer& issuer,
                                                  absl::Time now) {
  CW_ASSIGN_OR_RETURN(const pki::SubjectAltNames names, OrderedNames(spec));
  acme::NewOrderRequest request;
  request.identifiers = IdentifiersOf(names);
  request.profile = spec.profile().empty() ? issuer.profile() : spec.profile();
  request.replaces = spec.replaces();
  if (issuer.enable_duration_feature() && spec.has_duration()) {
    request.not_after = now + absl::Seconds(spec.duration().seconds());
  }
  return request;
}

absl::Status CheckNames(const acme::Order& ca_order, const v1::OrderSpec& spec) {
  CW_ASSIGN_OR_RETURN(const pki::SubjectAltNames names, OrderedNames(spec));
  if (acme::SameIdentifiers(ca_order.identifiers, IdentifiersOf(names))) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("The CA's order is for other names than asked for: ",
                   acme::DescribeIdentifiers(ca_order.identifiers)));
}

void AdoptOrder(const acme::Order& ca_order, v1::OrderStatus& status) {
  status.set_state(ToState(ca_order.status));
  if (!ca_order.finalize.empty()) status.set_finalize_url(ca_order.finalize);
  if (ca_order.expires.has_value()) {
    *status.mutable_expires() = service::ToProto(*ca_order.expires);
  }
  if (status.authorizations().empty()) {
    for (const std::string& url : ca_order.authorizations) {
      status.add_authorizations()->set_url(url);
    }
  }
  status.clear_retry_time();
  status.clear_next_check_time();
  if (ca_order.status == acme::OrderStatus::kValid) {
    status.set_certificate_url(ca_order.certificate);
  }
}

absl::Status AdoptAuthorization(const acme::Authorization& read,
                                const pki::SubjectAltNames& ordered,
                                v1::Authorization& authorization) {
  v1::Authorization adopted;
  adopted.set_url(authorization.url());
  // CAs may write names in another case than they were asked for.
  const acme::Identifier identifier = acme::NormalizeIdentifiers({read.identifier}).front();
  adopted.set_identifier(identifier.value);
  adopted.set_wildcard(read.wildcard);
  const std::vector<std::string>& names =
      identifier.type == "ip" ? ordered.ip_addresses : ordered.dns_names;
  // Proving what nobody asked for would be a favour to whoever runs the CA.
  if (std::find(names.begin(), names.end(), DisplayName(adopted)) == names.end()) {
    return absl::FailedPreconditionError(
        "The CA wants a name proven that is not one of the order's");
  }
  adopted.set_initial_state(std::string(acme::StatusName(read.status)));
  if (read.expires.has_value()) *adopted.mutable_expires() = service::ToProto(*read.expires);
  for (const acme::Challenge& challenge : read.challenges) {
    v1::AcmeChallenge& kept = *adopted.add_challenges();
    kept.set_url(challenge.url);
    kept.set_token(challenge.token);
    kept.set_type(challenge.type);
  }
  authorization = std::move(adopted);
  return absl::OkStatus();
}

}  // namespace certwright::order
