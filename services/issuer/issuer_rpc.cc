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

IssuerRpc::IssuerRpc(Stores& stores, Accounts& accounts, const rpc::CallEnvironment& calls)
    : Service("certwright.issuer.v1.IssuerService", calls),
      accounts_(accounts),
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
               stores.issuers, calls),
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
                       stores.cluster_issuers, calls) {
  AddMethods();
}

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

void IssuerRpc::AddMethods() {
  Unary<v1::CreateIssuerRequest>([this](rpc::CallContext call, const auto& request) {
    return issuers_.Create(std::move(call), request.issuer(),
                           &v1::CreateIssuerResponse::mutable_issuer);
  });
  Unary<v1::GetIssuerRequest>([this](rpc::CallContext call, const auto& request) {
    return issuers_.Get(std::move(call), request.namespace_(), request.name(),
                        &v1::GetIssuerResponse::mutable_issuer);
  });
  Unary<v1::ListIssuersRequest>([this](rpc::CallContext call, const auto& request) {
    return issuers_.List(std::move(call), request, &v1::ListIssuersResponse::add_issuers);
  });
  Unary<v1::UpdateIssuerRequest>([this](rpc::CallContext call, const auto& request) {
    return issuers_.Update(std::move(call), request.issuer(),
                           &v1::UpdateIssuerResponse::mutable_issuer);
  });
  Unary<v1::DeleteIssuerRequest>([this](rpc::CallContext call, const auto& request) {
    return issuers_.Delete<v1::DeleteIssuerResponse>(std::move(call), request.namespace_(),
                                                     request.name());
  });
  Watch<v1::WatchIssuersRequest>(
      [this](std::shared_ptr<rpc::WatchCall> watch, const auto& request) {
        issuers_.Watch(std::move(watch), request, &v1::WatchIssuersResponse::mutable_issuer);
      });
  Unary<v1::CreateClusterIssuerRequest>([this](rpc::CallContext call, const auto& request) {
    return cluster_issuers_.Create(std::move(call), request.cluster_issuer(),
                                   &v1::CreateClusterIssuerResponse::mutable_cluster_issuer);
  });
  Unary<v1::GetClusterIssuerRequest>([this](rpc::CallContext call, const auto& request) {
    return cluster_issuers_.Get(std::move(call), std::string(), request.name(),
                                &v1::GetClusterIssuerResponse::mutable_cluster_issuer);
  });
  Unary<v1::ListClusterIssuersRequest>([this](rpc::CallContext call, const auto& request) {
    return cluster_issuers_.List(std::move(call), request,
                                 &v1::ListClusterIssuersResponse::add_cluster_issuers);
  });
  Unary<v1::UpdateClusterIssuerRequest>([this](rpc::CallContext call, const auto& request) {
    return cluster_issuers_.Update(std::move(call), request.cluster_issuer(),
                                   &v1::UpdateClusterIssuerResponse::mutable_cluster_issuer);
  });
  Unary<v1::DeleteClusterIssuerRequest>([this](rpc::CallContext call, const auto& request) {
    return cluster_issuers_.Delete<v1::DeleteClusterIssuerResponse>(
        std::move(call), std::string(), request.name());
  });
  Watch<v1::WatchClusterIssuersRequest>(
      [this](std::shared_ptr<rpc::WatchCall> watch, const auto& request) {
        cluster_issuers_.Watch(std::move(watch), request,
                               &v1::WatchClusterIssuersResponse::mutable_cluster_issuer);
      });
  Unary<v1::ResolveSolverRequest>([this](rpc::CallContext call, const auto& request) {
    return Resolve(std::move(call), request);
  });
}

}  // namespace certwright::issuer_service
