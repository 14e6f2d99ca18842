// Patterns and ranges of an approval policy, and what they are compared with: "pattern\ntext".
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/base/fuzz.h"
#include "lib/pki/names.h"
#include "services/issuer/approval_patterns.h"

namespace certwright::issuer_service {
namespace {

// The definition of a match, without regard for time.
bool MatchesSlowly(absl::string_view pattern, absl::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() != '*') {
    return !text.empty() && text.front() == pattern.front() &&
           MatchesSlowly(pattern.substr(1), text.substr(1));
  }
  for (std::size_t taken = 0; taken <= text.size(); ++taken) {
    if (MatchesSlowly(pattern.substr(1), text.substr(taken))) return true;
  }
  return false;
}

void CheckPattern(absl::string_view pattern, absl::string_view text) {
  const bool matches = MatchesPattern(pattern, text);
  // Its time grows with each star.
  if (pattern.size() <= 8 && text.size() <= 8) {
    CW_FUZZ_CHECK(matches == MatchesSlowly(pattern, text));
  }
  CW_FUZZ_CHECK(MatchesPattern(pattern, pattern));
  // More freedom never makes a match less.
  if (matches) {
    CW_FUZZ_CHECK(MatchesPattern(absl::StrCat("*", pattern), text));
    CW_FUZZ_CHECK(MatchesPattern(absl::StrCat(pattern, "*"), absl::StrCat(text, "more")));
  }
  if (!absl::StrContains(pattern, '*')) CW_FUZZ_CHECK(matches == (pattern == text));
}

void CheckParsed(absl::string_view text) {
  for (const auto parse : {ParsePattern, ParseDnsPattern, ParseEmailPattern}) {
    const absl::StatusOr<std::string> pattern = parse(text);
    if (!pattern.ok()) continue;
    CW_FUZZ_CHECK(!pattern->empty());
    CW_FUZZ_CHECK(parse(*pattern) == pattern);
  }
  // A name, in whatever spelling, is a pattern that matches its one spelling.
  if (absl::StrContains(absl::StripPrefix(text, "*."), '*')) return;
  const absl::StatusOr<std::string> name = pki::NormalizeDnsName(text);
  const absl::StatusOr<std::string> pattern = ParseDnsPattern(text);
  if (name.ok()) CW_FUZZ_CHECK(pattern.ok() && MatchesPattern(*pattern, *name));
}

void CheckIssuer(absl::string_view pattern, absl::string_view name) {
  meta::v1::IssuerRef issuer;
  issuer.set_name(std::string(name));
  meta::v1::IssuerRef cluster_issuer = issuer;
  cluster_issuer.set_kind(meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
  const absl::StatusOr<IssuerPattern> parsed = IssuerPattern::Parse(pattern);
  if (parsed.ok()) {
    CW_FUZZ_CHECK(!(parsed->Matches(issuer) && parsed->Matches(cluster_issuer)));
  }
}

void CheckSubject(absl::string_view pattern, const std::string& value) {
  const absl::StatusOr<SubjectPattern> parsed = SubjectPattern::Parse(pattern);
  if (!parsed.ok()) return;
  CW_FUZZ_CHECK(
      !(parsed->Matches({"2.5.4.10", value}) && parsed->Matches({"2.5.4.11", value})));
}

void CheckRange(const std::string& text, const std::string& address) {
  const absl::StatusOr<AddressRange> range = AddressRange::Parse(text);
  if (!range.ok()) return;
  const std::string network = text.substr(0, text.find('/'));
  CW_FUZZ_CHECK(range->Contains(network));
  if (!range->Contains(address)) return;
  const absl::StatusOr<std::string> normal = pki::NormalizeIpAddress(address);
  CW_FUZZ_CHECK(normal.ok() && range->Contains(*normal));
  const absl::StatusOr<AddressRange> all =
      AddressRange::Parse(absl::StrContains(*normal, ':') ? "::/0" : "0.0.0.0/0");
  CW_FUZZ_CHECK(all.ok() && all->Contains(address));
}

}  // namespace
}  // namespace certwright::issuer_service

CW_FUZZ_TARGET(input) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(input, absl::MaxSplits('\n', 1));
  certwright::issuer_service::CheckPattern(parts.first, parts.second);
  certwright::issuer_service::CheckParsed(parts.first);
  certwright::issuer_service::CheckIssuer(parts.first, parts.second);
  certwright::issuer_service::CheckSubject(parts.first, parts.second);
  certwright::issuer_service::CheckRange(parts.first, parts.second);
}
