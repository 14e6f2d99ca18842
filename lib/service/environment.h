// Environment: what every part of a service gets from outside: time, randomness, threads,
// the network and metrics. The main makes the real ones, tests make their own.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/base/random.h"
#include "lib/http/http_client.h"
#include "lib/rpc/access.h"
#include "lib/rpc/audit.h"
#include "lib/rpc/call.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/timers.h"
#include "lib/store/storage_health.h"
#include "lib/telemetry/metrics.h"

namespace certwright::service {

// References only: whoever makes it keeps what it names alive longer than the service.
struct Environment {
  runtime::Executor executor;
  runtime::Timers& timers;
  base::Random& random;
  http::HttpClient& http;
  telemetry::Metrics& metrics;
  // Null: everyone may call everything, for tests.
  const rpc::Permissions* permissions = nullptr;
  // Null: nothing is told of.
  rpc::AuditSink* audit = nullptr;
  // Null: a caller may have any number of calls at once.
  std::shared_ptr<rpc::CallSlots> call_slots = nullptr;
  // Null: a caller may make any number of changes.
  std::shared_ptr<rpc::CallRate> call_rate = nullptr;
  std::shared_ptr<rpc::ChangeRate> change_rate = nullptr;
  rpc::DeadlineOptions call_deadlines = {};
  // For one request to an ACME server.
  absl::Duration acme_request_timeout = absl::Seconds(30);

  // Of the service's store; null: nobody asks.
  store::StorageHealth* storage = nullptr;

  // Keeps controllers from beginning what the store could not keep (ControllerOptions::gate).
  std::function<absl::Status()> StorageGate() const {
    if (storage == nullptr) return {};
    return [health = storage] { return health->status(); };
  }

  const base::Clock& clock() const { return timers.clock(); }

  // What the gRPC services of a process are made with. `observer` may be null.
  rpc::CallEnvironment MakeCallEnvironment(rpc::CallObserver* observer) const {
    rpc::CallEnvironment calls{executor, timers, observer, call_deadlines};
    calls.permissions = permissions;
    calls.audit = audit;
    calls.slots = call_slots;
    calls.call_rate = call_rate;
    calls.change_rate = change_rate;
    return calls;
  }
};

}  // namespace certwright::service
