#include "services/solver/solver_configs.h"

#include "certwright/issuer/v1/issuer.grpc.pb.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/client_call.h"
#include "lib/service/issuer_ref.h"

namespace certwright::solver {
namespace {

using runtime::Awaitable;
using runtime::Context;
using Stub = issuer::v1::IssuerService::StubInterface;

Awaitable<absl::StatusOr<issuer::v1::ResolveSolverResponse>> Call(
    Context context, std::shared_ptr<Stub> stub, issuer::v1::ResolveSolverRequest request) {
  auto response =
      co_await rpc::CallUnary(context.Within(CachedSolverConfigs::kCallTimeout), stub->async(),
                              &Stub::async_interface::ResolveSolver, std::move(request));
  co_return response;
}

std::shared_ptr<const SolverConfig> ToConfig(issuer::v1::ResolveSolverResponse response) {
  auto config = std::make_shared<SolverConfig>();
  config->solver = std::move(*response.mutable_solver());
  for (issuer::v1::Credential& credential : *response.mutable_credentials()) {
    config->credentials[{credential.ref().name(), credential.ref().key()}] =
        base::Secret(std::move(*credential.mutable_value()));
  }
  return config;
}

}  // namespace

const base::Secret* SolverConfig::Find(const meta::v1::SecretKeyRef& ref) const {
  auto it = credentials.find({ref.name(), ref.key()});
  return it == credentials.end() ? nullptr : &it->second;
}

Awaitable<absl::StatusOr<std::shared_ptr<const SolverConfig>>> CachedSolverConfigs::Resolve(
    Context context, SolverName name) {
  const Key key(service::IssuerKey(name.issuer_ref, name.resource_namespace), name.solver_name);
  uint64_t generation = 0;
  {
    base::MutexLock lock(mutex_);
    generation = generation_;
    auto it = entries_.find(key);
    if (it != entries_.end() && clock_.MonotonicNow() < it->second.until) {
      co_return it->second.config;
    }
  }
  issuer::v1::ResolveSolverRequest request;
  *request.mutable_issuer_ref() = name.issuer_ref;
  request.set_namespace_(name.resource_namespace);
  request.set_solver_name(name.solver_name);
  CW_CO_ASSIGN_OR_RETURN(issuer::v1::ResolveSolverResponse response,
                         co_await fetch_(context, std::move(request)));
  std::shared_ptr<const SolverConfig> config = ToConfig(std::move(response));
  base::MutexLock lock(mutex_);
  std::erase_if(entries_, [now = clock_.MonotonicNow()](const auto& entry) {
    return entry.second.until <= now;
  });
  if (generation == generation_) {
    entries_[key] = Entry{config, clock_.MonotonicNow() + kLifetime};
  }
  co_return config;
}

void CachedSolverConfigs::Forget(const std::string& issuer) {
  base::MutexLock lock(mutex_);
  ++generation_;
  std::erase_if(entries_, [&](const auto& entry) { return entry.first.first == issuer; });
}

CachedSolverConfigs::Fetch FetchFrom(std::shared_ptr<grpc::Channel> channel) {
  std::shared_ptr<Stub> stub = issuer::v1::IssuerService::NewStub(std::move(channel));
  return [stub = std::move(stub)](Context context, issuer::v1::ResolveSolverRequest request) {
    return Call(std::move(context), stub, std::move(request));
  };
}

}  // namespace certwright::solver
