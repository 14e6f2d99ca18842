// Label selectors: "team=web,tier!=test,canary,!legacy".
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/map.h"

namespace certwright::rpc {

class LabelSelector {
 public:
  using Labels = google::protobuf::Map<std::string, std::string>;

  // All parts must hold: "key=value" (also "=="), "key!=value" (also true without the key),
  // "key" (present), "!key" (absent). Empty matches everything. INVALID_ARGUMENT naming
  // "labelSelector" otherwise; at most 1 KiB.
  static absl::StatusOr<LabelSelector> Parse(absl::string_view text);

  bool Matches(const Labels& labels) const;
  bool empty() const { return requirements_.empty(); }

 private:
  enum class Operator { kEquals, kNotEquals, kExists, kAbsent };
  struct Requirement {
    Operator op = Operator::kExists;
    std::string key;
    std::string value;
  };
  static absl::StatusOr<Requirement> ParseRequirement(absl::string_view text);

  std::vector<Requirement> requirements_;
};

}  // namespace certwright::rpc
