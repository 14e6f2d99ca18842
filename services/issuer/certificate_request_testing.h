// CertificateRequestWorld: an order service that does as it is told, and what tests of
// CertificateRequestReconciler have in common.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "lib/pki/csr.h"
#include "lib/pki/test_ca.h"
#include "services/issuer/certificate_request_reconciler.h"
#include "services/issuer/issuer_testing.h"

namespace certwright::issuer_service {

class FakeOrders final : public Orders {
 public:
  std::shared_ptr<const order::v1::Order> Find(const std::string& key) const override {
    const auto it = known.find(key);
    return it == known.end() ? nullptr : it->second;
  }
  runtime::Awaitable<absl::StatusOr<order::v1::Order>> Create(runtime::Context,
                                                              order::v1::Order order) override {
    created.push_back(order);
    if (!error.ok()) co_return error;
    co_return order;
  }
  runtime::Awaitable<absl::Status> Delete(runtime::Context, std::string resource_namespace,
                                          std::string name) override {
    deleted.push_back(store::QueueKey(resource_namespace, name));
    co_return error;
  }

  absl::Status error;
  std::map<std::string, std::shared_ptr<const order::v1::Order>> known;
  std::vector<order::v1::Order> created;
  std::vector<std::string> deleted;
};

class CertificateRequestWorld : public IssuerWorld {
 protected:
  CertificateRequestWorld() {
    pki::CsrSpec csr;
    csr.subject.common_name = "a.example";
    csr.names.dns_names = {"a.example", "b.example"};
    csr.names.ip_addresses = {"192.0.2.1"};
    issuer::v1::CertificateRequest request;
    request.mutable_metadata()->set_namespace_("web");
    request.mutable_metadata()->set_name("site-1");
    (*request.mutable_metadata()->mutable_labels())["team"] = "x";
    request.mutable_spec()->set_request(*pki::CreateCsrPem(csr, key_));
    request.mutable_spec()->mutable_issuer_ref()->set_name("ca");
    request.mutable_spec()->mutable_duration()->set_seconds(3600);
    CW_EXPECT_OK(Await(stores_->requests.Create(Context(), request)));
  }

  void CreateIssuer(bool ready = true, bool enable_duration = false) {
    issuer::v1::Issuer issuer;
    issuer.mutable_metadata()->set_namespace_("web");
    issuer.mutable_metadata()->set_name("ca");
    issuer.mutable_spec()->mutable_acme()->set_server("https://ca.test/directory");
    issuer.mutable_spec()->mutable_acme()->set_profile("classic");
    issuer.mutable_spec()->mutable_acme()->set_enable_duration_feature(enable_duration);
    service::SetCondition(*issuer.mutable_status()->mutable_conditions(),
                          {"Ready", ready, "Registered", "no account yet"}, 1, clock_.Now());
    CW_ASSERT_OK(Await(stores_->issuers.Create(Context(), issuer)));
  }
  absl::StatusOr<controller::Result> TryPassFor(const std::string& name) {
    return Await(reconciler_.Reconcile(Context(), "web/" + name));
  }
  absl::Status TryPass() { return TryPassFor("site-1").status(); }
  issuer::v1::CertificateRequest Pass() {
    CW_EXPECT_OK(TryPass());
    return Request();
  }
  issuer::v1::CertificateRequest Request() { return Read(stores_->requests, "site-1"); }
  std::string Message() {
    const issuer::v1::CertificateRequest request = Request();
    const auto* ready = service::FindCondition(request.status().conditions(), "Ready");
    return ready == nullptr ? "" : ready->message();
  }
  // The Order as its service would report it; that of the first request, or of the nth one that
  // was ordered.
  void Report(order::v1::OrderStatus status, std::size_t nth = 0) {
    order::v1::Order order = orders_.created.at(nth);
    *order.mutable_status() = std::move(status);
    const std::string key = store::QueueKey("web", order.metadata().name());
    orders_.known[key] = std::make_shared<const order::v1::Order>(std::move(order));
  }
  order::v1::OrderStatus Valid(const std::vector<pki::Certificate>& chain) {
    order::v1::OrderStatus status;
    status.set_state(order::v1::ORDER_STATE_VALID);
    status.set_certificate(pki::ToPem(chain));
    return status;
  }
  std::vector<pki::Certificate> Chain() {
    return ca_.ChainFor(ca_.SignCsr(Request().spec().request()));
  }

  const pki::PrivateKey key_ = *pki::PrivateKey::Generate(pki::KeySpec());
  const pki::TestCa ca_ = pki::TestCa().MakeIntermediate();
  FakeOrders orders_;
  Accounts accounts_{Environment(), *stores_, "certwright"};
  CertificateRequestReconciler reconciler_{Environment(), *stores_, accounts_, orders_};
};

}  // namespace certwright::issuer_service
