#include "bibop/heap/block.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "bibop/heap/marks.h"
#include "bibop/heap/size_classes.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

// Both sides of the equation grow with the offset, and the right one only at
// multiples of the cell size: so these and their neighbours stand for all.
TEST(Block, EveryOffsetInARunIsInTheCellThatDivisionSays) {
  constexpr size_t kMostBytes = kMaxRunBlocks * kBlockSize;
  for (size_t cell_size = kMinCellSize; cell_size <= kMaxMediumSize;
       ++cell_size) {
    BlockDescriptor block = {};
    block.reciprocal = ReciprocalOf(cell_size);
    size_t index = 0;
    for (size_t offset = 0; offset < kMostBytes; offset += cell_size, ++index) {
      const size_t last = std::min(offset + cell_size, kMostBytes) - 1;
      if (block.CellIndex(offset) == index && block.CellIndex(last) == index) {
        continue;
      }
      FAIL() << "cell size " << cell_size << ", cell " << index;
    }
  }
}

// The same without an argument, for the cells that there are.
TEST(Block, EveryByteOfEverySizeClassIsInItsCell) {
  for (size_t number = 0; number < kNumSizeClasses; ++number) {
    const SizeClass& size_class = SizeClassOf(number);
    BlockDescriptor block = {};
    block.reciprocal = ReciprocalOf(size_class.cell_size);
    size_t wrong = 0;
    for (size_t offset = 0; offset < size_class.blocks * kBlockSize; ++offset) {
      wrong += block.CellIndex(offset) != offset / size_class.cell_size ? 1 : 0;
    }
    EXPECT_EQ(wrong, 0u) << "cell size " << size_class.cell_size;
  }
}

TEST(Block, EveryByteOfASpanIsInItsOnlyCell) {
  const BlockDescriptor span = {.reciprocal = 0, .cell_count = 1};
  for (size_t offset = 0; offset < size_t{1} << 38; offset += 4'000'000'007) {
    EXPECT_EQ(span.CellIndex(offset), 0u) << offset;
  }
}

TEST(Block, EachBlockOfARunKnowsThePlaceOfItsBytesAndTheFirstBlock) {
  std::array<BlockDescriptor, 5> run = {};
  for (uint32_t i = 0; i < run.size(); ++i) {
    run[i].run_index = i;
    run[i].run_blocks = run.size();
    EXPECT_EQ(run[i].first(), run.data());
    EXPECT_EQ(std::as_const(run[i]).first(), run.data());
    EXPECT_EQ(run[i].OffsetInRun(7), i * kBlockSize + 7);
    EXPECT_EQ(run[i].run_bytes(), 5 * kBlockSize);
  }
}

TEST(Block, AMarkInAnyBlockOfARunIsSeenInTheFirst) {
  std::array<uint8_t, 64> marks = {};
  std::array<BlockDescriptor, 2> run = {};
  for (uint32_t i = 0; i < run.size(); ++i) {
    run[i].marks = marks.data();
    run[i].run_index = i;
  }
  run[1].Mark(3, kFirstEpoch | kFreshMark);
  EXPECT_EQ(marks[3], kFirstEpoch | kFreshMark);
  EXPECT_EQ(run[0].marked_epoch, kFirstEpoch);
}

// A block's alloc bits, and the same as a vector<bool>.
class Bits {
 public:
  explicit Bits(size_t cell_count)
      : words_((cell_count + 63) / 64),
        marks_(64 * words_.size()),
        model_(cell_count) {
    block_.marks = marks_.data();
    block_.alloc_bits = words_.data();
    block_.cell_count = static_cast<uint16_t>(cell_count);
  }

  void Set(CellRun run) {
    ReadyCells(block_, run, 0);
    std::fill(model_.begin() + run.first, model_.begin() + run.last, true);
  }
  void Clear(CellRun run) {
    ClearAllocBits(block_, run);
    std::fill(model_.begin() + run.first, model_.begin() + run.last, false);
  }
  void Check() const {
    for (size_t i = 0; i < model_.size(); ++i) {
      ASSERT_EQ(block_.IsAllocated(i), model_[i]) << i;
    }
    for (size_t i = model_.size(); i < words_.size() * 64; ++i) {
      ASSERT_FALSE(block_.IsAllocated(i)) << "beyond the last cell";
    }
    for (size_t from = 0; from < model_.size(); ++from) {
      const auto first = std::find(model_.begin() + from, model_.end(), false);
      const auto last = std::find(first, model_.end(), true);
      const CellRun run = NextFreeRun(block_, from);
      ASSERT_EQ(run.first, static_cast<size_t>(first - model_.begin()));
      ASSERT_EQ(run.last, static_cast<size_t>(last - model_.begin()));
    }
  }

 private:
  BlockDescriptor block_ = {};
  std::vector<uint64_t> words_;
  std::vector<uint8_t> marks_;
  std::vector<bool> model_;
};

TEST(Block, RunsOfAllocBitsAreThoseOfAModel) {
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): repeatable
  for (size_t cell_count : {1, 2, 63, 64, 65, 127, 128, 682, 2048}) {
    Bits bits(cell_count);
    for (int step = 0; step < 60; ++step) {
      const size_t first = random() % cell_count;
      const size_t last = first + random() % (cell_count - first) + 1;
      if (random() % 2 == 0) {
        bits.Set({first, last});
      } else {
        bits.Clear({first, last});
      }
      if (step % 10 != 0) continue;
      ASSERT_NO_FATAL_FAILURE(bits.Check());
    }
    bits.Set({0, cell_count});
    ASSERT_NO_FATAL_FAILURE(bits.Check());
  }
}

}  // namespace
}  // namespace bibop
