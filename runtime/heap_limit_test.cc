// What happens when a heap is full: the limit, external bytes, the
// out-of-memory handler.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/stress_options.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

constexpr size_t kMiB = size_t{1} << 20;

struct Payload {
  int64_t words[8];
};
struct OtherPayload {
  int64_t words[4];
};

TEST(HeapLimit, AFullHeapCollectsAndThenFails) {
  std::vector<CycleStats> cycles;
  auto heap = Heap::Create({.max_bytes = kMiB,
                            .stress = kNoStress,
                            .on_cycle_end =
                                [&cycles](const CycleStats& cycle) {
                                  cycles.push_back(cycle);
                                }})
                  .value();
  MutatorScope mutator(*heap);
  {
    HandleScope scope(mutator);
    absl::Status status;
    int64_t count = 0;
    for (;;) {
      const absl::StatusOr<Handle<Payload>> payload = scope.TryNew<Payload>();
      status = payload.status();
      if (!status.ok()) break;
      ++count;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_LE(count, kMiB / 64);
    EXPECT_GE(count, kMiB / 64 * 31 / 32) << "one block may be for rare types";
    ASSERT_EQ(cycles.size(), 1u);
    EXPECT_EQ(cycles[0].cause, CycleCause::kHeapFull);
    EXPECT_EQ(cycles[0].live_objects, count);
    EXPECT_DEATH(scope.New<Payload>(), "the heap is full");
  }
  HandleScope scope(mutator);
  EXPECT_TRUE(scope.TryNew<Payload>().ok()) << "garbage makes room";
}

// A regression: the collection left the dead blocks of the one type unswept,
// and the other found no room in a heap that was full of garbage.
TEST(HeapLimit, GarbageOfOneTypeMakesRoomForAnother) {
  auto heap = Heap::Create({.max_bytes = kMiB}).value();
  MutatorScope mutator(*heap);
  for (int round = 0; round < 3; ++round) {
    {
      HandleScope scope(mutator);
      while (scope.TryNew<Payload>().ok()) {
      }
    }
    HandleScope scope(mutator);
    int64_t count = 0;
    while (scope.TryNew<OtherPayload>().ok()) ++count;
    EXPECT_LE(count, kMiB / 32);
    EXPECT_GE(count, kMiB / 32 * 30 / 32) << "blocks may be for rare types";
  }
}

// Large objects are garbage like any other, and an array of them is freed for
// one that takes most of the heap.
TEST(HeapLimit, AnArrayAsLargeAsTheHeapFindsRoomAmongGarbage) {
  auto heap = Heap::Create({.max_bytes = 64 * kMiB}).value();
  MutatorScope mutator(*heap);
  for (int round = 0; round < 4; ++round) {
    {
      HandleScope scope(mutator);
      for (int i = 0; i < 40; ++i) scope.NewArray<std::byte>(kMiB);
      scope.New<Payload>();
    }
    HandleScope scope(mutator);
    EXPECT_TRUE(scope.TryNewArray<std::byte>(60 * kMiB).ok());
    EXPECT_EQ(scope.TryNewArray<std::byte>(60 * kMiB).status().code(),
              absl::StatusCode::kResourceExhausted);
  }
}

TEST(HeapLimit, WhatIsLargerThanTheHeapIsRefusedWithoutACollection) {
  auto heap = Heap::Create({.max_bytes = kMiB, .stress = kNoStress}).value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  EXPECT_EQ(scope.TryNewArray<std::byte>(size_t{1} << 50).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(heap->stats().cycles, 0);
}

TEST(HeapLimit, TheHandlerMayThrowAndTheHeapStaysWhole) {
  std::vector<std::string> reasons;
  auto heap = Heap::Create({.max_bytes = kMiB,
                            .on_out_of_memory =
                                [&reasons](const absl::Status& status) {
                                  reasons.emplace_back(status.message());
                                  throw std::bad_alloc();
                                }})
                  .value();
  MutatorScope mutator(*heap);
  {
    HandleScope scope(mutator);
    EXPECT_THROW(for (;;) scope.New<Payload>(), std::bad_alloc);
    EXPECT_THROW(scope.NewArray<int64_t>(kMiB), std::bad_alloc);
    EXPECT_THROW(scope.NewArray<int64_t>(std::numeric_limits<size_t>::max()),
                 std::bad_alloc);
  }
  ASSERT_EQ(reasons.size(), 3u);
  EXPECT_NE(reasons[0].find("max_bytes is 1048576"), std::string::npos)
      << reasons[0];
  EXPECT_NE(reasons[2].find("larger than an object can be"), std::string::npos);
  HandleScope scope(mutator);
  scope.New<Payload>();
}

TEST(HeapLimit, AHandlerThatReturnsEndsTheProgram) {
  auto heap = Heap::Create({.max_bytes = kMiB,
                            .on_out_of_memory = [](const absl::Status&) {}})
                  .value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  EXPECT_DEATH(scope.NewArray<int64_t>(kMiB), "allocation failed");
}

// An object with a buffer outside of the heap.
struct Buffer {
  Buffer(Heap& owner, Mutator& mutator, Lifetimes& lifetimes, int64_t size)
      : tracked(lifetimes), heap(owner), bytes(size) {
    mutator.AdjustExternalBytes(bytes);
  }
  ~Buffer() { heap.AdjustExternalBytes(-bytes); }
  Tracked tracked;
  Heap& heap;
  int64_t bytes;
};

TEST(ExternalBytes, MakeCollectionsDue) {
  Lifetimes lifetimes;
  auto heap = Heap::Create({.stress = kNoStress}).value();
  MutatorScope mutator(*heap);
  int most = 0;
  for (int i = 0; i < 1000; ++i) {
    HandleScope scope(mutator);
    scope.New<Buffer>(*heap, mutator, lifetimes, int64_t{1} << 20);
    most = std::max(most, lifetimes.alive());
  }
  EXPECT_GE(heap->stats().cycles, 100)
      << "a few KiB of objects own a thousand MiB";
  EXPECT_LT(most, 100);
  heap->Collect();
  heap->Collect();
  EXPECT_EQ(lifetimes.alive(), 0);
  EXPECT_EQ(heap->stats().external_bytes, 0);
}

TEST(ExternalBytes, CountAgainstTheLimit) {
  auto heap = Heap::Create({.max_bytes = 16 * kMiB}).value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  ASSERT_TRUE(scope.TryNewArray<std::byte>(8 * kMiB).ok());
  heap->AdjustExternalBytes(12 * kMiB);
  const absl::Status status = scope.TryNewArray<std::byte>(8 * kMiB).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("12582912 are external"), std::string::npos)
      << status;
  std::thread([&heap] {
    heap->AdjustExternalBytes(-int64_t{12} * kMiB);
  }).join();
  EXPECT_FALSE(scope.TryNewArray<std::byte>(8 * kMiB).ok())
      << "the first array is still there";
  EXPECT_TRUE(scope.TryNewArray<std::byte>(7 * kMiB).ok());
}

struct Element {
  explicit Element(Lifetimes& lifetimes) : tracked(lifetimes) {}
  Tracked tracked;
};
struct Holder {
  Member<Array<Member<Element>>> array;
  void Trace(auto& visitor) const { visitor(array); }
};

// A handle, and a Member, alone keep an array and what it refers to, whether it
// lies in a mixed block, in a medium run or in a span.
TEST(HeapArray, ItsRootAloneKeepsItAndItsElements) {
  Lifetimes lifetimes;
  auto heap = Heap::Create({}).value();
  MutatorScope mutator(*heap);
  for (const size_t size : {3, 2000, 60000}) {
    HandleScope scope(mutator);
    MutableHandle<Holder> holder = scope.Mutable<Holder>();
    {
      HandleScope inner(mutator);
      const auto array = inner.NewArray<Member<Element>>(size);
      for (Member<Element>& member : *array) {
        HandleScope innermost(mutator);
        member = innermost.New<Element>(lifetimes);
      }
      heap->Collect();
      heap->Collect();
      EXPECT_EQ(lifetimes.alive(), static_cast<int>(size));
      holder = inner.New<Holder>();
      holder->array = array;
    }
    heap->Collect();
    heap->Collect();
    EXPECT_EQ(lifetimes.alive(), static_cast<int>(size));
    EXPECT_EQ(holder->array->size(), size);
    holder = nullptr;
    heap->Collect();
    heap->Collect();
    EXPECT_EQ(lifetimes.alive(), 0);
  }
}

}  // namespace
}  // namespace bibop
