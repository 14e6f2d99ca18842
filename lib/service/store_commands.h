// What a service's program does with its store instead of serving: --backup and --restore.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "certwright/config/v1/common.pb.h"

namespace certwright::service {

struct StoreCommand {
  // At most one of the two.
  std::string backup_file;
  std::string restore_file;
  // For restore_file.
  bool replace_store = false;

  bool given() const { return !backup_file.empty() || !restore_file.empty(); }
};

// Does it and says what was done. `program` is whose store it must be.
absl::StatusOr<std::string> RunStoreCommand(const StoreCommand& command,
                                            const config::v1::Store& store,
                                            const std::string& program);

}  // namespace certwright::service
