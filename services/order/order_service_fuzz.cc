// Orders as the issuer service, or anyone who may call, hands them in.
#include <utility>

#include "google/protobuf/util/message_differencer.h"
#include "lib/base/fuzz.h"
#include "lib/base/fuzz_message.h"
#include "lib/pki/csr.h"
#include "services/order/order_names.h"
#include "services/order/order_service.h"

namespace certwright::order {
namespace {

using ::google::protobuf::util::MessageDifferencer;

void CheckAccepted(const v1::OrderSpec& spec) {
  const absl::StatusOr<pki::SubjectAltNames> names = OrderedNames(spec);
  CW_FUZZ_CHECK(names.ok() && !names->empty());
  CW_FUZZ_CHECK(names->uris.empty() && names->email_addresses.empty());
  CW_FUZZ_CHECK(names->dns_names.size() + names->ip_addresses.size() <= 101);
  CW_FUZZ_CHECK(IdentifiersOf(*names).size() ==
                names->dns_names.size() + names->ip_addresses.size());
  const absl::StatusOr<pki::Csr> csr = pki::ParseCsrPem(spec.request());
  CW_FUZZ_CHECK(csr.ok() && RequestDifference(*csr, *names).empty());
}

void Check(v1::Order order) {
  rpc::Violations violations;
  ValidateOrder(order, violations);
  CW_FUZZ_CHECK(violations.empty() == violations.ToStatus().ok());
  if (!violations.empty()) return;
  CheckAccepted(order.spec());
  v1::Order again = order;
  ValidateOrder(again, violations);
  CW_FUZZ_CHECK(violations.empty() && MessageDifferencer::Equals(again, order));
}

}  // namespace
}  // namespace certwright::order

CW_FUZZ_TARGET(input) {
  certwright::order::v1::Order order;
  if (certwright::base::ReadFuzzMessage(input, order)) {
    certwright::order::Check(std::move(order));
  }
}
