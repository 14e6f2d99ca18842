// HealthService: grpc.health.v1.Health, for everyone, also for those who are not known.
//
// Threading: safe from any thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "grpc/health/v1/health.pb.h"
#include "lib/base/mutex.h"
#include "lib/rpc/service.h"

namespace certwright::rpc {

class HealthService final : public Service {
 public:
  // Of these services, and of the whole server as "". NOT_SERVING until Set().
  HealthService(const CallEnvironment& environment, const std::vector<std::string>& services);

  // Of all of them.
  void Set(bool serving);

 private:
  runtime::Awaitable<absl::StatusOr<grpc::health::v1::HealthCheckResponse>> Check(
      std::string service) const;
  void Watch(const std::shared_ptr<WatchCall>& watch, const std::string& service);

  grpc::health::v1::HealthCheckResponse::ServingStatus StatusOf(
      const std::string& service) const CW_REQUIRES(mutex_);

  std::set<std::string> services_;
  mutable base::Mutex mutex_;
  bool serving_ CW_GUARDED_BY(mutex_) = false;
  // With the service that each is about.
  std::map<std::shared_ptr<WatchCall>, std::string> watches_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::rpc
