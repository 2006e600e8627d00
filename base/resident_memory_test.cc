#include "bibop/base/resident_memory.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"

namespace bibop {
namespace {

TEST(ResidentMemoryTest, TouchedMemoryShowsInBothAndPeakStaysWhenItIsFreed) {
  constexpr int64_t kBytes = int64_t{64} << 20;
  const int64_t before = ResidentBytes();
  ASSERT_GT(before, 0);
  {
    std::vector<char> touched(static_cast<size_t>(kBytes), 1);
    EXPECT_GE(ResidentBytes(), before + kBytes / 2);
    EXPECT_EQ(touched.back(), 1);
  }
  EXPECT_GE(PeakResidentBytes(), before + kBytes / 2);
}

}  // namespace
}  // namespace bibop
