// OrderApp: the order service as a whole: what its parts are and how they are wired.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "certwright/config/v1/order_config.pb.h"
#include "grpcpp/channel.h"
#include "lib/controller/controller.h"
#include "lib/controller/store_informer.h"
#include "lib/service/background_work.h"
#include "lib/service/environment.h"
#include "lib/service/events.h"
#include "lib/service/events_rpc.h"
#include "lib/service/issuers.h"
#include "lib/service/main.h"
#include "lib/store/store.h"
#include "services/order/certificate_authority.h"
#include "services/order/challenges.h"
#include "services/order/order_metrics.h"
#include "services/order/order_reconciler.h"
#include "services/order/order_record.h"
#include "services/order/order_service.h"

namespace certwright::order {

class OrderApp final : public service::App {
 public:
  struct Options {
    int workers = 64;
    // How long a finished order is kept.
    absl::Duration retention = absl::Hours(24);
  };

  // Opens the store and makes the channels; nothing runs yet.
  static absl::StatusOr<std::unique_ptr<OrderApp>> Open(const config::v1::OrderConfig& config,
                                                        service::Environment environment);

  // What Open() comes down to, for tests that bring their own store and peers.
  OrderApp(service::Environment environment, std::unique_ptr<store::Store> store,
           std::shared_ptr<grpc::Channel> issuer, std::shared_ptr<grpc::Channel> solver,
           const Options& options);

  std::vector<rpc::Service*> Services() override;
  const rpc::CallEnvironment& calls() const override { return calls_; }
  absl::Status Start() override;
  void StopWork(absl::Duration grace) override { work_.Stop(grace); }

 private:
  runtime::Awaitable<void> StartWhenSynced();
  void OnOrderChange(const std::string& key, const std::shared_ptr<const v1::Order>& before,
                     const std::shared_ptr<const v1::Order>& now);
  void OnChallengeChange(const Challenges::Shared& before, const Challenges::Shared& now);
  void OnIssuerChange(const std::string& issuer);

  const service::Environment environment_;
  const std::unique_ptr<store::Store> store_;
  OrderStore orders_;
  OrderMetrics metrics_;
  const rpc::CallEnvironment calls_;
  service::EventRecorder events_;
  OrderService service_;
  service::EventsRpc events_rpc_;

  // Those that call back into the controller, before what they call: `work_` stops all of them
  // before anything is destroyed.
  const std::unique_ptr<SolverChallenges> challenges_;
  service::Issuers issuers_;
  const std::unique_ptr<CertificateAuthorities> authorities_;
  OrderReconciler reconciler_;
  controller::Controller controller_;
  controller::StoreInformer<v1::Order> informer_;
  service::BackgroundWork work_;
};

// Every problem of the configuration, "field: rule" each.
std::vector<std::string> ValidateConfig(const config::v1::OrderConfig& config);

}  // namespace certwright::order
