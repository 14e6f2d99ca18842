#include "lib/rpc/label_selector.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/validation.h"

namespace certwright::rpc {
namespace {

constexpr std::size_t kMaxBytes = 1024;

absl::Status Error(absl::string_view what) {
  return InvalidArgument({{"labelSelector", std::string(what)}});
}

}  // namespace

absl::StatusOr<LabelSelector> LabelSelector::Parse(absl::string_view text) {
  LabelSelector selector;
  if (text.size() > kMaxBytes) return Error("must be at most 1 KiB");
  if (absl::StripAsciiWhitespace(text).empty()) return selector;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    CW_ASSIGN_OR_RETURN(Requirement requirement, ParseRequirement(part));
    selector.requirements_.push_back(std::move(requirement));
  }
  return selector;
}

absl::StatusOr<LabelSelector::Requirement> LabelSelector::ParseRequirement(
    absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  Requirement requirement;
  absl::string_view key = text;
  absl::string_view value;
  if (const std::size_t at = text.find('='); at != absl::string_view::npos) {
    key = text.substr(0, at);
    value = text.substr(at + 1);
    requirement.op = Operator::kEquals;
    if (absl::ConsumeSuffix(&key, "!")) {
      requirement.op = Operator::kNotEquals;
    } else {
      absl::ConsumePrefix(&value, "=");
    }
  } else if (absl::ConsumePrefix(&key, "!")) {
    requirement.op = Operator::kAbsent;
  }
  requirement.key = std::string(absl::StripAsciiWhitespace(key));
  requirement.value = std::string(absl::StripAsciiWhitespace(value));
  if (!IsLabelKey(requirement.key) || !IsLabelValue(requirement.value)) {
    return Error("must be a list of key=value, key!=value, key or !key, separated by commas");
  }
  return requirement;
}

bool LabelSelector::Matches(const Labels& labels) const {
  return std::all_of(requirements_.begin(), requirements_.end(), [&](const Requirement& r) {
    const auto it = labels.find(r.key);
    const bool present = it != labels.end();
    switch (r.op) {
      case Operator::kEquals:
        return present && it->second == r.value;
      case Operator::kNotEquals:
        return !present || it->second != r.value;
      case Operator::kExists:
        return present;
      case Operator::kAbsent:
        return !present;
    }
    return false;
  });
}

}  // namespace certwright::rpc
