// EventsRpc: serves a service's events.
#pragma once

#include "certwright/meta/v1/event_service.grpc.pb.h"
#include "lib/rpc/unary_handler.h"
#include "lib/service/events.h"

namespace certwright::service {

// Its full name, for health and reflection.
inline constexpr char kEventServiceName[] = "certwright.meta.v1.EventService";

class EventsRpc final : public meta::v1::EventService::CallbackService {
 public:
  // Both must outlive this.
  EventsRpc(const rpc::HandlerEnvironment& handlers, const EventRecorder& recorder)
      : handlers_(handlers), recorder_(recorder) {}

  grpc::ServerUnaryReactor* ListEvents(grpc::CallbackServerContext* context,
                                       const meta::v1::ListEventsRequest* request,
                                       meta::v1::ListEventsResponse* response) override;

 private:
  runtime::Awaitable<absl::StatusOr<meta::v1::ListEventsResponse>> List(
      meta::v1::ListEventsRequest request);

  const rpc::HandlerEnvironment& handlers_;
  const EventRecorder& recorder_;
};

}  // namespace certwright::service
