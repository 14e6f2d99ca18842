// SolverApp: the solver service as a whole: what its parts are and how they are wired.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "certwright/config/v1/solver_config.pb.h"
#include "grpcpp/channel.h"
#include "lib/controller/controller.h"
#include "lib/controller/store_informer.h"
#include "lib/dns/propagation.h"
#include "lib/dns/resolver.h"
#include "lib/dns/rfc2136.h"
#include "lib/dns/update_batcher.h"
#include "lib/service/background_work.h"
#include "lib/service/call_metrics.h"
#include "lib/service/environment.h"
#include "lib/service/events.h"
#include "lib/service/events_rpc.h"
#include "lib/service/issuers.h"
#include "lib/service/main.h"
#include "lib/store/store.h"
#include "services/solver/certificate_authority.h"
#include "services/solver/challenge_reconciler.h"
#include "services/solver/challenge_service.h"
#include "services/solver/clean_up_failures.h"
#include "services/solver/clean_up_reconciler.h"
#include "services/solver/dns01_self_check.h"
#include "services/solver/http01_responder.h"
#include "services/solver/http01_self_check.h"
#include "services/solver/presentation_service.h"
#include "services/solver/propagation_service.h"
#include "services/solver/record_location.h"
#include "services/solver/rfc2136_provider.h"
#include "services/solver/solver_config.h"
#include "services/solver/solver_metrics.h"

namespace certwright::solver {

class SolverApp final : public service::App {
 public:
  // Opens the store and makes the channel; nothing runs yet.
  static absl::StatusOr<std::unique_ptr<SolverApp>> Open(const config::v1::SolverConfig& config,
                                                         service::Environment environment);

  // What Open() comes down to, for tests that bring their own store and peer.
  SolverApp(service::Environment environment, std::unique_ptr<store::Store> store,
            std::shared_ptr<grpc::Channel> issuer, SolverOptions options);

  std::vector<rpc::Service*> Services() override;
  const rpc::CallEnvironment& calls() const override { return calls_; }
  // ALREADY_EXISTS if the port of the HTTP-01 listener is in use.
  absl::Status Start() override;
  void StopWork(absl::Duration grace) override { work_.Stop(grace); }

 private:
  SolverEnvironment MakeEnvironment();
  runtime::Awaitable<void> StartWhenSynced();
  void OnChallengeChange(const std::string& key,
                         const std::shared_ptr<const v1::Challenge>& before,
                         const std::shared_ptr<const v1::Challenge>& now);
  void OnPresentationChange(const std::string& key,
                            const std::shared_ptr<const ledger::Presentation>& before,
                            const std::shared_ptr<const ledger::Presentation>& now);
  void OnCleanUp(const ledger::Presentation& presentation, const absl::Status& removed);
  void OnIssuerChange(const std::string& issuer);
  void Retry(const std::string& key);

  const service::Environment environment_;
  const SolverOptions options_;
  const std::unique_ptr<store::Store> store_;
  ChallengeStore challenges_;
  PresentationStore presentations_;
  SolverMetrics metrics_;
  CleanUpFailures clean_up_failures_;
  service::CallMetrics call_metrics_;
  const rpc::CallEnvironment calls_;
  service::EventRecorder events_;

  dns::AresDnsResolver resolver_;
  dns::PropagationChecker checker_;
  dns::Rfc2136Client updater_;
  dns::UpdateBatcher batcher_;
  const RecursiveNameservers nameservers_;
  RecordLocator locator_;
  Rfc2136Providers providers_;
  Dns01SelfCheck dns01_check_;
  Http01SelfCheck http01_check_;
  Http01Tokens tokens_;
  PresentedConfigs presented_configs_;
  CachedSolverConfigs configs_;

  // Those that call back into the controllers, before what they call: `work_` stops all of them
  // before anything is destroyed.
  service::Issuers issuers_;
  const std::unique_ptr<CertificateAuthorities> authorities_;
  Scheduler scheduler_;
  controller::StoreInformer<v1::Challenge> challenge_informer_;
  controller::StoreInformer<ledger::Presentation> presentation_informer_;
  ChallengeReconciler reconciler_;
  controller::Controller controller_;
  CleanUpReconciler clean_up_;
  controller::Controller clean_up_controller_;

  ChallengeService challenge_service_;
  PresentationService presentation_service_;
  PropagationService propagation_service_;
  service::EventsRpc events_rpc_;
  std::unique_ptr<Http01Responder> responder_;
  service::BackgroundWork work_;
};

}  // namespace certwright::solver
