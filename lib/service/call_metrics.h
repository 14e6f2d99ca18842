// CallMetrics: counts and times the RPCs that a service answers.
#pragma once

#include <map>
#include <string>

#include "lib/base/mutex.h"
#include "lib/rpc/call.h"
#include "lib/telemetry/metrics.h"

namespace certwright::service {

class CallMetrics final : public rpc::CallObserver {
 public:
  // `metrics` must outlive this.
  CallMetrics(telemetry::Metrics& metrics, std::string service)
      : metrics_(metrics), service_(std::move(service)) {}

  void OnCall(absl::string_view method, absl::StatusCode code, absl::Duration elapsed) override;

 private:
  struct Method {
    telemetry::Histogram* seconds = nullptr;
    std::map<absl::StatusCode, telemetry::Counter*> calls;
  };

  telemetry::Metrics& metrics_;
  const std::string service_;
  base::Mutex mutex_;
  std::map<std::string, Method, std::less<>> methods_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::service
