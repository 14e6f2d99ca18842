#include "services/order/solver_selection.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "lib/pki/names.h"

namespace certwright::order {
namespace {

constexpr std::size_t kMaxListed = 10;

// How well a solver matches: exact name, labels of the longest zone, number of match_labels.
using Rank = std::tuple<bool, int, int>;

solver::v1::ChallengeType TypeOf(const issuer::v1::AcmeSolver& solver) {
  if (solver.has_dns01()) return solver::v1::CHALLENGE_TYPE_DNS01;
  if (solver.has_http01()) return solver::v1::CHALLENGE_TYPE_HTTP01;
  return solver::v1::CHALLENGE_TYPE_UNSPECIFIED;
}

std::string NameOf(const issuer::v1::AcmeSolver& solver, int index) {
  return solver.name().empty() ? absl::StrCat("solver-", index + 1) : solver.name();
}

// Why the solver cannot prove this kind of name; empty if it can.
std::string Unusable(solver::v1::ChallengeType type, const NameToProve& name) {
  const std::string acme_type = AcmeTypeName(type);
  if (acme_type.empty()) return "it has no known way to prove names";
  if (name.wildcard && type != solver::v1::CHALLENGE_TYPE_DNS01) {
    return absl::StrCat(acme_type, " cannot prove wildcards, only dns-01 can");
  }
  if (std::find(name.offered.begin(), name.offered.end(), acme_type) == name.offered.end()) {
    return absl::StrCat("the CA does not offer ", acme_type);
  }
  return "";
}

bool LabelsMatch(const Labels& wanted, const Labels& labels) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    auto it = labels.find(label.first);
    return it != labels.end() && it->second == label.second;
  });
}

bool NamesMatch(const issuer::v1::Selector& selector, absl::string_view full_name) {
  return std::any_of(selector.dns_names().begin(), selector.dns_names().end(),
                     [&](const std::string& dns_name) {
                       absl::StatusOr<std::string> normal = pki::NormalizeDnsName(dns_name);
                       return full_name ==
                              (normal.ok() ? *normal : absl::AsciiStrToLower(dns_name));
                     });
}

// The number of labels of the longest zone that holds the name; 0 if none does.
int LongestZone(const issuer::v1::Selector& selector, absl::string_view full_name) {
  int longest = 0;
  for (const std::string& text : selector.dns_zones()) {
    // What is no DNS name (a part of an address) is no zone.
    absl::StatusOr<std::string> zone = pki::NormalizeDnsName(text);
    if (!zone.ok()) continue;
    absl::string_view above = full_name;
    if (!absl::ConsumeSuffix(&above, *zone)) continue;
    if (!above.empty() && above.back() != '.') continue;
    longest =
        std::max(longest, 1 + static_cast<int>(std::count(zone->begin(), zone->end(), '.')));
  }
  return longest;
}

// Nothing if the selector does not match.
std::optional<Rank> RankOf(const issuer::v1::AcmeSolver& solver, absl::string_view full_name,
                           const Labels& labels) {
  if (!solver.has_selector()) return Rank(false, 0, 0);
  const issuer::v1::Selector& selector = solver.selector();
  const bool exact = NamesMatch(selector, full_name);
  const int zone = LongestZone(selector, full_name);
  if (!selector.dns_names().empty() && !exact) return std::nullopt;
  if (!selector.dns_zones().empty() && zone == 0) return std::nullopt;
  if (!LabelsMatch(selector.match_labels(), labels)) return std::nullopt;
  return Rank(exact, zone, static_cast<int>(selector.match_labels().size()));
}

std::string DescribeOffer(const NameToProve& name) {
  if (name.offered.empty()) return "no challenge that could be used";
  const std::size_t shown = std::min(name.offered.size(), kMaxListed);
  return absl::StrJoin(name.offered.begin(), name.offered.begin() + shown, ", ");
}

}  // namespace

std::string AcmeTypeName(solver::v1::ChallengeType type) {
  switch (type) {
    case solver::v1::CHALLENGE_TYPE_HTTP01:
      return "http-01";
    case solver::v1::CHALLENGE_TYPE_DNS01:
      return "dns-01";
    case solver::v1::CHALLENGE_TYPE_TLSALPN01:
      return "tls-alpn-01";
    default:
      return "";
  }
}

absl::StatusOr<SolverChoice> SelectSolver(const Solvers& solvers, const NameToProve& name,
                                          const Labels& labels) {
  const std::string full_name =
      name.wildcard ? absl::StrCat("*.", name.identifier) : name.identifier;
  std::optional<Rank> best;
  SolverChoice choice;
  std::vector<std::string> left_out;
  for (int i = 0; i < solvers.size(); ++i) {
    const solver::v1::ChallengeType type = TypeOf(solvers[i]);
    std::string why_not = Unusable(type, name);
    std::optional<Rank> rank;
    if (why_not.empty()) {
      rank = RankOf(solvers[i], full_name, labels);
      if (!rank.has_value()) why_not = "its selector does not match";
    }
    if (!why_not.empty()) {
      left_out.push_back(absl::StrCat(NameOf(solvers[i], i), " (", why_not, ")"));
    } else if (!best.has_value() || *rank > *best) {
      best = rank;
      choice = SolverChoice{NameOf(solvers[i], i), type};
    }
  }
  if (best.has_value()) return choice;
  if (left_out.size() > kMaxListed) {
    const std::size_t more = left_out.size() - kMaxListed;
    left_out.resize(kMaxListed);
    left_out.push_back(absl::StrCat("and ", more, " more"));
  }
  return absl::NotFoundError(absl::StrCat(
      "no solver for ", full_name, ": the CA offers ", DescribeOffer(name), "; ",
      left_out.empty()
          ? "the issuer has no solvers"
          : absl::StrCat("the issuer's solvers are ", absl::StrJoin(left_out, ", "))));
}

}  // namespace certwright::order
