// EventsRpc: serves a service's events.
#pragma once

#include "certwright/meta/v1/event_service.pb.h"
#include "lib/rpc/service.h"
#include "lib/service/events.h"

namespace certwright::service {

class EventsRpc final : public rpc::Service {
 public:
  // Both must outlive this.
  EventsRpc(const rpc::CallEnvironment& calls, const EventRecorder& recorder)
      : Service("certwright.meta.v1.EventService", calls), recorder_(recorder) {
    AddMethods();
  }

 private:
  void AddMethods();

  runtime::Awaitable<absl::StatusOr<meta::v1::ListEventsResponse>> List(
      meta::v1::ListEventsRequest request);

  const EventRecorder& recorder_;
};

}  // namespace certwright::service
