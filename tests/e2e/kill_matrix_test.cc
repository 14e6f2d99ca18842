// The kill matrix: for every fault point (lib/base/fault_point.h) a service is killed there in
// the middle of twenty issuances, or of their deletion, and started again. Every certificate
// gets Ready with the key that was made for it, no order that was known is placed twice, and
// no TXT record, token, key or record of them is left behind.
#include <sys/wait.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fault_point.h"
#include "lib/base/mutex.h"
#include "lib/base/status_matchers.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using base::FaultPoint;
using harness::Service;
using harness::World;
using ::testing::IsEmpty;

constexpr int kCertificates = 20;
// When the CA looks for a token in the very moment in which there is no solver, it refuses the
// name, and the next attempt is made after a minute.
constexpr absl::Duration kTimeout = absl::Minutes(4);

struct Case {
  Service service;
  FaultPoint point;
  // At which time of reaching it: in the middle of what the twenty do there.
  int at = 1;
};

// Those that are reached when resources are deleted.
bool IsOfDeletion(FaultPoint point) {
  return point == FaultPoint::kRequestOrderDeleted ||
         point == FaultPoint::kOrderChallengesDeleted;
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (std::size_t i = 0; i < base::kFaultPointNames.size(); ++i) {
    const auto point = static_cast<FaultPoint>(i);
    if (point <= FaultPoint::kStoreCommitted) {
      for (const Service service : harness::kServices) cases.push_back({service, point, 23});
    } else if (point <= FaultPoint::kAccountRegistered) {
      cases.push_back({Service::kIssuer, point, 1});
    } else if (point <= FaultPoint::kRequestOrderDeleted) {
      cases.push_back({Service::kIssuer, point, 7});
    } else if (point <= FaultPoint::kOrderChallengesDeleted) {
      cases.push_back({Service::kOrder, point, 7});
    } else {
      cases.push_back({Service::kSolver, point, 7});
    }
  }
  return cases;
}

// Follows the Orders, as long as the order service runs: which URLs it has told of.
class KnownOrders {
 public:
  explicit KnownOrders(World& world)
      : context_(harness::MakeContext(absl::Minutes(10))), thread_([this, &world] {
          auto stream = world.orders().WatchOrders(context_.get(), {});
          order::v1::WatchOrdersResponse event;
          while (stream->Read(&event)) {
            const order::v1::Order& order = event.order();
            if (order.status().url().empty()) continue;
            base::MutexLock lock(mutex_);
            urls_[order.metadata().name()] = order.status().url();
          }
        }) {}
  ~KnownOrders() { context_->TryCancel(); }

  std::map<std::string, std::string> urls() const {
    base::MutexLock lock(mutex_);
    return urls_;
  }

 private:
  const std::unique_ptr<grpc::ClientContext> context_;
  mutable base::Mutex mutex_;
  std::map<std::string, std::string> urls_ CW_GUARDED_BY(mutex_);
  std::jthread thread_;
};

class KillMatrixTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    harness::WorldOptions options;
    options.nonce_reject_percent = 0;
    CW_ASSERT_OK_AND_ASSIGN(world_, World::Start(std::move(options)));
    if (IsOfDeletion(GetParam().point)) return;
    Arm();
    known_ = std::make_unique<KnownOrders>(*world_);
  }

  // From now on the service will die at the point.
  void Arm() {
    const Case& param = GetParam();
    const std::string plan = absl::StrCat(base::FaultPointName(param.point), ":", param.at);
    world_->suite().SetEnvironment(param.service, {{"CERTWRIGHT_FAULT_POINT", plan}});
    world_->suite().Kill(param.service);
    CW_ASSERT_OK(world_->suite().Restart(param.service));
    world_->suite().SetEnvironment(param.service, {});
  }

  // Starts the service again once it has died, as an init system does. True once it has.
  bool StartAgainIfDead() {
    if (died_) return true;
    if (world_->suite().process(GetParam().service).Running()) return false;
    died_ = true;
    if (known_ != nullptr) known_at_death_ = known_->urls();
    CW_EXPECT_OK(world_->suite().Restart(GetParam().service));
    return true;
  }

  // Makes `call` until it is done, however often the service dies under it.
  template <typename Call>
  void Persist(Call call) {
    absl::Status last;
    EXPECT_TRUE(harness::WaitUntil(
        [&] {
          last = call();
          StartAgainIfDead();
          return last.ok() || absl::IsAlreadyExists(last) || absl::IsNotFound(last);
        },
        kTimeout))
        << last;
  }

  static std::string CertificateName(int i) { return absl::StrCat("c", i); }
  // Half of the names are proven by DNS-01, half by HTTP-01.
  static std::string DnsName(int i) {
    return absl::StrCat("c", i, i % 2 == 0 ? ".dns.example.test" : ".example.test");
  }

  void IssueAll() {
    auto issuer = world_->MakeClusterIssuer({}, {"dns.example.test"});
    // Limits that never hold anything up, so that they are counted.
    auto& limits = *issuer.mutable_spec()->mutable_acme()->mutable_rate_limits();
    limits.set_certificates_per_domain(1000);
    limits.set_failed_validations(100);
    Persist([&] { return world_->CreateClusterIssuer(issuer); });
    for (int i = 0; i < kCertificates; ++i) {
      Persist([&] {
        return world_->CreateCertificate(
            World::MakeCertificate(CertificateName(i), {DnsName(i)}));
      });
    }
    EXPECT_TRUE(harness::WaitUntil(
        [&] {
          StartAgainIfDead();
          std::vector<std::string> names;
          for (int i = 0; i < kCertificates; ++i) names.push_back(CertificateName(i));
          return world_->WaitUntilReady(names, absl::Milliseconds(500)).ok();
        },
        kTimeout))
        << world_->WaitUntilReady({CertificateName(0)}, absl::Seconds(1));
  }

  void ExpectKeysFit() {
    for (int i = 0; i < kCertificates; ++i) {
      CW_ASSERT_OK_AND_ASSIGN(const auto secret,
                              world_->GetSecret(absl::StrCat(CertificateName(i), "-tls")));
      CW_EXPECT_OK(world_->VerifySecret(secret, {DnsName(i)}));
    }
  }

  void ExpectNoOrderTwice() {
    int valid = 0;
    for (const order::v1::Order& order : world_->ListOrders()) {
      if (order.status().state() == order::v1::ORDER_STATE_VALID) ++valid;
      const auto known = known_at_death_.find(order.metadata().name());
      if (known == known_at_death_.end()) continue;
      EXPECT_EQ(order.status().url(), known->second) << order.metadata().name();
    }
    EXPECT_EQ(valid, kCertificates);
    // One order at a time is worked on here, so one at most was placed and not yet known.
    const bool may_be_lost = GetParam().service == Service::kOrder;
    // An order is lost when the CA looks for its token while there is no solver to answer.
    const int refused =
        world_->pebble().process().CountLogLines("set INVALID by invalid authz");
    if (GetParam().service != Service::kSolver) {
      EXPECT_EQ(refused, 0);
    }
    EXPECT_GE(world_->pebble().CountOrders(), kCertificates);
    EXPECT_LE(world_->pebble().CountOrders(), kCertificates + refused + (may_be_lost ? 1 : 0));
  }

  void ExpectNothingLeftBehind() {
    EXPECT_TRUE(harness::WaitUntil(
        [&] {
          StartAgainIfDead();
          const auto challenges = world_->TryListChallenges();
          return challenges.ok() && std::none_of(challenges->begin(), challenges->end(),
                                                 [](const auto& challenge) {
                                                   return challenge.status().presented();
                                                 });
        },
        kTimeout))
        << "a proof is still presented";
    for (int i = 0; i < kCertificates; i += 2) {
      EXPECT_THAT(world_->TxtValues(DnsName(i)), IsEmpty()) << DnsName(i);
    }
  }

  std::vector<std::string> SecretNames() {
    issuer::v1::ListSecretsRequest request;
    request.set_namespace_("default");
    issuer::v1::ListSecretsResponse response;
    CW_EXPECT_OK(harness::FromGrpc(
        world_->secrets().ListSecrets(harness::MakeContext().get(), request, &response)));
    std::vector<std::string> names;
    for (const auto& secret : response.secrets()) names.push_back(secret.metadata().name());
    return names;
  }

  std::unique_ptr<World> world_;
  std::unique_ptr<KnownOrders> known_;
  std::map<std::string, std::string> known_at_death_;
  bool died_ = false;
};

// Fault 87.
TEST_P(KillMatrixTest, EverythingGoesOnFromThere) {
  IssueAll();
  if (IsOfDeletion(GetParam().point)) Arm();
  if (!IsOfDeletion(GetParam().point)) {
    ExpectNothingLeftBehind();
    ExpectKeysFit();
    ExpectNoOrderTwice();
    std::vector<std::string> secrets;
    for (int i = 0; i < kCertificates; ++i) {
      secrets.push_back(absl::StrCat(CertificateName(i), "-tls"));
    }
    EXPECT_THAT(SecretNames(), testing::UnorderedElementsAreArray(secrets));
    EXPECT_TRUE(StartAgainIfDead()) << "the point was not reached";
  }
  for (int i = 0; i < kCertificates; ++i) {
    Persist([&] {
      issuer::v1::DeleteCertificateRequest request;
      request.set_name(CertificateName(i));
      issuer::v1::DeleteCertificateResponse response;
      return harness::FromGrpc(world_->certificates().DeleteCertificate(
          harness::MakeContext().get(), request, &response));
    });
  }
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        StartAgainIfDead();
        // It may die under one of these, and is started again in the next round.
        const auto orders = world_->TryListOrders();
        const auto challenges = world_->TryListChallenges();
        return orders.ok() && orders->empty() && challenges.ok() && challenges->empty();
      },
      kTimeout))
      << "the Orders and Challenges of deleted Certificates remain";
  EXPECT_TRUE(StartAgainIfDead()) << "the point was not reached";
}

INSTANTIATE_TEST_SUITE_P(FaultPoints, KillMatrixTest, testing::ValuesIn(AllCases()),
                         [](const auto& info) {
                           return absl::StrCat(
                               harness::ServiceName(info.param.service), "_",
                               absl::StrReplaceAll(base::FaultPointName(info.param.point),
                                                   {{"-", "_"}}));
                         });

}  // namespace
}  // namespace certwright
