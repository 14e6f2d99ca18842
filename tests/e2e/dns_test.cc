// DNS-01 in the shapes that real zones have: another server program, a name delegated to
// another zone, a nameserver that lags.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/harness/bind.h"
#include "tests/harness/unbound.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using harness::World;

constexpr absl::Duration kTimeout = absl::Seconds(60);

// Points the DNS-01 solver of the issuer to another nameserver, with its own key.
template <typename Server>
absl::Status UseServer(World& world, issuer::v1::ClusterIssuer& issuer, const Server& server) {
  issuer::v1::CreateSecretRequest request;
  request.mutable_secret()->mutable_metadata()->set_namespace_("certwright");
  request.mutable_secret()->mutable_metadata()->set_name("other-tsig");
  (*request.mutable_secret()->mutable_data())["tsig-secret"] = server.tsig_secret();
  issuer::v1::CreateSecretResponse response;
  auto& rfc2136 = *issuer.mutable_spec()
                       ->mutable_acme()
                       ->mutable_solvers(1)
                       ->mutable_dns01()
                       ->mutable_rfc2136();
  rfc2136.set_nameservers(0, server.address());
  rfc2136.set_tsig_key_name(server.tsig_key_name());
  rfc2136.mutable_tsig_secret_secret_ref()->set_name("other-tsig");
  return harness::FromGrpc(
      world.secrets().CreateSecret(harness::MakeContext().get(), request, &response));
}

TEST(DnsTest, IssuesThroughBind) {
  harness::BindOptions bind_options;
  bind_options.folder = harness::MakeFolder("bind");
  bind_options.zones = {{"bind.test", ""}};
  CW_ASSERT_OK_AND_ASSIGN(const auto bind, harness::Bind::Start(bind_options));
  harness::WorldOptions options;
  options.resolver = bind->address();
  options.authoritative_port = bind->port();
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start(options));
  auto issuer = world->MakeClusterIssuer({}, {"bind.test"});
  CW_ASSERT_OK(UseServer(*world, issuer, *bind));
  CW_ASSERT_OK(world->CreateClusterIssuer(issuer));
  const std::vector<std::string> names = {"*.bind.test", "bind.test"};
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("bind", names)));
  CW_ASSERT_OK(world->WaitUntilReady({"bind"}, kTimeout));
  CW_ASSERT_OK_AND_ASSIGN(const auto secret, world->GetSecret("bind-tls"));
  CW_EXPECT_OK(world->VerifySecret(secret, names));
}

// Fault 68.
TEST(DnsTest, FollowsACnameIntoAnotherZone) {
  // Pebble follows no CNAME into another zone itself, so both ask a recursive resolver.
  harness::KnotOptions knot_options;
  knot_options.folder = harness::MakeFolder("zones");
  knot_options.port = harness::FreePort();
  harness::UnboundOptions unbound_options;
  unbound_options.folder = harness::MakeFolder("unbound");
  unbound_options.zones = {{"example.test", knot_options.port},
                           {"delegated.test", knot_options.port}};
  knot_options.zones = {
      {"example.test", absl::StrCat(harness::LoopbackZone("example.test"),
                                    "_acme-challenge.www CNAME www.delegated.test.\n")},
      {"delegated.test", ""}};
  CW_ASSERT_OK_AND_ASSIGN(const auto knot, harness::Knot::Start(knot_options));
  CW_ASSERT_OK_AND_ASSIGN(const auto unbound, harness::Unbound::Start(unbound_options));
  harness::WorldOptions options;
  options.resolver = unbound->address();
  options.authoritative_port = knot->port();
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start(options));
  auto issuer = world->MakeClusterIssuer({}, {"example.test"});
  CW_ASSERT_OK(UseServer(*world, issuer, *knot));
  issuer.mutable_spec()->mutable_acme()->mutable_solvers(1)->mutable_dns01()->add_alias_zones(
      "delegated.test");
  CW_ASSERT_OK(world->CreateClusterIssuer(issuer));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("www", {"www.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"www"}, kTimeout));
  const auto challenges = world->ListChallenges();
  ASSERT_EQ(challenges.size(), 1u);
  EXPECT_EQ(challenges[0].status().resolved_name(), "www.delegated.test");
  EXPECT_EQ(challenges[0].status().resolved_zone(), "delegated.test");
}

// Fault 108.
TEST(DnsTest, AWildcardAliasIsNotInTheWayWithStrategyNone) {
  harness::KnotOptions knot_options;
  knot_options.folder = harness::MakeFolder("zones");
  knot_options.zones = {
      {"example.test",
       "$ORIGIN example.test.\n$TTL 600\n@ SOA ns hostmaster 1 3600 600 86400 600\n@ NS ns\n"
       "ns A 127.0.0.1\n* CNAME lb.elsewhere.test.\n"},
      {"elsewhere.test", ""}};
  CW_ASSERT_OK_AND_ASSIGN(const auto knot, harness::Knot::Start(knot_options));
  harness::UnboundOptions unbound_options;
  unbound_options.folder = harness::MakeFolder("unbound");
  unbound_options.remembers = true;
  unbound_options.zones = {{"example.test", knot->port()}, {"elsewhere.test", knot->port()}};
  CW_ASSERT_OK_AND_ASSIGN(const auto unbound, harness::Unbound::Start(unbound_options));
  harness::WorldOptions options;
  // The CA's as well: what it remembers fails for ten minutes.
  options.resolver = unbound->address();
  options.authoritative_port = knot->port();
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start(options));
  auto issuer = world->MakeClusterIssuer({}, {"example.test"});
  CW_ASSERT_OK(UseServer(*world, issuer, *knot));
  auto& solver = *issuer.mutable_spec()->mutable_acme()->mutable_solvers(1);
  solver.mutable_dns01()->set_cname_strategy(issuer::v1::CNAME_STRATEGY_NONE);
  solver.mutable_self_check()->set_mode(issuer::v1::SELF_CHECK_MODE_BOTH);
  CW_ASSERT_OK(world->CreateClusterIssuer(issuer));
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate(
      "names", {"www.example.test", "a.b.example.test", "*.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"names"}, kTimeout));
  for (const solver::v1::Challenge& challenge : world->ListChallenges()) {
    EXPECT_EQ(challenge.status().resolved_name(),
              absl::StrCat("_acme-challenge.", challenge.spec().dns_name()));
    EXPECT_EQ(challenge.status().resolved_zone(), "example.test");
  }
}

// Fault 69.
TEST(DnsTest, WaitsForANameserverThatLagsThreeSeconds) {
  harness::WorldOptions options;
  options.zones = {{"example.test",
                    "$ORIGIN example.test.\n$TTL 1\n@ SOA ns1 hostmaster 1 3600 600 86400 1\n"
                    "@ NS ns1\n@ NS ns2\nns1 A 127.0.0.1\nns2 A 127.0.0.2\n@ A 127.0.0.1\n"}};
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start(options));
  // The secondary is told of nothing, and looks for changes every 3 s.
  harness::KnotOptions secondary_options;
  secondary_options.folder = harness::MakeFolder("secondary");
  secondary_options.zones = {{"example.test", ""}};
  secondary_options.address = "127.0.0.2";
  secondary_options.port = world->knot().port();
  secondary_options.primary = &world->knot();
  CW_ASSERT_OK_AND_ASSIGN(const auto secondary, harness::Knot::Start(secondary_options));
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer({}, {"example.test"})));
  const absl::Time start = absl::Now();
  CW_ASSERT_OK(world->CreateCertificate(World::MakeCertificate("apex", {"example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"apex"}, kTimeout));
  // Its first look was when it started, just before.
  EXPECT_GT(absl::Now() - start, absl::Seconds(1));
  const auto challenges = world->ListChallenges();
  ASSERT_EQ(challenges.size(), 1u);
  ASSERT_EQ(challenges[0].status().propagation_size(), 2);
  for (const auto& finding : challenges[0].status().propagation()) {
    EXPECT_EQ(finding.outcome(), solver::v1::PROPAGATION_OUTCOME_PRESENT)
        << finding.DebugString();
  }
}

}  // namespace
}  // namespace certwright
