// Specs of issuers as users hand them in.
#include <string>

#include "google/protobuf/util/message_differencer.h"
#include "lib/acme/url.h"
#include "lib/base/fuzz.h"
#include "lib/base/fuzz_message.h"
#include "lib/dns/name.h"
#include "lib/dns/server_address.h"
#include "services/issuer/issuer_validation.h"
#include "services/issuer/rate_limits.h"

namespace certwright::issuer_service {
namespace {

using ::google::protobuf::util::MessageDifferencer;

void CheckSolver(const issuer::v1::AcmeSolver& solver) {
  CW_FUZZ_CHECK(rpc::IsDnsLabel(solver.name()));
  // What the solver service will make of them.
  for (const std::string& server : solver.self_check().nameservers()) {
    CW_FUZZ_CHECK(dns::ParseServerAddress(server).ok());
  }
  for (const std::string& server : solver.dns01().rfc2136().nameservers()) {
    CW_FUZZ_CHECK(dns::ParseNameserver(server).ok());
  }
  CW_FUZZ_CHECK(dns::Normalize(solver.dns01().rfc2136().tsig_key_name()).ok());
  CW_FUZZ_CHECK(dns::Normalize(solver.dns01().rfc2136().zone()).ok());
  for (const meta::v1::SecretKeyRef& ref : SecretRefsOf(solver)) {
    CW_FUZZ_CHECK(rpc::IsDnsLabel(ref.name()) && !ref.key().empty());
  }
}

// The buckets must be able to reckon with them.
void CheckRateLimits(const issuer::v1::AcmeIssuer& acme) {
  const RateLimits limits = RateLimitsOf(acme);
  for (const Limit& limit :
       {limits.orders, limits.per_domain, limits.per_name_set, limits.failures}) {
    CW_FUZZ_CHECK(limit.count >= 0);
    if (limit.count == 0) continue;
    CW_FUZZ_CHECK(limit.cost() > absl::ZeroDuration());
    CW_FUZZ_CHECK(limit.window <= absl::Hours(31 * 24 + 1));
  }
}

void Check(issuer::v1::IssuerSpec spec) {
  rpc::Violations violations;
  ValidateIssuerSpec("my-issuer", spec, violations);
  CW_FUZZ_CHECK(violations.empty() == violations.ToStatus().ok());
  if (!violations.empty()) return;
  if (spec.has_acme() && CheckIssuerIsServed(spec).ok()) {
    CW_FUZZ_CHECK(acme::IsHttpsUrl(spec.acme().server()));
    CheckRateLimits(spec.acme());
    for (const issuer::v1::AcmeSolver& solver : spec.acme().solvers()) CheckSolver(solver);
  }
  issuer::v1::IssuerSpec again = spec;
  ValidateIssuerSpec("my-issuer", again, violations);
  CW_FUZZ_CHECK(violations.empty() && MessageDifferencer::Equals(again, spec));
}

}  // namespace
}  // namespace certwright::issuer_service

CW_FUZZ_TARGET(input) {
  certwright::issuer::v1::IssuerSpec spec;
  if (certwright::base::ReadFuzzMessage(input, spec)) {
    certwright::issuer_service::Check(std::move(spec));
  }
}
