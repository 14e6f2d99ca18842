#include "services/order/solver_selection.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::order {
namespace {

using base::StatusIs;
using testing::AllOf;
using testing::HasSubstr;

Solvers ParseSolvers(const std::string& text) {
  issuer::v1::AcmeIssuer issuer;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &issuer)) << text;
  return issuer.solvers();
}

Labels MakeLabels(std::vector<std::pair<std::string, std::string>> pairs) {
  Labels labels;
  for (auto& [key, value] : pairs) labels[key] = value;
  return labels;
}

struct Case {
  std::string title;
  std::string solvers;
  std::string identifier = "www.example.com";
  bool wildcard = false;
  std::vector<std::pair<std::string, std::string>> labels = {};
  std::string expected;
  std::vector<std::string> offered = {"http-01", "dns-01"};
};

std::string Solver(const std::string& name, const std::string& selector = "",
                   const std::string& kind = "dns01 {}") {
  return "solvers { name: '" + name + "' " + kind +
         (selector.empty() ? "" : " selector { " + selector + " }") + " } ";
}

constexpr char kHttp[] = "http01 {}";

TEST(SelectSolverTest, FollowsTheRulesOfPrecedence) {
  const std::vector<Case> cases = {
      {.title = "the only one", .solvers = Solver("a"), .expected = "a"},
      {.title = "of equal ones the first",
       .solvers = Solver("a") + Solver("b"),
       .expected = "a"},
      {.title = "one that matches beats one without selector before it",
       .solvers = Solver("a") + Solver("b", "dns_zones: 'example.com'"),
       .expected = "b"},
      {.title = "one that matches beats one without selector after it",
       .solvers = Solver("b", "dns_zones: 'example.com'") + Solver("a"),
       .expected = "b"},
      {.title = "an empty selector does not replace an earlier solver",
       .solvers = Solver("a") + "solvers { name: 'b' dns01 {} selector {} } ",
       .expected = "a"},
      {.title = "an exact name beats a zone",
       .solvers = Solver("zone", "dns_zones: 'www.example.com'") +
                  Solver("exact", "dns_names: 'www.example.com'"),
       .expected = "exact"},
      {.title = "an exact name beats any number of labels",
       .solvers = Solver("labels",
                         "match_labels { key: 'x' value: '1' } "
                         "match_labels { key: 'y' value: '2' }") +
                  Solver("exact", "dns_names: 'www.example.com'"),
       .labels = {{"x", "1"}, {"y", "2"}},
       .expected = "exact"},
      {.title = "the longer zone wins",
       .solvers = Solver("com", "dns_zones: 'com'") +
                  Solver("example", "dns_zones: 'example.com'") +
                  Solver("com2", "dns_zones: 'com'"),
       .expected = "example"},
      {.title = "a zone is longer by labels, not by letters",
       .solvers = Solver("one", "dns_zones: 'verylongzonename'") +
                  Solver("two", "dns_zones: 'a.verylongzonename'"),
       .identifier = "x.a.verylongzonename",
       .expected = "two"},
      {.title = "the longest of a solver's zones counts",
       .solvers = Solver("a", "dns_zones: 'example.com'") +
                  Solver("b", "dns_zones: 'com' dns_zones: 'www.example.com'"),
       .expected = "b"},
      {.title = "more labels win",
       .solvers = Solver("one", "match_labels { key: 'x' value: '1' }") +
                  Solver("two",
                         "match_labels { key: 'x' value: '1' } "
                         "match_labels { key: 'y' value: '2' }"),
       .labels = {{"x", "1"}, {"y", "2"}, {"z", "3"}},
       .expected = "two"},
      {.title = "a zone beats labels",
       .solvers = Solver("labels", "match_labels { key: 'x' value: '1' }") +
                  Solver("zone", "dns_zones: 'com'"),
       .labels = {{"x", "1"}},
       .expected = "zone"},
      {.title = "all parts of a selector must match: labels",
       .solvers = Solver("a") + Solver("b",
                                       "dns_names: 'www.example.com' "
                                       "match_labels { key: 'x' value: '1' }"),
       .labels = {{"x", "2"}},
       .expected = "a"},
      {.title = "all parts of a selector must match: zone",
       .solvers = Solver("a") + Solver("b",
                                       "dns_names: 'www.example.com' "
                                       "dns_zones: 'example.org'"),
       .expected = "a"},
      {.title = "all parts of a selector must match: name",
       .solvers = Solver("a") + Solver("b",
                                       "dns_names: 'example.com' "
                                       "dns_zones: 'example.com'"),
       .expected = "a"},
      {.title = "a zone matches whole labels only",
       .solvers = Solver("a") + Solver("b", "dns_zones: 'ample.com'"),
       .expected = "a"},
      {.title = "a zone holds the name itself",
       .solvers = Solver("a") + Solver("b", "dns_zones: 'www.example.com'"),
       .expected = "b"},
      {.title = "case and a trailing dot do not matter",
       .solvers = Solver("a") + Solver("b", "dns_zones: 'Example.COM.'"),
       .expected = "b"},
      {.title = "HTTP-01 is for names", .solvers = Solver("web", "", kHttp), .expected = "web"},
      {.title = "a wildcard passes HTTP-01 by",
       .solvers = Solver("web", "", kHttp) + Solver("dns"),
       .wildcard = true,
       .expected = "dns"},
      {.title = "a wildcard is matched exactly with its star",
       .solvers = Solver("base", "dns_names: 'www.example.com'") +
                  Solver("star", "dns_names: '*.www.example.com'"),
       .wildcard = true,
       .expected = "star"},
      {.title = "a wildcard lies in its zone",
       .solvers = Solver("a") + Solver("b", "dns_zones: 'www.example.com'"),
       .wildcard = true,
       .expected = "b"},
      {.title = "what the CA does not offer is passed by",
       .solvers = Solver("dns", "dns_names: 'www.example.com'") + Solver("web", "", kHttp),
       .expected = "web",
       .offered = {"http-01", "tls-alpn-01"}},
      {.title = "an address is matched exactly",
       .solvers = Solver("a", "", kHttp) + Solver("b", "dns_names: '192.0.2.1'", kHttp),
       .identifier = "192.0.2.1",
       .expected = "b",
       .offered = {"http-01"}},
      {.title = "an address lies in no zone",
       .solvers = Solver("a", "", kHttp) + Solver("b", "dns_zones: '2.1'", kHttp),
       .identifier = "192.0.2.1",
       .expected = "a",
       .offered = {"http-01"}},
      {.title = "a solver without name is named by its place",
       .solvers = "solvers { http01 {} } solvers { dns01 {} }",
       .wildcard = true,
       .expected = "solver-2"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.title);
    const NameToProve name{c.identifier, c.wildcard, c.offered};
    const auto choice = SelectSolver(ParseSolvers(c.solvers), name, MakeLabels(c.labels));
    CW_ASSERT_OK(choice);
    EXPECT_EQ(choice->solver_name, c.expected);
  }
}

TEST(SelectSolverTest, TellsTheTypeOfTheSolver) {
  const NameToProve name{"example.com", false, {"http-01", "dns-01"}};
  const Labels labels;
  EXPECT_EQ(SelectSolver(ParseSolvers(Solver("a")), name, labels)->type,
            solver::v1::CHALLENGE_TYPE_DNS01);
  EXPECT_EQ(SelectSolver(ParseSolvers(Solver("a", "", kHttp)), name, labels)->type,
            solver::v1::CHALLENGE_TYPE_HTTP01);
}

TEST(SelectSolverTest, SaysWhyNoSolverFits) {
  const Labels labels;
  EXPECT_THAT(SelectSolver(ParseSolvers(Solver("web", "", kHttp) +
                                        Solver("dns", "dns_zones: 'example.org'")),
                           NameToProve{"example.com", true, {"dns-01"}}, labels),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("*.example.com"), HasSubstr("the CA offers dns-01"),
                             HasSubstr("web (http-01 cannot prove wildcards"),
                             HasSubstr("dns (its selector does not match)"))));
  EXPECT_THAT(
      SelectSolver(ParseSolvers(Solver("dns")), NameToProve{"example.com", false, {"http-01"}},
                   labels),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("dns (the CA does not offer dns-01)")));
  EXPECT_THAT(
      SelectSolver(Solvers(), NameToProve{"example.com", false, {}}, labels),
      StatusIs(absl::StatusCode::kNotFound, AllOf(HasSubstr("no challenge that could be used"),
                                                  HasSubstr("the issuer has no solvers"))));
}

TEST(SelectSolverTest, KeepsALongListOfSolversShort) {
  std::string solvers;
  for (int i = 0; i < 30; ++i) solvers += Solver("web" + std::to_string(i), "", kHttp);
  EXPECT_THAT(SelectSolver(ParseSolvers(solvers), NameToProve{"example.com", true, {"dns-01"}},
                           Labels()),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("and 20 more"), testing::Not(HasSubstr("web10")))));
}

}  // namespace
}  // namespace certwright::order
