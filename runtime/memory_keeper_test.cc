#include "bibop/runtime/memory_keeper.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/config.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/base/resident_memory.h"
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

constexpr int64_t kMiB = int64_t{1} << 20;

TEST(DecayedBytes, HalfIsLeftAfterEachHalfLife) {
  constexpr size_t kBytes = size_t{1} << 30;
  constexpr double kGiB = kBytes;
  EXPECT_DOUBLE_EQ(DecayedBytes(kBytes, absl::Seconds(1), absl::Seconds(1)),
                   kGiB / 2);
  EXPECT_DOUBLE_EQ(DecayedBytes(kBytes, absl::Seconds(2), absl::Seconds(1)),
                   kGiB / 4 * 3);
  double left = kGiB;
  for (int i = 0; i < 100; ++i) {
    left -= DecayedBytes(static_cast<size_t>(left), absl::Milliseconds(50),
                         absl::Seconds(1));
  }
  EXPECT_NEAR(left, kGiB / 32, 1000) << "after five half-lives in small steps";
}

TEST(DecayedBytes, HasItsExtremes) {
  EXPECT_EQ(DecayedBytes(0, absl::Seconds(1), absl::Seconds(1)), 0);
  EXPECT_EQ(DecayedBytes(kMiB, absl::Seconds(1), absl::InfiniteDuration()), 0);
  EXPECT_EQ(DecayedBytes(kMiB, absl::ZeroDuration(), absl::ZeroDuration()),
            kMiB);
}

TEST(LowWaterMark, IsTheLeastOfTheLastForty) {
  LowWaterMark mark;
  for (int i = 0; i < 39; ++i) EXPECT_EQ(mark.Add(100), 0);
  EXPECT_EQ(mark.Add(100), 100);
  EXPECT_EQ(mark.Add(70), 70);
  for (int i = 0; i < 39; ++i) EXPECT_EQ(mark.Add(90), 70);
  EXPECT_EQ(mark.Add(90), 90);
}

struct Link {
  std::byte payload[1000];
  Member<Link> next;
  void Trace(auto& visitor) const { visitor(next); }
};

// Makes a list that takes `bytes` and drops it.
void MakeAndDrop(Heap& heap, int64_t bytes) {
  MutatorScope mutator(heap);
  {
    HandleScope scope(mutator);
    MutableHandle<Link> head = scope.Mutable<Link>();
    for (int64_t i = 0; i < bytes / static_cast<int64_t>(sizeof(Link)); ++i) {
      HandleScope inner(mutator);
      const Handle<Link> link = inner.New<Link>();
      link->payload[0] = std::byte{1};
      link->next = head;
      head = link;
    }
  }
  heap.Collect();
}

// Waits up to ten seconds until `condition` holds.
template <class F>
bool Eventually(F condition) {
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

TEST(MemoryKeeper, WhatIsNotNeededGoesBackAndIsUsableAfterwards) {
  auto heap = Heap::Create({.decommit_half_life = absl::Milliseconds(20),
                            .stress = kNoStress})
                  .value();
  for (int round = 0; round < 2; ++round) {
    MakeAndDrop(*heap, 64 * kMiB);
    EXPECT_TRUE(Eventually([&heap] {
      const HeapStats stats = heap->stats();
      return stats.block_bytes == 0 && stats.free_resident_bytes == 0;
    })) << heap->stats().free_resident_bytes;
  }
}

// A regression: some MiB went each time that it looked, whatever the half-life.
TEST(MemoryKeeper, WithALongHalfLifeLittleGoesBackSoon) {
  auto heap =
      Heap::Create({.decommit_half_life = absl::Hours(1), .stress = kNoStress})
          .value();
  MakeAndDrop(*heap, 64 * kMiB);
  EXPECT_TRUE(Eventually([&heap] { return heap->stats().block_bytes == 0; }));
  absl::SleepFor(absl::Milliseconds(500));
  EXPECT_GE(heap->stats().free_resident_bytes, 56 * kMiB);
}

TEST(MemoryKeeper, WithAnInfiniteHalfLifeMemoryIsKept) {
  auto heap = Heap::Create({.decommit_half_life = absl::InfiniteDuration(),
                            .stress = kNoStress})
                  .value();
  MakeAndDrop(*heap, 16 * kMiB);
  EXPECT_TRUE(Eventually([&heap] { return heap->stats().block_bytes == 0; }))
      << "it is swept all the same";
  absl::SleepFor(absl::Milliseconds(200));
  EXPECT_GE(heap->stats().free_resident_bytes, 16 * kMiB);
}

TEST(MemoryKeeper, DestructorsRunWithoutAnotherAllocation) {
  struct Noted {
    explicit Noted(Lifetimes& lifetimes) : tracked(lifetimes) {}
    Tracked tracked;
  };
  Lifetimes lifetimes;
  auto heap = Heap::Create({}).value();
  MutatorScope mutator(*heap);
  {
    HandleScope scope(mutator);
    for (int i = 0; i < 10000; ++i) scope.New<Noted>(lifetimes);
  }
  heap->Collect();
  EXPECT_TRUE(Eventually([&lifetimes] { return lifetimes.alive() == 0; }));
  EXPECT_EQ(lifetimes.dead(), 10000);
}

#if !defined(ABSL_HAVE_ADDRESS_SANITIZER) && \
    !defined(ABSL_HAVE_THREAD_SANITIZER) &&  \
    !defined(ABSL_HAVE_MEMORY_SANITIZER)
// The sanitizers keep memory of their own for that of the heap.
TEST(MemoryKeeper, ResidentMemoryFallsBelow64MiBInFiveSecondsAfterAGiB) {
  auto heap = Heap::Create({.stress = kNoStress}).value();
  MakeAndDrop(*heap, 1024 * kMiB);
  const absl::Time dropped = absl::Now();
  const auto resident = [] { return ResidentBytes(); };
  EXPECT_TRUE(Eventually([&] { return resident() < 64 * kMiB; }));
  EXPECT_LT(absl::Now() - dropped, absl::Seconds(5));
  RecordProperty("seconds",
                 std::to_string(absl::ToDoubleSeconds(absl::Now() - dropped)));
}
#endif

}  // namespace
}  // namespace bibop
