#include "services/issuer/accounts.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/jose.h"
#include "lib/rpc/status.h"
#include "lib/store/store.h"
#include "services/issuer/issuer_testing.h"

namespace certwright::issuer_service {
namespace {

using base::StatusIs;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Lets a test do something whenever a record is read.
class HookedStore final : public store::Store {
 public:
  explicit HookedStore(store::Store& store) : store_(store) {}

  std::function<void()> on_get = [] {};

  runtime::Awaitable<absl::StatusOr<store::Record>> Get(runtime::Context context,
                                                        std::string key) override {
    on_get();
    return store_.Get(std::move(context), std::move(key));
  }
  runtime::Awaitable<absl::StatusOr<store::ListResult>> List(
      runtime::Context context, store::ListRequest request) override {
    return store_.List(std::move(context), std::move(request));
  }
  runtime::Awaitable<absl::StatusOr<int64_t>> Commit(
      runtime::Context context, std::vector<store::Mutation> mutations) override {
    return store_.Commit(std::move(context), std::move(mutations));
  }
  std::unique_ptr<store::WatchHandle> Watch(std::string prefix, int64_t from_revision,
                                            store::WatchCallback callback,
                                            runtime::Executor executor) override {
    return store_.Watch(std::move(prefix), from_revision, std::move(callback),
                        std::move(executor));
  }
  runtime::Awaitable<absl::StatusOr<int64_t>> CurrentRevision(
      runtime::Context context) override {
    return store_.CurrentRevision(std::move(context));
  }
  runtime::Awaitable<absl::Status> Compact(runtime::Context context,
                                           int64_t revision) override {
    return store_.Compact(std::move(context), revision);
  }
  runtime::Awaitable<absl::Status> Scrub(runtime::Context context) override {
    return store_.Scrub(std::move(context));
  }

 private:
  store::Store& store_;
};

class AccountsTest : public IssuerWorld {
 protected:
  using Found = absl::StatusOr<std::shared_ptr<const SigningAccount>>;

  static meta::v1::IssuerRef Ref(meta::v1::IssuerKind kind, const std::string& name = "ca") {
    meta::v1::IssuerRef ref;
    ref.set_kind(kind);
    ref.set_name(name);
    return ref;
  }
  Found Find(const std::string& resource_namespace = "web") {
    return Await(
        accounts_.Find(Context(), Ref(meta::v1::ISSUER_KIND_ISSUER), resource_namespace));
  }
  absl::StatusOr<AnyIssuer> FindIssuer(meta::v1::IssuerKind kind,
                                       const std::string& resource_namespace) {
    return Await(accounts_.FindIssuer(Context(), Ref(kind), resource_namespace));
  }
  absl::StatusOr<base::Secret> ReadSecret(const std::string& name, const std::string& key) {
    meta::v1::SecretKeyRef ref;
    ref.set_name(name);
    ref.set_key(key);
    return Await(accounts_.ReadSecret(Context(), "web", ref));
  }
  void DeleteKey() {
    CW_ASSERT_OK(Await(stores_->secrets.Delete(Context(), "web", "ca-account-key")));
  }

  const pki::PrivateKey key_ = *pki::PrivateKey::Generate(pki::KeySpec());
  Accounts accounts_{Environment(), *stores_, "cluster-secrets"};
};

TEST_F(AccountsTest, AnIssuerIsOfOneNamespaceAndAClusterIssuerOfAll) {
  CreateRegisteredIssuer(key_);
  CW_ASSERT_OK_AND_ASSIGN(const AnyIssuer found,
                          FindIssuer(meta::v1::ISSUER_KIND_ISSUER, "web"));
  EXPECT_EQ(found.spec.acme().server(), "https://ca.test/directory");
  EXPECT_TRUE(IsReady(found));
  EXPECT_THAT(FindIssuer(meta::v1::ISSUER_KIND_ISSUER, "db").status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Issuer db/ca")));
  EXPECT_THAT(FindIssuer(meta::v1::ISSUER_KIND_CLUSTER_ISSUER, "web").status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("ClusterIssuer ca")));

  issuer::v1::ClusterIssuer cluster;
  cluster.mutable_metadata()->set_name("ca");
  cluster.mutable_spec()->mutable_acme()->set_server("https://cluster.test/directory");
  CW_ASSERT_OK(Await(stores_->cluster_issuers.Create(Context(), cluster)));
  CW_ASSERT_OK_AND_ASSIGN(const AnyIssuer everywhere,
                          FindIssuer(meta::v1::ISSUER_KIND_CLUSTER_ISSUER, "db"));
  EXPECT_EQ(everywhere.spec.acme().server(), "https://cluster.test/directory");
  EXPECT_FALSE(IsReady(everywhere));
}

TEST_F(AccountsTest, SecretsAreInTheNamespaceOfTheIssuerOrOfAllClusterIssuers) {
  EXPECT_EQ(accounts_.SecretNamespace(Ref(meta::v1::ISSUER_KIND_ISSUER), "web"), "web");
  EXPECT_EQ(accounts_.SecretNamespace(Ref(meta::v1::ISSUER_KIND_CLUSTER_ISSUER), "web"),
            "cluster-secrets");
}

TEST_F(AccountsTest, AMissingSecretAndAMissingValueAreNamed) {
  CreateSecret("web", "eab", "secret", "hidden");
  CW_ASSERT_OK_AND_ASSIGN(const base::Secret value, ReadSecret("eab", "secret"));
  EXPECT_EQ(value.Reveal(), "hidden");
  EXPECT_THAT(ReadSecret("other", "secret").status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Secret web/other")));
  EXPECT_THAT(ReadSecret("eab", "key").status(),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("web/eab"), HasSubstr("no value key"),
                             Not(HasSubstr("hidden")))));
}

TEST_F(AccountsTest, ARegisteredAccountSignsWithItsKeyAndUrl) {
  CreateRegisteredIssuer(key_);
  CW_ASSERT_OK_AND_ASSIGN(const auto account, Find());
  EXPECT_EQ(account->uri, "https://ca.test/account/1");
  EXPECT_EQ(pki::JwkThumbprint(account->public_key), pki::JwkThumbprint(key_.public_key()));
  acme::SignRequest request;
  request.url = "https://ca.test/new-order";
  request.nonce = "nonce-1";
  CW_EXPECT_OK(account->signer->SignNow(request));
}

TEST_F(AccountsTest, WhatIsNotRegisteredHasNoAccount) {
  CreateRegisteredIssuer(key_);
  issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
  issuer.mutable_status()->mutable_acme()->clear_uri();
  WriteStatus(stores_->issuers, issuer);
  EXPECT_EQ(rpc::ErrorReasonOf(Find().status()), "ISSUER_NOT_READY");

  // Ready, but of another spec.
  issuer.mutable_status()->mutable_acme()->set_uri("https://ca.test/account/1");
  issuer.mutable_metadata()->clear_resource_version();
  WriteStatus(stores_->issuers, issuer);
  CW_EXPECT_OK(Find());
  accounts_.ForgetAll();
  issuer.mutable_spec()->mutable_acme()->set_server("https://other.test/directory");
  CW_ASSERT_OK(Await(stores_->issuers.Update(Context(), issuer)));
  EXPECT_EQ(rpc::ErrorReasonOf(Find().status()), "ISSUER_NOT_READY");

  issuer.mutable_spec()->mutable_self_signed();
  CW_ASSERT_OK(Await(stores_->issuers.Update(Context(), issuer)));
  EXPECT_EQ(rpc::ErrorReasonOf(Find().status()), "NOT_ACME");
  EXPECT_THAT(Find().status(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(AccountsTest, AnIssuerThatIsNotReadySaysWhy) {
  CreateRegisteredIssuer(key_);
  issuer::v1::Issuer issuer = Read(stores_->issuers, "ca");
  service::SetCondition(*issuer.mutable_status()->mutable_conditions(),
                        {"Ready", false, "UserActionRequired", "Visit the CA."}, 1,
                        clock_.Now());
  WriteStatus(stores_->issuers, issuer);
  EXPECT_THAT(Find().status(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                        HasSubstr("is not ready: Visit the CA.")));
}

TEST_F(AccountsTest, ADoubtIsTakenOnceAndAKeyIsClaimedByOne) {
  EXPECT_FALSE(accounts_.TakeDoubt("Issuer web/ca"));
  accounts_.Doubt("Issuer web/ca");
  EXPECT_FALSE(accounts_.TakeDoubt("Issuer web/other"));
  EXPECT_TRUE(accounts_.TakeDoubt("Issuer web/ca"));
  EXPECT_FALSE(accounts_.TakeDoubt("Issuer web/ca"));

  EXPECT_TRUE(accounts_.ClaimKey("web/key/tls.key"));
  EXPECT_FALSE(accounts_.ClaimKey("web/key/tls.key"));
  EXPECT_TRUE(accounts_.ClaimKey("web/other/tls.key"));
  accounts_.ReleaseKey("web/key/tls.key");
  EXPECT_TRUE(accounts_.ClaimKey("web/key/tls.key"));
}

TEST(CaErrorTest, TellsWhatMayBeTriedAgainFromWhatIsRefused) {
  const absl::Status later = CaError("revoking", absl::UnavailableError("no answer"));
  EXPECT_THAT(later,
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("revoking: no answer")));
  const absl::Status refused = CaError("revoking", absl::PermissionDeniedError("no"));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(rpc::ErrorReasonOf(refused), "CA_REFUSED");
}

TEST_F(AccountsTest, AKeyIsReadOnceUntilItIsForgotten) {
  CreateRegisteredIssuer(key_);
  CW_ASSERT_OK_AND_ASSIGN(const auto account, Find());
  DeleteKey();
  EXPECT_EQ(*Find(), account);
  accounts_.Forget("Issuer db/ca");
  EXPECT_EQ(*Find(), account);
  accounts_.Forget("Issuer web/ca");
  EXPECT_THAT(Find().status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Secret web/ca-account-key")));
}

TEST_F(AccountsTest, WhatIsForgottenWhileItIsReadIsNotKept) {
  CreateRegisteredIssuer(key_);
  HookedStore hooked(*store_);
  Stores stores(hooked, clock_, base::Random::Real());
  Accounts accounts(Environment(), stores, "cluster-secrets");
  const auto find = [&] {
    return Await(accounts.Find(Context(), Ref(meta::v1::ISSUER_KIND_ISSUER), "web"));
  };
  hooked.on_get = [&accounts] { accounts.ForgetAll(); };
  CW_ASSERT_OK(find());
  hooked.on_get = [] {};
  DeleteKey();
  EXPECT_THAT(find().status(), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(AccountsTest, IssuersOfTheSameServerAndTrustShareAClient) {
  issuer::v1::AcmeIssuer spec;
  spec.set_server("https://ca.test/directory");
  const auto client = accounts_.ClientFor(spec);
  spec.set_email("another@ca.test");
  EXPECT_EQ(accounts_.ClientFor(spec), client);
  spec.set_ca_bundle("other trust");
  const auto other_trust = accounts_.ClientFor(spec);
  EXPECT_NE(other_trust, client);
  EXPECT_EQ(other_trust->options().trust.ca_bundle_pem, "other trust");
  spec.clear_ca_bundle();
  spec.set_skip_tls_verify(true);
  const auto no_trust = accounts_.ClientFor(spec);
  EXPECT_NE(no_trust, client);
  EXPECT_TRUE(no_trust->options().trust.skip_verify);
  EXPECT_FALSE(client->options().trust.skip_verify);
}

}  // namespace
}  // namespace certwright::issuer_service
