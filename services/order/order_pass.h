// OrderPass: one reconciliation of one order: step after step, as Decide() says, until
// something has to be waited for.
//
// What is committed when (a kill between any two leaves a state that the next pass goes on
// from): the order's URL as soon as the CA has named it; the authorizations before challenges
// are made for them; the end. In between the status is written only when it says something
// new to people.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "certwright/order/v1/order.pb.h"
#include "lib/base/random.h"
#include "lib/controller/controller.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"
#include "services/order/certificate_authority.h"
#include "services/order/challenges.h"
#include "services/order/order_decision.h"
#include "services/order/order_memory.h"
#include "services/order/order_record.h"
#include "services/order/order_report.h"

namespace certwright::order {

// References must outlive the passes.
struct OrderEnvironment {
  runtime::Timers& timers;
  base::Random& random;
  OrderStore& orders;
  CertificateAuthorities& authorities;
  Challenges& challenges;
  // How long a finished order is kept.
  absl::Duration retention;
  // Told of every order that has reached a final state, once it is stored; may be empty.
  std::function<void(const v1::Order&)> on_final;
};

class OrderPass {
 public:
  // `environment` and `memory` must outlive the pass; `stored` is the order as stored.
  OrderPass(const OrderEnvironment& environment, OrderMemory& memory, runtime::Context context,
            v1::Order stored);

  runtime::Awaitable<absl::StatusOr<controller::Result>> Run();

 private:
  // Nothing: go on with the next step.
  using Outcome = absl::StatusOr<std::optional<controller::Result>>;
  using AwaitableOutcome = runtime::Awaitable<Outcome>;

  Snapshot TakeSnapshot();
  AwaitableOutcome Do(Action action);

  AwaitableOutcome Place();
  AwaitableOutcome ReadOrder();
  AwaitableOutcome ReadAuthorizations();
  AwaitableOutcome CreateChallenges();
  AwaitableOutcome Finalize();
  AwaitableOutcome Download();
  AwaitableOutcome Poll();
  AwaitableOutcome Wait(absl::Time wake_at);
  AwaitableOutcome WaitForIssuer(absl::Time wake_at);
  AwaitableOutcome FailByCa(v1::OrderState state);
  AwaitableOutcome CleanUp();

  AwaitableOutcome HandleError(absl::Status error, Step step);
  AwaitableOutcome Fail(v1::OrderState state, std::string sentence, Failures failures);

  void TakeWaits(Snapshot& snapshot) const;
  const base::Clock& clock() const { return environment_.timers.clock(); }
  absl::Time Now() const { return clock().Now(); }
  const v1::Order& order() const { return record_.order(); }
  v1::OrderStatus& status() { return record_.status(); }
  bool HasExpired() const;
  // Whether the order was never read though there was time enough.
  bool IsUnreadable() const;
  controller::Result WakeAt(absl::Time when) const;

  const OrderEnvironment& environment_;
  OrderMemory& memory_;
  const runtime::Context context_;
  const std::string key_;
  OrderRecord record_;

  absl::StatusOr<std::shared_ptr<CertificateAuthority>> authority_;
  std::optional<acme::Order> ca_order_;
  std::map<std::string, Challenges::Shared> created_;  // by URL of the authorization
  std::vector<Challenges::Shared> challenges_;         // those of the last snapshot
  bool finalized_ = false;
  int refusals_ = 0;
};

}  // namespace certwright::order
