// AuditLog: one JSON line for each call that changes something, reads secret values or is
// refused: when, who, from where, which method, about what, and how it ended. Neither bodies
// nor messages of errors are in it.
//
//   {"time":"…","level":"info","message":"call","service":"certwright-issuer",
//    "caller":"ann.example.com","peer":"ipv4:192.0.2.1:40000",
//    "method":"certwright.issuer.v1.SecretService.GetSecret","namespace":"default",
//    "name":"web-tls","code":"OK"}
//
// Lines go through a queue to a thread of their own, so that no caller waits for the disk. If
// it is full (8192 lines), the oldest is lost, which is counted and logged.
//
// The file is made with mode 0600 and opened again when it has been moved away, as log rotation
// does. A line that cannot be written is lost, which is logged.
//
// Threading: safe from any thread. Destruction writes what waits.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/clock.h"
#include "lib/rpc/audit.h"
#include "lib/telemetry/metrics.h"
#include "spdlog/async_logger.h"
#include "spdlog/details/thread_pool.h"

namespace certwright::service {

class AuditLog final : public rpc::AuditSink {
 public:
  // To `path`, or to the ordinary log if that is empty. PERMISSION_DENIED and the like if the
  // file cannot be opened. `metrics` and `clock` must outlive it.
  static absl::StatusOr<std::unique_ptr<AuditLog>> Open(std::string service,
                                                        const std::string& path,
                                                        const base::Clock& clock,
                                                        telemetry::Metrics& metrics);

  void Record(const rpc::AuditRecord& record) override;

 private:
  AuditLog(std::string service, const base::Clock& clock, telemetry::Metrics& metrics);
  void CountLost();

  const std::string service_;
  const base::Clock& clock_;
  telemetry::Counter& lost_;
  std::atomic<std::size_t> counted_{0};
  // Null if the ordinary log is written to. The pool ends last, when all is written.
  std::shared_ptr<spdlog::details::thread_pool> pool_;
  std::shared_ptr<spdlog::async_logger> logger_;
};

}  // namespace certwright::service
