// IssuerWorld: a real store in a folder of its own and fakes of all else, for tests.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/random.h"
#include "lib/base/status_matchers.h"
#include "lib/http/fake_http_client.h"
#include "lib/pki/key.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"
#include "lib/service/conditions.h"
#include "lib/service/environment.h"
#include "lib/store/sqlite_store.h"
#include "lib/telemetry/metrics.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class IssuerWorld : public testing::Test {
 protected:
  IssuerWorld() {
    std::string pattern = absl::StrCat(testing::TempDir(), "/issuer_XXXXXX");
    folder_ = mkdtemp(pattern.data());
    store_ = store::OpenSqliteStore(absl::StrCat(folder_, "/test.db"), {}).value();
    stores_ = std::make_unique<Stores>(*store_, clock_, base::Random::Real());
  }
  ~IssuerWorld() override {
    pool_.Stop();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  service::Environment Environment() {
    return {pool_.executor(), timers_, base::Random::Real(), http_, metrics_};
  }
  runtime::Context Context() {
    return runtime::Context::WithTimeout(clock_, absl::Seconds(60));
  }
  template <typename T>
  static T Await(runtime::Awaitable<T> task) {
    return runtime::RunSync<T>(std::move(task));
  }

  void CreateSecret(const std::string& resource_namespace, const std::string& name,
                    const std::string& key, const std::string& value) {
    issuer::v1::Secret secret;
    secret.mutable_metadata()->set_namespace_(resource_namespace);
    secret.mutable_metadata()->set_name(name);
    (*secret.mutable_data())[key] = value;
    CW_ASSERT_OK(Await(stores_->secrets.Create(Context(), secret)));
  }
  // The Issuer "ca" of namespace "web", as it is once its account is registered with `key`.
  void CreateRegisteredIssuer(const pki::PrivateKey& key) {
    const base::Secret pem = key.ToPem();
    CreateSecret("web", "ca-account-key", "tls.key", std::string(pem.Reveal()));
    issuer::v1::Issuer issuer;
    issuer.mutable_metadata()->set_namespace_("web");
    issuer.mutable_metadata()->set_name("ca");
    issuer::v1::AcmeIssuer& acme = *issuer.mutable_spec()->mutable_acme();
    acme.set_server("https://ca.test/directory");
    acme.mutable_private_key_secret_ref()->set_name("ca-account-key");
    acme.mutable_private_key_secret_ref()->set_key("tls.key");
    issuer.mutable_status()->mutable_acme()->set_uri("https://ca.test/account/1");
    service::SetCondition(*issuer.mutable_status()->mutable_conditions(),
                          {"Ready", true, "ACMEAccountRegistered", ""}, 1, clock_.Now());
    CW_ASSERT_OK(Await(stores_->issuers.Create(Context(), issuer)));
  }

  // Of namespace "web"; an empty one if there is none.
  template <typename T>
  T Read(store::ResourceStore<T>& resources, const std::string& name) {
    return Await(resources.Get(Context(), "web", name)).value_or(T());
  }
  template <typename T>
  bool Exists(store::ResourceStore<T>& resources, const std::string& name) {
    return Await(resources.Get(Context(), "web", name)).ok();
  }
  template <typename T>
  void WriteStatus(store::ResourceStore<T>& resources, const T& resource) {
    CW_ASSERT_OK(Await(resources.UpdateStatus(Context(), resource)));
  }
  // "True Issued"; empty if there is no such condition.
  template <typename T>
  static std::string ConditionOf(const T& resource, const std::string& type = "Ready") {
    const auto* condition = service::FindCondition(resource.status().conditions(), type);
    if (condition == nullptr) return "";
    const bool holds = condition->status() == meta::v1::CONDITION_STATUS_TRUE;
    return absl::StrCat(holds ? "True " : "False ", condition->reason());
  }

  base::FakeClock clock_;
  runtime::FakeTimers timers_{clock_};
  runtime::ThreadPool pool_{1};
  http::FakeHttpClient http_;
  telemetry::Metrics metrics_;
  std::string folder_;
  std::unique_ptr<store::SqliteStore> store_;
  std::unique_ptr<Stores> stores_;
};

}  // namespace certwright::issuer_service
