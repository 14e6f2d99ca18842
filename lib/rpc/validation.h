// Violations: collects every broken rule of a request, so that all are reported at once.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/rpc/status.h"

namespace certwright::rpc {

class Violations {
 public:
  void Add(absl::string_view field, absl::string_view description) {
    violations_.push_back({std::string(field), std::string(description)});
  }
  // Adds `description` unless `holds`.
  void Require(bool holds, absl::string_view field, absl::string_view description) {
    if (!holds) Add(field, description);
  }
  bool empty() const { return violations_.empty(); }
  const std::vector<FieldViolation>& all() const { return violations_; }
  // OK, or INVALID_ARGUMENT with all of them.
  absl::Status ToStatus() const {
    return violations_.empty() ? absl::OkStatus() : InvalidArgument(violations_);
  }

 private:
  std::vector<FieldViolation> violations_;
};

// "spec.dnsNames[3]"
std::string Indexed(absl::string_view field, int index);

// Whether `text` is a DNS label: 1 to 63 of a-z, 0-9 and inner hyphens (RFC 1123 §2.1).
bool IsDnsLabel(absl::string_view text);

// Adds violations for a name or a namespace that is no DNS label.
void CheckName(absl::string_view name, absl::string_view field, Violations& violations);

// Kubernetes' rules for the keys and values of labels.
bool IsLabelKey(absl::string_view key);
bool IsLabelValue(absl::string_view value);

// A page_size as given: default 100, at most 1000; INVALID_ARGUMENT if it is negative.
absl::StatusOr<int> PageSize(int page_size);

}  // namespace certwright::rpc
