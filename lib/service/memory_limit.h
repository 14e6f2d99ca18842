// MemoryLimit(): how much memory this process may use.
#pragma once

#include <cstdint>
#include <string>

namespace certwright::service {

// Bytes: the least of the machine's memory and of the limits of the process's cgroups (version
// 2 or 1).
int64_t MemoryLimit();

// The same, of files below `root` instead of "/", for tests.
int64_t MemoryLimitUnder(const std::string& root);

}  // namespace certwright::service
