#include "services/solver/solver_config.h"

#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::solver {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

config::v1::SolverConfig ValidConfig() {
  config::v1::SolverConfig config;
  config.mutable_server()->set_listen("127.0.0.1:0");
  config.mutable_store()->mutable_sqlite()->set_path("/tmp/solver.db");
  config.mutable_issuer()->set_address("127.0.0.1:7001");
  return config;
}

TEST(SolverConfigTest, AMinimalConfigurationIsValid) {
  EXPECT_THAT(ValidateConfig(ValidConfig()), IsEmpty());
}

TEST(SolverConfigTest, EveryBrokenRuleIsNamed) {
  struct Case {
    const char* field;
    std::function<void(config::v1::SolverConfig&)> spoil;
  };
  const Case cases[] = {
      {"workers", [](auto& c) { c.set_workers(-1); }},
      {"limits.total", [](auto& c) { c.mutable_limits()->set_total(-1); }},
      {"limits.perIssuer", [](auto& c) { c.mutable_limits()->set_per_issuer(-1); }},
      {"limits.perProvider", [](auto& c) { c.mutable_limits()->set_per_provider(-1); }},
      {"recursiveNameservers[0]", [](auto& c) { c.add_recursive_nameservers("ns.test"); }},
      {"authoritativePort", [](auto& c) { c.set_authoritative_port(65536); }},
      {"dnsAllowedRanges", [](auto& c) { c.add_dns_allowed_ranges("10.0.0.0/99"); }},
      {"dnsAllowedPorts[0]", [](auto& c) { c.add_dns_allowed_ports(0); }},
      {"selfCheckAllowedRanges", [](auto& c) { c.add_self_check_allowed_ranges("x"); }},
      {"retention", [](auto& c) { c.mutable_retention(); }},
  };
  for (const Case& c : cases) {
    config::v1::SolverConfig config = ValidConfig();
    c.spoil(config);
    EXPECT_THAT(ValidateConfig(config), ElementsAre(StartsWith(c.field)));
  }
}

TEST(SolverConfigTest, WhatIsNotSetHasItsDefault) {
  const SolverOptions options = ToOptions(ValidConfig());
  EXPECT_EQ(options.workers, 256);
  EXPECT_EQ(options.limits.total, 500);
  EXPECT_EQ(options.limits.per_issuer, 250);
  EXPECT_EQ(options.limits.per_account, 250);
  EXPECT_EQ(options.authoritative_port, 53);
  EXPECT_TRUE(options.dns_policy.Check({"9.9.9.9", 53}).ok());
  EXPECT_FALSE(options.dns_policy.Check({"10.0.0.1", 53}).ok());
  EXPECT_EQ(options.retention, absl::Hours(1));
  EXPECT_EQ(options.http01_listen, "");
}

TEST(SolverConfigTest, WhatIsSetIsTaken) {
  config::v1::SolverConfig config = ValidConfig();
  config.set_workers(3);
  config.mutable_limits()->set_total(4);
  config.mutable_limits()->set_per_issuer(5);
  config.mutable_limits()->set_per_provider(6);
  config.add_recursive_nameservers("192.0.2.53:5353");
  config.set_authoritative_port(5300);
  config.add_dns_allowed_ranges("10.0.0.0/8");
  config.add_dns_allowed_ports(5353);
  config.add_self_check_allowed_ranges("127.0.0.0/8");
  config.set_http01_listen("127.0.0.1:0");
  config.mutable_retention()->set_seconds(7);
  const SolverOptions options = ToOptions(config);
  EXPECT_EQ(options.workers, 3);
  EXPECT_EQ(options.limits.total, 4);
  EXPECT_EQ(options.limits.per_issuer, 5);
  EXPECT_EQ(options.limits.per_account, 6);
  EXPECT_THAT(options.nameservers, ElementsAre("192.0.2.53:5353"));
  EXPECT_EQ(options.authoritative_port, 5300);
  EXPECT_TRUE(options.dns_policy.Check({"10.0.0.1", 5353}).ok());
  EXPECT_TRUE(options.allowed_ranges.Contains("127.0.0.1"));
  EXPECT_EQ(options.http01_listen, "127.0.0.1:0");
  EXPECT_EQ(options.retention, absl::Seconds(7));
}

}  // namespace
}  // namespace certwright::solver
