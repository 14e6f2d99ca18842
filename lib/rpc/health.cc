#include "lib/rpc/health.h"

#include <utility>

namespace certwright::rpc {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

HealthService::HealthService(const CallEnvironment& environment,
                             const std::vector<std::string>& services)
    : Service("grpc.health.v1.Health", environment, Access::kEveryone),
      services_(services.begin(), services.end()) {
  services_.insert("");
  Unary<HealthCheckRequest>([this](const CallContext&, const HealthCheckRequest& request) {
    return Check(request.service());
  });
  Service::Watch<HealthCheckRequest>(
      [this](const std::shared_ptr<WatchCall>& watch, const HealthCheckRequest& request) {
        Watch(watch, request.service());
      });
}

HealthCheckResponse::ServingStatus HealthService::StatusOf(const std::string& service) const {
  if (!services_.contains(service)) return HealthCheckResponse::SERVICE_UNKNOWN;
  return serving_ ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

runtime::Awaitable<absl::StatusOr<HealthCheckResponse>> HealthService::Check(
    std::string service) const {
  HealthCheckResponse response;
  {
    base::MutexLock lock(mutex_);
    response.set_status(StatusOf(service));
  }
  if (response.status() == HealthCheckResponse::SERVICE_UNKNOWN) {
    co_return absl::NotFoundError("this server has no service of that name");
  }
  co_return response;
}

void HealthService::Watch(const std::shared_ptr<WatchCall>& watch, const std::string& service) {
  {
    base::MutexLock lock(mutex_);
    watches_[watch] = service;
    HealthCheckResponse response;
    response.set_status(StatusOf(service));
    watch->Push(response);
  }
  // Not before the watch is among the others, so that it is taken out for certain.
  watch->SetOnDone([this, watch = watch.get()] {
    base::MutexLock lock(mutex_);
    std::erase_if(watches_, [watch](const auto& entry) { return entry.first.get() == watch; });
  });
}

void HealthService::Set(bool serving) {
  base::MutexLock lock(mutex_);
  if (serving == serving_) return;
  serving_ = serving;
  for (const auto& [watch, service] : watches_) {
    HealthCheckResponse response;
    response.set_status(StatusOf(service));
    watch->Push(response);
  }
}

}  // namespace certwright::rpc
