#include "bibop/heap/local_allocator.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/marks.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/object_heap_fixture.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/type_info.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

template <size_t size>
struct Sized {
  std::byte bytes[size];
};

template <size_t alignment>
struct alignas(alignment) Aligned {
  std::byte bytes[alignment];
};

class LocalAllocatorTest : public ObjectHeapTest {
 protected:
  const BlockDescriptor* BlockOf(const void* object) {
    return Cage::DescriptorOf(object);
  }
};

// ---- where objects go ----

TEST_F(LocalAllocatorTest, CellsInARegionFollowOneAnother) {
  AllocateWhileRare<Sized<24>>();
  auto* first = static_cast<std::byte*>(Allocate<Sized<24>>().value());
  for (size_t i = 1; i < kBlockSize / 24; ++i) {
    ASSERT_EQ(allocator_->TryAllocate<Sized<24>>(), first + 24 * i);
  }
  EXPECT_EQ(allocator_->TryAllocate<Sized<24>>(), nullptr)
      << "the block is full";
}

TEST_F(LocalAllocatorTest, ATypeGetsBlocksOfItsOwnOnceItIsNotRare) {
  struct Often {
    std::byte bytes[64];
  };
  for (size_t i = 0; i < LocalAllocator::kRareBytes / 64; ++i) {
    ASSERT_EQ(allocator_->TryAllocate<Often>(), nullptr);
    ASSERT_EQ(BlockOf(Allocate<Often>().value())->kind, BlockKind::kMixed);
  }
  void* object = Allocate<Often>().value();
  EXPECT_EQ(BlockOf(object)->kind, BlockKind::kUniform);
  EXPECT_EQ(BlockOf(object)->type, &kTypeInfo<Often>);
  EXPECT_EQ(allocator_->TryAllocate<Often>(),
            static_cast<std::byte*>(object) + 64);
}

template <size_t... sizes>
void AllocateOne(LocalAllocator& allocator,
                 std::index_sequence<sizes...> /*types*/) {
  ((void)Allocate<Sized<1000 + sizes>>(allocator).value(), ...);
}

TEST_F(LocalAllocatorTest, RareTypesOfASizeShareABlock) {
  AllocateOne(*allocator_, std::make_index_sequence<25>());
  EXPECT_EQ(heap_->memory().in_use, kBlockSize);
}

TEST_F(LocalAllocatorTest, AnObjectWithExtraBytesHasRoomForThem) {
  std::set<std::pair<std::byte*, std::byte*>> cells;
  for (size_t size = 8; size < 1'000'000; size += 8 + size / 9) {
    for (int i = 0; i < 3; ++i) {
      auto* start =
          static_cast<std::byte*>(Allocate<Sized<8>>(size + i).value());
      std::fill_n(start, size + i, std::byte{0xff});
      cells.insert({start, start + size + i});
      const BlockDescriptor* block = BlockOf(start);
      ASSERT_EQ(block->kind, size + i > kMaxMediumSize ? BlockKind::kSpan
                                                       : BlockKind::kMixed);
      ASSERT_GE(block->cell_size, size + i);
    }
  }
  std::byte* end = nullptr;
  for (const auto& [first, last] : cells) {
    ASSERT_GE(first, end) << "cells overlap";
    end = last;
  }
  allocator_->Retire();
  for (const auto& [first, last] : cells) {
    const std::optional<ObjectRef> found =
        heap_->FindObject(reinterpret_cast<uintptr_t>(last - 1));
    ASSERT_TRUE(found.has_value());
    ASSERT_EQ(found->start, first);
    ASSERT_EQ(found->type, &kTypeInfo<Sized<8>>);
  }
}

template <size_t alignment>
void CheckAligned(LocalAllocator& allocator) {
  using T = Aligned<alignment>;
  for (size_t i = 0; i < 20; ++i) {
    for (void* object :
         {Allocate<T>(allocator).value(),
          allocator
              .AllocateSlow(kTypeInfo<T>, kTypeId<T>, sizeof(T) + 1 + 1000 * i)
              .value(),
          allocator.AllocateSlow(kTypeInfo<T>, kTypeId<T>, 100'000 + 30'000 * i)
              .value()}) {
      ASSERT_EQ(reinterpret_cast<uintptr_t>(object) % alignment, 0u);
    }
  }
}

TEST_F(LocalAllocatorTest, OverAlignedObjectsAreAlignedInBlocksOfAllKinds) {
  CheckAligned<16>(*allocator_);
  CheckAligned<128>(*allocator_);
  CheckAligned<1024>(*allocator_);
  CheckAligned<2048>(*allocator_);
  CheckAligned<4096>(*allocator_);
}

TEST_F(LocalAllocatorTest, AnObjectLargerThanABlockIsAllocatedLikeAnother) {
  using TwoBlocks = Sized<2 * kBlockSize>;
  using Many = Sized<3'000'000>;
  EXPECT_EQ(allocator_->TryAllocate<TwoBlocks>(), nullptr);
  EXPECT_EQ(BlockOf(Allocate<TwoBlocks>().value())->run_blocks, 2u);
  EXPECT_EQ(BlockOf(Allocate<Many>().value())->run_blocks, 92u);
}

TEST_F(LocalAllocatorTest, ABlockGoesOnBeingUsedByTheNextAllocator) {
  for (int i = 0; i < 1000; ++i) {
    LocalAllocator allocator = LocalAllocator::Create(*heap_).value();
    (void)bibop::Allocate<Sized<32>>(allocator).value();
  }
  EXPECT_EQ(heap_->memory().in_use, kBlockSize)
      << "1,000 objects of 32 bytes fit into one block";
  for (int i = 0; i < 100; ++i) {
    LocalAllocator allocator = LocalAllocator::Create(*heap_).value();
    for (int j = 0; j < 8; ++j) {
      (void)bibop::Allocate<Sized<4096>>(allocator).value();
    }
  }
  EXPECT_EQ(heap_->memory().in_use, 101 * kBlockSize);
}

// ---- what is left behind ----

TEST_F(LocalAllocatorTest, RetiringLeavesOnlyObjectsBehind) {
  AllocateWhileRare<Sized<16>>();
  Collect({});
  heap_->FinishSweep();
  const int64_t before = heap_->allocated().objects;
  std::set<void*> objects;
  objects.insert(Allocate<Sized<16>>().value());
  for (size_t size : {40, 5000, 20000, 400000}) {
    objects.insert(Allocate<Sized<16>>(size).value());
  }
  EXPECT_EQ(Objects(), objects);
  EXPECT_EQ(heap_->allocated().objects - before, 5);
  heap_->CheckInvariants();
}

TEST_F(LocalAllocatorTest, ARetiredAllocatorGoesOnWithTheSameBlocks) {
  for (int i = 0; i < 1000; ++i) {
    (void)Allocate<Sized<32>>().value();
    (void)Allocate<Sized<32>>(48).value();
    allocator_->Retire();
  }
  heap_->CheckInvariants();
  // 256 and 744 of 32 bytes, and 1,000 of 48.
  EXPECT_EQ(heap_->memory().in_use, 4 * kBlockSize);
}

TEST_F(LocalAllocatorTest, AMovedAllocatorGoesOnWithTheSameRegions) {
  AllocateWhileRare<Sized<24>>();
  auto* first = static_cast<std::byte*>(Allocate<Sized<24>>().value());
  auto* mixed = static_cast<std::byte*>(Allocate<Sized<24>>(40).value());
  {
    LocalAllocator moved = std::move(*allocator_);
    EXPECT_EQ(bibop::Allocate<Sized<24>>(moved).value(), first + 24);
    EXPECT_EQ(moved.AllocateSlow(kTypeInfo<Sized<24>>, kTypeId<Sized<24>>, 40)
                  .value(),
              mixed + 40);
  }
  size_t objects = 0;
  heap_->ForEachObject([&objects](ObjectRef) { ++objects; });
  EXPECT_EQ(static_cast<int64_t>(objects), heap_->allocated().objects);
  heap_->CheckInvariants();
}

TEST_F(LocalAllocatorTest, AnAbandonedCellHoldsNoObject) {
  AllocateWhileRare<Sized<16>>();
  Collect({});
  heap_->FinishSweep();
  const int64_t before = heap_->allocated().objects;
  const int64_t bytes_before = heap_->allocated().bytes;
  int64_t kept_bytes = 0;
  // In a block of the type, a small class, a medium one, and a span.
  for (size_t size : {16, 48, 20000, 400000}) {
    void* kept = Allocate<Sized<16>>(size).value();
    void* abandoned = Allocate<Sized<16>>(size).value();
    kept_bytes += static_cast<int64_t>(BlockOf(kept)->cell_size);
    allocator_->Abandon(abandoned);
    allocator_->Retire();
    EXPECT_TRUE(
        heap_->FindObject(reinterpret_cast<uintptr_t>(kept)).has_value());
    EXPECT_FALSE(
        heap_->FindObject(reinterpret_cast<uintptr_t>(abandoned)).has_value());
  }
  EXPECT_EQ(heap_->allocated().objects - before, 4);
  EXPECT_EQ(heap_->allocated().bytes - bytes_before, kept_bytes);
  EXPECT_EQ(Objects().size(), 4u);
  heap_->CheckInvariants();
}

TEST_F(LocalAllocatorTest, AHandedOutCellIsUnmarked) {
  for (const bool mixed : {false, true}) {
    AllocateWhileRare<Sized<16>>();
    const auto allocate = [&]() {
      return mixed ? Allocate<Sized<16>>(40) : Allocate<Sized<16>>();
    };
    void* kept = allocate().value();
    BlockDescriptor* block = Cage::DescriptorOf(kept);
    for (size_t i = 1; i < block->cell_count; ++i) (void)allocate().value();
    allocator_->Retire();
    heap_->FinishSweep();
    heap_->BeginMark();
    Mark(*heap_, kept);
    // As if left from earlier cycles.
    for (size_t i = 1; i < block->cell_count; ++i) {
      block->marks[i] =
          static_cast<uint8_t>(heap_->marks().old() + 8 + i % 100);
    }
    heap_->FinishMark();
    heap_->EndClearing();
    heap_->StartSweep();
    for (size_t i = 1; i < block->cell_count; ++i) {
      void* cell = allocate().value();
      ASSERT_EQ(Cage::DescriptorOf(cell), block);
      ASSERT_EQ(block->marks[block->CellIndex(Cage::OffsetInBlock(cell))],
                kFreshMark);
    }
    EXPECT_EQ(block->marks[0], heap_->marks().old());
    Collect({});
    heap_->FinishSweep();
  }
}

struct Early {
  std::byte bytes[16];
};

// A regression: an allocation that cannot know its type's number yet, in a
// static initializer, threw away the region that the one before it had got,
// with alloc bits set where no object was.
TEST_F(LocalAllocatorTest, TheSlowPathUsesUpTheRegionThatThereIs) {
  const size_t rare = LocalAllocator::kRareBytes / sizeof(Early);
  std::byte* first = nullptr;
  for (size_t i = 0; i < rare + 100; ++i) {
    auto* cell = static_cast<std::byte*>(
        allocator_->AllocateSlow(kTypeInfo<Early>, 0, sizeof(Early)).value());
    if (i == rare) first = cell;
    ASSERT_TRUE(i < rare || cell == first + sizeof(Early) * (i - rare));
  }
  EXPECT_EQ(BlockOf(first)->kind, BlockKind::kUniform);
  EXPECT_EQ(Objects().size(), rare + 100);
}

}  // namespace
}  // namespace bibop
