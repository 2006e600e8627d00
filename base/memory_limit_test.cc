#include "bibop/base/memory_limit.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

class MemoryLimitTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path(absl::StrCat(root_, name));
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  const std::string root_ = absl::StrCat(
      ::testing::TempDir(), "/",
      ::testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(MemoryLimitTest, IsThatOfTheGroup) {
  Write("/proc/self/cgroup", "0::/a.slice/b\n");
  Write("/sys/fs/cgroup/a.slice/b/memory.max", "123456789012\n");
  EXPECT_EQ(ControlGroupMemoryLimit(root_), 123456789012u);
}

TEST_F(MemoryLimitTest, IsTheLeastOfThoseAroundIt) {
  Write("/proc/self/cgroup", "1:cpu:/\n0::/a/b/c\n");
  Write("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
  Write("/sys/fs/cgroup/a/b/memory.max", "2000\n");
  Write("/sys/fs/cgroup/a/memory.max", "3000\n");
  EXPECT_EQ(ControlGroupMemoryLimit(root_), 2000u);
}

TEST_F(MemoryLimitTest, IsThatOfTheRootInANamespaceOfItsOwn) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "4096\n");
  EXPECT_EQ(ControlGroupMemoryLimit(root_), 4096u);
}

TEST_F(MemoryLimitTest, IsNothingWhereNobodySaysSo) {
  EXPECT_EQ(ControlGroupMemoryLimit(root_), std::nullopt);
  Write("/proc/self/cgroup", "4:memory:/old\n");
  EXPECT_EQ(ControlGroupMemoryLimit(root_), std::nullopt);
  Write("/proc/self/cgroup", "0::/a\n");
  EXPECT_EQ(ControlGroupMemoryLimit(root_), std::nullopt);
  Write("/sys/fs/cgroup/a/memory.max", "max\n");
  EXPECT_EQ(ControlGroupMemoryLimit(root_), std::nullopt);
}

TEST_F(MemoryLimitTest, ThisProcessMayUseSomething) {
  const std::optional<size_t> limit = ControlGroupMemoryLimit();
  EXPECT_GT(limit.value_or(1 << 30), size_t{1} << 20);
}

}  // namespace
}  // namespace bibop
