#include "lib/rpc/validation.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace certwright::rpc {
namespace {

constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxPrefix = 253;

bool IsAlnum(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }

// Letters and digits at both ends, also "-", "_" and "." inside.
bool IsQualifiedName(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxLabel && IsAlnum(text.front()) &&
         IsAlnum(text.back()) && std::all_of(text.begin(), text.end(), [](char c) {
           return IsAlnum(c) || c == '-' || c == '_' || c == '.';
         });
}

}  // namespace

std::string Indexed(absl::string_view field, int index) {
  return absl::StrCat(field, "[", index, "]");
}

bool IsDnsLabel(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxLabel && text.front() != '-' &&
         text.back() != '-' && std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_islower(static_cast<unsigned char>(c)) ||
                  absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-';
         });
}

void CheckName(absl::string_view name, absl::string_view field, Violations& violations) {
  if (name.empty()) {
    violations.Add(field, "is required");
  } else if (!IsDnsLabel(name)) {
    violations.Add(field,
                   "must be a DNS label: 1 to 63 characters of a-z, 0-9 and \"-\", with a "
                   "letter or digit at both ends");
  }
}

bool IsLabelKey(absl::string_view key) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(key, absl::MaxSplits('/', 1));
  if (!absl::StrContains(key, '/')) return IsQualifiedName(key);
  if (parts.first.empty() || parts.first.size() > kMaxPrefix) return false;
  for (const absl::string_view label : absl::StrSplit(parts.first, '.')) {
    if (!IsDnsLabel(label)) return false;
  }
  return IsQualifiedName(parts.second);
}

bool IsLabelValue(absl::string_view value) { return value.empty() || IsQualifiedName(value); }

absl::StatusOr<int> PageSize(int page_size) {
  constexpr int kDefault = 100;
  constexpr int kMax = 1000;
  if (page_size < 0) return InvalidArgument({{"pageSize", "must not be negative"}});
  return page_size == 0 ? kDefault : std::min(page_size, kMax);
}

}  // namespace certwright::rpc
