// What threads and the collector wait for during a cycle, and for how long.

#include "bibop/runtime/collector.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/death_watch.h"
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

// The one that makes a collection due, and those that are allocated beside it.
constexpr int64_t kMostBudgets = 4;
// What mutators allocate without the heap having been told of it.
constexpr int64_t kSlack = 512 << 10;

struct Node {
  Member<Node> next;
  void Trace(auto& visitor) const { visitor(next); }
};

struct Garbage {
  char bytes[64];
};
// Each allocation marks a bit.
struct LargeGarbage {
  char bytes[100'000];
};

// Makes a list of so many nodes. With more than a few thousand alive the next
// cycle has a part that runs beside the mutators.
void MakeList(Mutator& mutator, MutableHandle<Node>& list, int length) {
  for (int i = 0; i < length; ++i) {
    HandleScope inner(mutator);
    const Handle<Node> node = inner.New<Node>();
    node->next = list;
    list = node;
  }
}

// Holds up the mark, once, until another thread has allocated `least` bytes and
// then does not go on.
class Brake {
 public:
  explicit Brake(int64_t least) : least_(least) {}

  // Called by the marker.
  void Pass() {
    if (!armed_.exchange(false)) return;
    marking_.Notify();
    int64_t before = 0;
    do {
      before = allocated_;
      absl::SleepFor(absl::Milliseconds(100));
    } while (before < least_ || allocated_ != before);
    released_ = true;
  }

  // The rest is for the thread that allocates.
  void Arm() { armed_ = true; }
  bool marking() const { return marking_.HasBeenNotified(); }
  bool released() const { return released_; }
  void Allocated(int64_t bytes) { allocated_ += bytes; }
  int64_t allocated() const { return allocated_; }

 private:
  const int64_t least_;
  std::atomic<bool> armed_ = false;
  std::atomic<bool> released_ = false;
  std::atomic<int64_t> allocated_ = 0;
  absl::Notification marking_;
};

struct Braked {
  explicit Braked(Brake& b) : brake(b) {}
  Brake& brake;
  void Trace(auto&) const { brake.Pass(); }
};

TEST(CollectorTest, AThreadThatAllocatesFasterThanTheHeapIsMarkedWaits) {
  constexpr int64_t kBudget = 4 << 20;
  Brake brake(kBudget);
  const std::unique_ptr<Heap> heap = Heap::Create({.min_budget_bytes = kBudget,
                                                   .small_heap_bytes = kBudget,
                                                   .stress = kNoStress})
                                         .value();
  MutatorScope attached(*heap);
  Mutator& mutator = attached;
  HandleScope scope(mutator);
  MutableHandle<Node> list = scope.Mutable<Node>();
  MakeList(mutator, list, 5000);
  scope.New<Braked>(brake);
  heap->Collect();

  brake.Arm();
  std::thread collecting([&heap] { heap->Collect(); });
  while (!brake.marking()) mutator.Safepoint();
  while (!brake.released() && brake.allocated() < 10 * kBudget) {
    HandleScope inner(mutator);
    inner.New<Garbage>();
    brake.Allocated(sizeof(Garbage));
  }
  EXPECT_LT(brake.allocated(), kMostBudgets * kBudget + kSlack);
  const ParkedScope parked(mutator);
  collecting.join();
}

TEST(CollectorTest, AnIncrementalMarkThatFallsBehindIsFinished) {
  constexpr int kNodes = 300'000;
  CycleStats last;
  int64_t budget = 0;  // of the last cycle
  const std::unique_ptr<Heap> heap =
      Heap::Create({.mode = CollectionMode::kIncremental,
                    .min_budget_bytes = 64 << 10,
                    .small_heap_bytes = 64 << 10,
                    .growth_factor = 1.1,
                    .stress = kNoStress,
                    .on_cycle_end =
                        [&](const CycleStats& c) {
                          // What was born during the mark counts as alive.
                          budget = last.live_bytes / 10;
                          last = c;
                        }})
          .value();
  MutatorScope attached(*heap);
  Mutator& mutator = attached;
  HandleScope scope(mutator);
  MutableHandle<Node> list = scope.Mutable<Node>();
  MakeList(mutator, list, kNodes);
  heap->Collect();
  const int64_t first = last.cycle;
  while (last.cycle < first + 3) {
    HandleScope inner(mutator);
    inner.New<LargeGarbage>();
    if (last.cycle == first) continue;
    ASSERT_GT(last.allocated_bytes, 0);
    ASSERT_LT(last.allocated_bytes, kMostBudgets * budget + kSlack);
  }
}

// Told of a death while references to the dead are being cleared: it has that
// wait.
class Clearing final : public internal::DeathObserver {
 public:
  bool OnDeath(uint64_t /*id*/) override {
    begun.Notify();
    end.WaitForNotification();
    return false;
  }
  void Notify() override {}

  absl::Notification begun;
  absl::Notification end;
};

// A weak read that found kClearing looks at the mark of the object. Its thread
// is one that does not come to a safepoint.
TEST(CollectorTest, NothingIsSweptBeforeEveryWeakReadHasEnded) {
  Lifetimes lifetimes;
  const auto clearing = std::make_shared<Clearing>();
  const std::unique_ptr<Heap> heap =
      Heap::Create(
          {.safepoint_warning = absl::InfiniteDuration(), .stress = kNoStress})
          .value();
  MutatorScope attached(*heap);
  Mutator& mutator = attached;
  ObjectHeap& objects = mutator.object_heap();
  HandleScope scope(mutator);
  MutableHandle<internal::DeathWatch> watch =
      scope.Mutable<internal::DeathWatch>();
  {
    HandleScope inner(mutator);
    const Handle<Tracked> dead = inner.New<Tracked>(lifetimes);
    watch = inner.New<internal::DeathWatch>(dead.get(), /*id=*/1, clearing);
  }
  std::thread collecting([&heap] { heap->Collect(); });
  while (!clearing->begun.HasBeenNotified()) mutator.Safepoint();
  EXPECT_EQ(objects.phase(), HeapPhase::kClearing);
  clearing->end.Notify();
  while (objects.phase() == HeapPhase::kClearing) std::this_thread::yield();
  const absl::Time end = absl::Now() + absl::Milliseconds(200);
  while (lifetimes.dead() == 0 && absl::Now() < end) objects.SweepSome(1);
  EXPECT_EQ(lifetimes.dead(), 0);
  EXPECT_EQ(heap->stats().cycles, 0);
  mutator.Safepoint();
  {
    const ParkedScope parked(mutator);
    collecting.join();
  }
  EXPECT_EQ(heap->stats().cycles, 1);
  objects.SweepAll();
  EXPECT_EQ(lifetimes.dead(), 1);
}

}  // namespace
}  // namespace bibop
