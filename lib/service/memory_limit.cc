#include "lib/service/memory_limit.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace certwright::service {
namespace {

// Of a machine that does not tell.
constexpr int64_t kUnknown = int64_t{1} << 30;

// "max" and what is no number are no limit.
std::optional<int64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  int64_t number = 0;
  if (!(file >> text) || !absl::SimpleAtoi(text, &number) || number <= 0) return std::nullopt;
  return number;
}

std::optional<int64_t> MachineMemory(const std::string& root) {
  std::ifstream file(absl::StrCat(root, "/proc/meminfo"));
  std::string key;
  int64_t kibibytes = 0;
  if (!(file >> key >> kibibytes) || key != "MemTotal:") return std::nullopt;
  return kibibytes * 1024;
}

// The path of the process's cgroup that has the memory controller: "0::/x" in version 2,
// "7:memory:/x" in version 1.
std::string CgroupOf(const std::string& root, const char* prefix) {
  std::ifstream file(absl::StrCat(root, "/proc/self/cgroup"));
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t at = line.find(prefix);
    if (at != std::string::npos) return line.substr(at + std::string(prefix).size());
  }
  return "";
}

// The least limit of the group at `path` and of those that it is in.
int64_t LeastLimit(const std::string& mount, std::string path, const char* file) {
  int64_t least = std::numeric_limits<int64_t>::max();
  while (true) {
    least = std::min(least, ReadNumber(absl::StrCat(mount, path, "/", file))
                                .value_or(std::numeric_limits<int64_t>::max()));
    const std::size_t slash = path.rfind('/');
    if (path.empty() || slash == std::string::npos) return least;
    path.resize(slash);
  }
}

}  // namespace

int64_t MemoryLimitUnder(const std::string& root) {
  const int64_t version2 =
      LeastLimit(absl::StrCat(root, "/sys/fs/cgroup"), CgroupOf(root, "0::"), "memory.max");
  const int64_t version1 = LeastLimit(absl::StrCat(root, "/sys/fs/cgroup/memory"),
                                      CgroupOf(root, ":memory:"), "memory.limit_in_bytes");
  return std::min({version2, version1, MachineMemory(root).value_or(kUnknown)});
}

int64_t MemoryLimit() { return MemoryLimitUnder(""); }

}  // namespace certwright::service
