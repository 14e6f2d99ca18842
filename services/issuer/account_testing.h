// AccountWorld: IssuerWorld with a CA that keeps accounts, for tests of what is done to them.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "boost/json/parse.hpp"
#include "boost/json/value.hpp"
#include "lib/acme/fake_ca.h"
#include "lib/base/base64.h"
#include "lib/pki/jose.h"
#include "services/issuer/accounts.h"
#include "services/issuer/issuer_reconciler.h"
#include "services/issuer/issuer_testing.h"

namespace certwright::issuer_service {

// FakeCa with newAccount, keyChange and one account per key.
class AccountsCa : public acme::FakeCa {
 public:
  AccountsCa() {
    OnPost("/new-account", {[this](const acme::SentJws& jws) { return NewAccount(jws); }});
    OnPost("/key-change", {[this](const acme::SentJws& jws) { return KeyChange(jws); }});
    OnPost("/account/1", {[this](const acme::SentJws& jws) { return Account(jws); }});
  }

  // The keys of accounts, as JWK; the first is that of account 1.
  std::vector<boost::json::value> keys;
  std::string status = "valid";
  // The next requests to these paths get these answers instead, after the CA has done what it
  // was asked for if `done`.
  struct Fault {
    acme::FakeAnswer answer;
    bool done = false;
  };
  std::map<std::string, std::vector<Fault>> faults;

  static boost::json::value JwkOf(const pki::PrivateKey& key) {
    return boost::json::parse(pki::JwkJson(key.public_key()));
  }

 private:
  using Answer = absl::StatusOr<http::HttpResponse>;

  // `answer`, unless the path has a fault.
  template <typename Work>
  Answer Respond(const std::string& path, const acme::SentJws& jws, Work work) {
    std::vector<Fault>& planned = faults[path];
    if (planned.empty()) return work()(jws);
    const Fault fault = planned.front();
    planned.erase(planned.begin());
    if (fault.done) work();
    return fault.answer(jws);
  }

  Answer NewAccount(const acme::SentJws& jws) {
    return Respond("/new-account", jws, [&]() -> acme::FakeAnswer {
      const boost::json::value& jwk = jws.header.at("jwk");
      for (std::size_t i = 0; i < keys.size(); ++i) {
        if (keys[i] == jwk) return Describe(200, i);
      }
      if (jws.PayloadObject().contains("onlyReturnExisting")) {
        return acme::Refuse(400, "accountDoesNotExist");
      }
      keys.push_back(jwk);
      status = "valid";
      return Describe(201, keys.size() - 1);
    });
  }

  Answer KeyChange(const acme::SentJws& jws) {
    return Respond("/key-change", jws, [&]() -> acme::FakeAnswer {
      const boost::json::object inner = jws.PayloadObject();
      const boost::json::value header = Open(inner, "protected");
      const boost::json::value payload = Open(inner, "payload");
      if (keys.empty() || payload.at("oldKey") != keys[0]) {
        return acme::Refuse(403, "unauthorized");
      }
      keys[0] = header.at("jwk");
      return Describe(200, 0);
    });
  }

  Answer Account(const acme::SentJws& jws) {
    return Respond("/account/1", jws, [&]() -> acme::FakeAnswer {
      if (keys.empty()) return acme::Refuse(400, "accountDoesNotExist");
      if (status != "valid") return acme::Refuse(403, "unauthorized");
      const boost::json::object payload = jws.PayloadObject();
      if (payload.contains("status")) status = std::string(payload.at("status").as_string());
      return Describe(200, 0);
    });
  }

  acme::FakeAnswer Describe(int http_status, std::size_t index) const {
    return acme::Reply(http_status, absl::StrCat(R"({"status": ")", status, R"("})"),
                       {{"Location", absl::StrCat("https://ca.test/account/", index + 1)}});
  }

  static boost::json::value Open(const boost::json::object& jws, const char* member) {
    return boost::json::parse(
        base::Base64UrlDecode(std::string(jws.at(member).as_string())).value());
  }
};

class AccountWorld : public IssuerWorld {
 protected:
  service::Environment CaEnvironment() {
    return {pool_.executor(), ca_.timers, base::Random::Real(), ca_.http, metrics_};
  }

  static issuer::v1::Issuer MakeIssuer(const std::string& name = "ca") {
    issuer::v1::Issuer issuer;
    issuer.mutable_metadata()->set_namespace_("web");
    issuer.mutable_metadata()->set_name(name);
    issuer::v1::AcmeIssuer& acme = *issuer.mutable_spec()->mutable_acme();
    acme.set_server("https://ca.test/directory");
    acme.mutable_private_key_secret_ref()->set_name("ca-account-key");
    acme.mutable_private_key_secret_ref()->set_key("tls.key");
    return issuer;
  }
  void CreateIssuer(const issuer::v1::Issuer& issuer = MakeIssuer()) {
    CW_ASSERT_OK(Await(stores_->issuers.Create(Context(), issuer)));
  }
  // Creates the issuer and has its account registered.
  void Register() {
    CreateIssuer();
    CW_ASSERT_OK(Pass());
    ASSERT_EQ(Ready(), "True ACMEAccountRegistered");
  }
  absl::StatusOr<controller::Result> Pass(const std::string& key = "Issuer web/ca") {
    return Await(reconciler_.Reconcile(Context(), key));
  }

  static meta::v1::IssuerRef Ref(const std::string& name = "ca") {
    meta::v1::IssuerRef ref;
    ref.set_kind(meta::v1::ISSUER_KIND_ISSUER);
    ref.set_name(name);
    return ref;
  }
  AnyIssuer Issuer(const std::string& name = "ca") {
    return *Await(accounts_.FindIssuer(Context(), Ref(name), "web"));
  }
  absl::Status FindAccount() { return Await(accounts_.Find(Context(), Ref(), "web")).status(); }
  // "True Reason"
  std::string Ready() { return ConditionOf(Read(stores_->issuers, "ca")); }
  std::string Message() {
    const issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
    const auto* ready = service::FindCondition(issuer.status().conditions(), "Ready");
    return ready == nullptr ? "" : ready->message();
  }
  std::string StatusThumbprint() {
    return Read(stores_->issuers, "ca").status().acme().account_key_thumbprint();
  }

  // Empty if the account key's Secret has no such value.
  std::string Stored(const std::string& key = "tls.key") {
    const auto secret = Await(stores_->secrets.Get(Context(), "web", "ca-account-key"));
    if (!secret.ok() || !secret->data().contains(key)) return "";
    return secret->data().at(key);
  }
  static pki::PrivateKey ParseKey(const std::string& pem) {
    return *pki::PrivateKey::ParsePem(pem);
  }
  static std::string ThumbprintOf(const std::string& pem) {
    return pki::JwkThumbprint(ParseKey(pem).public_key());
  }
  // What a kill in the middle of a rollover leaves.
  std::string StoreNextKey() {
    const std::string pem(pki::PrivateKey::Generate(pki::KeySpec())->ToPem().Reveal());
    auto secret = *Await(stores_->secrets.Get(Context(), "web", "ca-account-key"));
    (*secret.mutable_data())["next-tls.key"] = pem;
    CW_EXPECT_OK(Await(stores_->secrets.Update(Context(), secret)));
    accounts_.ForgetAll();
    return pem;
  }

  AccountsCa ca_;
  Accounts accounts_{CaEnvironment(), *stores_, "cluster-secrets"};
  SecretUsers secret_users_;
  PrivateCas private_cas_{nullptr, nullptr};
  IssuerReconciler reconciler_{CaEnvironment(), *stores_, accounts_, secret_users_,
                               private_cas_};
};

}  // namespace certwright::issuer_service
