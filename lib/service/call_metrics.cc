#include "lib/service/call_metrics.h"

#include "absl/strings/str_cat.h"

namespace certwright::service {

void CallMetrics::OnCall(absl::string_view method, absl::StatusCode code,
                         absl::Duration elapsed) {
  const std::string prefix = absl::StrCat("certwright_", service_, "_rpc");
  base::MutexLock lock(mutex_);
  Method& entry = methods_[std::string(method)];
  const telemetry::Labels labels = {{"method", std::string(method)}};
  if (entry.seconds == nullptr) {
    entry.seconds =
        &metrics_.GetHistogram(prefix + "_seconds", "Time to answer a call.", labels);
  }
  telemetry::Counter*& calls = entry.calls[code];
  if (calls == nullptr) {
    telemetry::Labels with_code = labels;
    with_code["code"] = absl::StatusCodeToString(code);
    calls = &metrics_.GetCounter(prefix + "s_total", "Calls answered.", with_code);
  }
  entry.seconds->Observe(absl::ToDoubleSeconds(elapsed));
  calls->Increment();
}

}  // namespace certwright::service
