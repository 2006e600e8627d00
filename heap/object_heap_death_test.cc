#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "bibop/base/poison.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/object_heap_fixture.h"
#include "bibop/heap/type_info.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

struct Leaf {
  int64_t words[4];
};

using ObjectHeapDeathTest = ObjectHeapTest;

struct CollectsInDestructor {
  ObjectHeap** heap;
  ~CollectsInDestructor() {
    if (*heap != nullptr) (*heap)->FinishSweep();
  }
};

// Its block is the last to be swept, so there is nothing left that a nested
// sweep would stumble over by itself.
TEST_F(ObjectHeapDeathTest, ADestructorThatCollectsIsTold) {
  ObjectHeap* heap = heap_.get();
  new (Allocate<CollectsInDestructor>().value()) CollectsInDestructor{&heap};
  Collect({});
  EXPECT_DEATH(heap_->SweepSome(1), "neither may collect");
  heap = nullptr;
  heap_->FinishSweep();
}

struct AllocatesInDestructor {
  LocalAllocator* allocator;
  size_t size;
  ~AllocatesInDestructor() {
    if (size == 0) return;
    (void)allocator->AllocateSlow(kTypeInfo<Leaf>, kTypeId<Leaf>, size);
  }
};

TEST_F(ObjectHeapDeathTest, ADestructorThatAllocatesIsToldWhateverTheSize) {
  auto* object = new (Allocate<AllocatesInDestructor>().value())
      AllocatesInDestructor{&*allocator_, 0};
  AllocateWhileRare<Leaf>();
  for (size_t size :
       {sizeof(Leaf), size_t{100}, size_t{10000}, size_t{300000}}) {
    Collect({object});
    object->size = size;
    Collect({});
    EXPECT_DEATH(heap_->FinishSweep(), "neither may allocate") << size;
    object->size = 0;
    heap_->FinishSweep();
    object = new (Allocate<AllocatesInDestructor>().value())
        AllocatesInDestructor{&*allocator_, 0};
  }
}

TEST_F(ObjectHeapDeathTest, AnAllocationByATraceIsTold) {
  const ObjectHeap::TracingScope scope(*heap_);
  EXPECT_DEATH((void)Allocate<Leaf>(), "neither may allocate");
}

TEST_F(ObjectHeapDeathTest, AMarkThatBeginsBeforeTheSweepIsFinishedIsTold) {
  (void)Allocate<Leaf>().value();
  Collect({});
  EXPECT_DEATH(heap_->BeginMark(), "before a mark");
}

// ---- freed memory ----

#ifdef ABSL_HAVE_ADDRESS_SANITIZER

class PoisonedHeapTest : public ObjectHeapTest {
 protected:
  // Whether AddressSanitizer reports a read of this byte.
  static void ExpectPoisoned(void* cell, size_t offset) {
    const auto* byte = static_cast<const volatile std::byte*>(cell) + offset;
    EXPECT_DEATH((void)*byte, "use-after-poison") << offset;
  }
};

TEST_F(PoisonedHeapTest, AFreedObjectOfAnyKindIsReported) {
  AllocateWhileRare<Leaf>();
  for (size_t size :
       {sizeof(Leaf), size_t{48}, size_t{20000}, size_t{300000}}) {
    void* object = Allocate<Leaf>(size).value();
    void* neighbour = Allocate<Leaf>(size).value();
    static_cast<Leaf*>(object)->words[0] = 1;
    Collect({neighbour});
    heap_->FinishSweep();
    ExpectPoisoned(object, 0);
    ExpectPoisoned(object, size - 1);
    static_cast<Leaf*>(neighbour)->words[0] = 1;
  }
}

TEST_F(PoisonedHeapTest, ACellThatWasNeverAllocatedIsReported) {
  AllocateWhileRare<Leaf>();
  for (size_t size : {sizeof(Leaf), size_t{48}, size_t{20000}}) {
    void* object = Allocate<Leaf>(size).value();
    ExpectPoisoned(object, Cage::DescriptorOf(object)->cell_size);
  }
}

TEST_F(PoisonedHeapTest, WhatLiesBehindAnObjectIsReported) {
  for (size_t size : {size_t{33}, size_t{4500}, size_t{300001}}) {
    void* object = Allocate<Leaf>(size).value();
    *(static_cast<volatile std::byte*>(object) + size - 1) = std::byte{1};
    ExpectPoisoned(object, size);
  }
}

TEST_F(PoisonedHeapTest, AnAbandonedCellIsReported) {
  AllocateWhileRare<Leaf>();
  for (size_t size :
       {sizeof(Leaf), size_t{48}, size_t{20000}, size_t{300000}}) {
    void* object = Allocate<Leaf>(size).value();
    allocator_->Abandon(object);
    ExpectPoisoned(object, 0);
    ExpectPoisoned(object, size - 1);
  }
}

#endif

// ---- the stack ----

struct Node {
  int64_t* destroyed;
  Node* next;
  ~Node() { ++*destroyed; }
};

// A destructor that deletes what it points at would need a stack as long as the
// list. The sweeper runs one after the other.
TEST_F(ObjectHeapTest, TheSweeperNeedsLittleStackHoweverLongAList) {
  constexpr int64_t kNodes = 300000;
  int64_t destroyed = 0;
  Node* head = nullptr;
  for (int64_t i = 0; i < kNodes; ++i) {
    head = new (Allocate<Node>().value()) Node{&destroyed, head};
  }
  Collect({});
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, size_t{64} << 10), 0);
  const auto finish_sweep = [](void* heap) -> void* {
    static_cast<ObjectHeap*>(heap)->FinishSweep();
    return nullptr;
  };
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, &attributes, finish_sweep, heap_.get()), 0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  ASSERT_EQ(pthread_attr_destroy(&attributes), 0);
  EXPECT_EQ(destroyed, kNodes);
}

}  // namespace
}  // namespace bibop
