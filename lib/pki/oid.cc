#include "lib/pki/oid.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace certwright::pki {
namespace {

constexpr size_t kMaxOidLength = 100;

bool IsArc(absl::string_view text) {
  return !text.empty() && (text == "0" || text[0] != '0') &&
         std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

}  // namespace

bool IsDottedOid(absl::string_view text) {
  if (text.size() > kMaxOidLength) return false;
  std::vector<absl::string_view> arcs = absl::StrSplit(text, '.');
  if (arcs.size() < 2 || !std::all_of(arcs.begin(), arcs.end(), IsArc)) return false;
  if (arcs[0] == "2") return true;
  bool second_fits = arcs[1].size() == 1 || (arcs[1].size() == 2 && arcs[1] < "40");
  return (arcs[0] == "0" || arcs[0] == "1") && second_fits;
}

}  // namespace certwright::pki
