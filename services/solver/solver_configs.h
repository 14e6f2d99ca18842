// SolverConfigs: the configuration of issuers' solvers with the credentials they need, from
// IssuerService.ResolveSolver. What was resolved is used again for a short while, and whoever
// asks for what is being resolved waits for that, so that the challenges of one order cost one
// call; it is in memory only, and wiped when dropped.
//
// Threading: safe from any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "certwright/meta/v1/meta.pb.h"
#include "grpcpp/channel.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"
#include "lib/base/secret.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/event.h"
#include "lib/runtime/timers.h"

namespace certwright::solver {

// One solver as its issuer has it. Immutable.
struct SolverConfig {
  issuer::v1::AcmeSolver solver;
  // The values that the solver's references point to, by name and key.
  std::map<std::pair<std::string, std::string>, base::Secret> credentials;

  // Null if the issuer service did not send that value.
  const base::Secret* Find(const meta::v1::SecretKeyRef& ref) const;
};

struct SolverName {
  meta::v1::IssuerRef issuer_ref;
  // Namespace of the challenge.
  std::string resource_namespace;
  std::string solver_name;
};

class SolverConfigs {
 public:
  virtual ~SolverConfigs() = default;
  // NOT_FOUND if the issuer, the solver or a Secret is missing.
  virtual runtime::Awaitable<absl::StatusOr<std::shared_ptr<const SolverConfig>>> Resolve(
      runtime::Context context, SolverName name) = 0;
};

class CachedSolverConfigs final : public SolverConfigs {
 public:
  static constexpr absl::Duration kLifetime = absl::Seconds(30);
  static constexpr absl::Duration kCallTimeout = absl::Seconds(10);
  // One call of ResolveSolver.
  using Fetch =
      std::function<runtime::Awaitable<absl::StatusOr<issuer::v1::ResolveSolverResponse>>(
          runtime::Context context, issuer::v1::ResolveSolverRequest)>;

  // `timers` must outlive this.
  CachedSolverConfigs(runtime::Timers& timers, Fetch fetch)
      : timers_(timers), fetch_(std::move(fetch)) {}

  runtime::Awaitable<absl::StatusOr<std::shared_ptr<const SolverConfig>>> Resolve(
      runtime::Context context, SolverName name) override;

  // Drops what is known of an issuer, as service::IssuerKey() calls it; an answer that is on
  // its way is not kept, and only for those who wait for it already.
  void Forget(const std::string& issuer);

 private:
  using Answer = absl::StatusOr<std::shared_ptr<const SolverConfig>>;
  // Issuer, solver.
  using Key = std::pair<std::string, std::string>;
  // A call under way, for all who want its answer. That is read once `ended` is set.
  struct Flight {
    runtime::Event ended;
    Answer answer;
    // Whoever made the call went away before the answer came: it says nothing to the others.
    bool abandoned = false;
  };
  struct Entry {
    std::shared_ptr<const SolverConfig> config;
    base::MonotonicTime until;
  };

  runtime::Awaitable<Answer> Fly(runtime::Context context, Key key, SolverName name,
                                 std::shared_ptr<Flight> flight);

  runtime::Timers& timers_;
  const Fetch fetch_;
  base::Mutex mutex_;
  std::map<Key, Entry> entries_ CW_GUARDED_BY(mutex_);
  std::map<Key, std::shared_ptr<Flight>> flights_ CW_GUARDED_BY(mutex_);
};

// Calls the issuer service at `channel`.
CachedSolverConfigs::Fetch FetchFrom(std::shared_ptr<grpc::Channel> channel);

}  // namespace certwright::solver
