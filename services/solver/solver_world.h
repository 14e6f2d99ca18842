// SolverWorld: the reconcilers with everything around them, for their tests: a real store in a
// temporary folder, a clock that the test turns, and a CA, a DNS provider and a self-check that
// do as they are told.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "boost/asio/io_context.hpp"
#include "lib/acme/problem.h"
#include "lib/base/fake_clock.h"
#include "lib/base/random.h"
#include "lib/dns/propagation.h"
#include "lib/dns/resolver_fake.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/run_sync.h"
#include "lib/service/conditions.h"
#include "lib/store/mortal_store.h"
#include "lib/store/resource_key.h"
#include "lib/store/temporary_store.h"
#include "services/solver/challenge_reconciler.h"
#include "services/solver/clean_up_reconciler.h"

namespace certwright::solver {

// A CA that decides after it was asked `polls_until_decided` times.
class FakeAuthority final : public CertificateAuthority {
 public:
  acme::AuthorizationStatus status = acme::AuthorizationStatus::kPending;
  acme::AuthorizationStatus verdict = acme::AuthorizationStatus::kValid;
  acme::ChallengeStatus challenge_status = acme::ChallengeStatus::kPending;
  std::optional<acme::Problem> error;
  int polls_until_decided = 1;
  std::optional<absl::Time> retry_at;
  absl::Status accept_error;
  absl::Status get_error;
  int accepts = 0;
  int gets = 0;
  std::function<void()> on_accept;

  runtime::Awaitable<absl::StatusOr<acme::Authorization>> GetAuthorization(
      runtime::Context, std::string url) override {
    ++gets;
    if (!get_error.ok()) co_return get_error;
    if (challenge_status == acme::ChallengeStatus::kProcessing && --polls_until_decided <= 0) {
      status = verdict;
    }
    acme::Authorization authorization;
    authorization.url = std::move(url);
    authorization.status = status;
    authorization.retry_at = retry_at;
    acme::Challenge challenge;
    challenge.type = "dns-01";
    challenge.url = challenge_url;
    challenge.status = status == acme::AuthorizationStatus::kInvalid
                           ? acme::ChallengeStatus::kInvalid
                           : challenge_status;
    challenge.error = error;
    authorization.challenges.push_back(std::move(challenge));
    co_return authorization;
  }

  // Like Pebble, it wants to be told once only.
  runtime::Awaitable<absl::StatusOr<acme::Challenge>> AcceptChallenge(
      runtime::Context, std::string url) override {
    ++accepts;
    if (on_accept) on_accept();
    if (!accept_error.ok()) co_return accept_error;
    challenge_url = url;
    if (challenge_status != acme::ChallengeStatus::kPending) {
      co_return acme::ErrorWithClass(absl::StatusCode::kInvalidArgument,
                                     "the challenge is not pending",
                                     acme::ErrorClass::kPermanent);
    }
    challenge_status = acme::ChallengeStatus::kProcessing;
    acme::Challenge challenge;
    challenge.url = std::move(url);
    challenge.status = challenge_status;
    co_return challenge;
  }

  std::string challenge_url;
};

class FakeAuthorities final : public CertificateAuthorities {
 public:
  absl::Status error;
  // By authorization URL, so that each challenge has its own.
  std::map<std::string, std::shared_ptr<FakeAuthority>> by_url;

  // One account that serves all of them.
  class Account final : public CertificateAuthority {
   public:
    explicit Account(FakeAuthorities& all) : all_(all) {}
    runtime::Awaitable<absl::StatusOr<acme::Authorization>> GetAuthorization(
        runtime::Context context, std::string url) override {
      return all_.Of(url)->GetAuthorization(std::move(context), url);
    }
    runtime::Awaitable<absl::StatusOr<acme::Challenge>> AcceptChallenge(
        runtime::Context context, std::string url) override {
      return all_.Of(url.substr(0, url.rfind('/')))->AcceptChallenge(std::move(context), url);
    }

   private:
    FakeAuthorities& all_;
  };

  std::shared_ptr<FakeAuthority> Of(const std::string& url) {
    std::shared_ptr<FakeAuthority>& authority = by_url[url];
    if (authority == nullptr) authority = std::make_shared<FakeAuthority>();
    return authority;
  }
  absl::StatusOr<std::shared_ptr<CertificateAuthority>> Find(const meta::v1::IssuerRef&,
                                                             const std::string&) override {
    if (!error.ok()) return error;
    return std::shared_ptr<CertificateAuthority>(std::make_shared<Account>(*this));
  }
};

class FakeConfigs final : public SolverConfigs {
 public:
  issuer::v1::AcmeSolver solver;
  absl::Status error;

  runtime::Awaitable<absl::StatusOr<std::shared_ptr<const SolverConfig>>> Resolve(
      runtime::Context, SolverName) override {
    if (!error.ok()) co_return error;
    auto config = std::make_shared<SolverConfig>();
    config->solver = solver;
    co_return std::shared_ptr<const SolverConfig>(std::move(config));
  }
};

// The TXT values of the world.
class FakeProviders final : public Dns01Providers {
 public:
  std::set<std::pair<std::string, std::string>> values;  // name, value
  absl::Status present_error;
  absl::Status clean_up_error;
  // What removing by this configuration comes to, before clean_up_error.
  std::function<absl::Status(const SolverConfig&)> on_clean_up;
  absl::Status find_error;
  int max_values_per_name = 0;
  int presents = 0;
  std::size_t most_values = 0;
  uint32_t last_ttl = 0;  // in seconds, of what was put out last

  absl::StatusOr<std::shared_ptr<Dns01Provider>> Find(
      std::shared_ptr<const SolverConfig> config) override {
    if (!find_error.ok()) return find_error;
    return std::shared_ptr<Dns01Provider>(std::make_shared<Provider>(*this, std::move(config)));
  }

 private:
  class Provider final : public Dns01Provider {
   public:
    Provider(FakeProviders& all, std::shared_ptr<const SolverConfig> config)
        : all_(all), config_(std::move(config)) {}
    Dns01Capabilities capabilities() const override {
      return Dns01Capabilities{all_.max_values_per_name};
    }
    std::string account() const override { return "fake"; }
    runtime::Awaitable<absl::Status> Present(runtime::Context, Dns01Record record) override {
      ++all_.presents;
      all_.last_ttl = record.ttl_seconds;
      if (!all_.present_error.ok()) co_return all_.present_error;
      all_.values.emplace(record.name, record.value);
      all_.most_values = std::max(all_.most_values, all_.values.size());
      co_return absl::OkStatus();
    }
    runtime::Awaitable<absl::Status> CleanUp(runtime::Context, Dns01Record record) override {
      if (all_.on_clean_up) {
        if (absl::Status status = all_.on_clean_up(*config_); !status.ok()) co_return status;
      }
      if (!all_.clean_up_error.ok()) co_return all_.clean_up_error;
      all_.values.erase({record.name, record.value});
      co_return absl::OkStatus();
    }

   private:
    FakeProviders& all_;
    const std::shared_ptr<const SolverConfig> config_;
  };
};

class FakeSelfCheck final : public SelfCheck {
 public:
  // Whether the proof of that challenge can be seen.
  std::function<bool(const v1::Challenge&)> sees;
  std::string reason = "ns2.example.test (127.0.0.1:5301) does not have the record yet";
  int checks = 0;

  runtime::Awaitable<absl::StatusOr<SelfCheckResult>> Check(
      runtime::Context, const v1::Challenge& challenge,
      std::shared_ptr<const SolverConfig>) override {
    ++checks;
    SelfCheckResult result;
    result.found = sees(challenge);
    if (!result.found) result.reason = reason;
    co_return result;
  }
};

class SolverWorld {
 public:
  SolverWorld() : timers(clock) {
    configs.solver.set_name("dns");
    configs.solver.mutable_dns01()->mutable_rfc2136()->add_nameservers("127.0.0.1");
    dns01_check.sees = [this](const v1::Challenge& challenge) {
      return providers.values.count(
                 {challenge.status().resolved_name(), challenge.spec().key()}) > 0;
    };
    http01_check.sees = [this](const v1::Challenge& challenge) {
      return tokens->Find(challenge.spec().token()) == challenge.spec().key();
    };
    Restart();
  }
  ~SolverWorld() { EndProcess(); }

  // The process ends at once, and another one begins.
  void Restart() {
    EndProcess();
    store_ = std::make_unique<store::MortalStore>(*sqlite_);
    challenges =
        std::make_unique<ChallengeStore>(*store_, kChallengeKind, clock, base::Random::Real());
    presentations = std::make_unique<PresentationStore>(*store_, kPresentationKind, clock,
                                                        base::Random::Real());
    tokens = std::make_unique<Http01Tokens>();
    presented_configs = std::make_unique<PresentedConfigs>();
    scheduler = std::make_unique<Scheduler>(
        limits, [this](const std::string& key) { woken.push_back(key); });
    woken.clear();
    finished.clear();
    clean_ups.clear();
    reconciler = std::make_unique<ChallengeReconciler>(MakeEnvironment());
    clean_up = std::make_unique<CleanUpReconciler>(MakeEnvironment(), [this] {
      std::vector<std::shared_ptr<const ledger::Presentation>> records;
      for (ledger::Presentation& record : Ledger()) {
        records.push_back(std::make_shared<ledger::Presentation>(std::move(record)));
      }
      return records;
    });
    for (const ledger::Presentation& record : Ledger()) {
      tokens->Add(KeyOfRecord(record), record);
    }
  }

  // A challenge of this name; DNS-01, or HTTP-01.
  v1::Challenge Make(const std::string& name, const std::string& dns_name = "www.example.test",
                     v1::ChallengeType type = v1::CHALLENGE_TYPE_DNS01) {
    dns::Message message = dns::NxDomain("example.test");
    resolver.Set("", absl::StrCat("_acme-challenge.", dns_name), dns::RecordType::kCname,
                 message);
    v1::Challenge challenge;
    challenge.mutable_metadata()->set_namespace_("default");
    challenge.mutable_metadata()->set_name(name);
    v1::ChallengeSpec& spec = *challenge.mutable_spec();
    spec.set_authorization_url(absl::StrCat("https://ca.test/authz/", name));
    spec.set_url(absl::StrCat("https://ca.test/authz/", name, "/1"));
    spec.set_dns_name(dns_name);
    spec.set_type(type);
    spec.set_token(absl::StrCat("token-of-more-than-22-characters-", name));
    spec.set_key(absl::StrCat("key-of-", name));
    spec.mutable_issuer_ref()->set_name("pebble");
    spec.set_solver_name("dns");
    if (type == v1::CHALLENGE_TYPE_HTTP01) {
      configs.solver.mutable_http01();
    }
    authorities.Of(spec.authorization_url())->challenge_url = spec.url();
    return challenge;
  }
  v1::Challenge Create(v1::Challenge challenge) {
    auto created = runtime::RunSync(challenges->Create(Forever(), std::move(challenge)));
    if (!created.ok()) std::abort();
    return *created;
  }

  v1::Challenge Get(const std::string& name) {
    auto challenge = runtime::RunSync(challenges->Get(Forever(), "default", name));
    return challenge.ok() ? *challenge : v1::Challenge();
  }
  v1::ChallengeState StateOf(const std::string& name) { return Get(name).status().state(); }
  void Delete(const std::string& name) {
    if (!runtime::RunSync(challenges->Delete(Forever(), "default", name)).ok()) std::abort();
  }
  absl::Status UpdateStatus(const v1::Challenge& challenge) {
    return runtime::RunSync(challenges->UpdateStatus(Forever(), challenge)).status();
  }
  FakeAuthority& AuthorityOf(const std::string& name) {
    return *authorities.Of(absl::StrCat("https://ca.test/authz/", name));
  }

  std::vector<ledger::Presentation> Ledger() {
    auto page = runtime::RunSync(presentations->List(Forever(), {}));
    return page.ok() ? page->resources : std::vector<ledger::Presentation>();
  }
  static std::string KeyOfRecord(const ledger::Presentation& record) {
    return store::QueueKey(record.metadata().namespace_(), record.metadata().name());
  }

  // One pass; nothing if the process died in it.
  std::optional<absl::StatusOr<controller::Result>> Pass(const std::string& name) {
    return Await(reconciler->Reconcile(PassContext(), absl::StrCat("default/", name)));
  }
  // Passes for as long as the challenge is not final, at the times that they ask for, but not
  // longer than `limit`. False if the process died.
  bool Settle(const std::string& name, absl::Duration limit = absl::Minutes(30)) {
    const absl::Time end = clock.Now() + limit;
    while (true) {
      const auto result = Pass(name);
      if (!result.has_value()) return false;
      if (IsFinal(StateOf(name)) || Get(name).metadata().name().empty()) return true;
      // What the controller would do about an error.
      const absl::Duration delay =
          result->ok() ? (*result)->requeue_after.value_or(absl::InfiniteDuration())
                       : absl::Milliseconds(100);
      if (clock.Now() + delay > end) {
        if (clock.Now() < end) clock.Advance(end - clock.Now());
        return true;
      }
      clock.Advance(delay);
    }
  }
  // Works off the ledger; the results of each record. Stops when the process dies.
  std::vector<absl::Status> CleanUp() {
    std::vector<absl::Status> results;
    for (const ledger::Presentation& record : Ledger()) {
      const auto result = Await(clean_up->Reconcile(PassContext(), KeyOfRecord(record)));
      if (!result.has_value()) break;
      results.push_back(result->status());
    }
    return results;
  }

  int commits() const { return store_->commits(); }
  store::MortalStore& mortal() { return *store_; }

  // What `task` returns, with the fake clock moved on wherever it sleeps; nothing if the
  // process died.
  template <typename T>
  std::optional<T> Await(runtime::Awaitable<T> task) {
    std::optional<T> result;
    runtime::SpawnThen<T>(loop_->get_executor(), std::move(task),
                          [&result](T value) { result = std::move(value); });
    while (!result.has_value() && !store_->dead()) {
      loop_->restart();
      if (loop_->poll() > 0) continue;
      if (store_->under_way() == 0 && timers.pending() > 0) {
        clock.Advance(absl::Milliseconds(5));
      } else {
        loop_->run_one();
      }
    }
    // Until the store's thread, too, has let go of the loop.
    loop_->restart();
    loop_->run();
    return result;
  }

  base::FakeClock clock;
  runtime::FakeTimers timers;
  base::FixedRandom random;
  dns::FakeDnsResolver resolver;
  dns::PropagationChecker checker{resolver, clock, dns::ServerPolicy()};
  RecordLocator locator{resolver, checker, 53};
  FakeAuthorities authorities;
  FakeConfigs configs;
  FakeProviders providers;
  FakeSelfCheck dns01_check;
  FakeSelfCheck http01_check;
  Scheduler::Limits limits;
  SolverSettings settings;
  std::vector<std::string> woken;
  std::vector<std::string> finished;
  std::vector<std::pair<std::string, absl::Status>> clean_ups;

  std::unique_ptr<ChallengeStore> challenges;
  std::unique_ptr<PresentationStore> presentations;
  std::unique_ptr<Http01Tokens> tokens;
  std::unique_ptr<PresentedConfigs> presented_configs;
  std::unique_ptr<Scheduler> scheduler;
  std::unique_ptr<ChallengeReconciler> reconciler;
  std::unique_ptr<CleanUpReconciler> clean_up;

 private:
  SolverEnvironment MakeEnvironment() {
    return SolverEnvironment{
        timers,
        random,
        *challenges,
        *presentations,
        authorities,
        configs,
        providers,
        locator,
        dns01_check,
        http01_check,
        *scheduler,
        *tokens,
        *presented_configs,
        settings,
        [this](const v1::Challenge& challenge) {
          finished.push_back(challenge.metadata().name());
        },
        [this](const ledger::Presentation& presentation, const absl::Status& removed) {
          clean_ups.emplace_back(presentation.record_name(), removed);
        }};
  }
  void EndProcess() {
    loop_ = std::make_unique<boost::asio::io_context>();
    clean_up.reset();
    reconciler.reset();
    scheduler.reset();
    tokens.reset();
    presented_configs.reset();
    presentations.reset();
    challenges.reset();
    store_.reset();
  }
  runtime::Context Forever() const {
    return runtime::Context::WithTimeout(clock, absl::Hours(1));
  }
  runtime::Context PassContext() const {
    return runtime::Context::WithTimeout(clock, absl::Seconds(60));
  }

  const store::TemporaryStore sqlite_;
  std::unique_ptr<store::MortalStore> store_;
  std::unique_ptr<boost::asio::io_context> loop_;
};

}  // namespace certwright::solver
