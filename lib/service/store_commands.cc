#include "lib/service/store_commands.h"

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/store/backup.h"

namespace certwright::service {

absl::StatusOr<std::string> RunStoreCommand(const StoreCommand& command,
                                            const config::v1::Store& store,
                                            const std::string& program) {
  const std::string& path = store.sqlite().path();
  if (!command.backup_file.empty()) {
    CW_ASSIGN_OR_RETURN(const store::BackupReport report,
                        store::BackUpStore(path, command.backup_file, program));
    return absl::StrCat("backed up ", path, " to ", command.backup_file, ": ", report.records,
                        " records, checked");
  }
  store::RestoreOptions options;
  options.owner = program;
  options.replace = command.replace_store;
  CW_ASSIGN_OR_RETURN(const store::BackupReport report,
                      store::RestoreStore(command.restore_file, path, options));
  return absl::StrCat("restored ", path, " from ", command.restore_file, ": ", report.records,
                      " records, checked");
}

}  // namespace certwright::service
