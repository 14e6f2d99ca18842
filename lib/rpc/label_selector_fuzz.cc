// Label selectors of list and watch requests.
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/base/fuzz.h"
#include "lib/rpc/label_selector.h"

namespace certwright::rpc {
namespace {

// The requirement that holds exactly where `part` does not.
std::string Opposite(absl::string_view part) {
  if (absl::ConsumePrefix(&part, "!")) return std::string(part);
  const std::size_t equals = part.find('=');
  if (equals == absl::string_view::npos) return absl::StrCat("!", part);
  absl::string_view key = part.substr(0, equals);
  absl::string_view value = part.substr(equals + 1);
  if (absl::ConsumeSuffix(&key, "!")) return absl::StrCat(key, "=", value);
  absl::ConsumePrefix(&value, "=");
  return absl::StrCat(key, "!=", value);
}

// Labels that some of the parts are about.
std::vector<LabelSelector::Labels> LabelsFor(const std::vector<absl::string_view>& parts) {
  std::vector<LabelSelector::Labels> all(3);
  for (absl::string_view part : parts) {
    const std::vector<absl::string_view> sides =
        absl::StrSplit(part, absl::ByAnyChar("!="), absl::SkipWhitespace());
    if (sides.empty()) continue;
    const std::string key(absl::StripAsciiWhitespace(sides.front()));
    all[1][key] = std::string(absl::StripAsciiWhitespace(sides.back()));
    all[2][key] = "other";
  }
  return all;
}

void Check(absl::string_view text) {
  const absl::StatusOr<LabelSelector> selector = LabelSelector::Parse(text);
  if (!selector.ok()) {
    CW_FUZZ_CHECK(selector.status().code() == absl::StatusCode::kInvalidArgument);
    return;
  }
  CW_FUZZ_CHECK(text.size() <= 1024);
  if (selector->empty()) {
    CW_FUZZ_CHECK(absl::StripAsciiWhitespace(text).empty());
    return;
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ',');
  for (const LabelSelector::Labels& labels : LabelsFor(parts)) {
    bool all = true;
    for (const absl::string_view part : parts) {
      const absl::StatusOr<LabelSelector> alone = LabelSelector::Parse(part);
      CW_FUZZ_CHECK(alone.ok());
      const absl::StatusOr<LabelSelector> opposite =
          LabelSelector::Parse(Opposite(absl::StripAsciiWhitespace(part)));
      CW_FUZZ_CHECK(opposite.ok());
      CW_FUZZ_CHECK(alone->Matches(labels) != opposite->Matches(labels));
      all &= alone->Matches(labels);
    }
    CW_FUZZ_CHECK(selector->Matches(labels) == all);
  }
}

}  // namespace
}  // namespace certwright::rpc

CW_FUZZ_TARGET(input) { certwright::rpc::Check(input); }
