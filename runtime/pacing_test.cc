// The soft limit, generations and kinds of collections, seen from outside.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bibop/containers/containers.h"
#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/stress_options.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

struct Node {
  void Trace(auto& visitor) const { visitor(next); }
  Member<Node> next;
  int64_t words[5] = {};
};

struct Table {
  void Trace(auto& visitor) const { visitor(nodes); }
  UnorderedMap<int, Member<Node>> nodes;
};

// Keeps `count` nodes alive and replaces them one after the other.
class Churn {
 public:
  Churn(Mutator& mutator, HandleScope& scope, size_t count)
      : mutator_(mutator), nodes_(scope.NewArray<Member<Node>>(count)) {
    Replace(count);
  }

  void Replace(size_t count) {
    for (; count > 0; --count) {
      HandleScope scope(mutator_);
      (*nodes_)[next_] = scope.New<Node>();
      next_ = (next_ + 1) % nodes_->size();
    }
  }

 private:
  Mutator& mutator_;
  Handle<Array<Member<Node>>> nodes_;
  size_t next_ = 0;
};

class SoftLimitTest : public ::testing::TestWithParam<CollectionMode> {};

TEST_P(SoftLimitTest, WhatIsAliveAndAFifthOfItIsEnough) {
  // 20 MiB of nodes, with the array, and 4 MiB outside.
  constexpr size_t kNodes = 20 * kMiB / (sizeof(Node) + sizeof(void*));
  constexpr size_t kExternal = 4 * kMiB;
  constexpr size_t kLimit = (20 + 4) * kMiB / 10 * 12;
  auto heap =
      Heap::Create(
          {.mode = GetParam(), .soft_limit_bytes = kLimit, .stress = kNoStress})
          .value();
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
  constexpr size_t kNodes = 20 * kMiB / (sizeof(Node) + sizeof(void*));
  constexpr size_t kBuffers = 4 * kMiB / Buffer::kBytes;
  constexpr size_t kLimit = (20 + 4) * kMiB / 10 * 12;
  auto heap =
      Heap::Create(
          {.mode = GetParam(), .soft_limit_bytes = kLimit, .stress = kNoStress})
          .value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  Churn churn(mutator, scope, kNodes);
  const auto buffers = scope.NewArray<Member<Buffer>>(kBuffers);
  const auto measure = [&heap] {
    const HeapStats stats = heap->stats();
    return stats.block_bytes + stats.external_bytes + stats.free_resident_bytes;
  };
  int64_t most = 0;
  for (size_t i = 0; i < 8 * kBuffers; ++i) {
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
    auto heap = Heap::Create({.mode = GetParam(),
                              .max_bytes = 16 * kMiB,
                              .soft_limit_bytes = limit,
                              .stress = kNoStress})
                    .value();
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

TEST_P(SoftLimitTest, WhatIsAliveMayExceedItAndItHoldsAgainAfterwards) {
  constexpr size_t kLimit = 8 * kMiB;
  auto heap =
      Heap::Create(
          {.mode = GetParam(), .soft_limit_bytes = kLimit, .stress = kNoStress})
          .value();
  MutatorScope mutator(*heap);
  {
    HandleScope scope(mutator);
    Churn churn(mutator, scope, 16 * kMiB / sizeof(Node));
    EXPECT_GT(heap->stats().block_bytes, 15 * kMiB);
  }
  heap->Collect();
  HandleScope scope(mutator);
  Churn churn(mutator, scope, 2 * kMiB / sizeof(Node));
  for (int i = 0; i < 8; ++i) {
    churn.Replace(8 * kMiB / sizeof(Node));
    EXPECT_LE(heap->stats().block_bytes, kLimit / 100 * 102);
  }
}

// Runs of blocks are larger than what is asked for; stores of containers may
// not collect in some places.
TEST_P(SoftLimitTest, ObjectsOfAllSizesAndContainersMayExceedIt) {
  auto heap =
      Heap::Create(
          {.mode = GetParam(), .soft_limit_bytes = kMiB, .stress = kNoStress})
          .value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  const auto arrays = scope.NewArray<Member<Array<int64_t>>>(100);
  const Handle<Table> table = scope.New<Table>();
  for (int i = 0; i < 100; ++i) {
    HandleScope inner(mutator);
    (*arrays)[i] = inner.NewArray<int64_t>(size_t{1} << (i % 16));
    for (int j = 0; j < 100; ++j) {
      table->nodes[100 * i + j] = inner.New<Node>();
    }
  }
  EXPECT_GT(heap->stats().block_bytes, 2 * kMiB);
  EXPECT_EQ(table->nodes.size(), 10'000u);
}

TEST_P(SoftLimitTest, SeveralThreadsMayExceedIt) {
  auto heap = Heap::Create({.mode = GetParam(),
                            .soft_limit_bytes = 2 * kMiB,
                            .stress = kNoStress})
                  .value();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&heap] {
      MutatorScope mutator(*heap);
      HandleScope scope(mutator);
      Churn churn(mutator, scope, kMiB / sizeof(Node));
      churn.Replace(2 * kMiB / sizeof(Node));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(heap->stats().cycles, 4);
}

// One that the heap could never have leaves the limit where it is.
TEST_P(SoftLimitTest, WhatIsTooLargeDoesNotRaiseIt) {
  auto heap = Heap::Create({.mode = GetParam(),
                            .max_bytes = 64 * kMiB,
                            .soft_limit_bytes = 8 * kMiB,
                            .stress = kNoStress})
                  .value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  EXPECT_FALSE(scope.TryNewArray<int64_t>(10 * kMiB).ok());
  Churn churn(mutator, scope, 2 * kMiB / sizeof(Node));
  for (int i = 0; i < 5; ++i) {
    churn.Replace(8 * kMiB / sizeof(Node));
    EXPECT_LE(heap->stats().block_bytes, 8 * kMiB);
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, SoftLimitTest,
                         ::testing::Values(CollectionMode::kConcurrent,
                                           CollectionMode::kIncremental,
                                           CollectionMode::kStopTheWorld));

// ---- generations ----

class HeapGenerationsTest : public ::testing::TestWithParam<CollectionMode> {
 protected:
  HeapOptions Options() {
    return {.mode = GetParam(),
            .generations = true,
            .stress = kNoStress,
            .on_cycle_end = [this](const CycleStats& cycle) {
              const absl::MutexLock lock(mutex_);
              cycles_.push_back(cycle);
            }};
  }
  int64_t Count(CollectionKind kind) {
    const absl::MutexLock lock(mutex_);
    return std::ranges::count(cycles_, kind, &CycleStats::kind);
  }

  absl::Mutex mutex_;
  std::vector<CycleStats> cycles_ ABSL_GUARDED_BY(mutex_);
};

TEST_P(HeapGenerationsTest, WhereMostDiesYoungMostCollectionsAreMinor) {
  auto heap = Heap::Create(Options()).value();
  {
    MutatorScope mutator(*heap);
    HandleScope scope(mutator);
    Churn old(mutator, scope, 20 * kMiB / sizeof(Node));
    heap->Collect();
    for (size_t i = 0; i < 192 * kMiB / sizeof(Node); ++i) {
      HandleScope inner(mutator);
      inner.New<Node>();
    }
  }
  EXPECT_GT(Count(CollectionKind::kMinor), 3);
  EXPECT_LE(Count(CollectionKind::kMajor), Count(CollectionKind::kMinor) / 2);
  EXPECT_EQ(heap->stats().minor_cycles, Count(CollectionKind::kMinor));
}

TEST_P(HeapGenerationsTest, WhereNothingDiesYoungMostCollectionsAreMajor) {
  HeapOptions options = Options();
  options.young_bytes = kMiB;
  options.small_heap_bytes = kMiB;
  auto heap = Heap::Create(options).value();
  {
    MutatorScope mutator(*heap);
    HandleScope scope(mutator);
    constexpr size_t kNodes = 4 * kMiB / sizeof(Node);
    Churn churn(mutator, scope, kNodes);
    churn.Replace(24 * kNodes);
  }
  EXPECT_LT(Count(CollectionKind::kMinor), Count(CollectionKind::kMajor));
}

TEST_P(HeapGenerationsTest, AMajorCollectionComesAfterHundredsOfMinorOnes) {
  auto heap = Heap::Create(Options()).value();
  for (int i = 0; i < 450; ++i) heap->Collect(CollectionKind::kMinor);
  EXPECT_EQ(Count(CollectionKind::kMajor), 2);
}

TEST_P(HeapGenerationsTest, CollectRunsTheKindThatIsAskedForOrMore) {
  auto heap = Heap::Create(Options()).value();
  heap->Collect(CollectionKind::kMinor);
  EXPECT_EQ(Count(CollectionKind::kMinor), 1);
  heap->Collect();
  EXPECT_EQ(Count(CollectionKind::kMajor), 1);
}

TEST_P(HeapGenerationsTest, WithoutGenerationsEveryCollectionIsMajor) {
  HeapOptions options = Options();
  options.generations = false;
  auto heap = Heap::Create(options).value();
  heap->Collect(CollectionKind::kMinor);
  {
    MutatorScope mutator(*heap);
    HandleScope scope(mutator);
    Churn churn(mutator, scope, 4 * kMiB / sizeof(Node));
    churn.Replace(64 * kMiB / sizeof(Node));
  }
  EXPECT_EQ(Count(CollectionKind::kMinor), 0);
  EXPECT_GT(Count(CollectionKind::kMajor), 2);
}

// ---- mutators that help to mark ----

// The number of a mutator's thread; 0 for others.
thread_local size_t mutator_number = 0;

// Objects that take their time to be traced, and count who traced them.
struct Slow {
  static constexpr size_t kMostThreads = 3;
  static inline std::array<std::atomic<int64_t>, kMostThreads> traced_by = {};
  // So many turns of a loop.
  static inline int work = 0;

  void Trace(auto& visitor) const {
    visitor(next);
    ++traced_by[mutator_number];
    for (volatile int i = 0; i < work;) i = i + 1;
  }
  Member<Slow> next;
  int64_t words[5] = {};
};

class AssistTest : public ::testing::Test {
 protected:
  // Each of `threads` threads replaces `count` objects of an array of `alive`.
  // Returns how many were traced by mutators' threads that did not drive the
  // collection.
  int64_t Assisted(HeapOptions options, size_t threads, size_t alive,
                   size_t count) {
    int64_t assisted = 0;
    options.stress = kNoStress;
    options.on_cycle_end = [&assisted](const CycleStats&) {
      for (size_t number = 0; number < Slow::kMostThreads; ++number) {
        const int64_t traced = Slow::traced_by[number].exchange(0);
        if (number != 0 && number != mutator_number) assisted += traced;
      }
    };
    auto heap = Heap::Create(options).value();
    std::vector<std::thread> workers;
    for (size_t number = 1; number <= threads; ++number) {
      workers.emplace_back([&heap, number, alive, count] {
        mutator_number = number;
        MutatorScope mutator(*heap);
        HandleScope scope(mutator);
        const auto kept = scope.NewArray<Member<Slow>>(alive);
        for (size_t i = 0; i < alive + count; ++i) {
          HandleScope inner(mutator);
          (*kept)[i % alive] = inner.New<Slow>();
        }
      });
    }
    for (std::thread& worker : workers) worker.join();
    // The last cycle may be under way.
    heap->Collect();
    return assisted;
  }
};

// Without this a heap at its limit left all processors but one idle.
TEST_F(AssistTest, WhoWaitsForMemoryBelowTheLimitMarks) {
  constexpr size_t kAlive = 100'000;
  Slow::work = 100;
  const size_t limit = 2 * kAlive * (sizeof(Slow) + sizeof(void*)) / 10 * 12;
  EXPECT_GT(
      Assisted({.soft_limit_bytes = limit}, /*threads=*/2, kAlive, 4 * kAlive),
      1000);
}

TEST_F(AssistTest, WhoAllocatesFasterThanIsMarkedMarks) {
  constexpr size_t kAlive = 100'000;
  Slow::work = 2000;
  EXPECT_GT(Assisted({}, /*threads=*/1, kAlive, 30 * kAlive), 1000);
}

TEST_F(AssistTest, ModesWithoutAThreadHaveNobodyToHelp) {
  Slow::work = 0;
  for (const CollectionMode mode :
       {CollectionMode::kIncremental, CollectionMode::kStopTheWorld}) {
    EXPECT_EQ(Assisted({.mode = mode}, /*threads=*/1, 10'000, 100'000), 0);
  }
}

// ---- collections that are asked for, and those of idle time ----

class AskedTest : public ::testing::TestWithParam<CollectionMode> {
 protected:
  HeapOptions Options() {
    return {.mode = GetParam(),
            .stress = kNoStress,
            .on_cycle_end = [this](const CycleStats& cycle) {
              const absl::MutexLock lock(mutex_);
              causes_.push_back(cycle.cause);
            }};
  }
  // Waits up to ten seconds for so many collections; returns the last's cause.
  std::optional<CycleCause> CauseOfCollection(size_t number) {
    const absl::MutexLock lock(mutex_);
    const auto there = [this, number]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return causes_.size() >= number;
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&there), absl::Seconds(10))) {
      return std::nullopt;
    }
    EXPECT_EQ(causes_.size(), number);
    return causes_.back();
  }
  bool HasThread() const { return GetParam() == CollectionMode::kConcurrent; }

  absl::Mutex mutex_;
  std::vector<CycleCause> causes_ ABSL_GUARDED_BY(mutex_);
};

TEST_P(AskedTest, ASoonOneComesWithoutTheCaller) {
  auto heap = Heap::Create(Options()).value();
  MutatorScope mutator(*heap);
  {
    HandleScope scope(mutator);
    Churn churn(mutator, scope, kMiB / sizeof(Node));
  }
  ASSERT_EQ(heap->stats().cycles, 0);
  heap->CollectSoon();
  // Where it has no thread it is the next allocations that collect; in the
  // others this need not do anything.
  for (int i = 0; i < 20'000 && !HasThread(); ++i) {
    HandleScope scope(mutator);
    scope.New<Node>();
  }
  const ParkedScope parked(mutator);
  EXPECT_EQ(CauseOfCollection(1), CycleCause::kRequested);
  EXPECT_LT(heap->stats().live_bytes, kMiB);
}

TEST_P(AskedTest, OneThatIsAskedForInACollectionComesAfterIt) {
  HeapOptions options = Options();
  Heap* asked = nullptr;
  options.on_cycle_end =
      [&, note = options.on_cycle_end](const CycleStats& cycle) {
        if (cycle.cycle == 1) asked->CollectSoon();
        note(cycle);
      };
  auto heap = Heap::Create(options).value();
  asked = heap.get();
  heap->Collect();
  if (!HasThread()) {
    MutatorScope mutator(*heap);
    HandleScope scope(mutator);
    scope.New<Node>();
  }
  EXPECT_EQ(CauseOfCollection(2), CycleCause::kRequested);
}

TEST_P(AskedTest, IdleTimeIsUsedOnceAQuarterOfTheBudgetIsSpent) {
  HeapOptions options = Options();
  options.min_budget_bytes = 16 * kMiB;
  auto heap = Heap::Create(options).value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  EXPECT_FALSE(heap->CollectWhenIdle());
  Churn churn(mutator, scope, 2 * kMiB / sizeof(Node));
  EXPECT_FALSE(heap->CollectWhenIdle()) << "that is not worth while";
  churn.Replace(4 * kMiB / sizeof(Node));
  int calls = 1;
  while (heap->CollectWhenIdle()) ++calls;
  {
    const ParkedScope parked(mutator);
    EXPECT_EQ(CauseOfCollection(1), CycleCause::kIdle);
  }
  EXPECT_EQ(calls > 1, GetParam() == CollectionMode::kIncremental) << calls;
  EXPECT_LT(heap->stats().live_bytes, 3 * kMiB);
  // Waits for the end of whatever is under way.
  heap->Collect();
  EXPECT_EQ(CauseOfCollection(2), CycleCause::kRequested);
  EXPECT_FALSE(heap->CollectWhenIdle()) << "nothing was allocated since";
  heap->Collect();
  EXPECT_EQ(CauseOfCollection(3), CycleCause::kRequested);
}

TEST_P(AskedTest, IdleTimeIsUsedForOneThatWasAskedFor) {
  auto heap = Heap::Create(Options()).value();
  heap->CollectSoon();
  while (heap->CollectWhenIdle()) {
  }
  EXPECT_EQ(CauseOfCollection(1), CycleCause::kRequested);
}

INSTANTIATE_TEST_SUITE_P(Modes, AskedTest,
                         ::testing::Values(CollectionMode::kConcurrent,
                                           CollectionMode::kIncremental,
                                           CollectionMode::kStopTheWorld));

INSTANTIATE_TEST_SUITE_P(Modes, HeapGenerationsTest,
                         ::testing::Values(CollectionMode::kConcurrent,
                                           CollectionMode::kIncremental,
                                           CollectionMode::kStopTheWorld));

}  // namespace
}  // namespace bibop
