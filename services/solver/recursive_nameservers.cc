#include "services/solver/recursive_nameservers.h"

#include "lib/base/status_macros.h"

namespace certwright::solver {

absl::StatusOr<std::vector<std::string>> RecursiveNameservers::Choose(
    const google::protobuf::RepeatedPtrField<std::string>& named) const {
  if (named.empty()) return configured_;
  for (const std::string& text : named) {
    CW_ASSIGN_OR_RETURN(const dns::ServerAddress server, dns::ParseServerAddress(text));
    CW_RETURN_IF_ERROR(policy_.Check(server));
  }
  return std::vector<std::string>(named.begin(), named.end());
}

}  // namespace certwright::solver
