#include "bibop/heap/card_table.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/marks.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/type_info.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Epoch kEpoch = 7 * kFirstEpoch;
constexpr SweepNumber kNumber = 1;

struct Small {
  char bytes[48];
};

class CardTableTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_TRUE(EnableCardTable().ok()); }

  // A block of Smalls, all of them objects with the mark of kEpoch.
  BlockDescriptor& MakeBlock() {
    BlockDescriptor& block =
        **cage_->AllocateUniform(kTypeInfo<Small>, kNumber);
    Fill(block);
    return block;
  }
  static void Fill(BlockDescriptor& block) {
    ReadyCells(block, {0, block.cell_count}, kEpoch);
    Clean(block);
  }
  static std::byte* Cell(const BlockDescriptor& block, size_t index) {
    return Cage::StartOf(&block) + index * block.cell_size;
  }
  static void Clean(const BlockDescriptor& block) {
    for (int i = 0; i < 3; ++i) AgeCards(block);
  }
  // What is on cards that are not clean, which are then.
  static std::vector<size_t> Take(const BlockDescriptor& block) {
    std::vector<size_t> taken = Look(block);
    Clean(block);
    return taken;
  }
  static std::vector<size_t> Look(const BlockDescriptor& block) {
    std::vector<size_t> taken;
    TakeDirty(block, kEpoch,
              [&taken](size_t index) { taken.push_back(index); });
    return taken;
  }

  std::unique_ptr<Cage> cage_ = Cage::Create(size_t{64} << 20).value();
};

TEST_F(CardTableTest, ThereIsOneTableHoweverOftenItIsEnabled) {
  const uintptr_t barriers = internal::barrier_word;
  EXPECT_NE(internal::CardTableIn(barriers), nullptr);
  EXPECT_FALSE(internal::BarriersOn());
  EXPECT_TRUE(EnableCardTable().ok());
  EXPECT_EQ(internal::barrier_word, barriers);
}

TEST_F(CardTableTest, WhatIsOnADirtyCardIsTakenOnceAndNothingElse) {
  const BlockDescriptor& block = MakeBlock();
  EXPECT_THAT(Take(block), IsEmpty());
  internal::NoteStore(Cell(block, 0));
  // 48 * 10 = 480: the last of 11 that are on the first card.
  EXPECT_THAT(Take(block), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  EXPECT_THAT(Take(block), IsEmpty());
  // One that lies on two dirty cards.
  internal::NoteStore(Cell(block, 10));
  internal::NoteStore(Cell(block, 10) + 40);
  EXPECT_EQ(Take(block).size(), 22u);
  internal::NoteStore(Cell(block, block.cell_count - 1));
  EXPECT_EQ(Take(block).back(), block.cell_count - 1u);
}

// It takes so many marks until what was stored is old.
TEST_F(CardTableTest, ACardIsCleanWhenThreeMarksHaveLookedAtIt) {
  const BlockDescriptor& block = MakeBlock();
  internal::NoteStore(Cell(block, 0));
  EXPECT_EQ(Look(block).size(), 11u);
  EXPECT_EQ(Look(block).size(), 11u);
  EXPECT_EQ(Look(block).size(), 11u);
  EXPECT_THAT(Look(block), IsEmpty());
  // A store begins that again, and a look that takes nothing counts.
  internal::NoteStore(Cell(block, 0));
  AgeCards(block);
  AgeCards(block);
  internal::NoteStore(Cell(block, 0));
  AgeCards(block);
  AgeCards(block);
  EXPECT_EQ(Look(block).size(), 11u);
  EXPECT_THAT(Look(block), IsEmpty());
}

// A mark looks at eight cards at once: at this thread's, which it makes dirty
// again and again, and at the other's.
TEST_F(CardTableTest, NoStoreIsLostBesideALook) {
  const BlockDescriptor& block = MakeBlock();
  // On card 3 alone.
  constexpr size_t kOthers = 35;
  static_assert(kOthers * sizeof(Small) / kCardSize == 3);
  std::atomic<int> round = 0;
  std::atomic<int> stored = 0;
  constexpr int kRounds = 2000;
  std::thread other([&] {
    for (int i = 1; i <= kRounds; ++i) {
      while (round.load() < i) std::this_thread::yield();
      internal::NoteStore(Cell(block, kOthers));
      stored = i;
    }
  });
  for (int i = 1; i <= kRounds; ++i) {
    Clean(block);
    round = i;
    int looks = 0;
    for (int after = 0; after < 4;) {
      internal::NoteStore(Cell(block, 0));
      if (stored == i) {
        ++after;
      } else {
        std::this_thread::yield();
      }
      looks += std::ranges::count(Look(block), kOthers) == 1 ? 1 : 0;
    }
    EXPECT_EQ(looks, 3) << i;
  }
  other.join();
}

TEST_F(CardTableTest, OnlyOldObjectsAreTaken) {
  BlockDescriptor& block = MakeBlock();
  ClearAllocBits(block, {2, 4});
  ReadyCells(block, {5, 7}, kFreshMark);
  // Young.
  ReadyCells(block, {7, 9}, kEpoch | 1);
  internal::NoteStore(Cell(block, 3));
  EXPECT_THAT(Take(block), ElementsAre(0, 1, 4, 9, 10));
}

TEST_F(CardTableTest, AnObjectOfAnySizeIsFoundByAnyOfItsCards) {
  for (const size_t size : {size_t{16}, size_t{4096}, size_t{20'000}}) {
    BlockDescriptor& block =
        **cage_->AllocateMixed(SizeClassOf(FindSizeClass(size, 8)), kNumber);
    Fill(block);
    for (size_t index = 0; index < block.cell_count; index += 7) {
      for (const size_t offset : {size_t{0}, size / 2, size - 1}) {
        internal::NoteStore(Cell(block, index) + offset);
        const std::vector<size_t> taken = Take(block);
        EXPECT_TRUE(std::ranges::count(taken, index) == 1)
            << size << " " << index << " " << offset;
      }
    }
  }
  BlockDescriptor& span =
      **cage_->AllocateSpan(kTypeInfo<Small>, size_t{3} << 20, kNumber);
  Fill(span);
  internal::NoteStore(Cell(span, 0) + (size_t{3} << 20) - 1);
  EXPECT_THAT(Take(span), ElementsAre(0));
}

TEST_F(CardTableTest, DirtyCardsAreThoseOfTheWholeRange) {
  const BlockDescriptor& block = MakeBlock();
  DirtyCards(Cell(block, 0) + kCardSize - 1, 2);
  // 1024 / 48 = 21.3
  EXPECT_EQ(Take(block).size(), 22u);
  DirtyCards(Cell(block, 0), 0);
  EXPECT_THAT(Take(block), IsEmpty());
}

TEST_F(CardTableTest, AStoreOutsideOfTheHeapIsNoted) {
  int on_the_stack = 0;
  const auto elsewhere = std::make_unique<int>(0);
  internal::NoteStore(&on_the_stack);
  internal::NoteStore(elsewhere.get());
}

TEST_F(CardTableTest, SeveralThreadsStoreAtOnce) {
  const BlockDescriptor& block = MakeBlock();
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&block, t] {
      for (size_t i = t; i < block.cell_count; i += 4) {
        internal::NoteStore(Cell(block, i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Take(block).size(), block.cell_count);
}

}  // namespace
}  // namespace bibop
