#include "services/issuer/certificate_description.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/client_call.h"
#include "lib/rpc/status.h"
#include "lib/service/challenge_name.h"
#include "lib/service/conditions.h"
#include "lib/store/resource_key.h"
#include "services/issuer/certificate_request_reconciler.h"

namespace certwright::issuer_service {
namespace {

using EventStub = meta::v1::EventService::StubInterface;
using ChallengeStub = solver::v1::ChallengeService::StubInterface;

// As many as ListChallenges takes.
constexpr std::size_t kNamesPerCall = 100;
// As many as ListEvents takes.
constexpr std::size_t kMaxNames = 1000;

template <typename Time>
bool Before(const Time& a, const Time& b) {
  return service::FromProto(a) < service::FromProto(b);
}

// Newest first.
std::vector<CertificateRequests::Shared> InOrder(
    std::vector<CertificateRequests::Shared> requests) {
  std::stable_sort(requests.begin(), requests.end(), [](const auto& a, const auto& b) {
    return Before(b->metadata().create_time(), a->metadata().create_time());
  });
  return requests;
}

template <typename T>
std::vector<std::string> NamesOf(const T& resources) {
  std::vector<std::string> names;
  for (const auto& resource : resources) {
    if (names.size() == kMaxNames) break;
    names.push_back(resource.metadata().name());
  }
  return names;
}

void Append(std::vector<meta::v1::Event> more, std::vector<meta::v1::Event>& events) {
  events.insert(events.end(), std::make_move_iterator(more.begin()),
                std::make_move_iterator(more.end()));
}

}  // namespace

runtime::Awaitable<absl::StatusOr<issuer::v1::DescribeCertificateResponse>>
CertificateDescriptions::Describe(runtime::Context context, std::string resource_namespace,
                                  std::string name) const {
  auto certificate = co_await stores_.certificates.Get(context, resource_namespace, name);
  if (absl::IsNotFound(certificate.status())) {
    co_return rpc::NotFound("Certificate", resource_namespace, name);
  }
  if (!certificate.ok()) co_return certificate.status();
  Response response;
  *response.mutable_certificate() = *std::move(certificate);
  std::vector<std::string> order_names;
  Events events;
  AddOwn(response, order_names, events);

  const std::vector<order::v1::Order> orders(response.orders().begin(),
                                             response.orders().end());
  const runtime::Context bounded = context.Within(sources_.timeout);
  std::vector<runtime::Awaitable<Answer>> questions;
  questions.push_back(AskOrderService(bounded, resource_namespace, std::move(order_names)));
  questions.push_back(AskSolverService(bounded, resource_namespace, orders));
  std::vector<Answer> answers = co_await runtime::WhenAll<Answer>(std::move(questions));
  const char* const reasons[] = {"OrderServiceUnavailable", "SolverUnavailable"};
  const char* const missing[] = {"The events of Orders are left out: ",
                                 "Challenges, or events of them, are left out: "};
  for (std::size_t i = 0; i < answers.size(); ++i) {
    for (solver::v1::Challenge& challenge : answers[i].challenges) {
      *response.add_challenges() = std::move(challenge);
    }
    Append(std::move(answers[i].events), events);
    if (answers[i].status.ok()) continue;
    events.push_back(Missing(response.certificate(), reasons[i],
                             absl::StrCat(missing[i], answers[i].status.message())));
  }
  std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) {
    return Before(a.last_time(), b.last_time());
  });
  for (meta::v1::Event& event : events) *response.add_events() = std::move(event);
  co_return response;
}

// Orders are asked for by the name that follows from their request, as one that is gone may
// have left events.
void CertificateDescriptions::AddOwn(Response& response, std::vector<std::string>& order_names,
                                     Events& events) const {
  const meta::v1::ObjectMeta& metadata = response.certificate().metadata();
  std::set<std::string> uids = {metadata.uid()};
  for (const auto& request :
       InOrder(requests_.Of(store::QueueKey(metadata.namespace_(), metadata.name())))) {
    if (request->metadata().owner().uid() != metadata.uid()) continue;
    uids.insert(request->metadata().uid());
    *response.add_certificate_requests() = *request;
    const std::string order_name = CertificateRequestReconciler::OrderName(*request);
    if (order_names.size() < kMaxNames) order_names.push_back(order_name);
    const auto order = sources_.find_order(store::QueueKey(metadata.namespace_(), order_name));
    if (order != nullptr) *response.add_orders() = *order;
  }
  Append(events_.List("Certificate", metadata.namespace_(), {metadata.name()}), events);
  const std::vector<std::string> names = NamesOf(response.certificate_requests());
  if (!names.empty()) {
    Append(events_.List("CertificateRequest", metadata.namespace_(), names), events);
  }
  // Not those of others that once had these names.
  std::erase_if(events, [&](const meta::v1::Event& event) {
    return !uids.contains(event.object().uid());
  });
}

runtime::Awaitable<CertificateDescriptions::Answer> CertificateDescriptions::AskOrderService(
    runtime::Context context, std::string resource_namespace,
    std::vector<std::string> order_names) const {
  Answer answer;
  if (order_names.empty()) co_return answer;
  auto events = co_await ListEvents(context, *sources_.order_events, "Order",
                                    resource_namespace, std::move(order_names));
  answer.status = events.status();
  if (events.ok()) answer.events = *std::move(events);
  co_return answer;
}

runtime::Awaitable<CertificateDescriptions::Answer> CertificateDescriptions::AskSolverService(
    runtime::Context context, std::string resource_namespace,
    std::vector<order::v1::Order> orders) const {
  Answer answer;
  if (orders.empty()) co_return answer;
  if (sources_.challenges == nullptr || sources_.solver_events == nullptr) {
    answer.status = absl::FailedPreconditionError(
        "the configuration of the issuer service names no solver service");
    co_return answer;
  }
  answer.status = co_await ListChallenges(context, resource_namespace, std::move(orders),
                                          answer.challenges);
  std::vector<std::string> names = NamesOf(std::as_const(answer.challenges));
  if (!answer.status.ok() || names.empty()) co_return answer;
  auto events = co_await ListEvents(context, *sources_.solver_events, "Challenge",
                                    resource_namespace, std::move(names));
  answer.status = events.status();
  if (events.ok()) answer.events = *std::move(events);
  co_return answer;
}

runtime::Awaitable<absl::Status> CertificateDescriptions::ListChallenges(
    runtime::Context context, std::string resource_namespace,
    std::vector<order::v1::Order> orders, std::vector<solver::v1::Challenge>& found) const {
  std::set<std::string> owners;
  std::vector<std::string> names;
  for (const order::v1::Order& order : orders) {
    owners.insert(order.metadata().uid());
    for (const order::v1::Authorization& authorization : order.status().authorizations()) {
      if (names.size() == kMaxNames) break;
      names.push_back(service::ChallengeName(order, authorization));
    }
  }
  for (std::size_t begin = 0; begin < names.size(); begin += kNamesPerCall) {
    const std::size_t end = std::min(begin + kNamesPerCall, names.size());
    solver::v1::ListChallengesRequest request;
    request.set_namespace_(resource_namespace);
    request.mutable_names()->Assign(names.begin() + begin, names.begin() + end);
    CW_CO_ASSIGN_OR_RETURN(
        solver::v1::ListChallengesResponse listed,
        co_await rpc::CallUnary(context, sources_.challenges->async(),
                                &ChallengeStub::async_interface::ListChallenges,
                                std::move(request)));
    for (solver::v1::Challenge& challenge : *listed.mutable_challenges()) {
      const meta::v1::OwnerReference& owner = challenge.metadata().owner();
      if (owner.kind() == "Order" && owners.contains(owner.uid())) {
        found.push_back(std::move(challenge));
      }
    }
  }
  co_return absl::OkStatus();
}

runtime::Awaitable<absl::StatusOr<CertificateDescriptions::Events>>
CertificateDescriptions::ListEvents(runtime::Context context, EventStub& stub, std::string kind,
                                    std::string resource_namespace,
                                    std::vector<std::string> names) const {
  meta::v1::ListEventsRequest request;
  request.set_kind(std::move(kind));
  request.set_namespace_(std::move(resource_namespace));
  request.mutable_names()->Assign(names.begin(), names.end());
  CW_CO_ASSIGN_OR_RETURN(
      const meta::v1::ListEventsResponse response,
      co_await rpc::CallUnary(context, stub.async(), &EventStub::async_interface::ListEvents,
                              std::move(request)));
  co_return Events(response.events().begin(), response.events().end());
}

meta::v1::Event CertificateDescriptions::Missing(const issuer::v1::Certificate& certificate,
                                                 std::string reason,
                                                 std::string message) const {
  meta::v1::Event event;
  meta::v1::ObjectReference& object = *event.mutable_object();
  object.set_kind("Certificate");
  object.set_namespace_(certificate.metadata().namespace_());
  object.set_name(certificate.metadata().name());
  object.set_uid(certificate.metadata().uid());
  event.set_type(meta::v1::EVENT_SEVERITY_WARNING);
  event.set_reason(std::move(reason));
  event.set_message(std::move(message));
  event.set_count(1);
  *event.mutable_first_time() = service::ToProto(clock_.Now());
  *event.mutable_last_time() = event.first_time();
  return event;
}

}  // namespace certwright::issuer_service
