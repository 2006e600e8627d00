// Persistents and WeakPersistents in collections: each object is held by the
// root under test alone.

#include "bibop/handles/persistent.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/scoped_mock_log.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/weak_persistent.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
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
  Node(Lifetimes& lifetimes, int n) : tracked(lifetimes), number(n) {}
  Tracked tracked;
  int number;
  Member<Node> next;
  void Trace(auto& visitor) const { visitor(next); }
};

struct Payload {
  int64_t words[8];
};

class PersistentsTest : public ::testing::Test {
 protected:
  explicit PersistentsTest(HeapOptions options = {}) {
    options.on_cycle_end = [this](const CycleStats& cycle) { last_ = cycle; };
    heap_ = Heap::Create(std::move(options)).value();
  }

  Persistent<Node> MakeNode(Mutator& mutator, int n = 0) {
    HandleScope scope(mutator);
    return Persistent<Node>(mutator, scope.New<Node>(lifetimes_, n));
  }
  void CollectAndDestroy() {
    heap_->Collect();
    heap_->Collect();
  }

  Lifetimes lifetimes_;
  // The last collection.
  CycleStats last_;
  std::unique_ptr<Heap> heap_;
};

TEST_F(PersistentsTest, APersistentAloneKeepsItsObjectAndThenLetsItDie) {
  MutatorScope mutator(*heap_);
  Persistent<Node> persistent = MakeNode(mutator, 7);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_EQ(persistent->number, 7);
  {
    const Persistent<Node> moved = std::move(persistent);
    CollectAndDestroy();
    EXPECT_EQ(moved->number, 7);
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(PersistentsTest, WhatItsObjectRefersToLivesAsWell) {
  MutatorScope mutator(*heap_);
  Persistent<Node> persistent = MakeNode(mutator, 1);
  persistent->next = MakeNode(mutator, 2);
  persistent->next->next = persistent;
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 2);
  EXPECT_EQ(persistent->next->number, 2);
  persistent.Reset(mutator, persistent->next);
  CollectAndDestroy();
  EXPECT_EQ(persistent->next->number, 1);
  persistent = nullptr;
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(PersistentsTest, ResettingLetsTheObjectBeforeDie) {
  MutatorScope mutator(*heap_);
  Persistent<Node> persistent = MakeNode(mutator, 1);
  const Persistent<Node> copy(mutator, persistent);
  persistent.Reset(mutator, MakeNode(mutator, 2));
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 2) << "the copy has a slot of its own";
  EXPECT_EQ(copy->number, 1);
  EXPECT_EQ(persistent->number, 2);
  persistent.Reset(mutator, copy);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_EQ(persistent->number, 1);
}

struct Front {
  int64_t front = 1;
};
struct Compound : Front, Node {
  using Node::Node;
};

TEST_F(PersistentsTest, OneThatPointsIntoAnObjectKeepsAllOfIt) {
  MutatorScope mutator(*heap_);
  Persistent<Node> base;
  Persistent<int> field;
  Persistent<Front> front;
  {
    HandleScope scope(mutator);
    const Handle<Compound> compound = scope.New<Compound>(lifetimes_, 1);
    base = Persistent<Compound>(mutator, compound);
    compound->next = MakeNode(mutator, 2);
    const Handle<Node> node = scope.New<Node>(lifetimes_, 3);
    field.Reset(mutator, Member<int>(&node->number));
    front = Persistent<Compound>(mutator, scope.New<Compound>(lifetimes_, 4));
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 4);
  EXPECT_EQ(base->next->number, 2);
  EXPECT_EQ(*field, 3);
  EXPECT_EQ(static_cast<Compound*>(front.get())->number, 4);
  field.Reset();
  front.Reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 2);
  base.Reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(PersistentsTest, OneOfAnElementKeepsTheArray) {
  MutatorScope mutator(*heap_);
  Persistent<Member<Node>> element;
  {
    HandleScope scope(mutator);
    const Handle<Array<Member<Node>>> array =
        scope.NewArray<Member<Node>>(10000);
    (*array)[9999] = MakeNode(mutator, 5);
    element.Reset(mutator, Member<Member<Node>>(&(*array)[4321]));
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 1);
  element.Reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(PersistentsTest, AVectorOfPersistentsKeepsItsObjectsAsItGrows) {
  MutatorScope mutator(*heap_);
  std::vector<Persistent<Node>> persistents;
  for (int i = 0; i < 3000; ++i) {
    persistents.push_back(MakeNode(mutator, i));
    if (i % 500 == 0) CollectAndDestroy();
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 3000);
  for (int i = 0; i < 3000; ++i) EXPECT_EQ(persistents[i]->number, i);
  persistents.erase(persistents.begin(), persistents.begin() + 2000);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 1000);
  persistents.clear();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(PersistentsTest, AWeakPersistentKeepsNothingAlive) {
  MutatorScope mutator(*heap_);
  Persistent<Node> persistent = MakeNode(mutator, 7);
  const WeakPersistent<Node> weak(mutator, persistent);
  CollectAndDestroy();
  {
    HandleScope scope(mutator);
    EXPECT_EQ(weak.Lock(scope).ToHandleChecked()->number, 7);
  }
  persistent.Reset();
  EXPECT_FALSE(weak.IsEmpty()) << "no collection has looked yet";
  heap_->Collect();
  EXPECT_TRUE(weak.IsEmpty());
  HandleScope scope(mutator);
  EXPECT_TRUE(weak.Lock(scope).IsEmpty());
  heap_->Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(PersistentsTest, LockBringsAnObjectBackAmongTheLiving) {
  MutatorScope mutator(*heap_);
  const WeakPersistent<Node> weak(mutator, MakeNode(mutator, 7));
  Persistent<Node> persistent;
  {
    HandleScope scope(mutator);
    const Handle<Node> node = weak.Lock(scope).ToHandleChecked();
    heap_->Collect();
    persistent.Reset(mutator, node);
  }
  CollectAndDestroy();
  EXPECT_FALSE(weak.IsEmpty());
  EXPECT_EQ(persistent->number, 7);
  persistent.Reset();
  CollectAndDestroy();
  EXPECT_TRUE(weak.IsEmpty());
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(PersistentsTest, AWeakPersistentFollowsAnObjectThatAnythingKeeps) {
  MutatorScope mutator(*heap_);
  WeakPersistent<Node> of_local;
  WeakPersistent<Node> of_member;
  WeakPersistent<int> of_field;
  {
    HandleScope scope(mutator);
    const Handle<Node> local = scope.New<Node>(lifetimes_, 1);
    local->next = MakeNode(mutator, 2);
    of_local.Reset(mutator, local);
    of_member.Reset(mutator, local->next);
    of_field.Reset(mutator, Member<int>(&local->next->number));
    CollectAndDestroy();
    HandleScope inner(mutator);
    EXPECT_TRUE(of_local.Lock(inner).ToHandleChecked() == local);
    EXPECT_EQ(*of_field.Lock(inner).ToHandleChecked(), 2);
    local->next = nullptr;
  }
  HandleScope scope(mutator);
  const Handle<Node> local = of_local.Lock(scope).ToHandleChecked();
  heap_->Collect();
  EXPECT_FALSE(of_local.IsEmpty());
  EXPECT_TRUE(of_member.IsEmpty());
  EXPECT_TRUE(of_field.IsEmpty());
  EXPECT_EQ(local->number, 1);
}

struct AsksWhenItDies {
  AsksWhenItDies(WeakPersistent<AsksWhenItDies>& w, int* a)
      : weak(w), answer(a) {}
  ~AsksWhenItDies() { *answer = weak.IsEmpty() ? 1 : 2; }
  WeakPersistent<AsksWhenItDies>& weak;
  int* answer;
};

TEST_F(PersistentsTest, AWeakPersistentIsEmptyBeforeTheDestructorRuns) {
  WeakPersistent<AsksWhenItDies> weak;
  int answer = 0;
  MutatorScope mutator(*heap_);
  {
    HandleScope scope(mutator);
    weak.Reset(mutator, scope.New<AsksWhenItDies>(weak, &answer));
  }
  CollectAndDestroy();
  EXPECT_EQ(answer, 1);
}

struct CollectsInConstructor {
  CollectsInConstructor(Mutator& mutator, Lifetimes& lifetimes)
      : tracked(lifetimes) {
    strong.Reset(mutator, Member<CollectsInConstructor>(this));
    weak.Reset(mutator, Member<CollectsInConstructor>(this));
    mutator.heap().Collect();
    mutator.heap().Collect();
  }
  static Persistent<CollectsInConstructor> strong;
  static WeakPersistent<CollectsInConstructor> weak;
  Tracked tracked;
};
Persistent<CollectsInConstructor> CollectsInConstructor::strong;
WeakPersistent<CollectsInConstructor> CollectsInConstructor::weak;

// A root of static storage, too.
TEST_F(PersistentsTest, AnObjectMayBeRootedInItsConstructor) {
  MutatorScope mutator(*heap_);
  {
    HandleScope scope(mutator);
    scope.New<CollectsInConstructor>(mutator, lifetimes_);
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_FALSE(CollectsInConstructor::weak.IsEmpty());
  CollectsInConstructor::strong.Reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_TRUE(CollectsInConstructor::weak.IsEmpty());
}

class BusyPersistentsTest : public PersistentsTest {
 protected:
  BusyPersistentsTest()
      : PersistentsTest({.min_budget_bytes = 64 << 10,
                         .small_heap_bytes = 64 << 10,
                         .stress = kNoStress}) {}

  // Allocates garbage until two collections ran.
  void SpendTheBudgetTwice(Mutator& mutator) {
    const int64_t enough = heap_->stats().cycles + 2;
    while (heap_->stats().cycles < enough) {
      HandleScope scope(mutator);
      scope.New<Payload>();
    }
    ASSERT_EQ(last_.cause, CycleCause::kBudgetSpent);
  }
};

TEST_F(BusyPersistentsTest, RootsCountInCollectionsOfASpentBudget) {
  MutatorScope mutator(*heap_);
  Persistent<Node> persistent = MakeNode(mutator, 7);
  const WeakPersistent<Node> weak(mutator, persistent);
  SpendTheBudgetTwice(mutator);
  EXPECT_EQ(persistent->number, 7);
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_FALSE(weak.IsEmpty());
  persistent.Reset();
  SpendTheBudgetTwice(mutator);
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_TRUE(weak.IsEmpty());
}

// I-7.
TEST_F(BusyPersistentsTest, ManyAreNotLookedAtInAPause) {
  MutatorScope mutator(*heap_);
  Persistent<Node> object = MakeNode(mutator);
  heap_->Collect();
  EXPECT_EQ(last_.finish_attempts, 0) << "all was done in the first pause";
  std::vector<WeakPersistent<Node>> weak;
  for (int i = 0; i < 100'000; ++i) weak.emplace_back(mutator, object);
  heap_->Collect();
  EXPECT_GE(last_.finish_attempts, 1) << "so was this";
  EXPECT_EQ(last_.live_objects, 1);
}

class SmallPersistentsTest : public PersistentsTest {
 protected:
  SmallPersistentsTest() : PersistentsTest({.max_bytes = 1 << 20}) {}

  void FillTheHeap(Mutator& mutator) {
    HandleScope scope(mutator);
    while (scope.TryNew<Payload>().ok()) {
    }
    ASSERT_EQ(last_.cause, CycleCause::kHeapFull);
  }
};

TEST_F(SmallPersistentsTest, RootsCountInCollectionsOfAFullHeap) {
  MutatorScope mutator(*heap_);
  Persistent<Node> persistent = MakeNode(mutator, 7);
  const WeakPersistent<Node> weak(mutator, persistent);
  FillTheHeap(mutator);
  EXPECT_EQ(persistent->number, 7);
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_FALSE(weak.IsEmpty());
  persistent.Reset();
  FillTheHeap(mutator);
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_TRUE(weak.IsEmpty());
}

TEST_F(PersistentsTest, TheyAreEmptyAfterTheirHeap) {
  std::vector<Persistent<Node>> persistents;
  WeakPersistent<Node> weak;
  {
    MutatorScope mutator(*heap_);
    for (int i = 0; i < 1000; ++i) persistents.push_back(MakeNode(mutator, i));
    weak.Reset(mutator, persistents[0]);
  }
  heap_.reset();
  EXPECT_EQ(lifetimes_.alive(), 0);
  for (const Persistent<Node>& persistent : persistents) {
    EXPECT_FALSE(persistent);
    EXPECT_EQ(persistent.get(), nullptr);
  }
  EXPECT_TRUE(weak.IsEmpty());
  persistents.resize(500);
  // And may be used again.
  heap_ = Heap::Create({}).value();
  MutatorScope mutator(*heap_);
  for (Persistent<Node>& persistent : persistents) {
    persistent.Reset(mutator, MakeNode(mutator, 7));
  }
  weak.Reset(mutator, persistents[0]);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 500);
  EXPECT_FALSE(weak.IsEmpty());
}

struct Owner {
  Owner(Lifetimes& lifetimes, Mutator& mutator, Mutator& mutator_of_other,
        const Persistent<Node>& watched, const Persistent<Node>& owned)
      : tracked(lifetimes),
        weak(mutator, watched),
        other(mutator_of_other, owned) {}
  Tracked tracked;
  WeakPersistent<Node> weak;  // of its own heap
  Persistent<Node> other;     // of another heap
};

// Their destructors release slots, on whichever thread sweeps, and when the
// heap is destroyed.
TEST_F(PersistentsTest, ObjectsMayOwnRootsOfOtherHeapsAndWeakOnesOfTheirOwn) {
  auto other = Heap::Create({}).value();
  Lifetimes others;
  MutatorScope mutator_of_other(*other);
  {
    MutatorScope mutator(*heap_);
    const auto make_owner = [&](Persistent<Node>& watched) {
      HandleScope scope(mutator);
      HandleScope scope_of_other(mutator_of_other);
      const Persistent<Node> owned(mutator_of_other,
                                   scope_of_other.New<Node>(others, 3));
      return Persistent<Owner>(
          mutator, scope.New<Owner>(lifetimes_, mutator, mutator_of_other,
                                    watched, owned));
    };
    Persistent<Node> watched = MakeNode(mutator, 4);
    Persistent<Owner> first = make_owner(watched);
    const Persistent<Owner> second = make_owner(watched);
    const auto collect = [&] {
      const ParkedScope parked(mutator);
      other->Collect();
      other->Collect();
    };
    CollectAndDestroy();
    collect();
    EXPECT_EQ(others.alive(), 2);
    EXPECT_EQ(first->other->number, 3);
    {
      HandleScope scope(mutator);
      EXPECT_EQ(first->weak.Lock(scope).ToHandleChecked()->number, 4);
    }
    first.Reset();
    CollectAndDestroy();
    collect();
    EXPECT_EQ(others.alive(), 1);
    watched.Reset();
    CollectAndDestroy();
    EXPECT_TRUE(second->weak.IsEmpty());
  }
  heap_.reset();
  EXPECT_EQ(lifetimes_.alive(), 0);
  other->Collect();
  other->Collect();
  EXPECT_EQ(others.alive(), 0);
}

using PersistentsDeathTest = PersistentsTest;

TEST_F(PersistentsDeathTest, ARootOfAnObjectOfAnotherHeapIsTold) {
  auto other = Heap::Create({}).value();
  MutatorScope mutator(*heap_);
  MutatorScope mutator_of_other(*other);
  HandleScope scope(mutator_of_other);
  const Handle<Payload> object = scope.New<Payload>();
  {
    const Persistent<Payload> wrong(mutator, object);
    EXPECT_DEATH(heap_->Collect(), "which is not in its heap");
  }
  const WeakPersistent<Payload> wrong(mutator, object);
  EXPECT_DEATH(heap_->Collect(), "which is not in its heap");
}

TEST_F(PersistentsTest, CheckedBuildsSayWhichAreLeftWhenAHeapIsDestroyed) {
  absl::ScopedMockLog log(absl::MockLogDefault::kDisallowUnexpected);
  const int leaks = kCheckedHandles ? 1 : 0;
  EXPECT_CALL(log,
              Log(absl::LogSeverity::kWarning, _,
                  AllOf(HasSubstr("before 3 Persistents and 1 WeakPersistent,"),
                        HasSubstr("\n  2 Persistent<bibop::"),
                        HasSubstr("Node> made at runtime/persistent_test.cc:"),
                        HasSubstr("\n  1 Persistent<int> made at "),
                        HasSubstr("\n  1 WeakPersistent<int> made at "))))
      .Times(leaks);
  log.StartCapturingLogs();
  std::vector<Persistent<Node>> nodes;
  Persistent<int> number;
  WeakPersistent<int> weak;
  {
    MutatorScope mutator(*heap_);
    const Persistent<Node> released = MakeNode(mutator);
    nodes.push_back(MakeNode(mutator));
    nodes.push_back(MakeNode(mutator));
    number.Reset(mutator, Member<int>(&nodes[0]->number));
    weak.Reset(mutator, number);
  }
  heap_.reset();
  number.Reset();
}

TEST_F(PersistentsTest, NothingIsSaidWhereNoneIsLeft) {
  absl::ScopedMockLog log(absl::MockLogDefault::kDisallowUnexpected);
  log.StartCapturingLogs();
  {
    MutatorScope mutator(*heap_);
    const Persistent<Node> released = MakeNode(mutator);
    const WeakPersistent<Node> weak(mutator, released);
  }
  heap_.reset();
}

}  // namespace
}  // namespace bibop
