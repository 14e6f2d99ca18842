// CertificateRequestReconciler: takes an approved request to the order service and brings the
// certificate back, or has it signed here where the issuer is no ACME issuer.
//
// The Order's name is derived from the request's uid, so that a repeated CreateOrder finds the
// Order that an earlier one has made.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "certwright/order/v1/order.grpc.pb.h"
#include "lib/controller/controller.h"
#include "lib/controller/informer.h"
#include "lib/service/environment.h"
#include "services/issuer/accounts.h"
#include "services/issuer/approval_policy.h"
#include "services/issuer/kinds.h"
#include "services/issuer/order_admission.h"
#include "services/issuer/signing_issuers.h"

namespace certwright::issuer_service {

// What is needed of the order service.
class Orders {
 public:
  virtual ~Orders() = default;
  // The Order as last seen; null if none is known, which does not mean that there is none.
  virtual std::shared_ptr<const order::v1::Order> Find(const std::string& key) const = 0;
  // The Order, also if it existed already.
  virtual runtime::Awaitable<absl::StatusOr<order::v1::Order>> Create(
      runtime::Context context, order::v1::Order order) = 0;
  // OK if there is none.
  virtual runtime::Awaitable<absl::Status> Delete(runtime::Context context,
                                                  std::string resource_namespace,
                                                  std::string name) = 0;
};

class GrpcOrders final : public Orders {
 public:
  using Cache = controller::Informer<order::v1::Order>;
  // All must outlive this.
  GrpcOrders(order::v1::OrderService::StubInterface& stub, Cache& cache)
      : stub_(stub), cache_(cache) {}

  std::shared_ptr<const order::v1::Order> Find(const std::string& key) const override {
    return cache_.Get(key);
  }
  runtime::Awaitable<absl::StatusOr<order::v1::Order>> Create(runtime::Context context,
                                                              order::v1::Order order) override;
  runtime::Awaitable<absl::Status> Delete(runtime::Context context,
                                          std::string resource_namespace,
                                          std::string name) override;

 private:
  order::v1::OrderService::StubInterface& stub_;
  Cache& cache_;
};

// Keys are "<namespace>/<name>".
class CertificateRequestReconciler final : public controller::Reconciler {
 public:
  // `wake` is told of requests that waited for a rate limit and may go on.
  CertificateRequestReconciler(service::Environment environment, Stores& stores,
                               Accounts& accounts, Orders& orders,
                               ApprovalPolicy approval_policy = {},
                               std::function<void(const std::string& key)> wake = nullptr)
      : environment_(environment),
        stores_(stores),
        accounts_(accounts),
        orders_(orders),
        admission_(environment, stores, std::move(wake)),
        signing_(environment, stores, accounts),
        approval_policy_(std::move(approval_policy)) {}

  runtime::Awaitable<absl::StatusOr<controller::Result>> Reconcile(runtime::Context context,
                                                                   std::string key) override;

  // The Order that serves a request.
  static std::string OrderName(const issuer::v1::CertificateRequest& request);
  // Whether no pass will change it any more.
  static bool IsFinal(const issuer::v1::CertificateRequest& request);
  static bool IsFinal(const order::v1::Order& order);
  // Whether a change of a request is one to look at: its status, apart from the approval, is
  // what this reconciler wrote. `before` is null for one that is new, `now` for one deleted.
  static bool NeedsPass(const issuer::v1::CertificateRequest* before,
                        const issuer::v1::CertificateRequest* now);

 private:
  using Request = issuer::v1::CertificateRequest;

  runtime::Awaitable<absl::Status> Advance(runtime::Context context, Request& request);
  // Has the policy judge a request that nobody has judged yet.
  void ApplyApprovalPolicy(Request& request) const;
  runtime::Awaitable<absl::StatusOr<std::shared_ptr<const order::v1::Order>>> FindOrCreateOrder(
      runtime::Context context, const Request& request, const AnyIssuer& issuer);
  runtime::Awaitable<absl::Status> SignLocally(runtime::Context context, Request& request,
                                               AnyIssuer issuer);
  // Whether the order may be placed now, as far as the limits of its CA go. Else the request
  // says until when it waits.
  runtime::Awaitable<absl::StatusOr<bool>> TakeTurn(runtime::Context context, Request& request,
                                                    const AnyIssuer& issuer);
  // Brings over what the order has come to, and what that tells about the CA's limits.
  runtime::Awaitable<absl::Status> FollowOrder(runtime::Context context, Request& request,
                                               const order::v1::Order& order,
                                               const AnyIssuer& issuer);
  runtime::Awaitable<absl::Status> CleanUp(runtime::Context context, Request request);
  void Follow(const order::v1::Order& order, Request& request) const;
  // `certificate` is the chain; `ca` is empty where only that can tell it.
  void Accept(const std::string& certificate, const std::string& ca, Request& request) const;
  void SetRateLimited(Request& request, std::string reason, std::string message) const;
  void SetReady(Request& request, bool ready, std::string reason, std::string message) const;
  void Fail(Request& request, std::string message) const;

  const service::Environment environment_;
  Stores& stores_;
  Accounts& accounts_;
  Orders& orders_;
  OrderAdmission admission_;
  SigningIssuers signing_;
  const ApprovalPolicy approval_policy_;
};

}  // namespace certwright::issuer_service
