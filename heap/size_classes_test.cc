#include "bibop/heap/size_classes.h"

#include <cstddef>

#include "bibop/base/poison.h"
#include "bibop/heap/type_info.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// Objects of one size in a run of blocks.
struct Run {
  size_t cells;
  size_t blocks;
};

// At most 12.5 % of the run are not objects.
bool IsWellUsed(size_t size, Run run) {
  return 8 * size * run.cells >= 7 * run.blocks * kBlockSize;
}

Run RunOfClass(size_t number) {
  const SizeClass& size_class = SizeClassOf(number);
  return {.cells = size_class.cells, .blocks = size_class.blocks};
}

// What a type's objects go to once it is not rare any more.
Run RunFor(size_t size) {
  if (size <= kMaxSmallSize) {
    return {.cells = kBlockSize / CellSizeFor(size, 1), .blocks = 1};
  }
  const size_t number = FindSizeClass(size, 8);
  if (number < kNumSizeClasses) return RunOfClass(number);
  return {.cells = 1, .blocks = (size + kBlockSize - 1) / kBlockSize};
}

TEST(SizeClasses, AnObjectOfAnySizeFillsSevenEighthsOfItsShare) {
  for (size_t size = kMinCellSize; size <= kMiB; ++size) {
    // AddressSanitizer marks eight bytes at once: cells are multiples of that.
    if (size < 64 && size % kPoisonGranularity != 0) continue;
    ASSERT_TRUE(IsWellUsed(size, RunFor(size))) << size;
  }
}

TEST(SizeClasses, AnObjectInAMixedBlockFillsSevenEighthsOfItsShare) {
  for (size_t size = kMinCellSize; size <= kMaxMediumSize; size += 8) {
    ASSERT_TRUE(IsWellUsed(size, RunOfClass(FindSizeClass(size, 8)))) << size;
  }
}

TEST(SizeClasses, CellsFitIntoTheirRun) {
  size_t last = 0;
  for (size_t number = 0; number < kNumSizeClasses; ++number) {
    const SizeClass& size_class = SizeClassOf(number);
    EXPECT_GT(size_class.cell_size, last) << number;
    last = size_class.cell_size;
    EXPECT_EQ(size_class.cell_size % 8, 0u) << number;
    EXPECT_EQ(size_class.cells,
              size_class.blocks * kBlockSize / size_class.cell_size);
    EXPECT_GT(size_class.cells, 0u) << number;
    EXPECT_LE(size_class.blocks,
              number < kNumSmallClasses ? size_t{1} : kMaxRunBlocks);
  }
}

TEST(SizeClasses, AnObjectGetsTheSmallestClassThatHoldsIt) {
  for (size_t size = 1; size <= kMaxMediumSize; ++size) {
    const size_t number = FindSizeClass(size, 8);
    ASSERT_LT(number, kNumSizeClasses);
    ASSERT_GE(SizeClassOf(number).cell_size, size);
    ASSERT_TRUE(number == 0 || SizeClassOf(number - 1).cell_size < size);
    ASSERT_EQ(number < kNumSmallClasses, size <= kMaxSmallSize);
  }
}

TEST(SizeClasses, AnOverAlignedObjectGetsTheSmallestClassOfAlignedCells) {
  for (size_t alignment = 8; alignment <= kMaxAlignment; alignment *= 2) {
    size_t fitting = 0;
    for (size_t size = 1; size <= kMaxMediumSize; ++size) {
      while (SizeClassOf(fitting).cell_size < size ||
             SizeClassOf(fitting).cell_size % alignment != 0) {
        ++fitting;
      }
      ASSERT_EQ(FindSizeClass(size, alignment), fitting)
          << size << " aligned to " << alignment;
    }
  }
}

TEST(SizeClasses, WhatIsLargerThanTheLargestClassNeedsASpan) {
  for (size_t alignment = 8; alignment <= kMaxAlignment; alignment *= 2) {
    for (size_t size : {kMaxMediumSize + 1, kMiB, ~size_t{0}}) {
      EXPECT_EQ(FindSizeClass(size, alignment), kNumSizeClasses) << size;
    }
  }
}

}  // namespace
}  // namespace bibop
