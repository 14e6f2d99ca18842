#include "lib/pki/literal_subject.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/base/utf8.h"
#include "lib/pki/subject_type.h"

namespace certwright::pki {
namespace {

constexpr size_t kMaxLiteralLength = 4096;
constexpr size_t kMaxParts = 64;

// Reads one part after the other off the front of a text.
class Reader {
 public:
  explicit Reader(absl::string_view text) : rest_(text) {}

  // Whether the text ended behind the last part.
  bool AtEnd() const { return ended_; }
  absl::StatusOr<LiteralPart> Next();

 private:
  absl::Status Error(absl::string_view rule) const;
  absl::Status ReadType(LiteralPart& part);
  absl::Status ReadValue(std::string& value);
  absl::Status ReadEscape(std::string& value);

  absl::string_view rest_;
  size_t number_ = 0;
  std::string type_;
  bool joins_ = false;
  bool ended_ = false;
};

absl::Status Reader::Error(absl::string_view rule) const {
  std::string type = type_.empty() ? "" : absl::StrCat(" (", type_, ")");
  return absl::InvalidArgumentError(
      absl::StrCat("literal subject: part ", number_, type, " ", rule));
}

absl::Status Reader::ReadType(LiteralPart& part) {
  rest_ = absl::StripLeadingAsciiWhitespace(rest_);
  size_t equals = rest_.find('=');
  if (equals == absl::string_view::npos) return Error("has no \"=\"");
  absl::string_view type = rest_.substr(0, equals);
  part.oid = SubjectTypeOid(type);
  if (part.oid.empty()) {
    return Error(absl::StrCat(
        "has the type \"", absl::CHexEscape(type.substr(0, 64)),
        "\", which is neither a dotted object identifier nor one of CN, C, O, OU, L, ST, "
        "STREET, postalCode, serialNumber, DC and UID"));
  }
  type_ = part.type = std::string(type);
  rest_.remove_prefix(equals + 1);
  return absl::OkStatus();
}

// What a backslash at the front of the rest stands for (RFC 4514 §2.4).
absl::Status Reader::ReadEscape(std::string& value) {
  constexpr absl::string_view kEscaped = "\"+,;<>= #\\";
  if (rest_.size() >= 2 && absl::StrContains(kEscaped, rest_[1])) {
    value += rest_[1];
    rest_.remove_prefix(2);
    return absl::OkStatus();
  }
  absl::string_view hex = rest_.substr(1, 2);
  if (hex.size() < 2 || !absl::ascii_isxdigit(static_cast<unsigned char>(hex[0])) ||
      !absl::ascii_isxdigit(static_cast<unsigned char>(hex[1]))) {
    return Error("has a \"\\\" with neither a special character nor two hex digits behind it");
  }
  value += absl::HexStringToBytes(hex);
  rest_.remove_prefix(3);
  return absl::OkStatus();
}

absl::Status Reader::ReadValue(std::string& value) {
  constexpr absl::string_view kForbidden("\";<>\0", 5);
  if (absl::StartsWith(rest_, "#")) return Error("has a value in the form #hex");
  if (absl::StartsWith(rest_, " ")) return Error("has a value with an unescaped space first");
  bool plain_space_last = false;
  while (!rest_.empty() && rest_[0] != ',' && rest_[0] != '+') {
    plain_space_last = rest_[0] == ' ';
    if (rest_[0] == '\\') {
      CW_RETURN_IF_ERROR(ReadEscape(value));
      continue;
    }
    if (absl::StrContains(kForbidden, rest_[0])) {
      return Error("has one of \", ;, <, > or NUL without a \"\\\" before it");
    }
    value += rest_[0];
    rest_.remove_prefix(1);
  }
  if (plain_space_last) return Error("has a value with an unescaped space last");
  if (value.empty()) return Error("has no value");
  if (!base::IsUtf8(value) || absl::StrContains(value, '\0')) {
    return Error("has a value that is not UTF-8 or holds a NUL");
  }
  return absl::OkStatus();
}

absl::StatusOr<LiteralPart> Reader::Next() {
  ++number_;
  type_.clear();
  LiteralPart part;
  part.joins_previous = joins_;
  CW_RETURN_IF_ERROR(ReadType(part));
  CW_RETURN_IF_ERROR(ReadValue(part.value));
  ended_ = rest_.empty();
  if (!ended_) {
    joins_ = rest_[0] == '+';
    rest_.remove_prefix(1);
  }
  return part;
}

// X.501 §9.3: a relative name holds at most one value of a type.
bool RepeatsItsRelativeName(const std::vector<LiteralPart>& parts, const LiteralPart& part) {
  if (!part.joins_previous) return false;
  for (size_t i = parts.size(); i > 0; --i) {
    if (parts[i - 1].oid == part.oid) return true;
    if (!parts[i - 1].joins_previous) break;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::vector<LiteralPart>> SplitLiteralSubject(absl::string_view text) {
  if (text.size() > kMaxLiteralLength) {
    return absl::InvalidArgumentError("literal subject: it has more than 4096 octets");
  }
  std::vector<LiteralPart> parts;
  Reader reader(text);
  while (!reader.AtEnd()) {
    if (parts.size() == kMaxParts) {
      return absl::InvalidArgumentError("literal subject: it has more than 64 parts");
    }
    CW_ASSIGN_OR_RETURN(LiteralPart part, reader.Next());
    if (RepeatsItsRelativeName(parts, part)) {
      return absl::InvalidArgumentError(
          absl::StrCat("literal subject: part ", parts.size() + 1, " (", part.type,
                       ") is of the same type as another that \"+\" joins it with"));
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace certwright::pki
