// Generations and kinds of collections, seen from outside.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/heap/heap_phase.h"
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
  void Forget() {
    const absl::MutexLock lock(mutex_);
    cycles_.clear();
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
    Churn old(mutator, scope, 20 * kMiB / sizeof(ChurnNode));
    heap->Collect();
    for (size_t i = 0; i < 192 * kMiB / sizeof(ChurnNode); ++i) {
      HandleScope inner(mutator);
      inner.New<ChurnNode>();
    }
  }
  EXPECT_GT(Count(CollectionKind::kMinor), 3);
  EXPECT_LE(Count(CollectionKind::kMajor), Count(CollectionKind::kMinor) / 2);
  EXPECT_EQ(heap->stats().minor_cycles, Count(CollectionKind::kMinor));
}

// Not concurrently: while a mark waits for a processor much dies young.
using HeapGenerationsInStepTest = HeapGenerationsTest;

TEST_P(HeapGenerationsInStepTest,
       WhereNothingDiesYoungMostCollectionsAreMajor) {
  HeapOptions options = Options();
  options.young_bytes = kMiB;
  options.small_heap_bytes = kMiB;
  auto heap = Heap::Create(options).value();
  {
    MutatorScope mutator(*heap);
    HandleScope scope(mutator);
    // So many that few die before they are old, even where a mark takes long.
    constexpr size_t kNodes = 16 * kMiB / sizeof(ChurnNode);
    Churn churn(mutator, scope, kNodes);
    // So far nothing has died.
    Forget();
    churn.Replace(14 * kNodes);
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
    Churn churn(mutator, scope, 4 * kMiB / sizeof(ChurnNode));
    churn.Replace(64 * kMiB / sizeof(ChurnNode));
  }
  EXPECT_EQ(Count(CollectionKind::kMinor), 0);
  EXPECT_GT(Count(CollectionKind::kMajor), 2);
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
    Churn churn(mutator, scope, kMiB / sizeof(ChurnNode));
  }
  ASSERT_EQ(heap->stats().cycles, 0);
  heap->CollectSoon();
  // Where it has no thread it is the next allocations that collect; in the
  // others this need not do anything.
  for (int i = 0; i < 20'000 && !HasThread(); ++i) {
    HandleScope scope(mutator);
    scope.New<ChurnNode>();
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
    scope.New<ChurnNode>();
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
  Churn churn(mutator, scope, 2 * kMiB / sizeof(ChurnNode));
  EXPECT_FALSE(heap->CollectWhenIdle()) << "that is not worth while";
  churn.Replace(4 * kMiB / sizeof(ChurnNode));
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

INSTANTIATE_TEST_SUITE_P(Modes, HeapGenerationsInStepTest,
                         ::testing::Values(CollectionMode::kIncremental,
                                           CollectionMode::kStopTheWorld));

INSTANTIATE_TEST_SUITE_P(Modes, HeapGenerationsTest,
                         ::testing::Values(CollectionMode::kConcurrent,
                                           CollectionMode::kIncremental,
                                           CollectionMode::kStopTheWorld));

}  // namespace
}  // namespace bibop
