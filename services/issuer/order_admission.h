// OrderAdmission: whether a CertificateRequest may become an order now, as far as the limits of
// its CA go, and what the order then tells about them.
//
// At most one call about a request at a time; else safe from any thread.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/certificate_request.pb.h"
#include "certwright/order/v1/order.pb.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/service/environment.h"
#include "services/issuer/accounts.h"
#include "services/issuer/kinds.h"
#include "services/issuer/limit_ledger.h"

namespace certwright::issuer_service {

// Why an order of `request` counts for less. `certificate` is the one that owns it; null for
// none.
Exemption ExemptionOf(const issuer::v1::CertificateRequest& request,
                      const issuer::v1::Certificate* certificate, absl::Time now);

// The names that an order of `request` proves, in their one spelling; empty if it cannot be
// read.
pki::SubjectAltNames NamesToProve(const issuer::v1::CertificateRequest& request);

class OrderAdmission {
 public:
  // Arguments must outlive the calls.
  using Request = issuer::v1::CertificateRequest;

  // `stores` must outlive this. `wake` is told of requests that wait and may go on now.
  OrderAdmission(service::Environment environment, Stores& stores,
                 std::function<void(const std::string& key)> wake)
      : environment_(environment),
        stores_(stores),
        ledger_(stores.requests.store()),
        wake_(std::move(wake)) {}

  struct Admission {
    bool now = false;
    // Else what it waits for, as a reason and as a sentence, and until when.
    std::string reason = {};
    std::string message = {};
    absl::Time expected = {};
  };
  runtime::Awaitable<absl::StatusOr<Admission>> Admit(runtime::Context context,
                                                      const Request& request,
                                                      const AnyIssuer& issuer);

  // Takes note of what became of the request's order. The reason for which it waits, where the
  // CA has told it to; else empty.
  runtime::Awaitable<absl::StatusOr<std::string>> Follow(runtime::Context context,
                                                         const Request& request,
                                                         const order::v1::Order& order,
                                                         const AnyIssuer& issuer);

  // The request does not wait any more, nor will anyone follow its order.
  runtime::Awaitable<absl::Status> GiveUp(runtime::Context context, const Request& request);
  // The order service has refused to place an order for it: the CA's limits are as before.
  runtime::Awaitable<absl::Status> NotTaken(runtime::Context context, const Request& request);

 private:
  runtime::Awaitable<absl::Status> End(runtime::Context context, std::string uid,
                                       LimitBuckets::Outcome outcome,
                                       std::set<std::string> failed);

  const service::Environment environment_;
  Stores& stores_;
  LimitLedger ledger_;
  const std::function<void(const std::string& key)> wake_;
};

}  // namespace certwright::issuer_service
