#include "bibop/heap/sweep.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include "absl/base/config.h"
#include "bibop/base/poison.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/type_info.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

struct Leaf {
  int64_t words[3];
};

template <class T>
BlockDescriptor* NewBlock(Cage& cage) {
  return cage.AllocateBlock(kTypeInfo<T>, kTypeId<T>, 1).value();
}

TEST(Sweep, KeepsExactlyWhatCarriesTheEpoch) {
  std::unique_ptr<Cage> cage = Cage::Create(Cage::kCapacity).value();
  BlockDescriptor* block = NewBlock<Leaf>(*cage);
  std::mt19937 random(2);  // NOLINT(cert-msc51-cpp): repeatable
  for (int epoch = 1; epoch <= 255; ++epoch) {
    std::vector<bool> live(block->cell_count);
    size_t allocated = 0;
    size_t expected_live = 0;
    for (size_t i = 0; i < block->cell_count; ++i) {
      const bool is_allocated = random() % 4 != 0;
      // Every byte but the epoch's own is another epoch or none.
      const bool is_marked = random() % 3 == 0;
      if (is_allocated) SetAllocBits(*block, {i, i + 1});
      block->marks[i] = static_cast<uint8_t>(
          is_marked ? epoch : (epoch + 1 + random() % 255) % 256);
      live[i] = is_allocated && is_marked;
      allocated += is_allocated ? 1 : 0;
      expected_live += live[i] ? 1 : 0;
    }
    const SweepResult result = SweepBlock(*block, static_cast<Epoch>(epoch));
    ASSERT_EQ(result.live_objects, expected_live);
    ASSERT_EQ(result.freed_objects, allocated - expected_live);
    ASSERT_EQ(block->swept_epoch, epoch);
    for (size_t i = 0; i < block->cell_count; ++i) {
      ASSERT_EQ(block->IsAllocated(i), live[i]) << i;
    }
    ClearAllocBits(*block, {0, block->cell_count});
  }
}

struct WithTracked {
  explicit WithTracked(Lifetimes& lifetimes) : tracked(lifetimes) {}
  int64_t payload = 0;
  Tracked tracked;
};

TEST(Sweep, DestroysEachDeadObjectOnce) {
  std::unique_ptr<Cage> cage = Cage::Create(Cage::kCapacity).value();
  BlockDescriptor* block = NewBlock<WithTracked>(*cage);
  Lifetimes lifetimes;
  const int count = 100;
  SetAllocBits(*block, {0, count});
  for (int i = 0; i < count; ++i) {
    std::byte* cell = Cage::StartOf(block) + i * block->cell_size;
    Unpoison(cell, sizeof(WithTracked));
    new (cell) WithTracked(lifetimes);
    block->marks[i] = i % 2 == 0 ? 2 : 0;
  }
  EXPECT_EQ(SweepBlock(*block, 2).freed_objects, 50u);
  EXPECT_EQ(lifetimes.dead(), 50);
  EXPECT_EQ(SweepBlock(*block, 2).freed_objects, 0u);
  EXPECT_EQ(lifetimes.dead(), 50);
  DestroyBlock(*block);
  EXPECT_EQ(lifetimes.dead(), 100);
  DestroyBlock(*block);
  EXPECT_EQ(lifetimes.dead(), 100);
}

TEST(SweepDeathTest, AFreedObjectCannotBeReadAsDataInCheckedBuilds) {
  if (!kPoisonsFreedMemory) GTEST_SKIP() << "an unchecked build";
  std::unique_ptr<Cage> cage = Cage::Create(Cage::kCapacity).value();
  BlockDescriptor* block = NewBlock<Leaf>(*cage);
  auto* leaf = reinterpret_cast<Leaf*>(Cage::StartOf(block));
  SetAllocBits(*block, {0, 1});
  Unpoison(leaf, sizeof(Leaf));
  leaf->words[0] = 42;
  block->marks[0] = 0;
  SweepBlock(*block, 2);
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  EXPECT_DEATH(static_cast<void>(*static_cast<volatile int64_t*>(leaf->words)),
               "use-after-poison");
#else
  EXPECT_EQ(static_cast<uint64_t>(leaf->words[0]), 0xD5D5D5D5D5D5D5D5u);
#endif
}

}  // namespace
}  // namespace bibop
