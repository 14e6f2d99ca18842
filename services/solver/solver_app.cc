#include "services/solver/solver_app.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/service/issuer_ref.h"
#include "lib/service/peers.h"
#include "lib/service/store_config.h"
#include "lib/store/resource_key.h"
#include "lib/store/sqlite_store.h"
#include "lib/telemetry/log.h"
#include "services/solver/challenge_events.h"

namespace certwright::solver {
namespace {

// After a start, the issuer service is given so long before challenges are worked on without
// what it knows.
constexpr absl::Duration kSyncTimeout = absl::Seconds(5);
constexpr int kCleanUpWorkers = 128;

controller::ControllerOptions ControllerOptionsFor(const service::Environment& environment,
                                                   int workers, SolverMetrics& metrics) {
  controller::ControllerOptions options;
  options.gate = environment.StorageGate();
  options.workers = workers;
  options.queue.observer = &metrics;
  // A challenge has minutes, not hours.
  options.queue.backoff.max = absl::Minutes(1);
  return options;
}

controller::ControllerOptions CleanUpOptions(const service::Environment& environment) {
  controller::ControllerOptions options;
  options.gate = environment.StorageGate();
  options.workers = kCleanUpWorkers;
  options.queue.backoff.max = absl::Minutes(5);
  return options;
}

bool SameChallenge(const v1::Challenge& a, const v1::Challenge& b) {
  return a.metadata().uid() == b.metadata().uid();
}

}  // namespace

absl::StatusOr<std::unique_ptr<SolverApp>> SolverApp::Open(
    const config::v1::SolverConfig& config, service::Environment environment) {
  const store::SqliteOptions sqlite =
      service::ToSqliteOptions(config.store(), "certwright-solver", environment);
  CW_ASSIGN_OR_RETURN(std::unique_ptr<store::Store> store,
                      store::OpenSqliteStore(config.store().sqlite().path(), sqlite));
  CW_ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> issuer,
                      service::MakePeerChannel(config.issuer()));
  return std::make_unique<SolverApp>(environment, std::move(store), std::move(issuer),
                                     ToOptions(config));
}

SolverApp::SolverApp(service::Environment environment, std::unique_ptr<store::Store> store,
                     std::shared_ptr<grpc::Channel> issuer, SolverOptions options)
    : environment_(environment),
      options_(std::move(options)),
      store_(std::move(store)),
      challenges_(*store_, kChallengeKind, environment.clock(), environment.random),
      presentations_(*store_, kPresentationKind, environment.clock(), environment.random),
      metrics_(environment.metrics),
      clean_up_failures_(environment.metrics),
      call_metrics_(environment.metrics, "solver"),
      calls_(environment.MakeCallEnvironment(&call_metrics_)),
      events_(environment.clock()),
      resolver_(environment.executor, environment.timers),
      checker_(resolver_, environment.clock(), options_.dns_policy),
      updater_(environment.timers),
      batcher_(environment.executor, environment.timers, updater_),
      nameservers_(options_.nameservers, options_.dns_policy),
      locator_(resolver_, checker_, options_.authoritative_port),
      providers_(batcher_, resolver_, options_.nameservers, options_.dns_policy),
      dns01_check_(checker_, Dns01CheckOptions{nameservers_, options_.authoritative_port}),
      http01_check_(environment.http, resolver_,
                    Http01CheckOptions{nameservers_, options_.allowed_ranges}),
      configs_(environment.timers, FetchFrom(issuer)),
      issuers_(environment, issuer, [this](const std::string& name) { OnIssuerChange(name); }),
      authorities_(MakeCertificateAuthorities(issuers_)),
      scheduler_(options_.limits, [this](const std::string& key) { controller_.Enqueue(key); }),
      challenge_informer_(challenges_, environment.executor, environment.timers,
                          environment.random),
      presentation_informer_(presentations_, environment.executor, environment.timers,
                             environment.random),
      reconciler_(MakeEnvironment()),
      controller_("challenges", environment.executor, environment.timers, environment.random,
                  ControllerOptionsFor(environment, options_.workers, metrics_), reconciler_),
      clean_up_(MakeEnvironment(), [this] { return presentation_informer_.List(); }),
      clean_up_controller_("presentations", environment.executor, environment.timers,
                           environment.random, CleanUpOptions(environment), clean_up_),
      challenge_service_(calls_, challenges_, [this](const std::string& key) { Retry(key); }),
      presentation_service_(calls_, presentations_, clean_up_failures_),
      propagation_service_(calls_, checker_,
                           Dns01CheckOptions{nameservers_, options_.authoritative_port}),
      events_rpc_(calls_, events_),
      work_(environment.executor, environment.timers) {
  work_.Add(controller_);
  work_.Add(clean_up_controller_);
  work_.AddSource([this] { issuers_.Stop(); });
  work_.AddSource([this] { presentation_informer_.Stop(); });
  work_.AddSource([this] { challenge_informer_.Stop(); });
  metrics_.Observe(scheduler_);
  challenge_informer_.AddHandler(
      [this](const std::string& key, const auto& before, const auto& now) {
        OnChallengeChange(key, before, now);
      });
  presentation_informer_.AddHandler(
      [this](const std::string& key, const auto& before, const auto& now) {
        OnPresentationChange(key, before, now);
      });
}

SolverEnvironment SolverApp::MakeEnvironment() {
  SolverSettings settings{nameservers_};
  settings.http01_enabled = !options_.http01_listen.empty();
  settings.retention = options_.retention;
  return SolverEnvironment{environment_.timers,
                           environment_.random,
                           challenges_,
                           presentations_,
                           *authorities_,
                           configs_,
                           providers_,
                           locator_,
                           dns01_check_,
                           http01_check_,
                           scheduler_,
                           tokens_,
                           presented_configs_,
                           settings,
                           [this](const v1::Challenge& challenge) {
                             metrics_.OnFinal(challenge, environment_.clock().Now());
                           },
                           [this](const auto& presentation, const absl::Status& removed) {
                             OnCleanUp(presentation, removed);
                           }};
}

std::vector<rpc::Service*> SolverApp::Services() {
  return {&challenge_service_, &presentation_service_, &propagation_service_, &events_rpc_};
}

absl::Status SolverApp::Start() {
  if (!options_.http01_listen.empty()) {
    CW_ASSIGN_OR_RETURN(responder_,
                        Http01Responder::Start(environment_.executor, environment_.timers,
                                               options_.http01_listen, tokens_));
    work_.AddSource([this] { responder_->Stop(); });
  }
  // Tokens are answered, and removed, whether or not the issuer service can be reached.
  presentation_informer_.Start();
  clean_up_controller_.Start();
  issuers_.Start();
  work_.Spawn(StartWhenSynced());
  return absl::OkStatus();
}

runtime::Awaitable<void> SolverApp::StartWhenSynced() {
  const base::Clock& clock = environment_.clock();
  const runtime::Context context(clock, clock.MonotonicNow() + kSyncTimeout,
                                 work_.cancellation());
  const absl::Status synced = co_await issuers_.WaitForSync(context);
  if (context.cancelled()) co_return;
  if (!synced.ok()) {
    telemetry::LogWarning("the issuer service cannot be reached yet",
                          {{"error", synced.message()}});
  }
  challenge_informer_.Start();
  controller_.Start();
}

// What the reconcilers themselves write wakes nobody, but for a final state: what was put out
// is then removed.
void SolverApp::OnChallengeChange(const std::string& key,
                                  const std::shared_ptr<const v1::Challenge>& before,
                                  const std::shared_ptr<const v1::Challenge>& now) {
  service::RecordChanges(events_, "Challenge", before, now, EventsOf);
  const bool replaced = before != nullptr && now != nullptr && !SameChallenge(*before, *now);
  if (before == nullptr || now == nullptr || replaced) controller_.Enqueue(key);
  if (before != nullptr && (now == nullptr || replaced)) {
    clean_up_controller_.Enqueue(PresentationKeyOf(*before));
  }
  if (now == nullptr || !now->status().presented()) return;
  const bool was_final = before != nullptr && !replaced && IsFinal(before->status().state());
  if (IsFinal(now->status().state()) && !was_final) {
    clean_up_controller_.Enqueue(PresentationKeyOf(*now));
  }
}

void SolverApp::OnPresentationChange(const std::string& key,
                                     const std::shared_ptr<const ledger::Presentation>& before,
                                     const std::shared_ptr<const ledger::Presentation>& now) {
  if (now == nullptr) return tokens_.Remove(key);
  tokens_.Add(key, *now);
  // What an earlier process left: its challenge may be gone, so that nothing else tells.
  if (before == nullptr && !presentation_informer_.synced()) clean_up_controller_.Enqueue(key);
}

// Its challenge may be gone, and nothing else show it.
void SolverApp::OnCleanUp(const ledger::Presentation& presentation,
                          const absl::Status& removed) {
  const auto& metadata = presentation.metadata();
  clean_up_failures_.Note(store::QueueKey(metadata.namespace_(), metadata.name()), removed);
  if (removed.ok()) return;
  meta::v1::ObjectMeta challenge;
  challenge.set_namespace_(metadata.namespace_());
  challenge.set_name(presentation.challenge_name());
  challenge.set_uid(presentation.challenge_uid());
  service::EventNews news;
  news.severity = meta::v1::EVENT_SEVERITY_WARNING;
  news.reason = "CleanUpFailed";
  news.message =
      absl::StrCat("The TXT record ", presentation.record_name(), " \"", presentation.value(),
                   "\" in the zone ", presentation.zone(),
                   " could not be removed, which is tried again: ", removed.message());
  if (absl::IsNotFound(removed)) {
    absl::StrAppend(&news.message, "; create the solver again, or remove the record by hand");
  }
  events_.Record("Challenge", challenge, std::move(news));
}

void SolverApp::OnIssuerChange(const std::string& issuer) {
  configs_.Forget(issuer);
  // Off the thread of gRPC, as there may be many challenges.
  work_.Post([this, issuer] {
    for (const std::shared_ptr<const v1::Challenge>& challenge : challenge_informer_.List()) {
      if (IsFinal(challenge->status().state())) continue;
      if (service::IssuerKey(challenge->spec().issuer_ref(),
                             challenge->metadata().namespace_()) == issuer) {
        Retry(KeyOf(*challenge));
      }
    }
  });
}

void SolverApp::Retry(const std::string& key) {
  reconciler_.Hurry(key);
  controller_.Enqueue(key);
}

}  // namespace certwright::solver
