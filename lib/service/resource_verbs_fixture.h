// A store of Secrets and the verbs over it, for the tests of ResourceVerbs.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "certwright/issuer/v1/secret.pb.h"
#include "gtest/gtest.h"
#include "lib/base/random.h"
#include "lib/runtime/thread_pool.h"
#include "lib/service/resource_verbs.h"
#include "lib/store/store_testing.h"
#include "lib/store/temporary_store.h"

namespace certwright::service {

namespace v1 = issuer::v1;

inline v1::Secret MakeSecret(const std::string& name, const std::string& value = "hidden",
                             const std::map<std::string, std::string>& labels = {}) {
  v1::Secret secret;
  secret.mutable_metadata()->set_name(name);
  secret.mutable_metadata()->mutable_labels()->insert(labels.begin(), labels.end());
  (*secret.mutable_data())["key"] = value;
  return secret;
}

class ResourceVerbsFixture : public ::testing::Test {
 protected:
  using Verbs = ResourceVerbs<v1::Secret>;

  static rpc::CallContext Call() { return {store::TestContext(), {}}; }

  static VerbOptions<v1::Secret> SecretOptions() {
    VerbOptions<v1::Secret> options;
    options.kind = "Secret";
    options.validate = [](v1::Secret& secret, rpc::Violations& violations) {
      if (secret.type().empty()) secret.set_type("Opaque");
      violations.Require(!secret.data().empty(), "data", "is required");
      violations.Require(secret.type() != "bad", "type", "must be known");
    };
    options.redact = [](v1::Secret& secret) {
      for (auto& [key, value] : *secret.mutable_data()) value.clear();
    };
    return options;
  }

  template <typename T>
  ResourceVerbs<T> MakeVerbs(VerbOptions<T> options, store::ResourceStore<T>& resources) {
    return ResourceVerbs<T>(std::move(options), resources, calls);
  }

  absl::StatusOr<v1::Secret> Create(v1::Secret secret) {
    const auto response = store::Await(
        verbs.Create(Call(), std::move(secret), &v1::CreateSecretResponse::mutable_secret));
    if (!response.ok()) return response.status();
    return response->secret();
  }
  absl::StatusOr<v1::Secret> Get(const std::string& resource_namespace,
                                 const std::string& name) {
    const auto response = store::Await(
        verbs.Get(Call(), resource_namespace, name, &v1::GetSecretResponse::mutable_secret));
    if (!response.ok()) return response.status();
    return response->secret();
  }
  absl::StatusOr<v1::Secret> Update(v1::Secret secret) {
    const auto response = store::Await(
        verbs.Update(Call(), std::move(secret), &v1::UpdateSecretResponse::mutable_secret));
    if (!response.ok()) return response.status();
    return response->secret();
  }
  absl::Status Delete(const std::string& resource_namespace, const std::string& name) {
    return store::Await(
               verbs.Delete<v1::DeleteSecretResponse>(Call(), resource_namespace, name))
        .status();
  }
  absl::StatusOr<v1::ListSecretsResponse> List(const v1::ListSecretsRequest& request) {
    return store::Await(verbs.List(Call(), request, &v1::ListSecretsResponse::add_secrets));
  }

  // Order matters: the pool's coroutines end before what they use.
  store::TemporaryStore temporary_store;
  store::ResourceStore<v1::Secret> secrets{*temporary_store, "secrets", base::Clock::Real(),
                                           base::Random::Real()};
  runtime::ThreadPool pool{2};
  std::unique_ptr<runtime::Timers> timers =
      runtime::MakeAsioTimers(pool.executor(), base::Clock::Real());
  rpc::CallEnvironment calls{pool.executor(), *timers};
  Verbs verbs = MakeVerbs(SecretOptions(), secrets);
};

}  // namespace certwright::service
