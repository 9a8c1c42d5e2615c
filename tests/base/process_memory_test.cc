#include "gateway/base/process_memory.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

// The files of a machine with 8 GiB.
class AvailableMemoryTest : public ::testing::Test {
 protected:
  AvailableMemoryTest()
      : root_(absl::StrCat(
            ::testing::TempDir(), "/available_memory_",
            ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(root_);
    Write("/proc/meminfo",
          "MemTotal:        8388608 kB\nMemFree:         1000 kB\n");
  }
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  const std::string root_;
};

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

TEST_F(AvailableMemoryTest, WithoutACgroupItIsTheMachines) {
  EXPECT_EQ(AvailableMemory(root_), 8 * kGiB);
}

TEST_F(AvailableMemoryTest, OfVersionTwoTheLeastLimitOfAllGroupsAbove) {
  Write("/proc/self/cgroup", "0::/kubepods/pod1/c\n");
  Write("/sys/fs/cgroup/kubepods/memory.max", "4294967296\n");
  Write("/sys/fs/cgroup/kubepods/pod1/memory.max", "2147483648\n");
  Write("/sys/fs/cgroup/kubepods/pod1/c/memory.max", "max\n");
  EXPECT_EQ(AvailableMemory(root_), 2 * kGiB);
  Write("/sys/fs/cgroup/kubepods/pod1/c/memory.high", "1073741824\n");
  EXPECT_EQ(AvailableMemory(root_), kGiB);
}

TEST_F(AvailableMemoryTest, InAContainerItsGroupIsTheRoot) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "1073741824\n");
  EXPECT_EQ(AvailableMemory(root_), kGiB);
}

// The group's name is the host's, what is mounted the container's.
TEST_F(AvailableMemoryTest, OfVersionOneTheLimitOfWhatIsMounted) {
  Write("/proc/self/cgroup",
        "5:cpu,cpuacct:/docker/0123\n4:memory:/docker/0123\n0::/\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
  EXPECT_EQ(AvailableMemory(root_), kGiB);
}

TEST_F(AvailableMemoryTest, AGroupWithoutALimitOfVersionOneHasAHugeOne) {
  Write("/proc/self/cgroup", "4:memory:/\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(AvailableMemory(root_), 8 * kGiB);
}

TEST_F(AvailableMemoryTest, WhereNothingIsKnownItIsZero) {
  std::filesystem::remove_all(root_);
  EXPECT_EQ(AvailableMemory(root_), 0u);
}

TEST(UsedMemoryTest, IsWhatIsResidentWithoutFiles) {
  EXPECT_EQ(ParseStatm("25000 5000 2000 100 0 3000 0\n", 4096), 3000u * 4096);
  EXPECT_EQ(ParseStatm("25000 1000 2000 100 0 3000 0\n", 4096), 0u);
  EXPECT_EQ(ParseStatm("", 4096), 0u);
}

TEST(UsedMemoryTest, GrowsWithWhatIsWritten) {
  const std::uint64_t before = UsedMemory();
  ASSERT_GT(before, 0u);
  const std::string touched(64 << 20, 'x');
  EXPECT_GE(UsedMemory() - before, touched.size() / 2);
}

}  // namespace
}  // namespace headgate
