#include "bibop/heap/object_heap.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <new>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap_fixture.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/space.h"
#include "bibop/heap/type_info.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

struct Leaf {
  int64_t words[4];
};

struct WithTracked {
  explicit WithTracked(Lifetimes& lifetimes) : tracked(lifetimes) {}
  int64_t payload = 0;
  Tracked tracked;
};

// I-1: without the bit, conservative look-up and sweeping would not see it.
TEST_F(ObjectHeapTest, EveryObjectHasItsAllocBitAndNothingElseHas) {
  std::set<void*> allocated;
  for (int i = 0; i < 5000; ++i) allocated.insert(Allocate<Leaf>().value());
  for (int i = 1; i <= 3000; ++i) {
    allocated.insert(Allocate<Leaf>(sizeof(Leaf) + 100 * i).value());
  }
  EXPECT_EQ(allocated.size(), 8000u);
  EXPECT_EQ(Objects(), allocated);
}

// I-1 again, after sweeping and allocating in the holes.
TEST_F(ObjectHeapTest, TheLiveAndTheNewAreTheObjectsAfterACycle) {
  const auto allocate = [this](int i) {
    return i % 2 == 0 ? Allocate<Leaf>() : Allocate<Leaf>(32 + i % 500);
  };
  std::vector<void*> live;
  for (int i = 0; i < 20000; ++i) {
    void* object = allocate(i).value();
    if (i % 3 == 0) live.push_back(object);
  }
  Collect(live);
  std::set<void*> expected(live.begin(), live.end());
  for (int i = 0; i < 6000; ++i) {
    // I-2: never a cell in which something lives.
    ASSERT_TRUE(expected.insert(allocate(i).value()).second)
        << "a live cell, handed out";
  }
  heap_->FinishSweep();
  EXPECT_EQ(Objects(), expected);
}

// I-2: the hole is used, and only the hole.
TEST_F(ObjectHeapTest, FreedCellsOfABlockAreHandedOutAgainBeforeABlockIsTaken) {
  for (const bool mixed : {false, true}) {
    if (!mixed) AllocateWhileRare<Leaf>();
    const auto allocate = [&]() {
      return mixed ? Allocate<Leaf>(48).value() : Allocate<Leaf>().value();
    };
    std::set<void*> live;
    for (size_t i = 0; i < 682; ++i) live.insert(allocate());
    const auto begin = std::next(live.begin(), 55);
    const auto end = std::next(begin, 682 / Space::kTight + 1);
    const std::vector<void*> dead(begin, end);
    live.erase(begin, end);
    Collect(live);
    heap_->FinishSweep();
    const size_t before = heap_->memory().in_use;
    for (void* cell : dead) EXPECT_EQ(allocate(), cell);
    EXPECT_EQ(heap_->memory().in_use, before);
    Collect({});
  }
}

// I-3: a block that was not swept for the last mark still has the alloc bits of
// the dead; one that is handed out has not.
TEST_F(ObjectHeapTest, ABlockIsSweptBeforeItIsAllocatedIn) {
  for (void* cell : AllocateWhileRare<WithTracked>()) {
    new (cell) WithTracked(lifetimes_);
  }
  const size_t in_a_block = kBlockSize / kTypeInfo<WithTracked>.cell_size;
  for (size_t i = 0; i < 3 * in_a_block; ++i) {
    new (Allocate<WithTracked>().value()) WithTracked(lifetimes_);
  }
  Collect({});
  EXPECT_EQ(lifetimes_.dead(), 0) << "sweeping is lazy";
  new (Allocate<WithTracked>().value()) WithTracked(lifetimes_);
  EXPECT_EQ(lifetimes_.dead(), static_cast<int>(in_a_block));
  BlockDescriptor* block = nullptr;
  ASSERT_EQ(heap_
                ->AcquireBlocks(kTypeInfo<WithTracked>, kTypeId<WithTracked>, 0,
                                {}, {}, absl::MakeSpan(&block, 1))
                .value(),
            1u);
  EXPECT_EQ(block->swept_number, sweep_number_);
  EXPECT_EQ(lifetimes_.dead(), static_cast<int>(2 * in_a_block));
  heap_->ReturnBlocks(kTypeId<WithTracked>, {}, {block});
}

TEST_F(ObjectHeapTest, AMixedBlockIsSweptBeforeItIsAllocatedIn) {
  const size_t size = kTypeInfo<WithTracked>.cell_size + 24;
  const size_t size_class = FindSizeClass(size, 8);
  const size_t in_a_block = SizeClassOf(size_class).cells;
  for (size_t i = 0; i < 3 * in_a_block; ++i) {
    new (Allocate<WithTracked>(size).value()) WithTracked(lifetimes_);
  }
  Collect({});
  EXPECT_EQ(lifetimes_.dead(), 0) << "sweeping is lazy";
  const MixedCells cells =
      heap_->AcquireCells(CellsFor::kObjects, size_class, 3, {}).value();
  EXPECT_EQ(cells.block->swept_number, sweep_number_);
  EXPECT_EQ(cells.cells.last - cells.cells.first, 3u);
  EXPECT_EQ(lifetimes_.dead(), static_cast<int>(in_a_block));
  heap_->ReturnCells(CellsFor::kObjects, size_class, cells);
}

// What took 4 ms of an allocation: the blocks of what lives long were all swept
// before a new one was taken.
TEST_F(ObjectHeapTest, AnAllocationSweepsSomeTensOfFullBlocksAndThenTakesANew) {
  constexpr size_t kBlocks = 200;
  constexpr int64_t kMostSwept = 64;
  struct Kind {
    const char* name;
    size_t size;
    size_t in_a_block;
  };
  const size_t mixed_size = kTypeInfo<WithTracked>.cell_size + 24;
  const Kind kinds[] = {
      {"uniform", sizeof(WithTracked),
       kBlockSize / kTypeInfo<WithTracked>.cell_size},
      {"mixed", mixed_size, SizeClassOf(FindSizeClass(mixed_size, 8)).cells}};
  std::vector<void*> live = AllocateWhileRare<WithTracked>();
  for (void* cell : live) new (cell) WithTracked(lifetimes_);
  for (const Kind& kind : kinds) {
    SCOPED_TRACE(kind.name);
    const auto allocate = [&]() {
      void* cell = kind.size == sizeof(WithTracked)
                       ? Allocate<WithTracked>().value()
                       : Allocate<WithTracked>(kind.size).value();
      return new (cell) WithTracked(lifetimes_);
    };
    std::set<const BlockDescriptor*> blocks;
    for (size_t i = 0; i < kBlocks * kind.in_a_block; ++i) {
      live.push_back(allocate());
      blocks.insert(Cage::DescriptorOf(live.back()));
    }
    Collect(live);
    const auto swept = [&]() {
      return std::count_if(blocks.begin(), blocks.end(),
                           [this](const BlockDescriptor* block) {
                             return block->SweptNumber() == sweep_number_;
                           });
    };
    // At first there is room, in the last blocks.
    int64_t before = 0;
    int64_t most = 0;
    for (size_t i = 0; i < 20 * kind.in_a_block; ++i) {
      live.push_back(allocate());
      const int64_t now = swept();
      most = std::max(most, now - before);
      before = now;
    }
    EXPECT_GE(most, 8) << "room is looked for first";
    EXPECT_LE(most, kMostSwept) << "of " << blocks.size() << " blocks";
    // The others have their turn.
    heap_->FinishSweep();
    for (const BlockDescriptor* block : blocks) {
      ASSERT_EQ(block->SweptNumber(), sweep_number_);
    }
  }
  EXPECT_EQ(lifetimes_.dead(), 0);
}

TEST_F(ObjectHeapTest, DestructorsRunExactlyOnceOverManyCycles) {
  std::vector<void*> live;
  for (int cycle = 0; cycle < 300; ++cycle) {  // epochs wrap around
    live.clear();
    for (int i = 0; i < 500; ++i) {
      // In blocks of the type, in mixed ones, and, one in 500, in a span.
      const size_t extra = i % 500 == 0 ? 300000 : i % 2 * i;
      void* cell = Allocate<WithTracked>(sizeof(WithTracked) + extra).value();
      new (cell) WithTracked(lifetimes_);
      if (i % 7 == 0) live.push_back(cell);
    }
    Collect(live);
    heap_->FinishSweep();
    ASSERT_EQ(lifetimes_.alive(), static_cast<int>(live.size()));
  }
  DestroyHeap();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// Epochs wrap around: an object that was marked 31 epochs ago must not be taken
// for marked now.
TEST_F(ObjectHeapTest, AMarkOfLongAgoIsNotAMark) {
  void* kept = Allocate<Leaf>().value();
  void* other = Allocate<Leaf>().value();
  Collect({kept, other});
  for (int cycle = 0; cycle < 30; ++cycle) Collect({kept});
  // `other` died in the second cycle; its cell carries the mark of the first.
  void* again = Allocate<Leaf>().value();
  ASSERT_EQ(again, other);
  Collect({kept});
  heap_->FinishSweep();
  EXPECT_EQ(Objects(), std::set<void*>({kept}));
}

TEST_F(ObjectHeapTest, EmptyBlocksServeOtherTypesAndSizes) {
  for (int i = 0; i < 100000; ++i) (void)Allocate<Leaf>().value();
  for (int i = 0; i < 10; ++i) (void)Allocate<Leaf>(400000).value();
  const size_t before = heap_->memory().in_use;
  const size_t committed = heap_->memory().committed;
  Collect({});
  Collect({});
  EXPECT_EQ(heap_->memory().in_use, 0u);
  for (int i = 0; i < 50000; ++i) (void)Allocate<int64_t>().value();
  for (int i = 0; i < 500; ++i) (void)Allocate<Leaf>(5000).value();
  EXPECT_LT(heap_->memory().in_use, before);
  EXPECT_LT(heap_->memory().committed - committed, size_t{1} << 20)
      << "blocks are used again; only side records may be new";
}

TEST_F(ObjectHeapTest, CountsWhatWasAllocatedAndFreed) {
  for (int i = 0; i < 1234; ++i) (void)Allocate<Leaf>().value();
  allocator_->Retire();
  EXPECT_EQ(heap_->allocated().objects, 1234);
  EXPECT_EQ(heap_->allocated().bytes, 1234 * 32);
  // A class of small cells, one of large ones, and a span.
  for (const size_t size : {40, 8192, 400000}) {
    const int64_t objects = heap_->allocated().objects;
    const int64_t bytes = heap_->allocated().bytes;
    (void)Allocate<Leaf>(size).value();
    allocator_->Retire();
    EXPECT_EQ(heap_->allocated().objects, objects + 1);
    EXPECT_EQ(heap_->allocated().bytes, bytes + static_cast<int64_t>(size));
  }
  Collect({});
  heap_->FinishSweep();
  EXPECT_EQ(heap_->freed_objects(), 1237);
}

TEST_F(ObjectHeapTest, SweepSomeSweepsSoManyBlocksAndSaysWhetherMoreAreLeft) {
  const size_t in_a_block = kBlockSize / 64;
  for (size_t i = 0; i < 4 * in_a_block; ++i) {
    new (Allocate<WithTracked>(64).value()) WithTracked(lifetimes_);
  }
  Collect({});
  EXPECT_TRUE(heap_->SweepSome(1));
  EXPECT_EQ(lifetimes_.dead(), static_cast<int>(in_a_block));
  EXPECT_EQ(heap_->memory().in_use, 3 * kBlockSize) << "empty ones are free";
  EXPECT_TRUE(heap_->SweepSome(2));
  EXPECT_EQ(lifetimes_.dead(), static_cast<int>(3 * in_a_block));
  EXPECT_FALSE(heap_->SweepSome(2));
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_EQ(heap_->memory().in_use, 0u);
}

class SmallHeapTest : public ObjectHeapTest {
 protected:
  SmallHeapTest() : ObjectHeapTest(size_t{1} << 20) {}
};

TEST_F(SmallHeapTest, AFullHeapIsAStatusAndACycleMakesRoom) {
  absl::StatusOr<void*> cell = Allocate<Leaf>();
  int64_t count = 0;
  for (; cell.ok(); cell = Allocate<Leaf>()) ++count;
  EXPECT_EQ(cell.status().code(), absl::StatusCode::kResourceExhausted);
  // The block of the rare ones is a quarter full.
  EXPECT_EQ(count, (1 << 20) / 32 - 3 * 1024 / 4);
  EXPECT_EQ(Allocate<Leaf>(300000).status().code(),
            absl::StatusCode::kResourceExhausted);
  Collect({});
  EXPECT_TRUE(Allocate<Leaf>().ok());
  heap_->FinishSweep();
  EXPECT_TRUE(Allocate<Leaf>(300000).ok());
}

}  // namespace
}  // namespace bibop
