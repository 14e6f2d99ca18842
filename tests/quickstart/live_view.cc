#include "tests/quickstart/live_view.h"

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lib/service/conditions.h"

namespace certwright::quickstart {
namespace {

// "ORDER_STATE_PENDING" → "pending"
template <typename Enum>
std::string StateName(const Enum& name, const std::string& prefix) {
  std::string text = name.substr(prefix.size());
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text == "unspecified" ? "new" : text;
}

std::string ReadyText(
    const google::protobuf::RepeatedPtrField<meta::v1::Condition>& conditions) {
  const auto* ready = service::FindCondition(conditions, "Ready");
  if (ready == nullptr) return "new";
  const bool holds = ready->status() == meta::v1::CONDITION_STATUS_TRUE;
  return holds ? "Ready" : absl::StrCat(ready->reason(), ": ", ready->message());
}

}  // namespace

LiveView::LiveView(harness::World& world) : start_(absl::Now()) {
  using IssuerStub = issuer::v1::CertificateService::Stub;
  Follow<IssuerStub, issuer::v1::WatchCertificatesRequest,
         issuer::v1::WatchCertificatesResponse>(
      world.certificates(), &IssuerStub::WatchCertificates,
      [this](const issuer::v1::WatchCertificatesResponse& event) {
        if (!event.has_certificate()) return;
        Show(absl::StrCat("Certificate ", event.certificate().metadata().name()),
             ReadyText(event.certificate().status().conditions()));
      });
  using OrderStub = order::v1::OrderService::Stub;
  Follow<OrderStub, order::v1::WatchOrdersRequest, order::v1::WatchOrdersResponse>(
      world.orders(), &OrderStub::WatchOrders,
      [this](const order::v1::WatchOrdersResponse& event) {
        if (!event.has_order()) return;
        const auto& status = event.order().status();
        Show(absl::StrCat("  Order ", event.order().metadata().name()),
             StateName(order::v1::OrderState_Name(status.state()), "ORDER_STATE_"));
      });
  using ChallengeStub = solver::v1::ChallengeService::Stub;
  Follow<ChallengeStub, solver::v1::WatchChallengesRequest,
         solver::v1::WatchChallengesResponse>(
      world.challenges(), &ChallengeStub::WatchChallenges,
      [this](const solver::v1::WatchChallengesResponse& event) {
        if (!event.has_challenge()) return;
        const auto& spec = event.challenge().spec();
        const bool dns = spec.type() == solver::v1::CHALLENGE_TYPE_DNS01;
        Show(absl::StrCat("    Challenge ", dns ? "DNS-01" : "HTTP-01", " ",
                          spec.wildcard() ? "*." : "", spec.dns_name()),
             StateName(solver::v1::ChallengeState_Name(event.challenge().status().state()),
                       "CHALLENGE_STATE_"));
      });
}

void LiveView::Stop() {
  for (const auto& context : contexts_) context->TryCancel();
  threads_.clear();
}

template <typename Stub, typename Request, typename Response>
void LiveView::Follow(Stub& stub,
                      std::unique_ptr<grpc::ClientReader<Response>> (Stub::*watch)(
                          grpc::ClientContext*, const Request&),
                      std::function<void(const Response&)> show) {
  contexts_.push_back(std::make_unique<grpc::ClientContext>());
  threads_.emplace_back(
      [&stub, watch, show = std::move(show), context = contexts_.back().get()] {
        const std::unique_ptr<grpc::ClientReader<Response>> stream =
            (stub.*watch)(context, Request());
        Response event;
        while (stream->Read(&event)) show(event);
        stream->Finish();
      });
}

void LiveView::Show(const std::string& object, const std::string& text) {
  base::MutexLock lock(mutex_);
  if (std::exchange(last_[object], text) == text) return;
  std::printf("%8.3f s  %s: %s\n", absl::ToDoubleSeconds(absl::Now() - start_), object.c_str(),
              text.c_str());
  std::fflush(stdout);
}

}  // namespace certwright::quickstart
