#include "services/solver/propagation_service.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dns/name.h"
#include "lib/dns/server_address.h"
#include "lib/rpc/validation.h"

namespace certwright::solver {
namespace {

// Of a TXT record as one message can carry it, generously.
constexpr std::size_t kMaxValueBytes = 4096;
constexpr int kMaxNameservers = 8;

absl::Status Validate(const v1::CheckPropagationRequest& request) {
  rpc::Violations violations;
  const absl::StatusOr<std::string> name = dns::Normalize(request.name());
  violations.Require(name.ok() && !name->empty(), "name", "must be a DNS name");
  violations.Require(request.type().empty() || absl::EqualsIgnoreCase(request.type(), "TXT"),
                     "type", "must be TXT");
  violations.Require(
      !request.expected_value().empty() && request.expected_value().size() <= kMaxValueBytes,
      "expectedValue", absl::StrCat("is required, with at most ", kMaxValueBytes, " bytes"));
  violations.Require(request.nameservers_size() <= kMaxNameservers, "nameservers",
                     absl::StrCat("must be at most ", kMaxNameservers));
  for (int i = 0; i < request.nameservers_size(); ++i) {
    violations.Require(dns::ParseServerAddress(request.nameservers(i)).ok(),
                       rpc::Indexed("nameservers", i),
                       "must be an address, or an address and a port");
  }
  return violations.ToStatus();
}

}  // namespace

runtime::Awaitable<absl::StatusOr<v1::CheckPropagationResponse>> PropagationService::Check(
    runtime::Context context, v1::CheckPropagationRequest request) {
  CW_CO_RETURN_IF_ERROR(Validate(request));
  dns::PropagationRequest check;
  check.name = request.name();
  check.expected_value = request.expected_value();
  check.authoritative_port = options_.authoritative_port;
  CW_CO_ASSIGN_OR_RETURN(check.recursive_nameservers,
                         options_.nameservers.Choose(request.nameservers()));
  CW_CO_ASSIGN_OR_RETURN(const dns::PropagationReport report,
                         co_await checker_.Check(context, std::move(check)));
  v1::CheckPropagationResponse response;
  response.set_propagated(report.propagated);
  response.set_resolved_name(report.resolved_name);
  response.set_zone(report.zone);
  for (const dns::Finding& finding : report.findings) {
    *response.add_findings() = ToProto(finding);
  }
  co_return response;
}

void PropagationService::AddMethods() {
  Unary<v1::CheckPropagationRequest>([this](rpc::CallContext call, const auto& check) {
    return Check(std::move(call.context), check);
  });
}

}  // namespace certwright::solver
