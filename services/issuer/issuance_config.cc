#include "services/issuer/issuance_config.h"

#include "absl/strings/str_cat.h"
#include "lib/service/conditions.h"

namespace certwright::issuer_service {
namespace {

// Each issuance that counts is noted in its Certificate's status.
constexpr int kMostIssuances = 100;
constexpr absl::Duration kLongestPaceWindow = absl::Hours(24);

}  // namespace

FallbackRules FallbackRulesOf(const config::v1::Fallback& config) {
  FallbackRules rules;
  if (config.has_after()) rules.after = service::FromProto(config.after());
  if (config.has_longest_wait()) rules.longest_wait = service::FromProto(config.longest_wait());
  if (config.has_hold()) rules.hold = service::FromProto(config.hold());
  return rules;
}

PaceRules PaceRulesOf(const config::v1::IssuancePace& config) {
  PaceRules rules;
  if (config.issuances() > 0) rules.issuances = config.issuances();
  if (config.has_window()) rules.window = service::FromProto(config.window());
  return rules;
}

std::vector<std::string> ValidateIssuance(const config::v1::IssuerConfig& config) {
  std::vector<std::string> problems;
  const config::v1::Fallback& fallback = config.fallback();
  const auto check = [&](bool given, const google::protobuf::Duration& value,
                         const char* field) {
    if (given && value.seconds() < 1) {
      problems.push_back(absl::StrCat("fallback.", field, ": must be at least 1s"));
    }
  };
  check(fallback.has_after(), fallback.after(), "after");
  check(fallback.has_longest_wait(), fallback.longest_wait(), "longestWait");
  check(fallback.has_hold(), fallback.hold(), "hold");
  const config::v1::IssuancePace& pace = config.issuance_pace();
  if (pace.issuances() < 0 || pace.issuances() > kMostIssuances) {
    problems.push_back(
        absl::StrCat("issuancePace.issuances: must be from 1 to ", kMostIssuances));
  }
  if (pace.has_window() &&
      (pace.window().seconds() < 1 || service::FromProto(pace.window()) > kLongestPaceWindow)) {
    problems.push_back("issuancePace.window: must be from 1s to 24h");
  }
  return problems;
}

}  // namespace certwright::issuer_service
