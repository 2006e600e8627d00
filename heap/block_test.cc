#include "bibop/heap/block.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace bibop {
namespace {

TEST(Block, EveryOffsetIsInTheCellThatDivisionSays) {
  for (size_t cell_size = kMinCellSize; cell_size <= kBlockSize;
       cell_size += 8) {
    BlockDescriptor block = {};
    block.reciprocal = ReciprocalOf(cell_size);
    for (size_t offset = 0; offset < kBlockSize; ++offset) {
      ASSERT_EQ(block.CellIndex(offset), offset / cell_size)
          << "offset " << offset << ", cell size " << cell_size;
    }
  }
}

TEST(Block, EpochsFollowOneAnotherAndNeverAreZero) {
  Epoch epoch = 1;
  for (int i = 0; i < 1000; ++i) {
    const Epoch next = NextEpoch(epoch);
    ASSERT_NE(next, 0);
    ASSERT_NE(next, epoch);
    epoch = next;
  }
}

// A block's alloc bits, and the same as a vector<bool>.
class Bits {
 public:
  explicit Bits(size_t cell_count)
      : words_((cell_count + 63) / 64), model_(cell_count) {
    block_.alloc_bits = words_.data();
    block_.cell_count = static_cast<uint16_t>(cell_count);
  }

  void Set(CellRun run) {
    SetAllocBits(block_, run);
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
