#include "lib/service/events_rpc.h"

#include <string>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/rpc/validation.h"

namespace certwright::service {
namespace {

constexpr int kMaxNames = 1000;

}  // namespace

runtime::Awaitable<absl::StatusOr<meta::v1::ListEventsResponse>> EventsRpc::List(
    meta::v1::ListEventsRequest request) {
  rpc::Violations violations;
  violations.Require(request.names_size() <= kMaxNames, "names", "must be at most 1000");
  CW_CO_RETURN_IF_ERROR(violations.ToStatus());
  const std::vector<std::string> names(request.names().begin(), request.names().end());
  meta::v1::ListEventsResponse response;
  for (meta::v1::Event& event : recorder_.List(request.kind(), request.namespace_(), names)) {
    *response.add_events() = std::move(event);
  }
  co_return response;
}

void EventsRpc::AddMethods() {
  Unary<meta::v1::ListEventsRequest>(
      [this](const rpc::CallContext&, const auto& request) { return List(request); });
}

}  // namespace certwright::service
