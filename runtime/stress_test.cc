#include "bibop/runtime/stress.h"

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/config.h"
#include "absl/base/log_severity.h"
#include "absl/log/scoped_mock_log.h"
#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/base/poison.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/stress_options.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct Node {
  int64_t number = 42;
  Member<Node> next;
  void Trace(auto& visitor) const { visitor(next); }
};

// These say themselves what they want.
std::unique_ptr<Heap> MakeHeap(StressOptions stress, HeapOptions options = {}) {
  options.stress = stress;
  options.stress.ignore_environment = true;
  return Heap::Create(options).value();
}

TEST(StressSeed, TheSameSeedDecidesTheSame) {
  const auto tosses = [](uint64_t seed) {
    const Stress stress({.every_safepoint = true, .seed = seed});
    std::string result;
    for (int i = 0; i < 64; ++i) result += stress.Toss() ? '1' : '0';
    return result;
  };
  EXPECT_EQ(tosses(7), tosses(7));
  EXPECT_NE(tosses(7), tosses(8));
}

TEST(StressPhases, TheCollectorWaitsForSafepointsOrAMillisecond) {
  Stress stress({.phase = StressPhase::kMarking, .seed = 1});
  const absl::Time start = absl::Now();
  stress.Reach(StressPhase::kMarking);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(1));
  // Not for ever if mutators pass some, nor before other phases.
  absl::Notification over;
  std::thread mutator([&] {
    while (!over.HasBeenNotified()) stress.CountSafepoint();
  });
  for (int i = 0; i < 100; ++i) {
    stress.Reach(StressPhase::kMarking);
    stress.Reach(StressPhase::kClearing);
  }
  over.Notify();
  mutator.join();
}

TEST(StressTurns, WithMuchAliveSomeTurnsAreSkipped) {
  Stress stress({.every_nth_allocation = 2, .seed = 1});
  EXPECT_FALSE(stress.CountAllocation());
  EXPECT_TRUE(stress.CountAllocation());
  EXPECT_TRUE(stress.TakeTurn());
  stress.NoteAlive(63);
  EXPECT_TRUE(stress.TakeTurn());
  stress.NoteAlive(128);
  EXPECT_FALSE(stress.TakeTurn());
  EXPECT_FALSE(stress.TakeTurn());
  EXPECT_TRUE(stress.TakeTurn());
}

TEST(StressTest, EachNthAllocationCollects) {
  auto heap = MakeHeap({.every_nth_allocation = 5},
                       {.mode = CollectionMode::kStopTheWorld});
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  for (int i = 1; i <= 50; ++i) {
    scope.New<Node>();
    EXPECT_EQ(heap->stats().cycles, i / 5);
  }
}

TEST(StressTest, EachSafepointCollectsAndWhatWasUnrootedIsDead) {
  for (const CollectionMode mode :
       {CollectionMode::kConcurrent, CollectionMode::kIncremental,
        CollectionMode::kStopTheWorld}) {
    auto heap =
        MakeHeap({.every_safepoint = true, .verify = VerifyLevel::kExact},
                 {.mode = mode});
    MutatorScope attached(*heap);
    Mutator& mutator = attached;
    HandleScope scope(mutator);
    const Handle<Node> kept = scope.New<Node>();
    for (int i = 0; i < 20; ++i) {
      const int64_t before = heap->stats().cycles;
      kept->next = scope.New<Node>();
      mutator.Safepoint();
      EXPECT_GT(heap->stats().cycles, before);
    }
    EXPECT_EQ(kept->next->number, 42);
  }
}

// A heap with so little alive is otherwise collected in one pause.
TEST(StressTest, SmallHeapsAreMarkedBesideTheMutatorsToo) {
  int64_t beside = 0;
  auto heap = MakeHeap({.every_safepoint = true, .seed = 1},
                       {.on_cycle_end = [&beside](const CycleStats& cycle) {
                         if (cycle.finish_attempts > 0) ++beside;
                       }});
  MutatorScope attached(*heap);
  Mutator& mutator = attached;
  HandleScope scope(mutator);
  for (int i = 0; i < 50; ++i) scope.New<Node>();
  heap->Collect();
  EXPECT_GT(beside, 0);
}

TEST(StressTest, AFreedCellIsOverwrittenInEveryBuildWhereThatIsAskedFor) {
  auto heap = MakeHeap({.clobber = true});
  const int64_t* number = nullptr;
  MutatorScope mutator(*heap);
  {
    HandleScope scope(mutator);
    number = &scope.New<Node>()->number;
  }
  heap->Collect();
  heap->Collect();
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  EXPECT_DEATH(static_cast<void>(*static_cast<const volatile int64_t*>(number)),
               "use-after-poison");
#else
  EXPECT_EQ(ReadAnyWord(number), 0xD5D5D5D5D5D5D5D5u);
#endif
}

TEST(StressTest, AMistakeInTheEnvironmentIsAnError) {
  const char* before = std::getenv("BIBOP_STRESS");
  const std::string restored = before == nullptr ? "" : before;
  setenv("BIBOP_STRESS", "evry-safepoint", /*overwrite=*/1);
  const absl::Status status = Heap::Create({}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("BIBOP_STRESS: 'evry-safepoint'"));
  EXPECT_TRUE(Heap::Create({.stress = kNoStress}).ok());
  setenv("BIBOP_STRESS", restored.c_str(), /*overwrite=*/1);
}

// Returns what no root keeps alive.
ABSL_ATTRIBUTE_NOINLINE Node* MakeGarbage(Mutator& mutator) {
  HandleScope scope(mutator);
  return scope.New<Node>().get();
}

ABSL_ATTRIBUTE_NOINLINE void KeepsARawPointer(Mutator& mutator) {
  Node* volatile raw = MakeGarbage(mutator);
  mutator.heap().Collect();
  EXPECT_NE(raw, nullptr);
}

TEST(MissingRootsDeathTest, ARawPointerAcrossACollectionIsNamedWithItsFrame) {
  auto heap = MakeHeap({.missing_roots = MissingRoots::kAbort});
  MutatorScope mutator(*heap);
  EXPECT_DEATH(KeepsARawPointer(mutator),
               "a missing root.* refers to the .*Node at 0x.*"
               "KeepsARawPointer.*no handle or other root keeps it alive");
}

ABSL_ATTRIBUTE_NOINLINE void ParksWithARawPointer(
    Mutator& mutator, absl::Notification& parked,
    const absl::Notification& collected) {
  Node* volatile raw = MakeGarbage(mutator);
  {
    const ParkedScope scope(mutator);
    parked.Notify();
    collected.WaitForNotification();
  }
  EXPECT_NE(raw, nullptr);
}

TEST(MissingRootsTest, AParkedThreadsStackIsLookedAt) {
  auto heap = MakeHeap({.missing_roots = MissingRoots::kReport});
  absl::Notification parked;
  absl::Notification collected;
  std::thread other([&] {
    MutatorScope mutator(*heap);
    ParksWithARawPointer(mutator, parked, collected);
  });
  parked.WaitForNotification();
  absl::ScopedMockLog log(absl::MockLogDefault::kIgnoreUnexpected);
  EXPECT_CALL(log, Log(absl::LogSeverity::kWarning, _,
                       AllOf(HasSubstr("a missing root"),
                             HasSubstr("ParksWithARawPointer"))))
      .Times(1);
  log.StartCapturingLogs();
  heap->Collect();
  log.StopCapturingLogs();
  collected.Notify();
  other.join();
}

TEST(MissingRootsTest, WhatAHandleKeepsIsNotReported) {
  for (const CollectionMode mode :
       {CollectionMode::kConcurrent, CollectionMode::kStopTheWorld}) {
    auto heap =
        MakeHeap({.missing_roots = MissingRoots::kAbort}, {.mode = mode});
    MutatorScope mutator(*heap);
    HandleScope scope(mutator);
    const Handle<Node> node = scope.New<Node>();
    Node* volatile raw = node.get();
    heap->Collect();
    EXPECT_EQ(raw->number, 42);
  }
}

}  // namespace
}  // namespace bibop
