// AcmeClient against a real CA: Pebble, which refuses some of the nonces that it hands out.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/chain_choice.h"
#include "lib/acme/client.h"
#include "lib/acme/poll.h"
#include "lib/acme/problem.h"
#include "lib/acme/renewal_info.h"
#include "lib/base/status_matchers.h"
#include "lib/http/curl_http_client.h"
#include "lib/pki/certificate.h"
#include "lib/pki/csr.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"
#include "tests/harness/pebble.h"
#include "tests/harness/process.h"

namespace certwright::acme {
namespace {

using base::IsOk;
using base::StatusIs;
using runtime::Awaitable;
using runtime::Context;

struct Issued {
  pki::PrivateKey key;
  CertificateChain chain;
};

class ClientPebbleTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    harness::PebbleOptions pebble;
    pebble.folder = harness::MakeFolder("pebble");
    pebble.nonce_reject_percent = GetParam();
    pebble.always_valid = true;
    pebble.blocked_domains = {"blocked.test"};
    pebble.retry_after = absl::Seconds(1);
    pebble.profiles = {{"standard", absl::Hours(90 * 24)}, {"brief", absl::Hours(6 * 24)}};
    pebble.intermediates = 2;
    pebble.alternate_roots = 1;
    CW_ASSERT_OK_AND_ASSIGN(pebble_, harness::Pebble::Start(std::move(pebble)));
    CaOptions options;
    options.directory_url = pebble_->directory_url();
    options.trust.ca_bundle_pem = pebble_->tls_ca_pem();
    client_ = std::make_unique<AcmeClient>(*http_, *timers_, base::Random::Real(), options);
    CW_ASSERT_OK_AND_ASSIGN(account_, Run(client_->NewAccount(NewContext(), account_key_, {})));
    signer_ = std::make_unique<LocalJwsSigner>(account_key_, account_.url);
  }

  ~ClientPebbleTest() override {
    pool_.Stop();
    client_.reset();
    http_.reset();
  }

  template <typename T>
  T Run(Awaitable<T> task) {
    return runtime::RunSyncOn(pool_.executor(), std::move(task));
  }
  Context NewContext() const {
    return Context::WithTimeout(base::Clock::Real(), absl::Seconds(60));
  }

  absl::StatusOr<Account> LookUp(const pki::PrivateKey& key) {
    NewAccountRequest request;
    request.only_return_existing = true;
    return Run(client_->NewAccount(NewContext(), key, std::move(request)));
  }

  Awaitable<absl::Status> PollPause(Context context, int attempt,
                                    std::optional<absl::Time> retry_at) {
    const absl::Duration delay =
        NextPollDelay(attempt, retry_at, absl::Now(), base::Random::Real());
    co_return co_await runtime::SleepFor(*timers_, context, delay);
  }

  // Has the CA validate what is pending, and waits for it.
  Awaitable<absl::Status> Authorize(Context context, std::string url) {
    CW_CO_ASSIGN_OR_RETURN(Authorization authorization,
                           co_await client_->GetAuthorization(context, *signer_, url));
    const Challenge* challenge = authorization.Find("dns-01");
    if (authorization.status == AuthorizationStatus::kPending) {
      if (challenge == nullptr) co_return absl::NotFoundError("no dns-01 challenge");
      const std::string challenge_url = challenge->url;
      CW_CO_RETURN_IF_ERROR(
          co_await client_->AcceptChallenge(context, *signer_, challenge_url));
    }
    for (int i = 0; authorization.status == AuthorizationStatus::kPending; ++i) {
      CW_CO_RETURN_IF_ERROR(co_await PollPause(context, i, authorization.retry_at));
      CW_CO_ASSIGN_OR_RETURN(authorization,
                             co_await client_->GetAuthorization(context, *signer_, url));
    }
    if (authorization.status == AuthorizationStatus::kValid) co_return absl::OkStatus();
    co_return absl::FailedPreconditionError(StatusName(authorization.status));
  }

  Awaitable<absl::StatusOr<Order>> AwaitOrder(Context context, std::string url,
                                              OrderStatus wanted) {
    for (int i = 0;; ++i) {
      CW_CO_ASSIGN_OR_RETURN(Order order, co_await client_->GetOrder(context, *signer_, url));
      if (order.status == wanted) co_return order;
      if (order.status == OrderStatus::kInvalid) {
        co_return OrderErrorStatus(order.error.value_or(Problem()), absl::Now());
      }
      CW_CO_RETURN_IF_ERROR(co_await PollPause(context, i, order.retry_at));
    }
  }

  // From nothing to a chain.
  Awaitable<absl::StatusOr<Issued>> Issue(Context context, std::vector<std::string> names,
                                          std::string profile = "") {
    NewOrderRequest request;
    for (const std::string& name : names) request.identifiers.push_back(DnsIdentifier(name));
    request.profile = std::move(profile);
    CW_CO_ASSIGN_OR_RETURN(Order order,
                           co_await client_->NewOrder(context, *signer_, std::move(request)));
    for (const std::string& url : order.authorizations) {
      CW_CO_RETURN_IF_ERROR(co_await Authorize(context, url));
    }
    CW_CO_ASSIGN_OR_RETURN(order, co_await AwaitOrder(context, order.url, OrderStatus::kReady));
    CW_CO_ASSIGN_OR_RETURN(pki::PrivateKey key, pki::PrivateKey::Generate({}));
    pki::CsrSpec spec;
    spec.names.dns_names = names;
    CW_CO_ASSIGN_OR_RETURN(const std::string pem, pki::CreateCsrPem(spec, key));
    CW_CO_ASSIGN_OR_RETURN(pki::Csr csr, pki::ParseCsrPem(pem));
    CW_CO_ASSIGN_OR_RETURN(order, co_await client_->Finalize(context, *signer_, order.url,
                                                             order.finalize, csr.der));
    if (order.status != OrderStatus::kValid) {
      CW_CO_RETURN_IF_ERROR(co_await PollPause(context, 0, order.retry_at));
      CW_CO_ASSIGN_OR_RETURN(order,
                             co_await AwaitOrder(context, order.url, OrderStatus::kValid));
    }
    CW_CO_ASSIGN_OR_RETURN(CertificateChain chain, co_await client_->DownloadCertificate(
                                                       context, *signer_, order.certificate));
    Issued issued{std::move(key), std::move(chain)};
    co_return issued;
  }

  absl::Status Verify(const Issued& issued, std::vector<std::string> names) {
    const pki::PublicKey public_key = issued.key.public_key();
    pki::ChainExpectation expected;
    expected.public_key = &public_key;
    expected.names.dns_names = std::move(names);
    expected.now = absl::Now();
    CW_RETURN_IF_ERROR(pki::VerifyIssuedChain(issued.chain.certificates, expected));
    return pki::VerifyAgainstRoots(issued.chain.certificates, Root(0), absl::Now());
  }

  std::vector<pki::Certificate> Root(int number) {
    const absl::StatusOr<std::string> pem = pebble_->FetchRootPem(number);
    EXPECT_THAT(pem, IsOk());
    if (!pem.ok()) return {};
    return pki::ParseChainPem(*pem).value_or(std::vector<pki::Certificate>());
  }

  std::unique_ptr<harness::Pebble> pebble_;
  runtime::ThreadPool pool_{2};
  std::unique_ptr<runtime::Timers> timers_ =
      runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real());
  std::unique_ptr<http::HttpClient> http_ =
      http::MakeCurlHttpClient(pool_.executor(), *timers_);
  std::unique_ptr<AcmeClient> client_;
  pki::PrivateKey account_key_ = *pki::PrivateKey::Generate({});
  Account account_;
  std::unique_ptr<LocalJwsSigner> signer_;
};

INSTANTIATE_TEST_SUITE_P(NonceRejectPercent, ClientPebbleTest, testing::Values(5, 50),
                         testing::PrintToStringParamName());

TEST_P(ClientPebbleTest, IssuesAChainThatVerifies) {
  const std::vector<std::string> names = {"*.example.test", "example.test", "www.other.test"};
  CW_ASSERT_OK_AND_ASSIGN(const Issued issued, Run(Issue(NewContext(), names)));
  CW_EXPECT_OK(Verify(issued, names));
  EXPECT_EQ(issued.chain.certificates.size(), 3u);
}

TEST_P(ClientPebbleTest, NoRejectedNonceSurfacesInManyConcurrentOrders) {
  std::vector<Awaitable<absl::StatusOr<Issued>>> orders;
  for (int i = 0; i < 40; ++i) {
    orders.push_back(Issue(NewContext(), {absl::StrCat("host-", i, ".example.test")}));
  }
  for (const absl::StatusOr<Issued>& issued : Run(runtime::WhenAll(std::move(orders)))) {
    EXPECT_THAT(issued, IsOk());
  }
}

TEST_P(ClientPebbleTest, PrefersAnAlternateChainByItsRoot) {
  CW_ASSERT_OK_AND_ASSIGN(const Issued issued, Run(Issue(NewContext(), {"a.test"})));
  ASSERT_EQ(issued.chain.alternate_urls.size(), 1u);
  CW_ASSERT_OK_AND_ASSIGN(
      const CertificateChain alternate,
      Run(client_->DownloadAlternate(NewContext(), *signer_, issued.chain.alternate_urls[0])));
  const std::vector<pki::Certificate> root = Root(1);
  ASSERT_EQ(root.size(), 1u);
  const ChainChoice choice = ChooseChain({issued.chain.certificates, alternate.certificates},
                                         root[0].subject_common_name);
  EXPECT_EQ(choice.index, 1u);
  EXPECT_TRUE(choice.preferred_found);
  CW_EXPECT_OK(pki::VerifyAgainstRoots(alternate.certificates, root, absl::Now()));
}

// Fault 35.
TEST_P(ClientPebbleTest, AKeyRegisteredTwiceAtOnceHasOneAccount) {
  const pki::PrivateKey key = *pki::PrivateKey::Generate({});
  std::vector<Awaitable<absl::StatusOr<Account>>> registrations;
  for (int i = 0; i < 2; ++i) {
    registrations.push_back(client_->NewAccount(NewContext(), key, {}));
  }
  const auto accounts = Run(runtime::WhenAll(std::move(registrations)));
  CW_ASSERT_OK(accounts[0]);
  CW_ASSERT_OK(accounts[1]);
  EXPECT_EQ(accounts[0]->url, accounts[1]->url);
  EXPECT_NE(accounts[0]->created, accounts[1]->created);
}

TEST_P(ClientPebbleTest, AccountIsFoundByItsKeyAndMovesToAnother) {
  const pki::PrivateKey other_key = *pki::PrivateKey::Generate({});
  const absl::Status unknown = LookUp(other_key).status();
  EXPECT_EQ(ClassOf(unknown), ErrorClass::kReregister) << unknown;
  CW_ASSERT_OK_AND_ASSIGN(const Account found, LookUp(account_key_));
  EXPECT_EQ(found.url, account_.url);
  EXPECT_FALSE(found.created);

  CW_ASSERT_OK(Run(client_->KeyChange(NewContext(), *signer_, account_.url,
                                      account_key_.public_key(), other_key)));
  CW_ASSERT_OK_AND_ASSIGN(const Account moved, LookUp(other_key));
  EXPECT_EQ(moved.url, account_.url);
  LocalJwsSigner signer(other_key, account_.url);
  CW_ASSERT_OK_AND_ASSIGN(const Account updated,
                          Run(client_->UpdateAccount(NewContext(), signer, account_.url,
                                                     {"mailto:admin@example.test"})));
  EXPECT_THAT(updated.contacts, testing::ElementsAre("mailto:admin@example.test"));
  EXPECT_THAT(Run(client_->DeactivateAccount(NewContext(), signer, account_.url)), IsOk());
  NewOrderRequest order;
  order.identifiers = {DnsIdentifier("a.test")};
  const absl::Status refused = Run(client_->NewOrder(NewContext(), signer, order)).status();
  EXPECT_FALSE(refused.ok());
  EXPECT_NE(HttpStatusOf(refused), std::nullopt) << refused;
}

TEST_P(ClientPebbleTest, RevokesOnceAndTwice) {
  CW_ASSERT_OK_AND_ASSIGN(const Issued issued, Run(Issue(NewContext(), {"a.test"})));
  const std::string der = issued.chain.certificates[0].der;
  for (int i = 0; i < 2; ++i) {
    CW_EXPECT_OK(Run(client_->RevokeCertificate(NewContext(), *signer_, der,
                                                RevocationReason::kSuperseded)));
  }
  CW_ASSERT_OK_AND_ASSIGN(const Issued other, Run(Issue(NewContext(), {"b.test"})));
  CW_EXPECT_OK(Run(client_->RevokeCertificateByKey(NewContext(), other.key,
                                                   other.chain.certificates[0].der,
                                                   RevocationReason::kKeyCompromise)));
}

TEST_P(ClientPebbleTest, RefusalsHaveTheirClasses) {
  NewOrderRequest blocked;
  blocked.identifiers = {DnsIdentifier("blocked.test")};
  const absl::Status rejected =
      Run(client_->NewOrder(NewContext(), *signer_, blocked)).status();
  EXPECT_EQ(ClassOf(rejected), ErrorClass::kPermanent) << rejected;
  EXPECT_TRUE(HasProblemType(rejected, "rejectedIdentifier")) << rejected;

  NewOrderRequest request;
  request.identifiers = {DnsIdentifier("never-authorized.test")};
  CW_ASSERT_OK_AND_ASSIGN(const Order order,
                          Run(client_->NewOrder(NewContext(), *signer_, request)));
  const absl::Status early =
      Run(client_->Finalize(NewContext(), *signer_, order.url, order.finalize, "no CSR"))
          .status();
  EXPECT_FALSE(early.ok());
  EXPECT_TRUE(ClassOf(early) == ErrorClass::kRereadOrder ||
              ClassOf(early) == ErrorClass::kPermanent)
      << early;
  CW_ASSERT_OK_AND_ASSIGN(
      const Authorization gone,
      Run(client_->DeactivateAuthorization(NewContext(), *signer_, order.authorizations[0])));
  EXPECT_EQ(gone.status, AuthorizationStatus::kDeactivated);
  const absl::Status lost =
      Run(client_->GetOrder(NewContext(), *signer_, order.url + "no-such-order")).status();
  EXPECT_THAT(lost, StatusIs(absl::StatusCode::kNotFound));
}

// Fault 57.
TEST_P(ClientPebbleTest, NewerPebbleOffersRenewalInfoAndProfiles) {
  CW_ASSERT_OK_AND_ASSIGN(const DirectoryCache::Shared directory,
                          Run(client_->GetDirectory(NewContext())));
  if (directory->renewal_info.empty() || directory->meta.profiles.empty()) {
    GTEST_SKIP() << "this Pebble is too old";
  }
  CW_ASSERT_OK_AND_ASSIGN(const Issued brief, Run(Issue(NewContext(), {"a.test"}, "brief")));
  const pki::Certificate& leaf = brief.chain.certificates[0];
  EXPECT_LE(leaf.not_after - leaf.not_before, absl::Hours(6 * 24 + 1));
  CW_ASSERT_OK_AND_ASSIGN(const std::string cert_id, CertId(leaf));
  CW_ASSERT_OK_AND_ASSIGN(const RenewalInfo info,
                          Run(client_->GetRenewalInfo(NewContext(), cert_id)));
  EXPECT_GT(info.window_end, leaf.not_before);
  EXPECT_LT(info.window_start, leaf.not_after);
  EXPECT_TRUE(info.retry_at.has_value());

  NewOrderRequest renewal;
  renewal.identifiers = {DnsIdentifier("a.test")};
  renewal.replaces = cert_id;
  CW_ASSERT_OK_AND_ASSIGN(const Order order,
                          Run(client_->NewOrder(NewContext(), *signer_, renewal)));
  EXPECT_EQ(order.replaces, cert_id);
  renewal.replaces.clear();
  renewal.profile = "no-such-profile";
  const absl::Status refused = Run(client_->NewOrder(NewContext(), *signer_, renewal)).status();
  EXPECT_TRUE(HasProblemType(refused, "invalidProfile")) << refused;
}

}  // namespace
}  // namespace certwright::acme
