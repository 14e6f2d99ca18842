// CertificateDescriptions: a Certificate with all that exists on its behalf, and with what
// happened to it, gathered from the three services.
//
// The other two are asked at the same time and for a bounded time only: where one does not
// answer, its part is missing, and an event of the description says so.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/meta/v1/event_service.grpc.pb.h"
#include "certwright/order/v1/order.pb.h"
#include "certwright/solver/v1/challenge.grpc.pb.h"
#include "lib/base/clock.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/service/events.h"
#include "services/issuer/certificate_requests.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

// What the description needs besides the issuer service's own resources. What it names must
// outlive its user.
struct DescriptionSources {
  // The Order "<namespace>/<name>" as last seen; null if none is known.
  std::function<std::shared_ptr<const order::v1::Order>(const std::string& key)> find_order;
  meta::v1::EventService::StubInterface* order_events = nullptr;
  // Null without a solver service in the configuration.
  solver::v1::ChallengeService::StubInterface* challenges = nullptr;
  meta::v1::EventService::StubInterface* solver_events = nullptr;
  // For everything that is asked of one of the two.
  absl::Duration timeout = absl::Seconds(2);
};

// Threading: safe from any thread.
class CertificateDescriptions {
 public:
  // All must outlive this.
  CertificateDescriptions(const base::Clock& clock, Stores& stores,
                          const CertificateRequests& requests,
                          const service::EventRecorder& events, DescriptionSources sources)
      : clock_(clock),
        stores_(stores),
        requests_(requests),
        events_(events),
        sources_(std::move(sources)) {}

  // NOT_FOUND if there is no such Certificate.
  runtime::Awaitable<absl::StatusOr<issuer::v1::DescribeCertificateResponse>> Describe(
      runtime::Context context, std::string resource_namespace, std::string name) const;

 private:
  using Response = issuer::v1::DescribeCertificateResponse;
  using Events = std::vector<meta::v1::Event>;
  // What one of the other services has said.
  struct Answer {
    std::vector<solver::v1::Challenge> challenges;
    Events events;
    absl::Status status;
  };

  void AddOwn(Response& response, std::vector<std::string>& order_names, Events& events) const;
  runtime::Awaitable<Answer> AskOrderService(runtime::Context context,
                                             std::string resource_namespace,
                                             std::vector<std::string> order_names) const;
  // `orders` are those whose challenges are wanted.
  runtime::Awaitable<Answer> AskSolverService(runtime::Context context,
                                              std::string resource_namespace,
                                              std::vector<order::v1::Order> orders) const;
  runtime::Awaitable<absl::Status> ListChallenges(
      runtime::Context context, std::string resource_namespace,
      std::vector<order::v1::Order> orders, std::vector<solver::v1::Challenge>& found) const;
  runtime::Awaitable<absl::StatusOr<Events>> ListEvents(
      runtime::Context context, meta::v1::EventService::StubInterface& stub, std::string kind,
      std::string resource_namespace, std::vector<std::string> names) const;
  meta::v1::Event Missing(const issuer::v1::Certificate& certificate, std::string reason,
                          std::string message) const;

  const base::Clock& clock_;
  Stores& stores_;
  const CertificateRequests& requests_;
  const service::EventRecorder& events_;
  const DescriptionSources sources_;
};

}  // namespace certwright::issuer_service
