#include "lib/pki/subject_type.h"

#include "absl/strings/match.h"
#include "lib/pki/oid.h"

namespace certwright::pki {
namespace {

struct Keyword {
  absl::string_view word;
  absl::string_view oid;
};

constexpr Keyword kKeywords[] = {
    {"CN", "2.5.4.3"},
    {"C", "2.5.4.6"},
    {"O", "2.5.4.10"},
    {"OU", "2.5.4.11"},
    {"L", "2.5.4.7"},
    {"ST", "2.5.4.8"},
    {"STREET", "2.5.4.9"},
    {"postalCode", "2.5.4.17"},
    {"serialNumber", "2.5.4.5"},
    {"DC", "0.9.2342.19200300.100.1.25"},
    {"UID", "0.9.2342.19200300.100.1.1"},
};

}  // namespace

std::string SubjectTypeOid(absl::string_view type) {
  for (const Keyword& keyword : kKeywords) {
    if (absl::EqualsIgnoreCase(keyword.word, type)) return std::string(keyword.oid);
  }
  return IsDottedOid(type) ? std::string(type) : "";
}

std::string SubjectTypeName(absl::string_view oid) {
  for (const Keyword& keyword : kKeywords) {
    if (keyword.oid == oid) return std::string(keyword.word);
  }
  return std::string(oid);
}

}  // namespace certwright::pki
