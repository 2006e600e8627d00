#include "bibop/runtime/pacer.h"

#include <cstdint>

#include "absl/time/time.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/runtime/heap_options.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;

// A major collection that found so much alive, traced it in 100 ms, and comes a
// second after the one before.
Pacer::Cycle Major(int64_t live_bytes) {
  return {.live_bytes = live_bytes,
          .allocated_bytes = live_bytes,
          .traced_bytes = live_bytes,
          .mark_time = absl::Milliseconds(100),
          .since_before = absl::Seconds(1)};
}

HeapOptions Options(Pacing pacing) {
  HeapOptions options;
  // Far from all heaps here, whatever cage this is built with.
  options.soft_limit_bytes = 64 * kGiB;
  options.pacing = pacing;
  return options;
}

// The first plan, after one cycle.
int64_t Budget(const HeapOptions& options, const Pacer::Cycle& cycle) {
  Pacer pacer(options);
  return pacer.PlanAfter(cycle).budget;
}

TEST(Pacer, ALittleHeapHasTheBudgetsThatTheOptionsSay) {
  const HeapOptions options = Options(Pacing::kGrowthFactor);
  EXPECT_EQ(Budget(options, {}), 2 * kMiB);
  EXPECT_EQ(Budget(options, {.mutators = 3}), 6 * kMiB);
  EXPECT_EQ(Budget(options, {.mutators = 1000}), 45 * kMiB);
  EXPECT_EQ(Budget(options, Major(kMiB)), 8 * kMiB);
  EXPECT_EQ(Budget(options, Major(20 * kMiB)), 25 * kMiB);
}

TEST(Pacer, ALargeHeapGrowsByItsFactor) {
  HeapOptions options = Options(Pacing::kGrowthFactor);
  EXPECT_EQ(Budget(options, Major(kGiB)), kGiB);
  options.growth_factor = 1.5;
  EXPECT_EQ(Budget(options, Major(kGiB)), kGiB / 2);
}

// b = sqrt(live * allocation rate / (trace rate * price)).
TEST(Pacer, BySquareRootTheBudgetIsWhereMemoryAndTimeAreWorthTheSame) {
  HeapOptions options = Options(Pacing::kSquareRoot);
  options.processors_per_gib = 0.1;
  const Pacer::Cycle cycle = Major(kGiB);
  // sqrt(1 GiB * 1 GiB/s / (10 GiB/s * 0.1 / GiB)).
  const int64_t budget = Budget(options, cycle);
  EXPECT_NEAR(budget, kGiB, kMiB);

  const auto expect = [&](double factor, const Pacer::Cycle& other) {
    EXPECT_NEAR(Budget(options, other), budget * factor, kMiB);
  };
  Pacer::Cycle faster_program = cycle;
  faster_program.allocated_bytes *= 4;
  expect(2, faster_program);
  Pacer::Cycle slower_mark = cycle;
  slower_mark.mark_time *= 4;
  expect(2, slower_mark);
  // Of four times as much, marked as fast.
  Pacer::Cycle more_alive = Major(4 * kGiB);
  more_alive.allocated_bytes = kGiB;
  more_alive.mark_time *= 4;
  expect(2, more_alive);
  options.processors_per_gib *= 4;
  expect(0.5, cycle);
}

TEST(Pacer, WithoutRatesTheSquareRootRuleGrowsByTheFactor) {
  const HeapOptions options = Options(Pacing::kSquareRoot);
  EXPECT_EQ(Budget(options, {.live_bytes = kGiB}), kGiB);
}

TEST(Pacer, ACollectionBeginsSoEarlyThatItEndsWhenTheBudgetIsSpent) {
  const HeapOptions options = Options(Pacing::kGrowthFactor);
  Pacer pacer(options);
  Pacer::Cycle cycle = Major(kGiB);
  cycle.traced_bytes = 1000 * kMiB;
  cycle.born_bytes = kGiB - cycle.traced_bytes;
  const Pacer::Plan plan = pacer.PlanAfter(cycle);
  EXPECT_NEAR(plan.budget, kGiB - cycle.born_bytes, kMiB);
  EXPECT_GT(plan.most, kGiB) << "none waits before that";
  // It takes the last collections for what the next will be.
  cycle = Major(kGiB);
  EXPECT_NEAR(pacer.PlanAfter(cycle).budget, kGiB - 12 * kMiB, kMiB);
}

// Who allocates more than the room helps to mark, and waits later still.
TEST(Pacer, MutatorsHaveTheWholeRoomBeforeTheyHelpAndMoreBeforeTheyWait) {
  const HeapOptions options = Options(Pacing::kGrowthFactor);
  Pacer::Cycle cycle = Major(kGiB);
  cycle.born_bytes = 100 * kMiB;
  cycle.traced_bytes = kGiB - cycle.born_bytes;
  Pacer pacer(options);
  const Pacer::Plan plan = pacer.PlanAfter(cycle);
  EXPECT_LT(plan.budget, kGiB);
  EXPECT_EQ(plan.room, kGiB);
  EXPECT_EQ(plan.most, 4 * kGiB);
}

TEST(Pacer, ASmallHeapIsNotCollectedEarlier) {
  const HeapOptions options = Options(Pacing::kGrowthFactor);
  Pacer::Cycle cycle = Major(20 * kMiB);
  cycle.traced_bytes = 10 * kMiB;
  cycle.born_bytes = 10 * kMiB;
  EXPECT_EQ(Budget(options, cycle), 25 * kMiB);
}

TEST(Pacer, WhoAllocatesFasterThanIsMarkedIsNotCollectedAllTheTime) {
  const HeapOptions options = Options(Pacing::kGrowthFactor);
  Pacer::Cycle cycle = Major(kGiB);
  cycle.traced_bytes = kGiB / 8;
  cycle.born_bytes = kGiB - cycle.traced_bytes;
  EXPECT_EQ(Budget(options, cycle), kGiB / 4);
}

TEST(Pacer, NearTheSoftLimitWhatIsBornHasRoomOnce) {
  HeapOptions options = Options(Pacing::kGrowthFactor);
  options.soft_limit_bytes = kGiB + 200 * kMiB;
  Pacer::Cycle cycle = Major(kGiB);
  cycle.born_bytes = 80 * kMiB;
  cycle.traced_bytes = kGiB - cycle.born_bytes;
  EXPECT_NEAR(Budget(options, cycle), 120 * kMiB, kMiB);
  // And in a heap that is not collected earlier.
  options.soft_limit_bytes = 30 * kMiB;
  cycle = Major(20 * kMiB);
  cycle.born_bytes = 5 * kMiB;
  cycle.traced_bytes = 15 * kMiB;
  EXPECT_EQ(Budget(options, cycle), 5 * kMiB);
}

TEST(Pacer, AtTheSoftLimitThereIsTheLeastBudget) {
  HeapOptions options = Options(Pacing::kGrowthFactor);
  options.soft_limit_bytes = kGiB;
  Pacer::Cycle cycle = Major(kGiB);
  cycle.born_bytes = 500 * kMiB;
  EXPECT_EQ(Budget(options, cycle), 2 * kMiB);
}

TEST(Pacer, MinorCollectionsSayNothingOfTheRatesOfMajorOnes) {
  HeapOptions options = Options(Pacing::kGrowthFactor);
  options.generations = true;
  Pacer pacer(options);
  Pacer::Cycle major = Major(kGiB);
  major.traced_bytes = 1000 * kMiB;
  major.born_bytes = kGiB - major.traced_bytes;
  pacer.PlanAfter(major);
  const Pacer::Cycle minor = {.kind = CollectionKind::kMinor,
                              .live_bytes = kGiB,
                              .born_bytes = 50 * kMiB,
                              .allocated_bytes = 100 * kMiB,
                              .traced_bytes = 10 * kMiB,
                              .mark_time = absl::Milliseconds(100),
                              .since_before = absl::Seconds(1)};
  pacer.PlanAfter(minor);
  options.generations = false;  // the next is a major one
  EXPECT_NEAR(pacer.PlanAfter(major).budget, kGiB - major.born_bytes, kMiB);
}

TEST(Pacer, TheSoftLimitHoldsUpToTheLeastBudget) {
  HeapOptions options = Options(Pacing::kGrowthFactor);
  options.soft_limit_bytes = kGiB + 100 * kMiB;
  Pacer::Cycle cycle = Major(kGiB);
  EXPECT_EQ(Budget(options, cycle), 100 * kMiB);
  cycle.external_bytes = 60 * kMiB;
  EXPECT_EQ(Budget(options, cycle), 40 * kMiB);
  cycle.external_bytes = kGiB;
  EXPECT_EQ(Budget(options, cycle), 2 * kMiB);
}

TEST(Pacer, MinorCollectionsEndWhenTwoThirdsOfTheBudgetHaveBecomeOld) {
  HeapOptions options = Options(Pacing::kGrowthFactor);
  options.generations = true;
  options.young_bytes = 32 * kMiB;
  Pacer pacer(options);
  int64_t live = kGiB;
  Pacer::Cycle major = Major(live);
  major.old_bytes = live;
  Pacer::Plan plan = pacer.PlanAfter(major);
  int minors = 0;
  while (plan.kind == CollectionKind::kMinor) {
    ASSERT_LT(++minors, 1000);
    EXPECT_EQ(plan.budget, 32 * kMiB);
    // An eighth of what is new becomes old.
    live += plan.budget / 8;
    plan = pacer.PlanAfter({.kind = CollectionKind::kMinor,
                            .live_bytes = live,
                            .allocated_bytes = plan.budget,
                            .old_bytes = live,
                            .traced_bytes = plan.budget / 8});
  }
  EXPECT_NEAR(live - kGiB, kGiB * 2 / 3, 32 * kMiB);
}

// Without minor collections, as much is traced for each byte that is allocated
// as is alive for each of the budget.
TEST(Pacer, AMinorCollectionIsJudgedByWhatMajorOnesWouldTrace) {
  for (const double growth_factor : {2.0, 4.0}) {
    HeapOptions options = Options(Pacing::kGrowthFactor);
    options.generations = true;
    options.growth_factor = growth_factor;
    Pacer pacer(options);
    Pacer::Plan plan = pacer.PlanAfter(Major(kGiB));
    // The first, which finds much that the major one was the first to find,
    // says nothing. For four bytes two are traced.
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(plan.kind, CollectionKind::kMinor);
      plan = pacer.PlanAfter({.kind = CollectionKind::kMinor,
                              .live_bytes = kGiB,
                              .allocated_bytes = 100 * kMiB,
                              .traced_bytes = 50 * kMiB});
    }
    EXPECT_EQ(plan.kind, growth_factor == 2 ? CollectionKind::kMinor
                                            : CollectionKind::kMajor);
  }
}

// They bring the next major one nearer.
TEST(Pacer, WhatAMinorCollectionMakesOldCountsAgainstIt) {
  for (const int64_t made_old : {10 * kMiB, 60 * kMiB}) {
    HeapOptions options = Options(Pacing::kGrowthFactor);
    options.generations = true;
    Pacer pacer(options);
    Pacer::Plan plan = pacer.PlanAfter(Major(kGiB));
    for (int i = 1; i <= 2; ++i) {
      ASSERT_EQ(plan.kind, CollectionKind::kMinor);
      plan = pacer.PlanAfter({.kind = CollectionKind::kMinor,
                              .live_bytes = kGiB,
                              .allocated_bytes = 100 * kMiB,
                              .old_bytes = i * made_old,
                              .traced_bytes = 20 * kMiB});
    }
    EXPECT_EQ(plan.kind, made_old == 10 * kMiB ? CollectionKind::kMinor
                                               : CollectionKind::kMajor);
  }
}

TEST(Pacer, MinorCollectionsThatAreNotWorthItAreTriedEverMoreSeldom) {
  HeapOptions options = Options(Pacing::kGrowthFactor);
  options.generations = true;
  Pacer pacer(options);
  Pacer::Cycle major = Major(kGiB);
  // Half of it dies.
  major.allocated_bytes = 2 * kGiB;
  Pacer::Plan plan = pacer.PlanAfter(major);
  int minors = 0;
  for (int i = 0; i < 100; ++i) {
    if (plan.kind == CollectionKind::kMajor) {
      plan = pacer.PlanAfter(major);
      continue;
    }
    ++minors;
    plan = pacer.PlanAfter({.kind = CollectionKind::kMinor,
                            .live_bytes = kGiB + plan.budget,
                            .allocated_bytes = plan.budget,
                            .traced_bytes = plan.budget});
  }
  EXPECT_GT(minors, 3);
  EXPECT_LT(minors, 16);
}

// Those that a program asks for, with nearly nothing allocated.
TEST(Pacer, MinorCollectionsThatWereNotDueSayNothing) {
  HeapOptions options = Options(Pacing::kGrowthFactor);
  options.generations = true;
  Pacer pacer(options);
  Pacer::Plan plan = pacer.PlanAfter(Major(kGiB));
  for (int i = 0; i < 10; ++i) {
    plan = pacer.PlanAfter({.kind = CollectionKind::kMinor,
                            .live_bytes = kGiB,
                            .allocated_bytes = 1000,
                            .traced_bytes = kMiB});
    EXPECT_EQ(plan.kind, CollectionKind::kMinor);
  }
}

}  // namespace
}  // namespace bibop
