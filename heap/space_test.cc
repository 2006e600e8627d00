#include "bibop/heap/space.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "bibop/heap/block.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/size_classes.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

constexpr uint16_t kCells = 512;

class SpaceTest : public ::testing::Test {
 protected:
  // A block that a sweep found so many objects alive in.
  BlockDescriptor* Swept(size_t live) {
    BlockDescriptor* block = &blocks_[used_++];
    block->cell_count = kCells;
    block->cell_size = kBlockSize / kCells;
    space_.AddSwept(block, live);
    return block;
  }
  // Takes the last of the list, as who needs it does; null if there is none.
  static BlockDescriptor* Take(Space::List* list) {
    if (list == nullptr) return nullptr;
    BlockDescriptor* block = list->back();
    list->pop_back();
    return block;
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
    EXPECT_EQ(Take(space_.NextWithRoom()), next);
  }
  EXPECT_EQ(Take(space_.NextWithRoom()), nullptr);
}

TEST_F(SpaceTest, ANearlyFullBlockWaits) {
  Swept(kCells - 1);
  Swept(kCells - kCells / Space::kTight + 1);
  EXPECT_EQ(space_.NextWithRoom(), nullptr);
  BlockDescriptor* just = Swept(kCells - kCells / Space::kTight);
  EXPECT_EQ(Take(space_.NextWithRoom()), just);
}

TEST_F(SpaceTest, ACellOfMoreThanFourKilobytesIsNotKeptWaiting) {
  BlockDescriptor run;
  run.cell_size = kMaxSmallSize + 8;
  run.cell_count = 63;
  space_.AddSwept(&run, 62);
  EXPECT_EQ(Take(space_.NextWithRoom()), &run);
}

TEST_F(SpaceTest, WhatWasAllocatedInLastIsUsedBeforeWhatIsSettled) {
  Swept(kCells / 2);
  BlockDescriptor block;
  block.cell_count = kCells;
  space_.swept[Space::kWithRoom].push_back(&block);
  EXPECT_EQ(Take(space_.NextWithRoom()), &block);
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
  EXPECT_NE(space_.NextWithRoom(), nullptr);
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
