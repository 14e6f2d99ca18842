#include "services/order/order_app.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"
#include "lib/service/peers.h"
#include "lib/service/store_config.h"
#include "lib/store/resource_key.h"
#include "lib/store/sqlite_store.h"
#include "lib/telemetry/log.h"
#include "services/order/order_decision.h"
#include "services/order/order_events.h"

namespace certwright::order {
namespace {

// After a start, the other services are given so long before orders are worked on without
// what they know.
constexpr absl::Duration kSyncTimeout = absl::Seconds(5);
// What a challenge has to say while it is not final is collected for so long, so that it
// costs an order one write and not many.
constexpr absl::Duration kReportDelay = absl::Seconds(2);
constexpr int kMaxWorkers = 10'000;

controller::ControllerOptions ControllerOptionsFor(const service::Environment& environment,
                                                   int workers, OrderMetrics& metrics) {
  controller::ControllerOptions options;
  options.gate = environment.StorageGate();
  options.workers = workers;
  options.queue.observer = &metrics;
  return options;
}

void AddAll(std::vector<std::string> more, std::vector<std::string>& problems) {
  for (std::string& problem : more) problems.push_back(std::move(problem));
}

}  // namespace

std::vector<std::string> ValidateConfig(const config::v1::OrderConfig& config) {
  std::vector<std::string> problems = service::ValidateServer(config.server());
  AddAll(service::ValidateStore(config.store()), problems);
  AddAll(service::ValidatePeer(config.issuer(), "issuer"), problems);
  AddAll(service::ValidatePeer(config.solver(), "solver"), problems);
  if (config.workers() < 0 || config.workers() > kMaxWorkers) {
    problems.push_back("workers: must be 1 to 10000, or 0 for the default");
  }
  if (config.has_retention() && config.retention().seconds() <= 0) {
    problems.push_back("retention: must be at least a second");
  }
  return problems;
}

absl::StatusOr<std::unique_ptr<OrderApp>> OrderApp::Open(const config::v1::OrderConfig& config,
                                                         service::Environment environment) {
  const store::SqliteOptions sqlite =
      service::ToSqliteOptions(config.store(), "certwright-order", environment);
  CW_ASSIGN_OR_RETURN(std::unique_ptr<store::Store> store,
                      store::OpenSqliteStore(config.store().sqlite().path(), sqlite));
  CW_ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> issuer,
                      service::MakePeerChannel(config.issuer()));
  CW_ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> solver,
                      service::MakePeerChannel(config.solver()));
  Options options;
  if (config.workers() > 0) options.workers = config.workers();
  if (config.has_retention()) options.retention = service::FromProto(config.retention());
  return std::make_unique<OrderApp>(environment, std::move(store), std::move(issuer),
                                    std::move(solver), options);
}

OrderApp::OrderApp(service::Environment environment, std::unique_ptr<store::Store> store,
                   std::shared_ptr<grpc::Channel> issuer, std::shared_ptr<grpc::Channel> solver,
                   const Options& options)
    : environment_(environment),
      store_(std::move(store)),
      orders_(*store_, "orders", environment.clock(), environment.random),
      metrics_(environment.metrics),
      calls_(environment.MakeCallEnvironment(nullptr)),
      events_(environment.clock()),
      service_(calls_, orders_),
      events_rpc_(calls_, events_),
      challenges_(MakeSolverChallenges(
          environment, std::move(solver),
          [this](const Challenges::Shared& before, const Challenges::Shared& now) {
            OnChallengeChange(before, now);
          })),
      issuers_(environment, std::move(issuer),
               [this](const std::string& name) { OnIssuerChange(name); }),
      authorities_(MakeCertificateAuthorities(issuers_)),
      reconciler_(OrderEnvironment{
          environment.timers, environment.random, orders_, *authorities_, *challenges_,
          options.retention, [this](const v1::Order& order) { metrics_.OnFinal(order); }}),
      controller_("orders", environment.executor, environment.timers, environment.random,
                  ControllerOptionsFor(environment, options.workers, metrics_), reconciler_),
      informer_(orders_, environment.executor, environment.timers, environment.random),
      work_(environment.executor, environment.timers) {
  work_.Add(controller_);
  work_.AddSource([this] { issuers_.Stop(); });
  work_.AddSource([this] { challenges_->Stop(); });
  work_.AddSource([this] { informer_.Stop(); });
  informer_.AddHandler([this](const std::string& key, const auto& before, const auto& now) {
    OnOrderChange(key, before, now);
  });
}

std::vector<rpc::Service*> OrderApp::Services() { return {&service_, &events_rpc_}; }

absl::Status OrderApp::Start() {
  issuers_.Start();
  challenges_->Start();
  work_.Spawn(StartWhenSynced());
  return absl::OkStatus();
}

runtime::Awaitable<void> OrderApp::StartWhenSynced() {
  const base::Clock& clock = environment_.clock();
  const runtime::Context context(clock, clock.MonotonicNow() + kSyncTimeout,
                                 work_.cancellation());
  absl::Status synced = co_await issuers_.WaitForSync(context);
  if (synced.ok()) synced = co_await challenges_->WaitForSync(context);
  if (context.cancelled()) co_return;
  if (!synced.ok()) {
    telemetry::LogWarning("the issuer or the solver service cannot be reached yet",
                          {{"error", synced.message()}});
  }
  informer_.Start();
  controller_.Start();
}

// What the reconciler itself writes wakes nobody.
void OrderApp::OnOrderChange(const std::string& key,
                             const std::shared_ptr<const v1::Order>& before,
                             const std::shared_ptr<const v1::Order>& now) {
  service::RecordChanges(events_, "Order", before, now, EventsOf);
  const bool news = before == nullptr || now == nullptr ||
                    before->metadata().uid() != now->metadata().uid() ||
                    before->metadata().generation() != now->metadata().generation() ||
                    before->metadata().has_delete_time() != now->metadata().has_delete_time();
  if (news) controller_.Enqueue(key);
}

void OrderApp::OnChallengeChange(const Challenges::Shared& before,
                                 const Challenges::Shared& now) {
  const meta::v1::OwnerReference& owner = (now != nullptr ? now : before)->metadata().owner();
  if (owner.kind() != "Order") return;
  const std::string key = store::QueueKey(owner.namespace_(), owner.name());
  if (now == nullptr) return controller_.Enqueue(key);
  const bool was_final = before != nullptr && IsFinal(before->status().state());
  if (IsFinal(now->status().state())) {
    if (!was_final) controller_.Enqueue(key);
    return;
  }
  if (before == nullptr || before->status().reason() != now->status().reason() ||
      before->status().state() != now->status().state()) {
    controller_.EnqueueAfter(key, kReportDelay);
  }
}

void OrderApp::OnIssuerChange(const std::string& issuer) {
  // Off the thread of gRPC, as there may be many orders.
  work_.Post([this, issuer] {
    for (const std::shared_ptr<const v1::Order>& order : informer_.List()) {
      const auto& metadata = order->metadata();
      if (IsFinal(order->status().state())) continue;
      if (service::IssuerKey(order->spec().issuer_ref(), metadata.namespace_()) != issuer) {
        continue;
      }
      controller_.Enqueue(store::QueueKey(metadata.namespace_(), metadata.name()));
    }
  });
}

}  // namespace certwright::order
