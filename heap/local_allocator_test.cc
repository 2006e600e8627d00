#include "bibop/heap/local_allocator.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

template <size_t size>
struct Sized {
  std::byte bytes[size];
};

struct alignas(4096) PageAligned {
  std::byte bytes[4096];
};

class LocalAllocatorTest : public ::testing::Test {
 protected:
  template <class T>
  void* Allocate(LocalAllocator& allocator) {
    void* cell = allocator.TryAllocate<T>();
    return cell != nullptr ? cell
                           : allocator.AllocateSlow(kTypeInfo<T>).value();
  }

  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  LocalAllocator allocator_ = LocalAllocator::Create(*heap_).value();
};

TEST_F(LocalAllocatorTest, CellsInARegionFollowOneAnother) {
  auto* first = static_cast<std::byte*>(Allocate<Sized<24>>(allocator_));
  for (size_t i = 1; i < kBlockSize / 24; ++i) {
    ASSERT_EQ(allocator_.TryAllocate<Sized<24>>(), first + 24 * i);
  }
  EXPECT_EQ(allocator_.TryAllocate<Sized<24>>(), nullptr)
      << "the block is full";
}

template <size_t... sizes>
void CheckSizes(ObjectHeap& heap, std::index_sequence<sizes...>) {
  LocalAllocator allocator = LocalAllocator::Create(heap).value();
  std::set<std::pair<std::byte*, std::byte*>> cells;
  const auto add = [&cells](absl::StatusOr<void*> cell, size_t size) {
    ASSERT_TRUE(cell.ok()) << cell.status();
    auto* start = static_cast<std::byte*>(*cell);
    cells.insert({start, start + size});
  };
  (add(allocator.AllocateSlow(kTypeInfo<Sized<sizes * 331 + 1>>),
       sizes * 331 + 1),
   ...);
  EXPECT_EQ(cells.size(), sizeof...(sizes));
  std::byte* end = nullptr;
  for (const auto& [first, last] : cells) {
    EXPECT_GE(first, end) << "cells overlap";
    end = last;
  }
}

TEST_F(LocalAllocatorTest, ObjectsOfAllSizesUpToABlockHaveRoomOfTheirOwn) {
  CheckSizes(*heap_, std::make_index_sequence<99>());  // up to 32,439 bytes
  EXPECT_NE(Allocate<Sized<kBlockSize>>(allocator_), nullptr);
}

TEST_F(LocalAllocatorTest, OverAlignedObjectsAreAligned) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(
        reinterpret_cast<uintptr_t>(Allocate<PageAligned>(allocator_)) % 4096,
        0u);
  }
}

TEST_F(LocalAllocatorTest, AnObjectLargerThanABlockIsRefused) {
  using TooLarge = Sized<kBlockSize + 1>;
  EXPECT_EQ(allocator_.TryAllocate<TooLarge>(), nullptr);
  const absl::StatusOr<void*> refused =
      allocator_.AllocateSlow(kTypeInfo<TooLarge>);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(refused.status().message().find("32769 bytes"), std::string::npos)
      << refused.status();
  EXPECT_EQ(heap_->bytes_in_use(), 0u);
}

TEST_F(LocalAllocatorTest, RetiringLeavesOnlyObjectsBehind) {
  void* object = Allocate<Sized<16>>(allocator_);
  allocator_.Retire();
  std::vector<void*> objects;
  heap_->ForEachObject(
      [&objects](ObjectRef found) { objects.push_back(found.start); });
  EXPECT_EQ(objects, std::vector<void*>{object});
  EXPECT_EQ(heap_->allocated().objects, 1);
}

TEST_F(LocalAllocatorTest, ABlockGoesOnBeingUsedByTheNextAllocator) {
  for (int i = 0; i < 1000; ++i) {
    LocalAllocator allocator = LocalAllocator::Create(*heap_).value();
    Allocate<Sized<32>>(allocator);
  }
  EXPECT_EQ(heap_->bytes_in_use(), kBlockSize)
      << "1,000 objects of 32 bytes fit into one block";
}

TEST_F(LocalAllocatorTest, AnAbandonedCellHoldsNoObject) {
  void* kept = Allocate<Sized<16>>(allocator_);
  void* abandoned = Allocate<Sized<16>>(allocator_);
  allocator_.Abandon(abandoned, kTypeInfo<Sized<16>>);
  allocator_.Retire();
  EXPECT_TRUE(heap_->FindObject(reinterpret_cast<uintptr_t>(kept)).has_value());
  EXPECT_FALSE(
      heap_->FindObject(reinterpret_cast<uintptr_t>(abandoned)).has_value());
  EXPECT_EQ(heap_->allocated().objects, 1);
}

TEST_F(LocalAllocatorTest, AHandedOutCellIsUnmarked) {
  BlockDescriptor* block = Cage::DescriptorOf(Allocate<Sized<16>>(allocator_));
  for (size_t i = 1; i < block->cell_count; ++i) {
    Allocate<Sized<16>>(allocator_);
  }
  allocator_.Retire();
  heap_->BeginMark();
  block->marks[0] = heap_->epoch();
  // As if left from earlier cycles.
  for (size_t i = 1; i < block->cell_count; ++i) {
    block->marks[i] = static_cast<uint8_t>(heap_->epoch() + 1 + i % 100);
  }
  heap_->FinishMark();
  ASSERT_EQ(Cage::DescriptorOf(Allocate<Sized<16>>(allocator_)), block);
  EXPECT_EQ(block->marks[0], heap_->epoch());
  for (size_t i = 1; i < block->cell_count; ++i) {
    ASSERT_EQ(block->marks[i], 0) << i;
  }
}

struct Early {
  std::byte bytes[16];
};

// A regression: an allocation that cannot know its type's number yet, in a
// static initializer, threw away the region that the one before it had got,
// with alloc bits set where no object was.
TEST_F(LocalAllocatorTest, TheSlowPathUsesUpTheRegionThatThereIs) {
  std::byte* first = nullptr;
  for (size_t i = 0; i < 100; ++i) {
    auto* cell = static_cast<std::byte*>(
        allocator_.AllocateSlow(kTypeInfo<Early>).value());
    if (i == 0) first = cell;
    ASSERT_EQ(cell, first + 16 * i);
  }
  allocator_.Retire();
  size_t objects = 0;
  heap_->ForEachObject([&objects](ObjectRef) { ++objects; });
  EXPECT_EQ(objects, 100u);
}

}  // namespace
}  // namespace bibop
