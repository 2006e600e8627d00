#include "bibop/heap/space.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bibop/heap/block.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/sweep.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

constexpr uint16_t kCells = 512;

class SpaceTest : public ::testing::Test {
 protected:
  // A block that a sweep found so many objects alive in.
  BlockDescriptor* Swept(size_t live, bool any_young = false) {
    BlockDescriptor* block = &blocks_[used_++];
    block->cell_count = kCells;
    block->cell_size = kBlockSize / kCells;
    space_.AddSwept(
        block,
        {.live_objects = live, .freed_objects = 0, .any_young = any_young});
    return block;
  }
  // Takes a swept block with room, as who needs it does; null if there is none.
  BlockDescriptor* TakeWithRoom() {
    const size_t kind = space_.NextWithRoom();
    return kind == Space::kKinds ? nullptr : space_.TakeSwept(kind, 0);
  }
  static BlockDescriptor* Take(Space::List* list) {
    return list == nullptr ? nullptr : Space::TakeUnswept(*list, 0);
  }

  Space space_;

 private:
  std::array<BlockDescriptor, 16> blocks_;
  size_t used_ = 0;
};

TEST_F(SpaceTest, TheFullerBlockIsTakenFirst) {
  BlockDescriptor* one = Swept(1);
  BlockDescriptor* half = Swept(kCells / 2);
  BlockDescriptor* few = Swept(kCells / 40);
  BlockDescriptor* third = Swept(kCells / 3);
  for (BlockDescriptor* next : {half, third, few, one}) {
    EXPECT_EQ(TakeWithRoom(), next);
  }
  EXPECT_EQ(TakeWithRoom(), nullptr);
}

TEST_F(SpaceTest, ANearlyFullBlockWaits) {
  Swept(kCells - 1);
  Swept(kCells - kCells / Space::kTight + 1);
  EXPECT_EQ(space_.NextWithRoom(), Space::kKinds);
  BlockDescriptor* just = Swept(kCells - kCells / Space::kTight);
  EXPECT_EQ(TakeWithRoom(), just);
}

TEST_F(SpaceTest, ACellOfMoreThanFourKilobytesIsNotKeptWaiting) {
  BlockDescriptor run;
  run.cell_size = kMaxSmallSize + 8;
  run.cell_count = 63;
  space_.AddSwept(&run, {.live_objects = 62});
  EXPECT_EQ(TakeWithRoom(), &run);
}

TEST_F(SpaceTest, WhatWasAllocatedInLastIsUsedBeforeWhatIsSettled) {
  Swept(kCells / 2);
  BlockDescriptor block;
  block.cell_count = kCells;
  space_.swept[Space::kWithRoom].push_back(&block);
  EXPECT_EQ(TakeWithRoom(), &block);
}

TEST_F(SpaceTest, YoungGarbageIsSweptBeforeOldBlocksWithRoom) {
  BlockDescriptor* settled = Swept(kCells / 2);
  BlockDescriptor* full = Swept(kCells);
  BlockDescriptor young;
  young.cell_count = kCells;
  space_.swept[Space::kFull].push_back(&young);
  EXPECT_EQ(space_.EndMark(CollectionKind::kMajor), 3u);
  EXPECT_EQ(Take(&space_.NextUnswept()), &young);
  EXPECT_EQ(Take(&space_.NextUnswept()), settled);
  EXPECT_EQ(Take(&space_.NextUnswept()), full);
  EXPECT_FALSE(space_.AnyUnswept());
}

TEST_F(SpaceTest, WhereNobodyWaitsWhatWasInUseLastIsSweptLast) {
  BlockDescriptor* settled = Swept(kCells / 2);
  BlockDescriptor* sparse = Swept(1);
  BlockDescriptor young;
  young.cell_count = kCells;
  space_.swept[Space::kFull].push_back(&young);
  space_.EndMark(CollectionKind::kMajor);
  for (BlockDescriptor* next : {settled, sparse, &young}) {
    EXPECT_EQ(Take(&space_.LastUnswept()), next);
  }
}

TEST_F(SpaceTest, AMinorCycleLeavesSettledBlocksAlone) {
  for (const int live : {1, kCells / 2, kCells - 1, kCells + 0}) {
    Swept(static_cast<size_t>(live));
  }
  EXPECT_EQ(space_.EndMark(CollectionKind::kMinor), 0u);
  EXPECT_FALSE(space_.AnyUnswept());
  EXPECT_NE(space_.NextWithRoom(), Space::kKinds);
}

TEST_F(SpaceTest, AMinorCycleSweepsBlocksWithYoungObjects) {
  BlockDescriptor* half = Swept(kCells / 2, /*any_young=*/true);
  BlockDescriptor* tight = Swept(kCells - 1, /*any_young=*/true);
  EXPECT_EQ(TakeWithRoom(), half);
  EXPECT_EQ(TakeWithRoom(), nullptr);
  EXPECT_EQ(space_.EndMark(CollectionKind::kMinor), 1u);
  EXPECT_EQ(Take(&space_.NextUnswept()), tight);
}

TEST_F(SpaceTest, AFullHeapUsesNearlyFullBlocksToo) {
  EXPECT_EQ(space_.NextTight(), Space::kKinds);
  BlockDescriptor* settled = Swept(kCells - 1);
  BlockDescriptor* young = Swept(kCells - 1, /*any_young=*/true);
  Swept(kCells);
  Swept(kCells, /*any_young=*/true);
  EXPECT_EQ(space_.NextWithRoom(), Space::kKinds);
  for (BlockDescriptor* next : {young, settled}) {
    const size_t kind = space_.NextTight();
    ASSERT_NE(kind, Space::kKinds);
    EXPECT_EQ(space_.TakeSwept(kind, 0), next);
  }
  EXPECT_EQ(space_.NextTight(), Space::kKinds);
}

// Of the first three of five blocks.
TEST_F(SpaceTest, WhatIsTakenBeforeAMarkHasLookedAtItIsKnown) {
  std::vector<BlockDescriptor*> blocks;
  for (int i = 0; i < 5; ++i) {
    blocks.push_back(Swept(1));
    blocks.back()->home = static_cast<uint16_t>(i);
  }
  constexpr Space::Kind kKind = Space::kSettledSparse;
  space_.to_remember[kKind] = 3;
  EXPECT_EQ(space_.TakeSwept(kKind, 4), blocks[4]);
  EXPECT_EQ(space_.to_remember_taken, Space::List());
  EXPECT_EQ(space_.TakeSwept(kKind, 1), blocks[1]);
  EXPECT_EQ(space_.to_remember_taken, Space::List({blocks[1]}));
  // What was looked at is not looked at again.
  ASSERT_EQ(space_.to_remember[kKind], 2u);
  EXPECT_EQ(space_.swept[kKind],
            Space::List({blocks[0], blocks[2], blocks[3]}));
  EXPECT_EQ(space_.TakeSwept(kKind, 9), blocks[3]);
  EXPECT_EQ(space_.TakeSwept(kKind, 0), blocks[0]);
  EXPECT_EQ(space_.TakeSwept(kKind, 2), blocks[2]);
  EXPECT_EQ(space_.to_remember_taken,
            Space::List({blocks[1], blocks[0], blocks[2]}));
  EXPECT_EQ(space_.to_remember[kKind], 0u);
}

TEST_F(SpaceTest, OnlySettledBlocksCertainlyHaveRoomUnswept) {
  BlockDescriptor young;
  young.cell_count = kCells;
  space_.swept[Space::kFull].push_back(&young);
  Swept(kCells - 1);
  space_.EndMark(CollectionKind::kMajor);
  EXPECT_EQ(space_.NextUnsweptWithRoom(), nullptr);
  BlockDescriptor* settled = Swept(1);
  space_.unswept.swap(space_.swept);
  EXPECT_EQ(Take(space_.NextUnsweptWithRoom()), settled);
}

}  // namespace
}  // namespace bibop
