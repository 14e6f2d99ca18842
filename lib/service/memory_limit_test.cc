#include "lib/service/memory_limit.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/base/random.h"

namespace certwright::service {
namespace {

class MemoryLimitTest : public ::testing::Test {
 protected:
  ~MemoryLimitTest() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& contents) {
    const std::filesystem::path file = absl::StrCat(root_, path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << contents;
  }

  const std::string root_ = std::filesystem::temp_directory_path() /
                            absl::StrCat("memory-limit-", base::Random::Real().Uuid());
};

TEST_F(MemoryLimitTest, IsTheMachinesWithoutACgroup) {
  Write("/proc/meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\n");
  EXPECT_EQ(MemoryLimitUnder(root_), 2048 * 1024);
}

TEST_F(MemoryLimitTest, IsThatOfTheContainersOwnCgroup) {
  Write("/proc/meminfo", "MemTotal:       1048576 kB\n");
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "268435456\n");
  EXPECT_EQ(MemoryLimitUnder(root_), 268435456);
}

TEST_F(MemoryLimitTest, IsTheLeastOfAllCgroupsAbove) {
  Write("/proc/meminfo", "MemTotal:       1048576 kB\n");
  Write("/proc/self/cgroup", "0::/system.slice/certwright.service\n");
  Write("/sys/fs/cgroup/system.slice/memory.max", "1000000\n");
  Write("/sys/fs/cgroup/system.slice/certwright.service/memory.max", "max\n");
  EXPECT_EQ(MemoryLimitUnder(root_), 1000000);
}

TEST_F(MemoryLimitTest, KnowsTheFirstVersionOfCgroups) {
  Write("/proc/meminfo", "MemTotal:       1048576 kB\n");
  Write("/proc/self/cgroup", "5:cpu:/\n7:memory:/pod\n");
  Write("/sys/fs/cgroup/memory/pod/memory.limit_in_bytes", "123456789\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(MemoryLimitUnder(root_), 123456789);
}

TEST_F(MemoryLimitTest, IsAGuessWhereNothingTells) {
  EXPECT_EQ(MemoryLimitUnder(root_), int64_t{1} << 30);
  EXPECT_GT(MemoryLimit(), 0);
}

}  // namespace
}  // namespace certwright::service
