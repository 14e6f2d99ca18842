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
  while (true) {
    std::shared_ptr<Flight> flight;
    bool is_mine = false;
    {
      base::MutexLock lock(mutex_);
      auto it = entries_.find(key);
      if (it != entries_.end() && timers_.clock().MonotonicNow() < it->second.until) {
        co_return it->second.config;
      }
      std::shared_ptr<Flight>& present = flights_[key];
      is_mine = present == nullptr;
      if (is_mine) present = std::make_shared<Flight>();
      flight = present;
    }
    if (is_mine) co_return co_await Fly(context, key, std::move(name), std::move(flight));
    CW_CO_RETURN_IF_ERROR(co_await flight->ended.Wait(timers_, context));
    if (!flight->abandoned) co_return flight->answer;
  }
}

Awaitable<CachedSolverConfigs::Answer> CachedSolverConfigs::Fly(
    Context context, Key key, SolverName name, std::shared_ptr<Flight> flight) {
  issuer::v1::ResolveSolverRequest request;
  *request.mutable_issuer_ref() = name.issuer_ref;
  request.set_namespace_(name.resource_namespace);
  request.set_solver_name(name.solver_name);
  absl::StatusOr<issuer::v1::ResolveSolverResponse> response =
      co_await fetch_(context, std::move(request));
  if (response.ok()) {
    flight->answer = ToConfig(*std::move(response));
  } else {
    flight->answer = response.status();
    flight->abandoned = !context.Check().ok();
  }
  {
    base::MutexLock lock(mutex_);
    const base::MonotonicTime now = timers_.clock().MonotonicNow();
    std::erase_if(entries_, [now](const auto& entry) { return entry.second.until <= now; });
    auto it = flights_.find(key);
    // Another one after Forget().
    if (it != flights_.end() && it->second == flight) {
      flights_.erase(it);
      if (flight->answer.ok()) entries_[key] = Entry{*flight->answer, now + kLifetime};
    }
  }
  flight->ended.Set();
  co_return flight->answer;
}

void CachedSolverConfigs::Forget(const std::string& issuer) {
  const auto is_of_issuer = [&](const auto& entry) { return entry.first.first == issuer; };
  base::MutexLock lock(mutex_);
  std::erase_if(entries_, is_of_issuer);
  std::erase_if(flights_, is_of_issuer);
}

CachedSolverConfigs::Fetch FetchFrom(std::shared_ptr<grpc::Channel> channel) {
  std::shared_ptr<Stub> stub = issuer::v1::IssuerService::NewStub(std::move(channel));
  return [stub = std::move(stub)](Context context, issuer::v1::ResolveSolverRequest request) {
    return Call(std::move(context), stub, std::move(request));
  };
}

}  // namespace certwright::solver
