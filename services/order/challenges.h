// Challenges: what an order needs of the solver service.
//
// Threading: safe from any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "certwright/solver/v1/challenge.pb.h"
#include "grpcpp/channel.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/service/environment.h"

namespace certwright::order {

class Challenges {
 public:
  using Shared = std::shared_ptr<const solver::v1::Challenge>;
  virtual ~Challenges() = default;

  // The challenge as last seen; null if there is none. `key` is "<namespace>/<name>".
  virtual Shared Find(const std::string& key) const = 0;
  // As stored; if there is one of that name already, that one.
  virtual runtime::Awaitable<absl::StatusOr<solver::v1::Challenge>> Create(
      runtime::Context context, solver::v1::Challenge challenge) = 0;
  // OK also if there is none.
  virtual runtime::Awaitable<absl::Status> Delete(runtime::Context context,
                                                  std::string resource_namespace,
                                                  std::string name) = 0;
};

// Those of the solver service, with a live copy of all of them.
class SolverChallenges : public Challenges {
 public:
  // `before` and `now` as for controller::Informer.
  using Changed = std::function<void(const Shared& before, const Shared& now)>;

  virtual void Start() = 0;
  virtual void Stop() = 0;
  virtual runtime::Awaitable<absl::Status> WaitForSync(runtime::Context context) = 0;
};

// `changed` is called on a thread of gRPC and must be quick. Stop() before destruction.
std::unique_ptr<SolverChallenges> MakeSolverChallenges(service::Environment environment,
                                                       std::shared_ptr<grpc::Channel> solver,
                                                       SolverChallenges::Changed changed);

}  // namespace certwright::order
