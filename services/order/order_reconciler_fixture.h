// OrderReconcilerFixture: an OrderReconciler on a store that can die, with a CA, a solver
// service and a clock that do as a test says.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "boost/asio/io_context.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/random.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/run_sync.h"
#include "lib/service/conditions.h"
#include "lib/store/mortal_store.h"
#include "services/order/memory_store.h"
#include "services/order/order_fakes.h"
#include "services/order/order_reconciler.h"

namespace certwright::order {

class OrderReconcilerFixture : public testing::Test {
 protected:
  OrderReconcilerFixture() : timers_(clock_), orders_(store_, "orders", clock_, random_) {
    auto& dns = *ca_->settings.add_solvers();
    dns.set_name("dns");
    dns.mutable_dns01();
    Restart();
  }

  // A new process on the same store.
  void Restart() {
    reconciler_ = std::make_unique<OrderReconciler>(OrderEnvironment{
        timers_, random_, orders_, authorities_, challenges_, absl::Hours(24),
        [this](const v1::Order& order) { finished_.push_back(order.status().state()); }});
  }

  void Create(const std::vector<std::string>& names, const std::string& name = "o",
              const std::string& resource_namespace = "default") {
    pki::CsrSpec csr;
    csr.names.dns_names = names;
    v1::Order order;
    order.mutable_metadata()->set_namespace_(resource_namespace);
    order.mutable_metadata()->set_name(name);
    order.mutable_spec()->set_request(*pki::CreateCsrPem(csr, key_));
    order.mutable_spec()->mutable_issuer_ref()->set_name("ca");
    for (const std::string& dns_name : names) order.mutable_spec()->add_dns_names(dns_name);
    CW_ASSERT_OK(runtime::RunSync(orders_.Create(Context(), order)));
  }

  runtime::Context Context() {
    return runtime::Context::WithTimeout(clock_, absl::Seconds(60));
  }

  // One pass; nothing if the process died in it. Short waits within it pass at once.
  std::optional<absl::StatusOr<controller::Result>> TryPass(
      const std::string& name = "o", const std::string& resource_namespace = "default") {
    return TryPassWithin(Context(), name, resource_namespace);
  }
  std::optional<absl::StatusOr<controller::Result>> TryPassWithin(
      runtime::Context context, const std::string& name = "o",
      const std::string& resource_namespace = "default") {
    return Run(reconciler_->Reconcile(std::move(context), resource_namespace + "/" + name));
  }
  std::optional<absl::StatusOr<controller::Result>> Run(
      runtime::Awaitable<absl::StatusOr<controller::Result>> pass) {
    auto io = std::make_unique<boost::asio::io_context>();
    std::optional<absl::StatusOr<controller::Result>> result;
    runtime::SpawnThen<absl::StatusOr<controller::Result>>(
        io->get_executor(), std::move(pass),
        [&result](absl::StatusOr<controller::Result> value) { result = std::move(value); });
    // Nothing here goes on on other threads: what can go on does, and then time passes.
    while (!result.has_value()) {
      io->restart();
      if (io->poll() > 0) continue;
      if (timers_.pending() == 0) break;
      clock_.Advance(absl::Milliseconds(10));
    }
    return result;
  }
  controller::Result Pass(const std::string& name = "o") {
    std::optional<absl::StatusOr<controller::Result>> result = TryPass(name);
    if (!result.has_value()) {
      ADD_FAILURE() << "the pass did not end";
      return controller::Result();
    }
    EXPECT_THAT(*result, base::IsOk());
    return result->ok() ? **result : controller::Result();
  }

  v1::Order Read(const std::string& name = "o") {
    return runtime::RunSync(orders_.Get(Context(), "default", name)).value_or(v1::Order());
  }
  v1::OrderState State() { return Read().status().state(); }
  const meta::v1::Condition Ready() {
    const v1::Order order = Read();
    const auto* ready = service::FindCondition(order.status().conditions(), "Ready");
    return ready == nullptr ? meta::v1::Condition() : *ready;
  }

  // The CA is convinced of every name, and the solver service says so.
  void Prove() {
    for (auto& [url, authorization] : ca_->authorizations) {
      if (authorization.status == acme::AuthorizationStatus::kPending) ca_->Validate(url);
      challenges_.Set(authorization.identifier.value, solver::v1::CHALLENGE_STATE_VALID);
    }
  }
  std::string AuthorizationOf(const std::string& name) {
    for (const auto& [url, authorization] : ca_->authorizations) {
      if (authorization.identifier.value == name) return url;
    }
    return "";
  }

  const pki::PrivateKey key_ = *pki::PrivateKey::Generate(pki::KeySpec());
  base::FakeClock clock_;
  base::FixedRandom random_;
  runtime::FakeTimers timers_;
  MemoryStore memory_;
  store::MortalStore store_{memory_};
  OrderStore orders_;
  std::shared_ptr<FakeAuthority> ca_ = std::make_shared<FakeAuthority>();
  FakeAuthorities authorities_{ca_};
  FakeChallenges challenges_;
  std::vector<v1::OrderState> finished_;
  std::unique_ptr<OrderReconciler> reconciler_;
};

}  // namespace certwright::order
