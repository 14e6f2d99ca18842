#include "services/issuer/issuer_app.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_join.h"
#include "certwright/meta/v1/event_service.grpc.pb.h"
#include "certwright/solver/v1/challenge.grpc.pb.h"
#include "lib/base/status_macros.h"
#include "lib/controller/controller.h"
#include "lib/controller/grpc_watch_source.h"
#include "lib/controller/informer.h"
#include "lib/controller/store_informer.h"
#include "lib/runtime/run_sync.h"
#include "lib/service/background_work.h"
#include "lib/service/call_metrics.h"
#include "lib/service/conditions.h"
#include "lib/service/events.h"
#include "lib/service/events_rpc.h"
#include "lib/service/issuer_ref.h"
#include "lib/service/metadata.h"
#include "lib/service/peers.h"
#include "lib/service/store_config.h"
#include "lib/store/resealing.h"
#include "lib/store/sealing_codec.h"
#include "lib/store/sqlite_store.h"
#include "services/issuer/account_rpc.h"
#include "services/issuer/accounts.h"
#include "services/issuer/approval_policy.h"
#include "services/issuer/callers.h"
#include "services/issuer/certificate_description.h"
#include "services/issuer/certificate_reconciler.h"
#include "services/issuer/certificate_request_reconciler.h"
#include "services/issuer/certificate_request_rpc.h"
#include "services/issuer/certificate_requests.h"
#include "services/issuer/certificate_rpc.h"
#include "services/issuer/certificate_status.h"
#include "services/issuer/issuance_config.h"
#include "services/issuer/issuer_events.h"
#include "services/issuer/issuer_reconciler.h"
#include "services/issuer/issuer_rpc.h"
#include "services/issuer/kinds.h"
#include "services/issuer/limit_ledger.h"
#include "services/issuer/private_cas.h"
#include "services/issuer/renewal_info_reconciler.h"
#include "services/issuer/sealing.h"
#include "services/issuer/secret_rpc.h"
#include "services/issuer/secret_users.h"

namespace certwright::issuer_service {
namespace {

using OrderSource = controller::GrpcWatchSource<order::v1::Order, order::v1::WatchOrdersRequest,
                                                order::v1::WatchOrdersResponse>;

// Most issuances are over within this time. What they say on their way is written, and costs
// commits and events, only when they take longer.
constexpr absl::Duration kProgressDelay = absl::Milliseconds(250);

// Whether an issuer's own reconciler has to look at a change. Its status is what that
// reconciler wrote: a report that reads differently after each failure must not undo the wait
// that follows one.
template <typename Issuer>
bool HasNewSpec(const Issuer* before, const Issuer* now) {
  return before == nullptr || now == nullptr ||
         before->metadata().uid() != now->metadata().uid() ||
         before->metadata().generation() != now->metadata().generation();
}

// What the configuration says about approval; without it all are approved, by everyone.
struct Approval {
  ApprovalPolicy policy;
  std::vector<Approver> approvers;
  std::vector<std::string> problems;
};

Approval ParseApproval(const config::v1::IssuerConfig& config) {
  Approval approval;
  if (!config.has_approval()) return approval;
  approval.policy = ApprovalPolicy::Parse(config.approval(), approval.problems);
  approval.approvers = ParseApprovers(config.approval(), approval.problems);
  return approval;
}

// To the other services; null for a solver service that the configuration does not name.
struct Channels {
  std::shared_ptr<grpc::Channel> order;
  std::shared_ptr<grpc::Channel> solver;
};

template <typename Service>
std::unique_ptr<typename Service::StubInterface> NewStubIf(
    const std::shared_ptr<grpc::Channel>& channel) {
  if (channel == nullptr) return nullptr;
  return Service::NewStub(channel);
}

controller::ControllerOptions Options(const service::Environment& environment, int workers) {
  controller::ControllerOptions options;
  options.gate = environment.StorageGate();
  options.queue.backoff = {absl::Milliseconds(100), absl::Seconds(30), 0.1};
  if (workers > 0) options.workers = workers;
  return options;
}

// Whether the CA has something new to be asked about: a Certificate's other changes come from
// its answers.
bool HasNewCertificate(const issuer::v1::Certificate* before,
                       const issuer::v1::Certificate* now) {
  if (now == nullptr || now->status().renewal_info().certificate_id().empty()) return false;
  return before == nullptr || before->status().renewal_info().certificate_id() !=
                                  now->status().renewal_info().certificate_id();
}

telemetry::Gauge& SecretsToReseal(telemetry::Metrics& metrics) {
  return metrics.GetGauge("certwright_secrets_to_reseal",
                          "Secrets that are not sealed with the first key file yet.");
}

std::string KeyOf(const meta::v1::ObjectMeta& metadata) {
  return store::QueueKey(metadata.namespace_(), metadata.name());
}

class IssuerApp final : public service::App {
 public:
  IssuerApp(const config::v1::IssuerConfig& config, service::Environment environment,
            Approval approval, std::unique_ptr<store::Store> store,
            std::unique_ptr<store::SealingCodec> sealing, const Channels& channels)
      : environment_(environment),
        store_(std::move(store)),
        sealing_(std::move(sealing)),
        stores_(*store_, environment.clock(), environment.random, sealing_.get()),
        resealing_(*store_, kSecretsPrefix, *sealing_, environment.executor, environment.timers,
                   [&left = SecretsToReseal(environment.metrics)](int64_t count) {
                     left.Set(static_cast<double>(count));
                   }),
        accounts_(environment, stores_,
                  config.cluster_resource_namespace().empty()
                      ? "certwright"
                      : config.cluster_resource_namespace()),
        callers_(std::move(approval.approvers)),
        call_metrics_(environment.metrics, "issuer"),
        calls_(environment.MakeCallEnvironment(&call_metrics_)),
        events_(environment.clock()),
        order_stub_(order::v1::OrderService::NewStub(channels.order)),
        order_events_stub_(meta::v1::EventService::NewStub(channels.order)),
        challenge_stub_(NewStubIf<solver::v1::ChallengeService>(channels.solver)),
        solver_events_stub_(NewStubIf<meta::v1::EventService>(channels.solver)),
        order_source_(OrderCall()),
        order_cache_(order_source_, environment.timers, environment.random),
        orders_(*order_stub_, order_cache_),
        issuers_(stores_.issuers, environment.executor, environment.timers, environment.random),
        cluster_issuers_(stores_.cluster_issuers, environment.executor, environment.timers,
                         environment.random),
        certificates_(stores_.certificates, environment.executor, environment.timers,
                      environment.random),
        requests_(stores_.requests, environment.executor, environment.timers,
                  environment.random),
        private_cas_([this](const std::string& issuer) { return CertificatesOf(issuer); },
                     [this](const std::string& key) { certificate_controller_.Enqueue(key); }),
        issuer_reconciler_(environment, stores_, accounts_, secret_users_, private_cas_),
        certificate_reconciler_(environment, stores_, owned_requests_, secret_users_,
                                private_cas_, FallbackRulesOf(config.fallback()),
                                PaceRulesOf(config.issuance_pace())),
        request_reconciler_(
            environment, stores_, accounts_, orders_, std::move(approval.policy),
            [this](const std::string& key) { request_controller_.Enqueue(key); }),
        renewal_info_reconciler_(environment, stores_, accounts_),
        issuer_controller_("issuers", environment.executor, environment.timers,
                           environment.random, Options(environment, 8), issuer_reconciler_),
        certificate_controller_("certificates", environment.executor, environment.timers,
                                environment.random, Options(environment, config.workers()),
                                certificate_reconciler_),
        request_controller_("certificaterequests", environment.executor, environment.timers,
                            environment.random, Options(environment, config.workers()),
                            request_reconciler_),
        renewal_info_controller_("renewalinfo", environment.executor, environment.timers,
                                 environment.random, Options(environment, 8),
                                 renewal_info_reconciler_),
        issuer_rpc_(stores_, accounts_, calls_),
        account_rpc_(environment, stores_, accounts_, calls_),
        secret_rpc_(stores_, calls_),
        descriptions_(environment.clock(), stores_, owned_requests_, events_,
                      MakeDescriptionSources()),
        certificate_rpc_(environment, stores_, accounts_, calls_, descriptions_),
        request_rpc_(environment, stores_, accounts_, callers_, calls_),
        events_rpc_(calls_, events_),
        work_(environment.executor, environment.timers) {
    AddHandlers();
    AddWork();
  }

  std::vector<rpc::Service*> Services() override {
    return {&issuer_rpc_,      &account_rpc_, &secret_rpc_,
            &certificate_rpc_, &request_rpc_, &events_rpc_};
  }

  const rpc::CallEnvironment& calls() const override { return calls_; }

  absl::Status Start() override {
    issuers_.Start();
    cluster_issuers_.Start();
    requests_.Start();
    certificates_.Start();
    order_cache_.Start();
    CW_RETURN_IF_ERROR(WatchSecrets());
    // Nobody writes a Secret before it is known who needs it.
    CW_RETURN_IF_ERROR(WaitForSync(issuers_));
    CW_RETURN_IF_ERROR(WaitForSync(cluster_issuers_));
    CW_RETURN_IF_ERROR(WaitForSync(certificates_));
    issuer_controller_.Start();
    certificate_controller_.Start();
    request_controller_.Start();
    renewal_info_controller_.Start();
    resealing_.Start();
    return absl::OkStatus();
  }

  void StopWork(absl::Duration grace) override { work_.Stop(grace); }

 private:
  template <typename Informer>
  absl::Status WaitForSync(Informer& informer) {
    const absl::Status synced =
        runtime::RunSyncOn(environment_.executor, informer.WaitForSync(StartContext()));
    // What keeps it from that says more than that it took too long.
    return synced.ok() || informer.last_error().ok() ? synced : informer.last_error();
  }

  runtime::Context StartContext() const {
    return runtime::Context::WithTimeout(environment_.clock(), absl::Seconds(30));
  }

  DescriptionSources MakeDescriptionSources() {
    DescriptionSources sources;
    sources.find_order = [this](const std::string& key) { return order_cache_.Get(key); };
    sources.order_events = order_events_stub_.get();
    sources.challenges = challenge_stub_.get();
    sources.solver_events = solver_events_stub_.get();
    return sources;
  }

  OrderSource::Call OrderCall() {
    OrderSource::Call call;
    call.start = [this](auto* context, auto* request, auto* reactor) {
      order_stub_->async()->WatchOrders(context, request, reactor);
    };
    call.make_request = [](const std::string& version) {
      order::v1::WatchOrdersRequest request;
      request.set_resource_version(version);
      return request;
    };
    call.to_event = [](order::v1::WatchOrdersResponse response) {
      OrderSource::Event event;
      event.type = service::FromProto(response.type());
      event.resource = std::move(*response.mutable_order());
      event.resource_version = std::move(*response.mutable_resource_version());
      return event;
    };
    return call;
  }

  void AddHandlers() {
    issuers_.AddHandler([this](const std::string&, const auto& before, const auto& now) {
      RecordEvents("Issuer", before, now);
      OnIssuer(meta::v1::ISSUER_KIND_ISSUER, before.get(), now.get());
    });
    cluster_issuers_.AddHandler(
        [this](const std::string&, const auto& before, const auto& now) {
          RecordEvents("ClusterIssuer", before, now);
          OnIssuer(meta::v1::ISSUER_KIND_CLUSTER_ISSUER, before.get(), now.get());
        });
    certificates_.AddHandler(
        [this](const std::string& key, const auto& before, const auto& now) {
          OnSecretUses(before != nullptr ? UsesOf(*before) : SecretUses(),
                       now != nullptr ? UsesOf(*now) : SecretUses());
          RecordEvents("Certificate", before, now);
          certificate_controller_.Enqueue(key);
          if (HasNewCertificate(before.get(), now.get())) {
            renewal_info_controller_.Enqueue(key);
          }
        });
    requests_.AddHandler([this](const std::string& key, const auto& before, const auto& now) {
      owned_requests_.Replace(before, now);
      RecordEvents("CertificateRequest", before, now);
      if (CertificateRequestReconciler::NeedsPass(before.get(), now.get())) {
        request_controller_.Enqueue(key);
      }
      const meta::v1::OwnerReference& owner =
          (now != nullptr ? now : before)->metadata().owner();
      if (owner.kind() != "Certificate") return;
      const bool final_word = now == nullptr || CertificateRequestReconciler::IsFinal(*now);
      Wake(certificate_controller_, owner, final_word);
    });
    order_cache_.AddHandler([this](const std::string&, const auto& before, const auto& now) {
      const bool final_word = now == nullptr || CertificateRequestReconciler::IsFinal(*now);
      Wake(request_controller_, (now != nullptr ? now : before)->metadata().owner(),
           final_word);
      const std::string doubted = issuer_reconciler_.DoubtedBy(before.get(), now.get());
      if (!doubted.empty()) issuer_controller_.Enqueue(doubted);
    });
  }

  template <typename T>
  void RecordEvents(const char* kind, const std::shared_ptr<const T>& before,
                    const std::shared_ptr<const T>& now) {
    service::RecordChanges(events_, kind, before, now,
                           [](const T* from, const T& to) { return EventsOf(from, to); });
  }

  // At once for what ends the wait of the owner, later for mere progress.
  static void Wake(controller::Controller& controller, const meta::v1::OwnerReference& owner,
                   bool final_word) {
    const std::string key = store::QueueKey(owner.namespace_(), owner.name());
    if (final_word) {
      controller.Enqueue(key);
    } else {
      controller.EnqueueAfter(key, kProgressDelay);
    }
  }

  template <typename Issuer>
  void OnIssuer(meta::v1::IssuerKind kind, const Issuer* before, const Issuer* now) {
    const meta::v1::ObjectMeta& metadata = (now != nullptr ? now : before)->metadata();
    meta::v1::IssuerRef ref;
    ref.set_name(metadata.name());
    ref.set_kind(kind);
    const std::string key = service::IssuerKey(ref, metadata.namespace_());
    const auto uses = [&](const Issuer* issuer) {
      if (issuer == nullptr) return SecretUses();
      return UsesOf(key, accounts_.SecretNamespace(ref, metadata.namespace_()),
                    issuer->metadata(), issuer->spec());
    };
    OnSecretUses(uses(before), uses(now));
    WakeIssuer(key, HasNewSpec(before, now));
  }

  // Wakes the requests that wait for the issuer, and itself if there is something to do.
  void WakeIssuer(const std::string& issuer, bool needs_pass) {
    accounts_.Forget(issuer);
    if (needs_pass) issuer_controller_.Enqueue(issuer);
    for (const auto& request : requests_.List()) {
      const bool waits = request->status().order_name().empty() &&
                         !request->metadata().has_delete_time() &&
                         !CertificateRequestReconciler::IsFinal(*request);
      if (waits && service::IssuerKey(request->spec().issuer_ref(),
                                      request->metadata().namespace_()) == issuer) {
        request_controller_.EnqueueAfter(KeyOf(request->metadata()), WaitOf(*request));
      }
    }
  }

  // Of a request that has waited for its issuer: all would go on at once after an outage.
  absl::Duration WaitOf(const issuer::v1::CertificateRequest& request) const {
    const meta::v1::OwnerReference& owner = request.metadata().owner();
    const auto certificate =
        certificates_.Get(store::QueueKey(owner.namespace_(), owner.name()));
    if (certificate == nullptr) return absl::ZeroDuration();
    return OverdueWait(*certificate, environment_.clock().Now());
  }

  // Values of Secrets are not kept in memory, so their changes come from the store directly.
  absl::Status WatchSecrets() {
    CW_ASSIGN_OR_RETURN(
        const int64_t revision,
        runtime::RunSyncOn(environment_.executor, store_->CurrentRevision(StartContext())));
    secret_watch_ = store_->Watch(stores_.secrets.Prefix(), revision,
                                  [this](const store::WatchUpdate& update) {
                                    for (const store::Event& event : update.events) {
                                      OnSecret(event);
                                    }
                                  });
    return absl::OkStatus();
  }

  void OnSecret(const store::Event& event) {
    const std::string key = event.record.key.substr(stores_.secrets.Prefix().size());
    for (const SecretUser& user : secret_users_.Of(key)) {
      if (user.use == SecretUse::kTarget || user.use == SecretUse::kPassword) {
        certificate_controller_.Enqueue(user.key);
      } else if (user.use == SecretUse::kNextKey) {
        // The Certificate has written it itself, or waits until it is gone.
        if (event.type == store::Event::kDelete) certificate_controller_.Enqueue(user.key);
      } else if (user.use != SecretUse::kSolverCredential) {
        WakeIssuer(user.key, true);
      }
    }
  }

  // Wakes those who may have waited until somebody else needs a Secret no longer.
  void OnSecretUses(const SecretUses& before, const SecretUses& now) {
    for (const auto& [secret, over] : secret_users_.Replace(before, now)) {
      // Issuers may share an account key.
      const bool hindered_issuers =
          over.use == SecretUse::kTarget || over.use == SecretUse::kNextKey;
      for (const SecretUser& user : secret_users_.Of(secret)) {
        if (user.use == SecretUse::kTarget) certificate_controller_.Enqueue(user.key);
        if (user.use == SecretUse::kAccountKey && hindered_issuers) {
          issuer_controller_.Enqueue(user.key);
        }
      }
    }
  }

  // Keys of the Certificates that name the issuer.
  std::vector<std::string> CertificatesOf(const std::string& issuer) const {
    std::vector<std::string> keys;
    for (const auto& certificate : certificates_.List()) {
      const std::string& resource_namespace = certificate->metadata().namespace_();
      const std::vector<meta::v1::IssuerRef> refs = IssuersOf(certificate->spec());
      const bool names_it = std::ranges::any_of(refs, [&](const meta::v1::IssuerRef& ref) {
        return service::IssuerKey(ref, resource_namespace) == issuer;
      });
      if (names_it) keys.push_back(KeyOf(certificate->metadata()));
    }
    return keys;
  }

  void AddWork() {
    for (controller::Controller* controller :
         {&certificate_controller_, &request_controller_, &issuer_controller_,
          &renewal_info_controller_}) {
      work_.Add(*controller);
    }
    work_.AddSource([this] { resealing_.Stop(); });
    work_.AddSource([this] { order_cache_.Stop(); });
    work_.AddSource([this] { requests_.Stop(); });
    work_.AddSource([this] { certificates_.Stop(); });
    work_.AddSource([this] { cluster_issuers_.Stop(); });
    work_.AddSource([this] { issuers_.Stop(); });
    work_.AddSource([this] { secret_watch_.reset(); });
  }

  const service::Environment environment_;
  const std::unique_ptr<store::Store> store_;
  const std::unique_ptr<store::SealingCodec> sealing_;
  Stores stores_;
  store::Resealing resealing_;
  Accounts accounts_;
  const Callers callers_;
  service::CallMetrics call_metrics_;
  const rpc::CallEnvironment calls_;
  service::EventRecorder events_;
  SecretUsers secret_users_;
  CertificateRequests owned_requests_;

  const std::unique_ptr<order::v1::OrderService::StubInterface> order_stub_;
  const std::unique_ptr<meta::v1::EventService::StubInterface> order_events_stub_;
  // Null without a solver service in the configuration.
  const std::unique_ptr<solver::v1::ChallengeService::StubInterface> challenge_stub_;
  const std::unique_ptr<meta::v1::EventService::StubInterface> solver_events_stub_;
  OrderSource order_source_;
  GrpcOrders::Cache order_cache_;
  GrpcOrders orders_;

  controller::StoreInformer<issuer::v1::Issuer> issuers_;
  controller::StoreInformer<issuer::v1::ClusterIssuer> cluster_issuers_;
  controller::StoreInformer<issuer::v1::Certificate> certificates_;
  controller::StoreInformer<issuer::v1::CertificateRequest> requests_;
  std::unique_ptr<store::WatchHandle> secret_watch_;

  PrivateCas private_cas_;
  IssuerReconciler issuer_reconciler_;
  CertificateReconciler certificate_reconciler_;
  CertificateRequestReconciler request_reconciler_;
  RenewalInfoReconciler renewal_info_reconciler_;
  controller::Controller issuer_controller_;
  controller::Controller certificate_controller_;
  controller::Controller request_controller_;
  controller::Controller renewal_info_controller_;

  IssuerRpc issuer_rpc_;
  AccountRpc account_rpc_;
  SecretRpc secret_rpc_;
  const CertificateDescriptions descriptions_;
  CertificateRpc certificate_rpc_;
  CertificateRequestRpc request_rpc_;
  service::EventsRpc events_rpc_;
  service::BackgroundWork work_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<service::App>> BuildIssuerApp(
    const config::v1::IssuerConfig& config, service::Environment environment) {
  Approval approval = ParseApproval(config);
  if (!approval.problems.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(approval.problems, "; "));
  }
  store::SqliteOptions sqlite =
      service::ToSqliteOptions(config.store(), "certwright-issuer", environment);
  sqlite.quotas.uncounted_prefix = kLimitRecordsPrefix;
  // The key is made after the store.
  if (config.sealing().key_files().empty()) sqlite.witness = DefaultKeyFile(config);
  CW_ASSIGN_OR_RETURN(auto store,
                      store::OpenSqliteStore(config.store().sqlite().path(), sqlite));
  CW_ASSIGN_OR_RETURN(auto sealing, OpenSealing(config, *store));
  Channels channels;
  CW_ASSIGN_OR_RETURN(channels.order, service::MakePeerChannel(config.order()));
  if (config.has_solver()) {
    CW_ASSIGN_OR_RETURN(channels.solver, service::MakePeerChannel(config.solver()));
  }
  return std::make_unique<IssuerApp>(config, environment, std::move(approval), std::move(store),
                                     std::move(sealing), channels);
}

std::vector<std::string> ValidateIssuerConfig(const config::v1::IssuerConfig& config) {
  std::vector<std::string> problems = service::ValidateServer(config.server());
  const auto append = [&](std::vector<std::string> more) {
    problems.insert(problems.end(), more.begin(), more.end());
  };
  append(service::ValidateStore(config.store()));
  append(service::ValidatePeer(config.order(), "order"));
  if (config.has_solver()) append(service::ValidatePeer(config.solver(), "solver"));
  append(ParseApproval(config).problems);
  append(ValidateSealing(config.sealing()));
  const std::string& cluster_namespace = config.cluster_resource_namespace();
  if (!cluster_namespace.empty() && !rpc::IsDnsLabel(cluster_namespace)) {
    problems.push_back("clusterResourceNamespace: must be a DNS label");
  }
  append(ValidateIssuance(config));
  return problems;
}

}  // namespace certwright::issuer_service
