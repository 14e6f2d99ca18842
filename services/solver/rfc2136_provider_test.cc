#include "services/solver/rfc2136_provider.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/mutex.h"
#include "lib/base/status_matchers.h"
#include "lib/dns/resolver_fake.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::solver {
namespace {

using base::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Keeps what it is told to change.
class FakeUpdater final : public dns::TxtUpdater {
 public:
  struct Sent {
    dns::UpdateTarget target;
    std::vector<dns::TxtChange> changes;
  };
  runtime::Awaitable<absl::Status> Update(runtime::Context, dns::UpdateTarget target,
                                          std::vector<dns::TxtChange> changes) override {
    base::MutexLock lock(mutex);
    updates.push_back({std::move(target), std::move(changes)});
    co_return result;
  }
  absl::Status result;
  base::Mutex mutex;
  std::vector<Sent> updates;
};

class Rfc2136ProviderTest : public testing::Test {
 protected:
  Rfc2136ProviderTest() {
    config_ = std::make_shared<SolverConfig>();
    issuer::v1::Rfc2136& settings = *config_->solver.mutable_dns01()->mutable_rfc2136();
    settings.add_nameservers("192.0.2.1:5300");
    settings.set_tsig_key_name("acme-key");
    settings.mutable_tsig_secret_secret_ref()->set_name("tsig");
    settings.mutable_tsig_secret_secret_ref()->set_key("tsig-secret");
    config_->credentials[{"tsig", "tsig-secret"}] = base::Secret(std::string("c2VjcmV0"));
  }
  ~Rfc2136ProviderTest() override { pool_.Stop(); }

  issuer::v1::Rfc2136& settings() {
    return *config_->solver.mutable_dns01()->mutable_rfc2136();
  }
  absl::Status Present() {
    CW_ASSIGN_OR_RETURN(const auto provider, providers_.Find(config_));
    Dns01Record record{"r.example.test", "example.test", "v", 120};
    return runtime::RunSyncOn(pool_.executor(), provider->Present(Soon(), std::move(record)));
  }
  static runtime::Context Soon() {
    return runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(30));
  }

  runtime::ThreadPool pool_{1};
  const std::unique_ptr<runtime::Timers> timers_ =
      runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real());
  FakeUpdater updater_;
  dns::UpdateBatcher batcher_{pool_.executor(), *timers_, updater_};
  dns::FakeDnsResolver resolver_;
  Rfc2136Providers providers_{
      batcher_,
      resolver_,
      {},
      dns::ServerPolicy(*http::AddressRanges::Parse({"192.0.2.0/24", "2001:db8::/32"}),
                        {5300})};
  std::shared_ptr<SolverConfig> config_;
};

TEST_F(Rfc2136ProviderTest, AddsAndRemovesByValue) {
  CW_ASSERT_OK(Present());
  CW_ASSERT_OK_AND_ASSIGN(const auto provider, providers_.Find(config_));
  CW_ASSERT_OK(runtime::RunSyncOn(
      pool_.executor(),
      provider->CleanUp(Soon(), Dns01Record{"r.example.test", "example.test", "v", 0})));
  ASSERT_EQ(updater_.updates.size(), 2u);
  const auto& added = updater_.updates[0];
  EXPECT_THAT(added.target.servers, ElementsAre("192.0.2.1:5300"));
  EXPECT_EQ(added.target.zone, "example.test");
  ASSERT_NE(added.target.key, nullptr);
  EXPECT_EQ(added.target.key->name, "acme-key");
  EXPECT_EQ(added.target.key->secret.Reveal(), "c2VjcmV0");
  ASSERT_EQ(added.changes.size(), 1u);
  EXPECT_EQ(added.changes[0].kind, dns::TxtChange::Kind::kAdd);
  EXPECT_EQ(added.changes[0].value, "v");
  EXPECT_EQ(added.changes[0].ttl, 120u);
  EXPECT_EQ(updater_.updates[1].changes[0].kind, dns::TxtChange::Kind::kRemove);
  EXPECT_EQ(updater_.updates[1].changes[0].value, "v");
}

TEST_F(Rfc2136ProviderTest, NamesOfNameserversAreResolved) {
  settings().clear_nameservers();
  settings().add_nameservers("ns.example.test:5300");
  settings().add_nameservers("192.0.2.9");
  resolver_.Set("", "ns.example.test", dns::RecordType::kA,
                dns::Answering({dns::AddressRecord("ns.example.test", "192.0.2.1")}));
  resolver_.Set("", "ns.example.test", dns::RecordType::kAaaa,
                dns::Answering({dns::AddressRecord("ns.example.test", "2001:db8::1")}));
  CW_ASSERT_OK(Present());
  EXPECT_THAT(updater_.updates.at(0).target.servers,
              ElementsAre("[2001:db8::1]:5300", "192.0.2.1:5300", "192.0.2.9:53"));
}

TEST_F(Rfc2136ProviderTest, NameserversThatThePolicyForbidsAreNotUpdated) {
  settings().clear_nameservers();
  for (const char* server : {"127.0.0.1:5300", "192.0.2.1:22", "ns.example.test:5300"}) {
    settings().add_nameservers(server);
  }
  resolver_.Set("", "ns.example.test", dns::RecordType::kA,
                dns::Answering({dns::AddressRecord("ns.example.test", "10.0.0.1")}));
  resolver_.Set("", "ns.example.test", dns::RecordType::kAaaa, dns::NoData("example.test"));
  EXPECT_THAT(Present(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                  HasSubstr("10.0.0.1:5300 is refused by policy")));
  EXPECT_TRUE(NothingChanged(Present()));
  EXPECT_TRUE(updater_.updates.empty());
  settings().add_nameservers("192.0.2.9");
  CW_ASSERT_OK(Present());
  EXPECT_THAT(updater_.updates.at(0).target.servers, ElementsAre("192.0.2.9:53"));
}

// Fault 110.
TEST_F(Rfc2136ProviderTest, TellsWhetherAnUpdateCanHaveHadAnEffect) {
  for (const absl::Status& error :
       {absl::UnavailableError("no answer"),
        dns::UpdateStatus(dns::Rcode::kServFail, "192.0.2.1:53", "example.test"),
        // As after another server that did not answer.
        dns::UpdateStatus(dns::Rcode::kRefused, "192.0.2.1:53", "example.test")}) {
    updater_.result = error;
    EXPECT_FALSE(NothingChanged(Present())) << error;
  }
  updater_.result = absl::InvalidArgumentError("no such record");
  EXPECT_TRUE(NothingChanged(Present()));
  settings().set_nameservers(0, "gone.example.test");
  resolver_.Set("", "gone.example.test", dns::RecordType::kA, dns::NxDomain("example.test"));
  resolver_.Set("", "gone.example.test", dns::RecordType::kAaaa, dns::NxDomain("example.test"));
  EXPECT_TRUE(NothingChanged(Present()));
}

TEST_F(Rfc2136ProviderTest, SignsAndSendsAsTheIssuerSays) {
  struct Case {
    issuer::v1::TsigAlgorithm set;
    dns::TsigAlgorithm used;
  };
  for (const Case& c :
       {Case{issuer::v1::TSIG_ALGORITHM_UNSPECIFIED, dns::TsigAlgorithm::kHmacSha256},
        Case{issuer::v1::TSIG_ALGORITHM_HMAC_SHA256, dns::TsigAlgorithm::kHmacSha256},
        Case{issuer::v1::TSIG_ALGORITHM_HMAC_SHA512, dns::TsigAlgorithm::kHmacSha512},
        Case{issuer::v1::TSIG_ALGORITHM_HMAC_SHA1, dns::TsigAlgorithm::kHmacSha1},
        Case{issuer::v1::TSIG_ALGORITHM_HMAC_MD5, dns::TsigAlgorithm::kHmacMd5}}) {
    settings().set_tsig_algorithm(c.set);
    CW_ASSERT_OK(Present());
    ASSERT_NE(updater_.updates.back().target.key, nullptr);
    EXPECT_EQ(static_cast<int>(updater_.updates.back().target.key->algorithm),
              static_cast<int>(c.used));
    EXPECT_FALSE(updater_.updates.back().target.tcp_only);
  }
  settings().set_protocol(issuer::v1::DNS_PROTOCOL_TCP);
  CW_ASSERT_OK(Present());
  EXPECT_TRUE(updater_.updates.back().target.tcp_only);
  settings().set_tsig_algorithm(issuer::v1::TSIG_ALGORITHM_HMAC_SHA384);
  EXPECT_THAT(Present(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                  HasSubstr("TSIG algorithm is not supported")));
}

TEST_F(Rfc2136ProviderTest, WithoutKeyNameUpdatesAreUnsigned) {
  settings().clear_tsig_key_name();
  CW_ASSERT_OK(Present());
  EXPECT_EQ(updater_.updates.at(0).target.key, nullptr);
}

TEST_F(Rfc2136ProviderTest, ASecretThatCannotBeUsedIsNotQuoted) {
  config_->credentials[{"tsig", "tsig-secret"}] = base::Secret(std::string("not!base64"));
  EXPECT_THAT(Present(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                  AllOf(HasSubstr("tsig"), Not(HasSubstr("not!")))));
  config_->credentials.clear();
  EXPECT_THAT(Present(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no value")));
}

TEST_F(Rfc2136ProviderTest, OtherProvidersAreUnsupportedByName) {
  config_->solver.mutable_dns01()->mutable_cloudflare();
  EXPECT_THAT(providers_.Find(config_),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("provider cloudflare is not supported by this version")));
  config_->solver.mutable_dns01()->clear_provider();
  EXPECT_THAT(providers_.Find(config_), StatusIs(absl::StatusCode::kUnimplemented));
}

TEST_F(Rfc2136ProviderTest, HoldsManyValuesPerName) {
  CW_ASSERT_OK_AND_ASSIGN(const auto provider, providers_.Find(config_));
  EXPECT_EQ(provider->capabilities().max_values_per_name, 0);
  EXPECT_EQ(provider->account(), "rfc2136 192.0.2.1:5300 acme-key");
}

}  // namespace
}  // namespace certwright::solver
