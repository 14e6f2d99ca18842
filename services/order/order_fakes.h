// Fakes of what an order deals with: a CA that behaves as RFC 8555 says, and the solver
// service. Both remember their calls, and fail when a test says so. Not thread-safe.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/acme/problem.h"
#include "lib/http/http_client.h"
#include "lib/pki/pem.h"
#include "lib/pki/test_ca.h"
#include "lib/store/resource_key.h"
#include "services/order/certificate_authority.h"
#include "services/order/challenges.h"

namespace certwright::order {

class FakeAuthority final : public CertificateAuthority {
 public:
  FakeAuthority() : ca_("Fake Root"), thumbprint_(std::string(43, 't')) {}

  // What the issuer is set to, and what the CA does; to be changed by tests.
  issuer::v1::AcmeIssuer settings;
  acme::Order order;
  std::map<std::string, acme::Authorization> authorizations;  // by URL
  std::vector<std::string> calls;
  std::vector<std::string> offered = {"http-01", "dns-01"};
  absl::Time expires = absl::FromUnixSeconds(1767323045) + absl::Hours(24 * 7);
  bool born_ready = false;
  // What it answers to NewOrder cannot be read but for the order's URL.
  bool garbles_new_orders = false;
  // How many polls a finalized order is "processing" for.
  int processing_polls = 1;
  std::optional<absl::Time> retry_at;
  std::vector<std::string> wrong_names;  // what is issued instead of what was ordered
  absl::Time not_before = pki::TestCertificateSpec().not_before;
  // What is done to the chain before it is handed out, if anything.
  std::function<void(std::vector<pki::Certificate>&)> rearrange;
  std::vector<std::string> alternate_urls;
  std::map<std::string, std::vector<pki::Certificate>> alternates;
  // Told of each call before it is answered.
  std::function<void(const std::string& call)> on_call = [](const std::string&) {};

  // The next call of that name fails, before it does anything; or does its work and fails.
  void FailNext(const std::string& call, absl::Status error) {
    failures_[call].push_back({std::move(error), false});
  }
  void LoseReplyOf(const std::string& call) {
    failures_[call].push_back(
        {http::MarkAsSent(absl::UnavailableError("connection reset")), true});
  }
  int Count(const std::string& call) const {
    return static_cast<int>(std::count(calls.begin(), calls.end(), call));
  }

  // The CA has validated what was to be proven.
  void Validate(const std::string& authorization_url) {
    authorizations[authorization_url].status = acme::AuthorizationStatus::kValid;
    Settle();
  }
  void Refuse(const std::string& authorization_url, const std::string& type,
              const std::string& detail) {
    acme::Authorization& authorization = authorizations[authorization_url];
    authorization.status = acme::AuthorizationStatus::kInvalid;
    authorization.challenges[0].status = acme::ChallengeStatus::kInvalid;
    acme::Problem problem;
    problem.type = absl::StrCat("urn:ietf:params:acme:error:", type);
    problem.detail = detail;
    authorization.challenges[0].error = problem;
    order.status = acme::OrderStatus::kInvalid;
  }

  const issuer::v1::AcmeIssuer& spec() const override { return settings; }
  const std::string& key_thumbprint() const override { return thumbprint_; }

  runtime::Awaitable<absl::StatusOr<acme::Order>> NewOrder(
      runtime::Context, acme::NewOrderRequest request) override {
    last_request = request;
    co_return Call<acme::Order>("NewOrder", [&]() -> absl::StatusOr<acme::Order> {
      Place(request);
      if (!garbles_new_orders) return order;
      acme::Order unread;
      unread.url = order.url;
      unread.identifiers = request.identifiers;
      return unread;
    });
  }

  runtime::Awaitable<absl::StatusOr<acme::Order>> GetOrder(runtime::Context,
                                                           std::string) override {
    co_return Call<acme::Order>("GetOrder", [&]() -> absl::StatusOr<acme::Order> {
      if (order.status == acme::OrderStatus::kProcessing && processing_polls-- <= 0) {
        order.status = acme::OrderStatus::kValid;
        order.certificate = "https://ca.test/cert/1";
      }
      acme::Order shown = order;
      shown.retry_at = retry_at;
      return shown;
    });
  }

  runtime::Awaitable<absl::StatusOr<acme::Order>> Finalize(runtime::Context, std::string,
                                                           std::string,
                                                           std::string csr_der) override {
    co_return Call<acme::Order>("Finalize", [&]() -> absl::StatusOr<acme::Order> {
      if (order.status != acme::OrderStatus::kReady) return NotReady();
      csr_pem_ = pki::EncodePem("CERTIFICATE REQUEST", csr_der);
      order.status = acme::OrderStatus::kProcessing;
      if (processing_polls == 0) {
        order.status = acme::OrderStatus::kValid;
        order.certificate = "https://ca.test/cert/1";
      }
      --processing_polls;
      return order;
    });
  }

  runtime::Awaitable<absl::StatusOr<acme::Authorization>> GetAuthorization(
      runtime::Context, std::string url) override {
    co_return Call<acme::Authorization>(
        "GetAuthorization",
        [&]() -> absl::StatusOr<acme::Authorization> { return authorizations[url]; });
  }

  runtime::Awaitable<absl::StatusOr<acme::Authorization>> DeactivateAuthorization(
      runtime::Context, std::string url) override {
    deactivated.push_back(url);
    co_return Call<acme::Authorization>(
        "DeactivateAuthorization",
        [&]() -> absl::StatusOr<acme::Authorization> { return authorizations[url]; });
  }

  runtime::Awaitable<absl::StatusOr<acme::CertificateChain>> DownloadCertificate(
      runtime::Context, std::string) override {
    co_return Call<acme::CertificateChain>("DownloadCertificate",
                                           [&]() -> absl::StatusOr<acme::CertificateChain> {
                                             acme::CertificateChain chain;
                                             chain.certificates = ca_.ChainFor(Issue());
                                             if (rearrange) rearrange(chain.certificates);
                                             chain.alternate_urls = alternate_urls;
                                             return chain;
                                           });
  }

  runtime::Awaitable<absl::StatusOr<acme::CertificateChain>> DownloadAlternate(
      runtime::Context, std::string url) override {
    co_return Call<acme::CertificateChain>("DownloadAlternate",
                                           [&]() -> absl::StatusOr<acme::CertificateChain> {
                                             if (alternates.count(url) == 0)
                                               return absl::NotFoundError("no such chain");
                                             acme::CertificateChain chain;
                                             chain.certificates = alternates[url];
                                             return chain;
                                           });
  }

  static absl::Status NotReady() {
    acme::Problem problem;
    problem.type = "urn:ietf:params:acme:error:orderNotReady";
    problem.detail = "the order is not ready";
    return acme::ProblemStatus(403, problem, std::nullopt, absl::UnixEpoch());
  }
  static absl::Status Problem(int http_status, const std::string& type,
                              const std::string& detail,
                              std::optional<absl::Time> retry_at = std::nullopt) {
    acme::Problem problem;
    problem.type = absl::StrCat("urn:ietf:params:acme:error:", type);
    problem.detail = detail;
    return acme::ProblemStatus(http_status, problem, retry_at, absl::UnixEpoch());
  }

  acme::NewOrderRequest last_request;
  std::vector<std::string> deactivated;

  // The leaf for the request that was sent, with the names that were ordered.
  pki::Certificate Issue() const { return IssueBy(ca_); }
  pki::Certificate IssueBy(const pki::TestCa& ca) const {
    pki::TestCertificateSpec spec;
    spec.not_before = not_before;
    for (const acme::Identifier& identifier : order.identifiers) {
      (identifier.type == "ip" ? spec.names.ip_addresses : spec.names.dns_names)
          .push_back(identifier.value);
    }
    if (!wrong_names.empty()) {
      spec.names.dns_names = wrong_names;
      return ca.Sign(pki::ParseCsrPem(csr_pem_)->public_key, spec);
    }
    return ca.SignCsr(csr_pem_, spec);
  }

 private:
  struct Failure {
    absl::Status error;
    bool after;
  };

  template <typename T, typename Work>
  absl::StatusOr<T> Call(const std::string& name, Work work) {
    calls.push_back(name);
    on_call(name);
    std::deque<Failure>& failures = failures_[name];
    if (failures.empty()) return work();
    const Failure failure = failures.front();
    failures.pop_front();
    if (failure.after) work().IgnoreError();
    return failure.error;
  }

  void Place(const acme::NewOrderRequest& request) {
    const bool repeated = !order.url.empty() && (order.status == acme::OrderStatus::kPending ||
                                                 order.status == acme::OrderStatus::kReady);
    if (repeated && order.identifiers == request.identifiers) return;
    order = acme::Order();
    authorizations.clear();
    order.url = absl::StrCat("https://ca.test/order/", ++placed_);
    order.finalize = order.url + "/finalize";
    order.identifiers = request.identifiers;
    order.expires = expires;
    for (const acme::Identifier& identifier : request.identifiers) {
      AddAuthorization(identifier);
    }
    Settle();
  }

  void AddAuthorization(const acme::Identifier& identifier) {
    acme::Authorization authorization;
    authorization.url = absl::StrCat("https://ca.test/authz/", ++authorized_);
    authorization.identifier = identifier;
    authorization.wildcard = absl::StartsWith(identifier.value, "*.");
    authorization.identifier.value = std::string(absl::StripPrefix(identifier.value, "*."));
    if (born_ready) authorization.status = acme::AuthorizationStatus::kValid;
    for (const std::string& type : offered) {
      if (authorization.wildcard && type != "dns-01") continue;
      acme::Challenge challenge;
      challenge.type = type;
      challenge.url = absl::StrCat(authorization.url, "/", type);
      challenge.token = absl::StrCat("token-of-more-than-22-characters-", authorized_);
      authorization.challenges.push_back(std::move(challenge));
    }
    order.authorizations.push_back(authorization.url);
    authorizations.emplace(authorization.url, std::move(authorization));
  }

  // A pending order whose names are all proven is ready.
  void Settle() {
    if (order.status != acme::OrderStatus::kPending) return;
    for (const auto& [url, authorization] : authorizations) {
      if (authorization.status != acme::AuthorizationStatus::kValid) return;
    }
    order.status = acme::OrderStatus::kReady;
  }

  const pki::TestCa ca_;
  const std::string thumbprint_;
  std::map<std::string, std::deque<Failure>> failures_;
  std::string csr_pem_;
  int placed_ = 0;
  int authorized_ = 0;
};

class FakeAuthorities final : public CertificateAuthorities {
 public:
  explicit FakeAuthorities(std::shared_ptr<FakeAuthority> authority)
      : authority_(std::move(authority)) {}

  absl::Status unavailable;  // OK: there is one

  absl::StatusOr<std::shared_ptr<CertificateAuthority>> Find(const meta::v1::IssuerRef&,
                                                             const std::string&) override {
    if (!unavailable.ok()) return unavailable;
    return std::shared_ptr<CertificateAuthority>(authority_);
  }

 private:
  const std::shared_ptr<FakeAuthority> authority_;
};

class FakeChallenges final : public Challenges {
 public:
  std::map<std::string, Shared> challenges;  // by "<namespace>/<name>"
  std::vector<std::string> deleted;
  int creations = 0;
  absl::Status create_error;
  absl::Status delete_error;

  void Set(const std::string& dns_name, solver::v1::ChallengeState state,
           const std::string& reason = "", const std::string& error_type = "") {
    for (auto& [key, challenge] : challenges) {
      if (challenge->spec().dns_name() != dns_name) continue;
      auto changed = std::make_shared<solver::v1::Challenge>(*challenge);
      changed->mutable_status()->set_state(state);
      changed->mutable_status()->set_reason(reason);
      changed->mutable_status()->set_error_type(error_type);
      challenge = std::move(changed);
    }
  }

  Shared Find(const std::string& key) const override {
    auto it = challenges.find(key);
    return it == challenges.end() ? nullptr : it->second;
  }

  runtime::Awaitable<absl::StatusOr<solver::v1::Challenge>> Create(
      runtime::Context, solver::v1::Challenge challenge) override {
    ++creations;
    if (!create_error.ok()) co_return create_error;
    const std::string key =
        store::QueueKey(challenge.metadata().namespace_(), challenge.metadata().name());
    Shared& stored = challenges[key];
    if (stored == nullptr) stored = std::make_shared<solver::v1::Challenge>(challenge);
    co_return *stored;
  }

  runtime::Awaitable<absl::Status> Delete(runtime::Context, std::string resource_namespace,
                                          std::string name) override {
    if (!delete_error.ok()) co_return delete_error;
    const std::string key = store::QueueKey(resource_namespace, name);
    if (challenges.erase(key) > 0) deleted.push_back(key);
    co_return absl::OkStatus();
  }
};

}  // namespace certwright::order
