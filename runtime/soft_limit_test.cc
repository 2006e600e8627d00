// The soft limit, seen from outside.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "bibop/containers/containers.h"
#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/churn.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/stress_options.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

struct Table {
  void Trace(auto& visitor) const { visitor(nodes); }
  UnorderedMap<int, Member<ChurnNode>> nodes;
};

class SoftLimitTest : public ::testing::TestWithParam<CollectionMode> {
 protected:
  // Makes a heap with that soft limit, and with `max_bytes` if it is not 0.
  static std::unique_ptr<Heap> MakeHeap(size_t limit, size_t max_bytes = 0) {
    HeapOptions options = {
        .mode = GetParam(), .soft_limit_bytes = limit, .stress = kNoStress};
    if (max_bytes != 0) options.max_bytes = max_bytes;
    return Heap::Create(options).value();
  }
};

TEST_P(SoftLimitTest, WhatIsAliveAndAFifthOfItIsEnough) {
  // 20 MiB of nodes, with the array, and 4 MiB outside.
  constexpr size_t kNodes = 20 * kMiB / (sizeof(ChurnNode) + sizeof(void*));
  constexpr size_t kExternal = 4 * kMiB;
  constexpr size_t kLimit = (20 + 4) * kMiB / 10 * 12;
  auto heap = MakeHeap(kLimit);
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  heap->AdjustExternalBytes(kExternal);
  Churn churn(mutator, scope, kNodes);
  for (int i = 0; i < 30; ++i) {
    churn.Replace(kNodes / 20);
    const HeapStats stats = heap->stats();
    ASSERT_LE(
        stats.block_bytes + stats.external_bytes + stats.free_resident_bytes,
        kLimit / 100 * 102);
  }
  EXPECT_GT(heap->stats().cycles, 5);
  heap->AdjustExternalBytes(-static_cast<int64_t>(kExternal));
}

// An object with a buffer outside of the heap.
class Buffer {
 public:
  static constexpr int64_t kBytes = int64_t{16} << 10;
  explicit Buffer(Mutator& mutator) : heap_(mutator.heap()) {
    mutator.AdjustExternalBytes(kBytes);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { heap_.AdjustExternalBytes(-kBytes); }

 private:
  Heap& heap_;
};

// What is dead and not swept yet has to fit as well, so that blocks must not
// take all that what is alive outside of the heap leaves.
TEST_P(SoftLimitTest, GarbageOutsideOfTheHeapHasRoomBelowIt) {
  constexpr size_t kNodes = 20 * kMiB / (sizeof(ChurnNode) + sizeof(void*));
  constexpr size_t kBuffers = 4 * kMiB / Buffer::kBytes;
  constexpr size_t kLimit = (20 + 4) * kMiB / 10 * 12;
  auto heap = MakeHeap(kLimit);
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  Churn churn(mutator, scope, kNodes);
  const auto buffers = scope.NewArray<Member<Buffer>>(kBuffers);
  const auto measure = [&heap] {
    const HeapStats stats = heap->stats();
    return stats.block_bytes + stats.external_bytes + stats.free_resident_bytes;
  };
  int64_t most = 0;
  for (size_t i = 0; i < 4 * kBuffers; ++i) {
    churn.Replace(kNodes / kBuffers);
    HandleScope inner(mutator);
    (*buffers)[i % kBuffers] = inner.New<Buffer>(mutator);
    most = std::max(most, measure());
  }
  EXPECT_LE(most, kLimit / 100 * 102);
  EXPECT_GT(most, kLimit / 100 * 95) << "or there is nothing to see here";
  EXPECT_LT(heap->stats().cycles, 1000);
}

// External bytes alone may be more than the limit, and the most that the heap
// may be: they are not refused, nor is the heap collected for each of them.
TEST_P(SoftLimitTest, WhatIsAliveOutsideOfTheHeapMayExceedIt) {
  for (const size_t limit : {4 * kMiB, 16 * kMiB}) {
    auto heap = MakeHeap(limit, /*max_bytes=*/16 * kMiB);
    MutatorScope mutator(*heap);
    HandleScope scope(mutator);
    constexpr size_t kBuffers = 32 * kMiB / Buffer::kBytes;
    const auto buffers = scope.NewArray<Member<Buffer>>(kBuffers);
    size_t count = 0;
    for (; count < kBuffers; ++count) {
      HandleScope inner(mutator);
      const auto buffer = inner.TryNew<Buffer>(mutator);
      if (!buffer.ok()) break;
      (*buffers)[count] = *buffer;
    }
    EXPECT_GT(count, 14 * kMiB / Buffer::kBytes);
    EXPECT_LT(heap->stats().cycles, 100);
  }
}

// A regression: with nearly as much alive as the limit each buffer had the heap
// collected, which made room for just that one.
TEST_P(SoftLimitTest, ReplacementJustBelowItDoesNotCollectEachTime) {
  constexpr size_t kBuffers = 500;
  constexpr size_t kNodes = 6 * kMiB / sizeof(ChurnNode);
  const auto alive =
      kBuffers * Buffer::kBytes + kNodes * (sizeof(ChurnNode) + sizeof(void*));
  // Room for a few buffers more.
  auto heap = MakeHeap(alive + kMiB / 4);
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  const auto buffers = scope.NewArray<Member<Buffer>>(kBuffers);
  // So that collections take their time.
  Churn nodes(mutator, scope, kNodes);
  for (size_t i = 0; i < 9 * kBuffers; ++i) {
    HandleScope inner(mutator);
    (*buffers)[i % kBuffers] = inner.New<Buffer>(mutator);
  }
  EXPECT_LT(heap->stats().cycles, int64_t{kBuffers / 2});
}

// It takes ever larger steps where collections free nothing.
TEST_P(SoftLimitTest, TwiceAsMuchMayBecomeAliveInAFewCollections) {
  constexpr size_t kLimit = 8 * kMiB;
  auto heap = MakeHeap(kLimit);
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  const Churn nodes(mutator, scope, 2 * kLimit / sizeof(ChurnNode));
  EXPECT_LT(heap->stats().cycles, 50);
}

TEST_P(SoftLimitTest, WhatIsAliveMayExceedItAndItHoldsAgainAfterwards) {
  constexpr size_t kLimit = 8 * kMiB;
  auto heap = MakeHeap(kLimit);
  MutatorScope mutator(*heap);
  {
    HandleScope scope(mutator);
    Churn churn(mutator, scope, 16 * kMiB / sizeof(ChurnNode));
    EXPECT_GT(heap->stats().block_bytes, 15 * kMiB);
  }
  heap->Collect();
  HandleScope scope(mutator);
  Churn churn(mutator, scope, 2 * kMiB / sizeof(ChurnNode));
  for (int i = 0; i < 8; ++i) {
    churn.Replace(8 * kMiB / sizeof(ChurnNode));
    EXPECT_LE(heap->stats().block_bytes, kLimit / 100 * 102);
  }
}

// Runs of blocks are larger than what is asked for; stores of containers may
// not collect in some places.
TEST_P(SoftLimitTest, ObjectsOfAllSizesAndContainersMayExceedIt) {
  auto heap = MakeHeap(kMiB);
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  const auto arrays = scope.NewArray<Member<Array<int64_t>>>(100);
  const Handle<Table> table = scope.New<Table>();
  for (int i = 0; i < 100; ++i) {
    HandleScope inner(mutator);
    (*arrays)[i] = inner.NewArray<int64_t>(size_t{1} << (i % 16));
    for (int j = 0; j < 100; ++j) {
      table->nodes[100 * i + j] = inner.New<ChurnNode>();
    }
  }
  EXPECT_GT(heap->stats().block_bytes, 2 * kMiB);
  EXPECT_EQ(table->nodes.size(), 10'000u);
}

TEST_P(SoftLimitTest, SeveralThreadsMayExceedIt) {
  auto heap = MakeHeap(2 * kMiB);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&heap] {
      MutatorScope mutator(*heap);
      HandleScope scope(mutator);
      Churn churn(mutator, scope, kMiB / sizeof(ChurnNode));
      churn.Replace(2 * kMiB / sizeof(ChurnNode));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(heap->stats().cycles, 4);
}

// One that the heap could never have leaves the limit where it is.
TEST_P(SoftLimitTest, WhatIsTooLargeDoesNotRaiseIt) {
  auto heap = MakeHeap(8 * kMiB, /*max_bytes=*/64 * kMiB);
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  EXPECT_FALSE(scope.TryNewArray<int64_t>(10 * kMiB).ok());
  Churn churn(mutator, scope, 2 * kMiB / sizeof(ChurnNode));
  for (int i = 0; i < 5; ++i) {
    churn.Replace(8 * kMiB / sizeof(ChurnNode));
    EXPECT_LE(heap->stats().block_bytes, 8 * kMiB);
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, SoftLimitTest,
                         ::testing::Values(CollectionMode::kConcurrent,
                                           CollectionMode::kIncremental,
                                           CollectionMode::kStopTheWorld));

}  // namespace
}  // namespace bibop
