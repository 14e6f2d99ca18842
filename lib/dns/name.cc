#include "lib/dns/name.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace certwright::dns {
namespace {

constexpr std::size_t kMaxNameLength = 253;
constexpr std::size_t kMaxLabelLength = 63;

absl::Status CheckLabel(absl::string_view label) {
  if (label.empty()) return absl::InvalidArgumentError("has an empty label");
  if (label.size() > kMaxLabelLength) {
    return absl::InvalidArgumentError("has a label of more than 63 octets");
  }
  if (label == "*") return absl::OkStatus();
  for (const char c : label) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') {
      return absl::InvalidArgumentError(
          "has a character other than letters, digits, '-' and '_' (write international names "
          "in their xn-- form)");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> Normalize(absl::string_view name) {
  if (name.empty() || name == ".") return std::string();
  const absl::string_view shown = name.substr(0, kMaxNameLength);
  if (absl::EndsWith(name, ".")) name.remove_suffix(1);
  if (name.size() > kMaxNameLength) {
    return absl::InvalidArgumentError(
        absl::StrCat("the domain name \"", absl::CHexEscape(shown), "…\" is over 253 octets"));
  }
  for (const absl::string_view label : absl::StrSplit(name, '.')) {
    const absl::Status status = CheckLabel(label);
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the domain name \"", absl::CHexEscape(shown), "\" ", status.message()));
    }
  }
  return absl::AsciiStrToLower(name);
}

bool IsSubdomain(absl::string_view name, absl::string_view zone) {
  if (zone.empty() || name == zone) return true;
  return name.size() > zone.size() && absl::EndsWith(name, zone) &&
         name[name.size() - zone.size() - 1] == '.';
}

absl::string_view Parent(absl::string_view name) {
  const std::size_t dot = name.find('.');
  return dot == absl::string_view::npos ? absl::string_view() : name.substr(dot + 1);
}

std::string WireName(absl::string_view name) {
  std::string wire;
  while (!name.empty()) {
    const absl::string_view label = name.substr(0, name.find('.'));
    wire.push_back(static_cast<char>(label.size()));
    absl::StrAppend(&wire, label);
    name = Parent(name);
  }
  wire.push_back('\0');
  return wire;
}

absl::string_view DisplayName(absl::string_view name) {
  return name.empty() ? absl::string_view("the root") : name;
}

}  // namespace certwright::dns
