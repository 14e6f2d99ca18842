#include "lib/pki/openssl.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace certwright::pki {

absl::Status OpensslError(absl::StatusCode code, absl::string_view context) {
  constexpr size_t kMaxReasons = 3;
  std::vector<std::string> reasons;
  while (unsigned long error = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(error);
    if (reason == nullptr || reasons.size() == kMaxReasons) continue;
    if (std::find(reasons.begin(), reasons.end(), reason) == reasons.end()) {
      reasons.push_back(reason);
    }
  }
  if (reasons.empty()) return absl::Status(code, context);
  return absl::Status(code, absl::StrCat(context, ": ", absl::StrJoin(reasons, "; ")));
}

}  // namespace certwright::pki
