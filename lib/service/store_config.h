// The `store` section of a configuration file.
#pragma once

#include <string>
#include <vector>

#include "certwright/config/v1/common.pb.h"
#include "lib/service/environment.h"
#include "lib/store/sqlite_options.h"

namespace certwright::service {

// Every problem, "store.sqlite.path: is required" each.
std::vector<std::string> ValidateStore(const config::v1::Store& store);

// How a service opens its store, with the quotas that count for its users. `owner` is the
// program. Of a valid section.
store::SqliteOptions ToSqliteOptions(const config::v1::Store& store, std::string owner,
                                     const Environment& environment);

}  // namespace certwright::service
