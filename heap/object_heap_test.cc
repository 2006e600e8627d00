#include "bibop/heap/object_heap.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/local_allocator.h"
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

class ObjectHeapTest : public ::testing::Test {
 protected:
  explicit ObjectHeapTest(size_t max_bytes = Cage::kCapacity)
      : heap_(ObjectHeap::Create(max_bytes).value()),
        allocator_(LocalAllocator::Create(*heap_).value()) {}

  template <class T>
  absl::StatusOr<void*> Allocate() {
    void* cell = allocator_.TryAllocate<T>();
    if (cell != nullptr) return cell;
    return allocator_.AllocateSlow(kTypeInfo<T>);
  }

  // A whole cycle in which exactly the objects of `live` are marked.
  void Collect(const std::vector<void*>& live) {
    heap_->FinishSweep();
    allocator_.Retire();
    heap_->BeginMark();
    for (void* object : live) {
      BlockDescriptor* block = Cage::DescriptorOf(object);
      block->marks[block->CellIndex(Cage::OffsetInBlock(object))] =
          heap_->epoch();
    }
    heap_->FinishMark();
  }

  std::set<void*> Objects() {
    allocator_.Retire();
    std::set<void*> objects;
    heap_->ForEachObject(
        [&objects](ObjectRef object) { objects.insert(object.start); });
    return objects;
  }

  // Told by destructors that the heap runs when it is destroyed.
  Lifetimes lifetimes_;
  // The allocator gives its blocks back to the heap when it is destroyed.
  std::unique_ptr<ObjectHeap> heap_;
  LocalAllocator allocator_;
};

// I-1: without the bit, conservative look-up and sweeping would not see it.
TEST_F(ObjectHeapTest, EveryObjectHasItsAllocBitAndNothingElseHas) {
  std::set<void*> allocated;
  for (int i = 0; i < 5000; ++i) allocated.insert(Allocate<Leaf>().value());
  EXPECT_EQ(allocated.size(), 5000u);
  EXPECT_EQ(Objects(), allocated);
}

// I-1 again, after sweeping and allocating in the holes.
TEST_F(ObjectHeapTest, TheLiveAndTheNewAreTheObjectsAfterACycle) {
  std::vector<void*> live;
  for (int i = 0; i < 10000; ++i) {
    void* object = Allocate<Leaf>().value();
    if (i % 3 == 0) live.push_back(object);
  }
  Collect(live);
  std::set<void*> expected(live.begin(), live.end());
  for (int i = 0; i < 3000; ++i) {
    void* object = Allocate<Leaf>().value();
    // I-2: never a cell in which something lives.
    ASSERT_TRUE(expected.insert(object).second) << "a live cell, handed out";
  }
  heap_->FinishSweep();
  EXPECT_EQ(Objects(), expected);
}

// I-2: a hole is used, and only the hole.
TEST_F(ObjectHeapTest, AFreedCellIsHandedOutAgainBeforeANewBlockIsTaken) {
  const size_t in_a_block = kBlockSize / kTypeInfo<Leaf>.cell_size;
  std::vector<void*> live;
  void* dead = nullptr;
  for (size_t i = 0; i < in_a_block; ++i) {
    void* object = Allocate<Leaf>().value();
    if (i == 5) {
      dead = object;
    } else {
      live.push_back(object);
    }
  }
  const size_t before = heap_->bytes_in_use();
  Collect(live);
  EXPECT_EQ(Allocate<Leaf>().value(), dead);
  EXPECT_EQ(heap_->bytes_in_use(), before);
}

// I-3: a block that was not swept for the last mark still has the alloc bits of
// the dead; one that is handed out has not.
TEST_F(ObjectHeapTest, ABlockIsSweptBeforeItIsAllocatedIn) {
  for (int i = 0; i < 3000; ++i) {
    new (Allocate<WithTracked>().value()) WithTracked(lifetimes_);
  }
  Collect({});
  EXPECT_EQ(lifetimes_.dead(), 0) << "sweeping is lazy";
  const size_t in_a_block = kBlockSize / kTypeInfo<WithTracked>.cell_size;
  new (Allocate<WithTracked>().value()) WithTracked(lifetimes_);
  EXPECT_EQ(lifetimes_.dead(), static_cast<int>(in_a_block));
  BlockDescriptor* block =
      heap_->AcquireBlock(kTypeInfo<WithTracked>, kTypeId<WithTracked>).value();
  EXPECT_EQ(block->swept_epoch, heap_->epoch());
  heap_->ReturnBlock(block);
}

TEST_F(ObjectHeapTest, DestructorsRunExactlyOnceOverManyCycles) {
  std::vector<void*> live;
  for (int cycle = 0; cycle < 300; ++cycle) {  // epochs wrap around
    live.clear();
    for (int i = 0; i < 500; ++i) {
      void* cell = Allocate<WithTracked>().value();
      new (cell) WithTracked(lifetimes_);
      if (i % 7 == 0) live.push_back(cell);
    }
    Collect(live);
    heap_->FinishSweep();
    ASSERT_EQ(lifetimes_.alive(), static_cast<int>(live.size()));
  }
  allocator_.Retire();
  heap_.reset();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// Marks are bytes and wrap around: an object that was marked 255 epochs ago
// must not be taken for marked now.
TEST_F(ObjectHeapTest, AMarkOfLongAgoIsNotAMark) {
  void* kept = Allocate<Leaf>().value();
  void* other = Allocate<Leaf>().value();
  Collect({kept, other});
  for (int cycle = 0; cycle < 254; ++cycle) Collect({kept});
  // `other` died in the second cycle; its cell carries the mark of the first.
  void* again = Allocate<Leaf>().value();
  ASSERT_EQ(again, other);
  Collect({kept});
  heap_->FinishSweep();
  EXPECT_EQ(Objects(), std::set<void*>({kept}));
}

TEST_F(ObjectHeapTest, EmptyBlocksServeOtherTypes) {
  for (int i = 0; i < 100000; ++i) (void)Allocate<Leaf>().value();
  const size_t before = heap_->bytes_in_use();
  const size_t committed = heap_->bytes_committed();
  Collect({});
  Collect({});
  EXPECT_EQ(heap_->bytes_in_use(), 0u);
  for (int i = 0; i < 50000; ++i) (void)Allocate<int64_t>().value();
  EXPECT_LT(heap_->bytes_in_use(), before);
  EXPECT_LT(heap_->bytes_committed() - committed, size_t{1} << 20)
      << "blocks are used again; only side records may be new";
}

TEST_F(ObjectHeapTest, AnyInteriorAddressFindsItsObject) {
  auto* object = static_cast<std::byte*>(Allocate<Leaf>().value());
  auto* next = static_cast<std::byte*>(Allocate<Leaf>().value());
  allocator_.Retire();
  for (size_t offset = 0; offset < sizeof(Leaf); ++offset) {
    const std::optional<ObjectRef> found =
        heap_->FindObject(reinterpret_cast<uintptr_t>(object + offset));
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->start, object);
    EXPECT_EQ(found->type, &kTypeInfo<Leaf>);
  }
  EXPECT_EQ(heap_->FindObject(reinterpret_cast<uintptr_t>(next))->start, next);
  EXPECT_FALSE(
      heap_->FindObject(reinterpret_cast<uintptr_t>(next + sizeof(Leaf)))
          .has_value())
      << "nothing was allocated there";
  EXPECT_FALSE(heap_->FindObject(0).has_value());
}

TEST_F(ObjectHeapTest, CountsWhatWasAllocatedAndFreed) {
  for (int i = 0; i < 1234; ++i) (void)Allocate<Leaf>().value();
  allocator_.Retire();
  EXPECT_EQ(heap_->allocated().objects, 1234);
  EXPECT_EQ(heap_->allocated().bytes, 1234 * 32);
  Collect({});
  heap_->FinishSweep();
  EXPECT_EQ(heap_->freed_objects(), 1234);
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
  EXPECT_EQ(count, (1 << 20) / 32);
  Collect({});
  EXPECT_TRUE(Allocate<Leaf>().ok());
}

struct CollectsInDestructor {
  ObjectHeap** heap;
  ~CollectsInDestructor() {
    if (*heap != nullptr) (*heap)->FinishSweep();
  }
};

// Its block is the last to be swept, so there is nothing left that a nested
// sweep would stumble over by itself.
TEST_F(ObjectHeapTest, ADestructorThatCollectsIsTold) {
  ObjectHeap* heap = heap_.get();
  new (Allocate<CollectsInDestructor>().value()) CollectsInDestructor{&heap};
  Collect({});
  EXPECT_DEATH(heap_
                   ->AcquireBlock(kTypeInfo<CollectsInDestructor>,
                                  kTypeId<CollectsInDestructor>)
                   .IgnoreError(),
               "neither may collect");
  heap = nullptr;
  heap_->FinishSweep();
}

struct AllocatesInDestructor {
  ObjectHeap** heap;
  ~AllocatesInDestructor() {
    if (*heap == nullptr) return;
    (void)(*heap)->AcquireBlock(kTypeInfo<Leaf>, kTypeId<Leaf>);
  }
};

TEST_F(ObjectHeapTest, ADestructorThatAllocatesIsTold) {
  ObjectHeap* heap = heap_.get();
  new (Allocate<AllocatesInDestructor>().value()) AllocatesInDestructor{&heap};
  Collect({});
  EXPECT_DEATH(heap_->FinishSweep(), "neither may allocate");
  heap = nullptr;
  heap_->FinishSweep();
}

}  // namespace
}  // namespace bibop
