#include "lib/config/yaml_config.h"

#include <cstdint>
#include <string>

#include "certwright/config/v1/solver_config.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::config {
namespace {

using ::certwright::config::v1::SolverConfig;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ParseYamlTest, ReadsNestedValuesListsAndDurations) {
  SolverConfig config;
  EXPECT_THAT(ParseYaml(R"(
server:
  listen: 127.0.0.1:0
  drainGrace: 1m30s
  reflection: false
store: {sqlite: {path: /tmp/x}}
recursiveNameservers: ["127.0.0.1:53", "::1"]
limits: {per_issuer: 7}
)",
                        config),
              IsEmpty());
  EXPECT_EQ(config.server().listen(), "127.0.0.1:0");
  EXPECT_EQ(config.server().drain_grace().seconds(), 90);
  EXPECT_TRUE(config.server().has_reflection());
  EXPECT_FALSE(config.server().reflection());
  EXPECT_EQ(config.store().sqlite().path(), "/tmp/x");
  EXPECT_THAT(config.recursive_nameservers(), ElementsAre("127.0.0.1:53", "::1"));
  EXPECT_EQ(config.limits().per_issuer(), 7);
}

TEST(ParseYamlTest, ReportsEveryProblemWithItsLine) {
  SolverConfig config;
  EXPECT_THAT(ParseYaml(R"(server:
  listne: x
  drainGrace: soon
workers: many
retention: -5s
recursiveNameservers: one
limits: 3
workers: 4
)",
                        config),
              ElementsAre(HasSubstr("line 2: server.listne: unknown key; known are listen"),
                          HasSubstr("line 3: server.drainGrace: must be a duration"),
                          HasSubstr("line 4: workers: must be a number"),
                          HasSubstr("line 5: retention: must be between"),
                          HasSubstr("line 6: recursiveNameservers: must be a list"),
                          HasSubstr("line 7: limits: must be a map"),
                          HasSubstr("line 8: workers: is given twice")));
}

TEST(ParseYamlTest, ReadsNumbersOfMoreThan32Bits) {
  SolverConfig config;
  EXPECT_THAT(ParseYaml("store: {quotas: {totalBytes: 8589934592}}", config), IsEmpty());
  EXPECT_EQ(config.store().quotas().total_bytes(), int64_t{8} << 30);
  SolverConfig wrong;
  EXPECT_THAT(ParseYaml("store: {quotas: {totalBytes: -1, namespaceBytes: 1GiB}}", wrong),
              ElementsAre(HasSubstr("store.quotas.totalBytes: must not be negative"),
                          HasSubstr("store.quotas.namespaceBytes: must be a number")));
}

TEST(ParseYamlTest, ReadsListsOfNumbers) {
  SolverConfig config;
  EXPECT_THAT(ParseYaml("dnsAllowedPorts: [53, 5353]", config), IsEmpty());
  EXPECT_THAT(config.dns_allowed_ports(), ElementsAre(53, 5353));
  SolverConfig wrong;
  EXPECT_THAT(ParseYaml("dnsAllowedPorts: [x]", wrong),
              ElementsAre(HasSubstr("dnsAllowedPorts[0]: must be a number")));
}

TEST(ParseYamlTest, ShowsUnknownKeysEscapedAndShort) {
  SolverConfig config;
  EXPECT_THAT(ParseYaml("\"a\\e[2J\\nb\": 1", config),
              ElementsAre(HasSubstr("line 1: a\\x1b[2J\\nb: unknown key")));
  const std::vector<std::string> problems = ParseYaml(std::string(5000, 'k') + ": 1", config);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_LT(problems[0].size(), 1000u);
}

TEST(ParseYamlTest, RefusesTextThatIsNoUtf8) {
  SolverConfig config;
  EXPECT_THAT(ParseYaml("http01Listen: \"\xff\"", config),
              ElementsAre(HasSubstr("line 1: http01Listen: must be UTF-8")));
  EXPECT_THAT(ParseYaml("http01Listen: \"b\u00fccher\"", config), IsEmpty());
}

TEST(ParseYamlTest, ReportsBrokenYamlAndTooDeepNesting) {
  SolverConfig config;
  EXPECT_THAT(ParseYaml("server: [", config), ElementsAre(HasSubstr("line ")));
  EXPECT_THAT(ParseYaml(std::string(2 << 20, ' '), config),
              ElementsAre(HasSubstr("larger than 1 MiB")));
}

TEST(LoadYamlFileTest, NamesTheFile) {
  SolverConfig config;
  EXPECT_THAT(
      LoadYamlFile("/nonexistent/solver.yaml", config),
      base::StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/solver.yaml")));
}

}  // namespace
}  // namespace certwright::config
