// What an order takes over from what its CA says. All functions are pure.
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "certwright/order/v1/order.pb.h"
#include "lib/acme/client.h"
#include "lib/acme/objects.h"
#include "lib/pki/names.h"

namespace certwright::order {

// What is asked of the CA. INVALID_ARGUMENT if the order's names break a rule.
absl::StatusOr<acme::NewOrderRequest> MakeRequest(const v1::OrderSpec& spec,
                                                  const issuer::v1::AcmeIssuer& issuer,
                                                  absl::Time now);

// OK if the CA's order is for the names of `spec`.
absl::Status CheckNames(const acme::Order& ca_order, const v1::OrderSpec& spec);

// The state of the order as a whole, and the URLs of its authorizations unless it has some. An
// order that is valid at the CA is PROCESSING until its
// certificate is here; final states are set with what belongs to them.
void AdoptOrder(const acme::Order& ca_order, v1::OrderStatus& status);

// The details of one authorization. FAILED_PRECONDITION if its name is not one of `ordered`.
absl::Status AdoptAuthorization(const acme::Authorization& read,
                                const pki::SubjectAltNames& ordered,
                                v1::Authorization& authorization);

}  // namespace certwright::order
