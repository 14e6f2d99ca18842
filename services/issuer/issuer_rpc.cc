#include "services/issuer/issuer_rpc.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dns/rfc2136.h"
#include "lib/rpc/status.h"
#include "lib/service/issuer_ref.h"
#include "services/issuer/issuer_validation.h"

namespace certwright::issuer_service {

namespace v1 = issuer::v1;

IssuerRpc::IssuerRpc(service::Environment environment, Stores& stores, Accounts& accounts,
                     const rpc::HandlerEnvironment& handlers, rpc::WatchHub& hub)
    : accounts_(accounts),
      handlers_(handlers),
      issuers_({.kind = "Issuer",
                .validate =
                    [](v1::Issuer& issuer, rpc::Violations& violations) {
                      ValidateIssuerSpec(issuer.metadata().name(), *issuer.mutable_spec(),
                                         violations);
                    },
                .check =
                    [this](runtime::Context context, const v1::Issuer& issuer) {
                      meta::v1::IssuerRef ref;
                      ref.set_kind(meta::v1::ISSUER_KIND_ISSUER);
                      return Check(std::move(context), std::move(ref),
                                   issuer.metadata().namespace_(), issuer.spec());
                    }},
               stores.issuers, environment.executor, environment.timers, hub),
      cluster_issuers_({.kind = "ClusterIssuer",
                        .cluster = true,
                        .validate =
                            [](v1::ClusterIssuer& issuer, rpc::Violations& violations) {
                              ValidateIssuerSpec(issuer.metadata().name(),
                                                 *issuer.mutable_spec(), violations);
                            },
                        .check =
                            [this](runtime::Context context, const v1::ClusterIssuer& issuer) {
                              meta::v1::IssuerRef ref;
                              ref.set_kind(meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
                              return Check(std::move(context), std::move(ref), "",
                                           issuer.spec());
                            }},
                       stores.cluster_issuers, environment.executor, environment.timers, hub) {}

runtime::Awaitable<absl::Status> IssuerRpc::Check(runtime::Context context,
                                                  meta::v1::IssuerRef ref,
                                                  std::string resource_namespace,
                                                  v1::IssuerSpec spec) {
  CW_CO_RETURN_IF_ERROR(CheckIssuerIsServed(spec));
  rpc::Violations violations;
  for (int i = 0; i < spec.acme().solvers_size(); ++i) {
    for (const meta::v1::SecretKeyRef& secret_ref : SecretRefsOf(spec.acme().solvers(i))) {
      const absl::StatusOr<base::Secret> secret = co_await accounts_.ReadSecret(
          context, accounts_.SecretNamespace(ref, resource_namespace), secret_ref);
      // A Secret may come later.
      if (!secret.ok()) continue;
      const auto parsed = dns::ParseTsigSecret(secret->Reveal());
      if (!parsed.ok()) {
        violations.Add(absl::StrCat(rpc::Indexed("spec.acme.solvers", i),
                                    ".dns01.rfc2136.tsigSecretSecretRef"),
                       parsed.status().message());
      }
    }
  }
  co_return violations.ToStatus();
}

runtime::Awaitable<absl::StatusOr<v1::ResolveSolverResponse>> IssuerRpc::Resolve(
    rpc::CallContext call, v1::ResolveSolverRequest request) {
  if (request.namespace_().empty()) request.set_namespace_(service::kDefaultNamespace);
  CW_CO_ASSIGN_OR_RETURN(
      const AnyIssuer issuer,
      co_await accounts_.FindIssuer(call.context, request.issuer_ref(), request.namespace_()));
  for (const v1::AcmeSolver& solver : issuer.spec.acme().solvers()) {
    if (solver.name() != request.solver_name()) continue;
    v1::ResolveSolverResponse response;
    *response.mutable_solver() = solver;
    const std::string secret_namespace =
        accounts_.SecretNamespace(issuer.ref, issuer.metadata.namespace_());
    for (const meta::v1::SecretKeyRef& ref : SecretRefsOf(solver)) {
      CW_CO_ASSIGN_OR_RETURN(
          const base::Secret secret,
          co_await accounts_.ReadSecret(call.context, secret_namespace, ref));
      v1::Credential& credential = *response.add_credentials();
      *credential.mutable_ref() = ref;
      credential.set_value(std::string(secret.Reveal()));
    }
    co_return response;
  }
  co_return absl::NotFoundError(
      absl::StrCat(service::IssuerKey(request.issuer_ref(), request.namespace_()),
                   " has no solver ", request.solver_name()));
}

grpc::ServerUnaryReactor* IssuerRpc::CreateIssuer(grpc::CallbackServerContext* context,
                                                  const v1::CreateIssuerRequest* request,
                                                  v1::CreateIssuerResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "CreateIssuer", request, response,
      [this](rpc::CallContext call, const v1::CreateIssuerRequest& request) {
        return issuers_.Create(std::move(call), request.issuer(),
                               &v1::CreateIssuerResponse::mutable_issuer);
      });
}

grpc::ServerUnaryReactor* IssuerRpc::GetIssuer(grpc::CallbackServerContext* context,
                                               const v1::GetIssuerRequest* request,
                                               v1::GetIssuerResponse* response) {
  return rpc::HandleUnary(handlers_, context, "GetIssuer", request, response,
                          [this](rpc::CallContext call, const v1::GetIssuerRequest& request) {
                            return issuers_.Get(std::move(call), request.namespace_(),
                                                request.name(),
                                                &v1::GetIssuerResponse::mutable_issuer);
                          });
}

grpc::ServerUnaryReactor* IssuerRpc::ListIssuers(grpc::CallbackServerContext* context,
                                                 const v1::ListIssuersRequest* request,
                                                 v1::ListIssuersResponse* response) {
  return rpc::HandleUnary(handlers_, context, "ListIssuers", request, response,
                          [this](rpc::CallContext call, const v1::ListIssuersRequest& request) {
                            return issuers_.List(std::move(call), request,
                                                 &v1::ListIssuersResponse::add_issuers);
                          });
}

grpc::ServerUnaryReactor* IssuerRpc::UpdateIssuer(grpc::CallbackServerContext* context,
                                                  const v1::UpdateIssuerRequest* request,
                                                  v1::UpdateIssuerResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "UpdateIssuer", request, response,
      [this](rpc::CallContext call, const v1::UpdateIssuerRequest& request) {
        return issuers_.Update(std::move(call), request.issuer(),
                               &v1::UpdateIssuerResponse::mutable_issuer);
      });
}

grpc::ServerUnaryReactor* IssuerRpc::DeleteIssuer(grpc::CallbackServerContext* context,
                                                  const v1::DeleteIssuerRequest* request,
                                                  v1::DeleteIssuerResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "DeleteIssuer", request, response,
      [this](rpc::CallContext call, const v1::DeleteIssuerRequest& request) {
        return issuers_.Delete<v1::DeleteIssuerResponse>(std::move(call), request.namespace_(),
                                                         request.name());
      });
}

grpc::ServerWriteReactor<v1::WatchIssuersResponse>* IssuerRpc::WatchIssuers(
    grpc::CallbackServerContext* context, const v1::WatchIssuersRequest* request) {
  return issuers_.Watch(rpc::Admit(handlers_, *context, *request), *request,
                        &v1::WatchIssuersResponse::mutable_issuer);
}

grpc::ServerUnaryReactor* IssuerRpc::CreateClusterIssuer(
    grpc::CallbackServerContext* context, const v1::CreateClusterIssuerRequest* request,
    v1::CreateClusterIssuerResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "CreateClusterIssuer", request, response,
      [this](rpc::CallContext call, const v1::CreateClusterIssuerRequest& request) {
        return cluster_issuers_.Create(
            std::move(call), request.cluster_issuer(),
            &v1::CreateClusterIssuerResponse::mutable_cluster_issuer);
      });
}

grpc::ServerUnaryReactor* IssuerRpc::GetClusterIssuer(
    grpc::CallbackServerContext* context, const v1::GetClusterIssuerRequest* request,
    v1::GetClusterIssuerResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "GetClusterIssuer", request, response,
      [this](rpc::CallContext call, const v1::GetClusterIssuerRequest& request) {
        return cluster_issuers_.Get(std::move(call), std::string(), request.name(),
                                    &v1::GetClusterIssuerResponse::mutable_cluster_issuer);
      });
}

grpc::ServerUnaryReactor* IssuerRpc::ListClusterIssuers(
    grpc::CallbackServerContext* context, const v1::ListClusterIssuersRequest* request,
    v1::ListClusterIssuersResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "ListClusterIssuers", request, response,
      [this](rpc::CallContext call, const v1::ListClusterIssuersRequest& request) {
        return cluster_issuers_.List(std::move(call), request,
                                     &v1::ListClusterIssuersResponse::add_cluster_issuers);
      });
}

grpc::ServerUnaryReactor* IssuerRpc::UpdateClusterIssuer(
    grpc::CallbackServerContext* context, const v1::UpdateClusterIssuerRequest* request,
    v1::UpdateClusterIssuerResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "UpdateClusterIssuer", request, response,
      [this](rpc::CallContext call, const v1::UpdateClusterIssuerRequest& request) {
        return cluster_issuers_.Update(
            std::move(call), request.cluster_issuer(),
            &v1::UpdateClusterIssuerResponse::mutable_cluster_issuer);
      });
}

grpc::ServerUnaryReactor* IssuerRpc::DeleteClusterIssuer(
    grpc::CallbackServerContext* context, const v1::DeleteClusterIssuerRequest* request,
    v1::DeleteClusterIssuerResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "DeleteClusterIssuer", request, response,
      [this](rpc::CallContext call, const v1::DeleteClusterIssuerRequest& request) {
        return cluster_issuers_.Delete<v1::DeleteClusterIssuerResponse>(
            std::move(call), std::string(), request.name());
      });
}

grpc::ServerWriteReactor<v1::WatchClusterIssuersResponse>* IssuerRpc::WatchClusterIssuers(
    grpc::CallbackServerContext* context, const v1::WatchClusterIssuersRequest* request) {
  return cluster_issuers_.Watch(rpc::Admit(handlers_, *context, *request), *request,
                                &v1::WatchClusterIssuersResponse::mutable_cluster_issuer);
}

grpc::ServerUnaryReactor* IssuerRpc::ResolveSolver(grpc::CallbackServerContext* context,
                                                   const v1::ResolveSolverRequest* request,
                                                   v1::ResolveSolverResponse* response) {
  return rpc::HandleUnary(
      handlers_, context, "ResolveSolver", request, response,
      [this](rpc::CallContext call, const v1::ResolveSolverRequest& request) {
        return Resolve(std::move(call), request);
      });
}

}  // namespace certwright::issuer_service
