// Renewal and the choice of the issuer, with the real services and the newest Pebble: when the
// CA advises it, at which CA, and how many at once.
#include <signal.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/renewal_info.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/certificate.h"
#include "lib/service/conditions.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using harness::Pebble;
using harness::World;
using issuer::v1::Certificate;

constexpr absl::Duration kTimeout = absl::Seconds(90);
constexpr absl::Duration kDay = absl::Hours(24);

harness::WorldOptions Newest() {
  harness::WorldOptions options;
  options.pebble_program = harness::kNewestPebble;
  return options;
}

// Waits until the Certificate is as `done` wants it; what it was last.
template <typename Done>
Certificate WaitFor(World& world, const std::string& name, Done done,
                    absl::Duration timeout = kTimeout) {
  Certificate last;
  const bool in_time = harness::WaitUntil(
      [&] {
        const auto certificate = world.GetCertificate(name);
        if (certificate.ok()) last = *certificate;
        return certificate.ok() && done(last);
      },
      timeout);
  EXPECT_TRUE(in_time) << last.DebugString();
  return last;
}

void Renew(World& world, const std::string& name) {
  issuer::v1::RenewCertificateRequest request;
  request.set_name(name);
  issuer::v1::RenewCertificateResponse response;
  CW_EXPECT_OK(harness::FromGrpc(
      world.certificates().RenewCertificate(harness::MakeContext().get(), request, &response)));
}

std::vector<pki::Certificate> ChainOf(World& world, const std::string& name) {
  const auto secret = world.GetSecret(name + "-tls");
  EXPECT_THAT(secret, base::IsOk());
  if (!secret.ok()) return {};
  auto chain = pki::ParseChainPem(secret->data().at("tls.crt"));
  EXPECT_THAT(chain, base::IsOk());
  return chain.ok() ? *std::move(chain) : std::vector<pki::Certificate>();
}

TEST(RenewalTest, WaitsForAMomentInTheWindowThatTheCaSuggests) {
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start(Newest()));
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer({}, {})));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"www"}, kTimeout));
  const Certificate www = WaitFor(*world, "www", [](const Certificate& certificate) {
    return certificate.status().renewal_info().has_window_start();
  });
  const issuer::v1::RenewalInfo& info = www.status().renewal_info();
  const absl::Time selected = service::FromProto(info.selected_time());
  EXPECT_GE(selected, service::FromProto(info.window_start()));
  EXPECT_LE(selected, service::FromProto(info.window_end()));
  EXPECT_GT(selected, absl::Now() + kDay);
  EXPECT_TRUE(info.has_next_check());
  EXPECT_EQ(info.last_error(), "");
  const Certificate later = WaitFor(*world, "www", [&](const Certificate& certificate) {
    return certificate.status().renewal_time().seconds() == info.selected_time().seconds();
  });
  EXPECT_EQ(later.status().revision(), 1);
}

// Has the CA ask for the renewal of the present certificate before we first ask it about that
// one: the question after that is hours away. Returns the certificate that was renewed.
std::optional<pki::Certificate> ForceRenewal(World& world, const std::string& name) {
  for (int revision = 1; revision < 6; ++revision) {
    const std::vector<pki::Certificate> chain = ChainOf(world, name);
    if (chain.empty()) break;
    CW_EXPECT_OK(world.pebble().SuggestRenewal(chain[0].Pem(), absl::Now() - 2 * kDay,
                                               absl::Now() - kDay));
    const std::string id = acme::CertId(chain[0]).value_or("");
    const Certificate asked = WaitFor(world, name, [&](const Certificate& certificate) {
      return certificate.status().revision() > revision ||
             (certificate.status().renewal_info().has_window_start() &&
              service::FromProto(certificate.status().renewal_info().window_start()) >
                  absl::Now());
    });
    if (asked.status().revision() > revision) return chain[0];
    Renew(world, name);
    WaitFor(world, name, [&](const Certificate& certificate) {
      return certificate.status().revision() > revision;
    });
  }
  ADD_FAILURE() << "the CA's advice was never followed";
  return std::nullopt;
}

// Needs a CA that rejects no nonces.
int CountNewOrderRequests(World& world) {
  return world.pebble().process().CountLogLines("POST /order-plz -> calling handler");
}

TEST(RenewalTest, RenewsAtOnceWhereTheCaSaysSoAndTellsWhatIsReplaced) {
  harness::WorldOptions options = Newest();
  options.nonce_reject_percent = 0;
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start(std::move(options)));
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer({}, {})));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"www"}, kTimeout));
  const auto first = ForceRenewal(*world, "www");
  ASSERT_TRUE(first.has_value());
  CW_ASSERT_OK_AND_ASSIGN(const std::string id, acme::CertId(*first));
  std::set<std::string> replaced;
  for (const order::v1::Order& order : world->ListOrders()) {
    EXPECT_EQ(order.status().state(), order::v1::ORDER_STATE_VALID);
    replaced.insert(order.spec().replaces());
  }
  EXPECT_TRUE(replaced.contains(id));
  // What is replaced was accepted: each certificate took one order.
  CW_ASSERT_OK_AND_ASSIGN(const Certificate www, world->GetCertificate("www"));
  EXPECT_EQ(world->pebble().CountOrders(), www.status().revision());
  EXPECT_EQ(CountNewOrderRequests(*world), www.status().revision());
  // A second order for the same successor is refused as such, and then placed without.
  order::v1::CreateOrderRequest request;
  for (const order::v1::Order& order : world->ListOrders()) {
    if (order.spec().replaces() == id) *request.mutable_order() = order;
  }
  request.mutable_order()->clear_status();
  request.mutable_order()->mutable_metadata()->Clear();
  request.mutable_order()->mutable_metadata()->set_name("again");
  order::v1::CreateOrderResponse response;
  CW_ASSERT_OK(harness::FromGrpc(
      world->orders().CreateOrder(harness::MakeContext().get(), request, &response)));
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        for (const order::v1::Order& order : world->ListOrders()) {
          if (order.metadata().name() == "again" &&
              order.status().state() == order::v1::ORDER_STATE_VALID) {
            return true;
          }
        }
        return false;
      },
      kTimeout));
  EXPECT_EQ(CountNewOrderRequests(*world), www.status().revision() + 2);
  EXPECT_EQ(world->pebble().CountOrders(), www.status().revision() + 1);
}

TEST(RenewalTest, TakesTheProfileAndThePreferredChain) {
  harness::WorldOptions options = Newest();
  options.profiles = {{"short", 6 * kDay}, {"long", 60 * kDay}};
  options.alternate_roots = 1;
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start(std::move(options)));
  CW_ASSERT_OK_AND_ASSIGN(const std::string alternate_pem, world->pebble().FetchRootPem(1));
  CW_ASSERT_OK_AND_ASSIGN(const auto alternate, pki::ParseChainPem(alternate_pem));
  auto issuer = world->MakeClusterIssuer({}, {});
  issuer.mutable_spec()->mutable_acme()->set_profile("short");
  issuer.mutable_spec()->mutable_acme()->set_preferred_chain(alternate[0].subject_common_name);
  CW_ASSERT_OK(world->CreateClusterIssuer(issuer));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"www"}, kTimeout));
  const std::vector<pki::Certificate> chain = ChainOf(*world, "www");
  ASSERT_FALSE(chain.empty());
  EXPECT_LT(chain[0].not_after - chain[0].not_before, 7 * kDay);
  CW_EXPECT_OK(pki::VerifyAgainstRoots(chain, alternate, absl::Now()));
}

// Fault 93.
TEST(RenewalTest, FallsBackWhileTheFirstCaIsAwayAndReturnsToIt) {
  harness::WorldOptions options = Newest();
  options.extra_config[static_cast<std::size_t>(harness::Service::kIssuer)] =
      "fallback: {after: 8s, hold: 5s}\n";
  options.acme_config = "requestTimeout: 3s";
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start(std::move(options)));
  harness::PebbleOptions second_options;
  second_options.folder = harness::MakeFolder("second");
  second_options.program = harness::kNewestPebble;
  second_options.http_port = world->suite().http01_port();
  second_options.dns_server = world->knot().address();
  CW_ASSERT_OK_AND_ASSIGN(const auto second_ca, Pebble::Start(std::move(second_options)));
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer({}, {})));
  auto second = world->MakeClusterIssuer({}, {});
  second.mutable_metadata()->set_name("second");
  second.mutable_spec()->mutable_acme()->set_server(second_ca->directory_url());
  second.mutable_spec()->mutable_acme()->set_ca_bundle(second_ca->tls_ca_pem());
  CW_ASSERT_OK(world->CreateClusterIssuer(second));

  const auto issued_by = [](const std::string& issuer, int revision) {
    return [=](const Certificate& certificate) {
      return certificate.status().revision() == revision &&
             certificate.status().issuer_in_use().name() == issuer;
    };
  };
  world->pebble().process().Signal(SIGSTOP);
  Certificate certificate = World::MakeCertificate("www", {"www.example.test"});
  meta::v1::IssuerRef& fallback = *certificate.mutable_spec()->add_fallback_issuer_refs();
  fallback.set_name("second");
  fallback.set_kind(meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
  CW_ASSERT_OK(world->CreateCertificate(certificate));
  WaitFor(*world, "www", issued_by("second", 1));
  const std::vector<pki::Certificate> chain = ChainOf(*world, "www");
  CW_ASSERT_OK_AND_ASSIGN(const std::string root_pem, second_ca->FetchRootPem());
  CW_ASSERT_OK_AND_ASSIGN(const auto root, pki::ParseChainPem(root_pem));
  CW_EXPECT_OK(pki::VerifyAgainstRoots(chain, root, absl::Now()));

  world->pebble().process().Signal(SIGCONT);
  const Certificate back = WaitFor(*world, "www", [](const Certificate& certificate) {
    return certificate.status().issuer_outages_size() == 1 &&
           service::FromProto(certificate.status().issuer_outages(0).until()) < absl::Now();
  });
  EXPECT_EQ(back.status().issuer_in_use().name(), "second");
  Renew(*world, "www");
  WaitFor(*world, "www", issued_by("pebble", 2));
  CW_ASSERT_OK_AND_ASSIGN(const auto secret, world->GetSecret("www-tls"));
  CW_EXPECT_OK(world->VerifySecret(secret, {"www.example.test"}));
}

void Update(World& world, const issuer::v1::ClusterIssuer& issuer) {
  issuer::v1::UpdateClusterIssuerRequest request;
  *request.mutable_cluster_issuer() = issuer;
  issuer::v1::UpdateClusterIssuerResponse response;
  CW_EXPECT_OK(harness::FromGrpc(
      world.issuers().UpdateClusterIssuer(harness::MakeContext().get(), request, &response)));
}

// Creates c<from> to c<to - 1> and waits until they are Ready.
void CreateMany(World& world, int from, int to) {
  std::vector<std::string> created;
  for (int i = from; i < to; ++i) {
    created.push_back(absl::StrCat("c", i));
    CW_EXPECT_OK(world.CreateCertificate(
        World::MakeCertificate(created.back(), {absl::StrCat("c", i, ".example.test")})));
  }
  CW_EXPECT_OK(world.WaitUntilReady(created, absl::Minutes(10)));
}

// When the issuer had an order made, since `begin`, and for which certificate, in order of
// time.
std::vector<std::pair<absl::Time, int>> OrdersSince(World& world, absl::Time begin,
                                                    std::size_t count) {
  std::vector<std::pair<absl::Time, int>> made;
  harness::WaitUntil(
      [&] {
        made.clear();
        for (const order::v1::Order& order : world.ListOrders()) {
          const absl::Time time = service::FromProto(order.metadata().create_time());
          if (time < begin) continue;
          made.emplace_back(time, std::stoi(order.spec().dns_names(0).substr(1)));
        }
        return made.size() == count;
      },
      kTimeout);
  std::sort(made.begin(), made.end());
  return made;
}

// Fault 94.
TEST(RenewalTest, RenewsAThousandPacedByTheLimitNearestEndFirst) {
  constexpr int kCertificates = 1000;
  constexpr int kBurst = 200;
  constexpr int kASecond = 10;
  harness::WorldOptions options = Newest();
  options.profiles = {{"short", 6 * kDay}, {"long", 60 * kDay}};
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start(std::move(options)));
  auto issuer = world->MakeClusterIssuer({}, {});
  issuer::v1::AcmeIssuer& acme = *issuer.mutable_spec()->mutable_acme();
  acme.set_profile("long");
  CW_ASSERT_OK(world->CreateClusterIssuer(issuer));
  CreateMany(*world, 0, kCertificates / 2);
  acme.set_profile("short");
  Update(*world, issuer);
  CreateMany(*world, kCertificates / 2, kCertificates);
  acme.mutable_rate_limits()->set_orders(kBurst);
  acme.mutable_rate_limits()->mutable_orders_window()->set_seconds(kBurst / kASecond);
  Update(*world, issuer);

  // Those that end last are asked for first.
  const absl::Time begin = absl::Now();
  for (int i = 0; i < kCertificates; ++i) Renew(*world, absl::StrCat("c", i));
  for (int i = 0; i < kCertificates; ++i) {
    WaitFor(*world, absl::StrCat("c", i), [](const Certificate& certificate) {
      return certificate.status().revision() == 2 ||
             service::IsTrue(certificate.status().conditions(), "RateLimited");
    });
  }
  const absl::Time all_in_line = absl::Now();
  for (int i = 0; i < kCertificates; ++i) {
    WaitFor(
        *world, absl::StrCat("c", i),
        [](const Certificate& certificate) { return certificate.status().revision() == 2; },
        absl::Minutes(10));
  }
  const auto made = OrdersSince(*world, begin, kCertificates);
  ASSERT_EQ(made.size(), static_cast<std::size_t>(kCertificates));
  // Never more than the limit and what is given back meanwhile.
  for (std::size_t i = 0; i < made.size(); ++i) {
    const double seconds = absl::ToDoubleSeconds(made[i].first - begin);
    ASSERT_LE(static_cast<double>(i), kBurst + seconds * kASecond + kASecond) << i;
  }
  // From when all stood in line, those that end first went first.
  std::vector<int> waiting;
  for (const auto& [time, number] : made) {
    if (time > all_in_line) waiting.push_back(number);
  }
  ASSERT_GT(waiting.size(), 100u);
  const auto ends_late = [](int number) { return number < kCertificates / 2; };
  const auto nearest = std::count_if(waiting.begin(), waiting.end(), std::not_fn(ends_late));
  EXPECT_LE(std::count_if(waiting.begin(), waiting.begin() + nearest, ends_late), kASecond);
}

}  // namespace
}  // namespace certwright
