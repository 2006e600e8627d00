#include "bibop/runtime/heap.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/scoped_mock_log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/escapable_handle_scope.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/stress_options.h"
#include "bibop/testing/tracked.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;
using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct Node {
  explicit Node(Lifetimes& lifetimes) : tracked(lifetimes) {}
  Tracked tracked;
  std::string text = "a string that is too long to be kept inline";
  Member<Node> next;
  Member<Node> other;
  void Trace(auto& visitor) const { visitor(next, other); }
};

// The smallest budget: collections at many allocations.
HeapOptions CollectOften() {
  return {.min_budget_bytes = 64 << 10, .small_heap_bytes = 64 << 10};
}

class HeapTest : public ::testing::Test {
 protected:
  explicit HeapTest(HeapOptions options = {})
      : heap_(Heap::Create(std::move(options)).value()) {}

  // Collects, and then again, so that what the first found dead is destroyed.
  void CollectAndDestroy() {
    heap_->Collect();
    heap_->Collect();
  }

  Lifetimes lifetimes_;
  std::unique_ptr<Heap> heap_;
};

TEST(HeapCreate, RefusesInvalidOptions) {
  EXPECT_EQ(Heap::Create({.max_bytes = 1}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(HeapTest, AMemberAloneKeepsItsObjectAndACycleDies) {
  MutatorScope mutator(*heap_);
  HandleScope scope(mutator);
  MutableHandle<Node> root = scope.Mutable<Node>();
  {
    HandleScope inner(mutator);
    const Handle<Node> a = inner.New<Node>(lifetimes_);
    const Handle<Node> b = inner.New<Node>(lifetimes_);
    a->next = b;
    b->next = a;
    root = a;
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 2);
  EXPECT_EQ(root->next->text.size(), 43u);
  root = nullptr;
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(HeapTest, EveryDestructorRunsOnceWhenTheHeapIsDestroyed) {
  {
    MutatorScope mutator(*heap_);
    HandleScope scope(mutator);
    for (int i = 0; i < 3000; ++i) scope.New<Node>(lifetimes_);
    heap_->Collect();
    for (int i = 0; i < 3000; ++i) scope.New<Node>(lifetimes_);
  }
  heap_->Collect();
  heap_.reset();
  EXPECT_EQ(lifetimes_.born(), 6000);
  EXPECT_EQ(lifetimes_.dead(), 6000);
}

class BusyHeapTest : public HeapTest {
 protected:
  BusyHeapTest() : HeapTest(CollectOften()) {}
};

struct Numbered : Node {
  Numbered(Lifetimes& lifetimes, int n) : Node(lifetimes), number(n) {}
  int number;
};

constexpr size_t kRoots = 16;
struct Roots {
  std::array<Member<Numbered>, kRoots> members;
  void Trace(auto& visitor) const { visitor(members); }
};

// A graph that changes at random, with collections at every few hundred
// allocations, against a model of who refers to whom. It is checked through
// destructors: exactly the reachable are alive after two collections.
TEST_F(BusyHeapTest, ExactlyTheReachableLiveThroughARandomHistory) {
  std::mt19937 random(5);  // NOLINT(cert-msc51-cpp): repeatable
  MutatorScope mutator(*heap_);
  HandleScope scope(mutator);
  std::vector<std::unique_ptr<Lifetimes>> lives;
  struct Model {
    int next = -1;
    int other = -1;
  };
  std::vector<Model> models;
  std::vector<int> model_roots(kRoots, -1);
  const Handle<Roots> roots = scope.New<Roots>();
  for (int step = 0; step < 100000; ++step) {
    HandleScope inner(mutator);
    const size_t at = random() % kRoots;
    const size_t from = random() % kRoots;
    switch (random() % 4) {
      case 0:
      case 1: {
        lives.push_back(std::make_unique<Lifetimes>());
        const int number = static_cast<int>(models.size());
        models.push_back({model_roots[at], model_roots[from]});
        const Handle<Numbered> node =
            inner.New<Numbered>(*lives.back(), number);
        node->next = roots->members[at];
        node->other = roots->members[from];
        roots->members[at] = node;
        model_roots[at] = number;
        break;
      }
      case 2:
        if (model_roots[at] < 0) break;
        models[model_roots[at]].other = model_roots[from];
        roots->members[at]->other = roots->members[from];
        if (random() % 4 == 0) {
          models[model_roots[at]].next = -1;
          roots->members[at]->next = nullptr;
        }
        break;
      default:
        model_roots[at] = model_roots[from];
        roots->members[at] = roots->members[from];
        break;
    }
  }
  CollectAndDestroy();
  std::vector<bool> reachable(models.size());
  std::vector<int> stack(model_roots);
  while (!stack.empty()) {
    const int n = stack.back();
    stack.pop_back();
    if (n < 0 || reachable[n]) continue;
    reachable[n] = true;
    stack.push_back(models[n].next);
    stack.push_back(models[n].other);
  }
  EXPECT_GT(heap_->stats().cycles, 10);
  for (size_t i = 0; i < models.size(); ++i) {
    ASSERT_EQ(lives[i]->alive(), reachable[i] ? 1 : 0) << i;
  }
  for (size_t i = 0; i < kRoots; ++i) {
    if (model_roots[i] < 0) continue;
    EXPECT_EQ(roots->members[i]->number, model_roots[i]);
  }
  roots->members = {};
  CollectAndDestroy();
  for (const auto& life : lives) ASSERT_EQ(life->alive(), 0);
}

TEST_F(BusyHeapTest, ALongListDiesWithoutRecursion) {
  MutatorScope mutator(*heap_);
  {
    HandleScope scope(mutator);
    MutableHandle<Node> head = scope.Mutable<Node>();
    for (int i = 0; i < 200000; ++i) {
      HandleScope inner(mutator);
      const Handle<Node> node = inner.New<Node>(lifetimes_);
      node->next = head;
      head = node;
    }
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), 200000);
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(BusyHeapTest, MemoryIsReused) {
  MutatorScope mutator(*heap_);
  int64_t committed_early = 0;
  for (int i = 0; i < 100000; ++i) {
    HandleScope scope(mutator);
    scope.New<Node>(lifetimes_);
    if (i == 10000) committed_early = heap_->stats().committed_bytes;
  }
  EXPECT_EQ(heap_->stats().committed_bytes, committed_early);
  EXPECT_LT(heap_->stats().block_bytes, 1 << 20);
}

static_assert(std::is_constructible_v<HandleScope, MutatorScope&>);
static_assert(!std::is_constructible_v<HandleScope, MutatorScope>,
              "the mutator would be gone before the scope opens");

struct Payload {
  int64_t words[8];
};

template <int n>
struct OneOfMany {
  int64_t words[2];
};

template <int... n>
void NewOfEach(HandleScope& scope, std::integer_sequence<int, n...>) {
  (scope.New<OneOfMany<n>>(), ...);
}

// A regression: the first allocation of each type after a collection counted
// for a whole block, and so the heap collected all the time.
TEST(HeapBudget, ManyTypesWithFewObjectsDoNotSpendIt) {
  auto heap =
      Heap::Create({.min_budget_bytes = 64 << 10, .stress = kNoStress}).value();
  MutatorScope mutator(*heap);
  for (int i = 0; i < 100; ++i) {
    HandleScope scope(mutator);
    NewOfEach(scope, std::make_integer_sequence<int, 30>());
  }
  EXPECT_EQ(heap->stats().cycles, 0) << "48,000 bytes were allocated";
}

TEST(HeapStatsTest, TellWhatHappened) {
  std::vector<CycleStats> cycles;
  auto heap = Heap::Create({.min_budget_bytes = 64 << 10,
                            .stress = kNoStress,
                            .on_cycle_end =
                                [&cycles](const CycleStats& cycle) {
                                  cycles.push_back(cycle);
                                }})
                  .value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  scope.New<Payload>();  // the only one that lives on
  for (int i = 0; i < 100000; ++i) {
    HandleScope inner(mutator);
    inner.New<Payload>();
  }
  ASSERT_GE(cycles.size(), 5u);
  EXPECT_EQ(cycles[0].cause, CycleCause::kBudgetSpent);
  int64_t allocated = 0;
  absl::Duration pauses;
  for (size_t i = 0; i < cycles.size(); ++i) {
    EXPECT_EQ(cycles[i].cycle, static_cast<int64_t>(i) + 1);
    EXPECT_EQ(cycles[i].live_objects, 1);
    EXPECT_EQ(cycles[i].live_bytes, 64);
    EXPECT_EQ(cycles[i].allocated_bytes, 64 * cycles[i].allocated_objects);
    EXPECT_GE(cycles[i].pause, cycles[i].mark_time);
    allocated += cycles[i].allocated_objects;
    pauses += cycles[i].pause;
  }
  EXPECT_LE(allocated, 100001);
  EXPECT_GT(allocated, 100001 - 9 * 512)
      << "a budget is 1,024 objects, and eight blocks may not be counted yet";
  heap->Collect();
  EXPECT_EQ(cycles.back().cause, CycleCause::kRequested);
  const HeapStats stats = heap->stats();
  EXPECT_EQ(stats.cycles, static_cast<int64_t>(cycles.size()));
  EXPECT_EQ(stats.allocated_objects, 100001);
  EXPECT_EQ(stats.live_objects, 1);
  EXPECT_EQ(stats.total_pause, pauses + cycles.back().pause);
  EXPECT_GE(stats.committed_bytes, stats.block_bytes);
  EXPECT_EQ(heap->stats().live_bytes, 64);
}

TEST_F(HeapTest, ASecondAttachmentOfAThreadIsRefused) {
  MutatorScope mutator(*heap_);
  EXPECT_EQ(heap_->Attach().status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_DEATH(MutatorScope again(*heap_), "attached to the heap already");
}

using HeapDeathTest = HeapTest;

struct CollectsInDestructor {
  explicit CollectsInDestructor(Heap** heap_to_collect)
      : heap(heap_to_collect) {}
  ~CollectsInDestructor() {
    if (*heap != nullptr) (*heap)->Collect();
  }
  Heap** heap;
};

// A regression: a destructor that ran in the sweep of the last block could
// begin a collection, and live objects were destroyed.
TEST_F(HeapDeathTest, ADestructorThatCollectsIsTold) {
  Heap* heap = heap_.get();
  MutatorScope mutator(*heap_);
  {
    HandleScope scope(mutator);
    scope.New<CollectsInDestructor>(&heap);
  }
  // Whichever thread sweeps it.
  EXPECT_DEATH(
      {
        heap_->Collect();
        heap_->Collect();
      },
      "neither may collect");
  heap = nullptr;
  CollectAndDestroy();
}

TEST_F(HeapDeathTest, AHandleIntoAnotherHeapIsTold) {
  auto other = Heap::Create({}).value();
  MutatorScope mutator(*heap_);
  MutatorScope other_mutator(*other);
  HandleScope scope(mutator);
  HandleScope other_scope(other_mutator);
  const Handle<Payload> object = other_scope.New<Payload>();
  const MutableHandle<Payload> wrong = scope.Mutable(object);
  EXPECT_TRUE(wrong == object);
  EXPECT_DEATH(heap_->Collect(), "which is not in its heap");
}

struct RefersToPayload {
  Member<Payload> payload;
  void Trace(auto& visitor) const { visitor(payload); }
};

TEST_F(HeapDeathTest, AMemberIntoAnotherHeapIsTold) {
  if (!kCheckedHandles) GTEST_SKIP() << "an unchecked build";
  auto other = Heap::Create({}).value();
  MutatorScope mutator(*heap_);
  MutatorScope other_mutator(*other);
  HandleScope scope(mutator);
  HandleScope other_scope(other_mutator);
  const Handle<RefersToPayload> object = scope.New<RefersToPayload>();
  object->payload = other_scope.New<Payload>();
  EXPECT_DEATH(heap_->Collect(), "which is not in its heap");
}

TEST_F(HeapDeathTest, AllocatingOnAnotherThreadIsTold) {
  MutatorScope mutator(*heap_);
  EXPECT_DEATH(std::thread([&mutator] {
                 HandleScope scope(mutator);
                 scope.New<Payload>();
               }).join(),
               "by another thread than");
}

struct ThrowsInTrace {
  void Trace(auto& visitor) const {
    visitor(self);
    throw std::runtime_error("no");
  }
  Member<ThrowsInTrace> self;
};

struct AllocatesInTrace {
  explicit AllocatesInTrace(HandleScope& s) : scope(s) {}
  void Trace(auto& visitor) const {
    visitor();
    scope.New<Payload>();
  }
  HandleScope& scope;
};

// A regression: it waited for itself.
TEST_F(HeapDeathTest, ATraceThatAllocatesIsTold) {
  MutatorScope mutator(*heap_);
  HandleScope scope(mutator);
  scope.New<AllocatesInTrace>(scope);
  EXPECT_DEATH(heap_->Collect(), "neither may allocate");
}

struct AsksInDestructor {
  explicit AsksInDestructor(Heap& h, int64_t* a) : heap(h), answer(a) {}
  ~AsksInDestructor() {
    heap.AdjustExternalBytes(-10);
    *answer = heap.stats().external_bytes;
  }
  Heap& heap;
  int64_t* answer;
};

TEST_F(HeapTest, ADestructorMayUseTheHeapThatIsBeingDestroyed) {
  int64_t answer = 0;
  {
    MutatorScope mutator(*heap_);
    HandleScope scope(mutator);
    heap_->AdjustExternalBytes(25);
    scope.New<AsksInDestructor>(*heap_, &answer);
  }
  heap_.reset();
  EXPECT_EQ(answer, 15);
}

// A regression: the heap went on in the middle of a mark.
TEST_F(HeapDeathTest, ATraceThatThrowsEndsTheProgram) {
  MutatorScope mutator(*heap_);
  HandleScope scope(mutator);
  scope.New<ThrowsInTrace>();
  EXPECT_DEATH(
      {
        try {
          heap_->Collect();
        } catch (const std::runtime_error&) {
          std::_Exit(0);
        }
      },
      "");
}

TEST_F(HeapTest, WhatAListenerThrowsIsLoggedAndDropped) {
  int told = 0;
  auto heap = Heap::Create({.on_cycle_end = [&told](const CycleStats&) {
                if (++told == 1) throw std::runtime_error("no room for a line");
                throw told;  // NOLINT: anything
              }}).value();
  absl::ScopedMockLog log(absl::MockLogDefault::kIgnoreUnexpected);
  EXPECT_CALL(log, Log(absl::LogSeverity::kError, _,
                       AllOf(HasSubstr("HeapOptions::on_cycle_end threw"),
                             HasSubstr("no room for a line"))));
  EXPECT_CALL(log, Log(absl::LogSeverity::kError, _,
                       AllOf(HasSubstr("HeapOptions::on_cycle_end threw"),
                             HasSubstr("no std::exception"))));
  log.StartCapturingLogs();
  heap->Collect();
  heap->Collect();
  EXPECT_EQ(told, 2);
  EXPECT_EQ(heap->stats().cycles, 2);
}

// A regression: it was taken for a Trace.
TEST_F(HeapTest, WhoListensToACycleMayAttach) {
  Heap* self = nullptr;
  int attached = 0;
  auto heap = Heap::Create({.on_cycle_end = [&](const CycleStats&) {
                attached += self->Attach().ok() ? 1 : 0;
              }}).value();
  self = heap.get();
  heap->Collect();
  EXPECT_EQ(attached, 1);
}

TEST_F(HeapDeathTest, DestroyingAHeapWithAThreadAttachedIsTold) {
  EXPECT_DEATH(
      {
        MutatorScope mutator(*heap_);
        heap_.reset();
      },
      "attached to it is thread [0-9]+ .[a-z_]*heap_test");
}

TEST_F(HeapDeathTest, CollectingInsideOfACollectionIsTold) {
  Heap* self = nullptr;
  auto heap = Heap::Create({.on_cycle_end = [&self](const CycleStats&) {
                if (self != nullptr) self->Collect();
              }}).value();
  self = heap.get();
  EXPECT_DEATH(heap->Collect(), "may neither allocate nor collect");
}

}  // namespace
}  // namespace bibop
