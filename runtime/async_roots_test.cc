// The slots of tasks in a cycle, taken step by step: what becomes of an object
// that they alone hold, when they go at each point of it.

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "bibop/handles/async_slot_chain.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/persistent.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/member.h"
#include "bibop/marker/verifier.h"
#include "bibop/runtime/collection_cycle.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;
using internal::AsyncSlotChain;
using internal::AsyncSlotRef;

void OnAnotherThread(auto f) { std::thread(f).join(); }

struct Node {
  explicit Node(Lifetimes& lifetimes, int n = 0)
      : tracked(lifetimes), number(n) {}
  void Trace(auto& visitor) const { visitor(next); }
  Tracked tracked;
  int number;
  Member<Node> next;
};

class AsyncRootsTest : public ::testing::Test {
 protected:
  std::optional<AsyncSlotChain> NewChain() {
    return AsyncSlotChain(*roots_.async, std::source_location::current());
  }
  // A new object that refers to another and that nothing but the slot holds.
  AsyncSlotRef AddNode(AsyncSlotChain& chain, int n) {
    HandleScope scope(mutator_);
    const Handle<Node> node = scope.New<Node>(lifetimes_, n);
    node->next = scope.New<Node>(lifetimes_, n + 1);
    return chain.Add(node.get());
  }
  Member<Node> Load(AsyncSlotRef ref) {
    return Member<Node>(static_cast<Node*>(ref.Load(mutator_)));
  }

  void Begin() {
    cycle_.FinishSweep();
    cycle_.StartMark(mutators_, CollectionKind::kMajor);
  }
  void Mark() { ASSERT_TRUE(cycle_.Mark(CollectionCycle::kEverything)); }
  void Finish() {
    ASSERT_TRUE(cycle_.FinishMark(mutators_, CollectionCycle::kEverything));
    cycle_.Verify(mutators_, {});
  }
  void Clear() {
    cycle_.Clear();
    cycle_.VerifyCleared();
    cycle_.EndClearing();
  }
  void Sweep() {
    cycle_.StartSweep();
    heap_->SweepAll();
  }
  void End() {
    Mark();
    Finish();
    Clear();
    Sweep();
  }
  void Collect() {
    Begin();
    End();
  }

  Lifetimes lifetimes_;
  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  HeapRoots roots_;
  TestMutator mutator_{*heap_, roots_};
  const std::array<MutatorBase*, 1> mutators_ = {&mutator_};
  CollectionCycle cycle_{*heap_, roots_, /*helpers=*/0, /*generations=*/false};
};

TEST_F(AsyncRootsTest, ASlotAloneKeepsItsObjectAndThenLetsItDie) {
  std::optional<AsyncSlotChain> chain = NewChain();
  const AsyncSlotRef ref = AddNode(*chain, 1);
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 2);
  EXPECT_EQ(Load(ref)->next->number, 2);
  const AsyncSlotChain moved = *std::move(chain);
  chain.reset();
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 2);
  EXPECT_EQ(Load(ref)->next->number, 2);
  {
    std::optional<AsyncSlotChain> other = NewChain();
    AddNode(*other, 3);
    Collect();
    EXPECT_EQ(lifetimes_.alive(), 4);
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 2);
}

// A slot that points into its object keeps all of it.
TEST_F(AsyncRootsTest, ASlotMayPointIntoItsObject) {
  std::optional<AsyncSlotChain> chain = NewChain();
  AsyncSlotRef ref;
  {
    HandleScope scope(mutator_);
    const Handle<Node> node = scope.New<Node>(lifetimes_, 1);
    node->next = scope.New<Node>(lifetimes_, 2);
    ref = chain->Add(&node->number);
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 2);
  EXPECT_EQ(*static_cast<int*>(ref.Load(mutator_)), 1);
  chain.reset();
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(AsyncRootsTest, ASlotInALaterBlockKeepsItsObject) {
  std::optional<AsyncSlotChain> chain = NewChain();
  std::vector<AsyncSlotRef> refs;
  for (int i = 0; i < 1000; ++i) refs.push_back(AddNode(*chain, i));
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 2000);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(Load(refs[static_cast<size_t>(i)])->next->number, i + 1);
  }
  chain.reset();
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// ---- a scope goes at each point of a cycle, by each kind of thread ----

enum class Point { kIdle, kStarted, kMarked, kFinished, kCleared, kSwept };
enum class Dropper { kMutator, kOtherThread };

class DropTest
    : public AsyncRootsTest,
      public ::testing::WithParamInterface<std::tuple<Point, Dropper>> {
 protected:
  // Runs a cycle, and `f` at the test's point.
  void CollectAnd(auto f) {
    const auto [point, dropper] = GetParam();
    const auto at = [&](Point here) {
      if (point == here) f();
    };
    at(Point::kIdle);
    Begin();
    at(Point::kStarted);
    Mark();
    at(Point::kMarked);
    Finish();
    at(Point::kFinished);
    Clear();
    at(Point::kCleared);
    Sweep();
    at(Point::kSwept);
  }
  void Drop(std::optional<AsyncSlotChain>& chain) {
    if (std::get<Dropper>(GetParam()) == Dropper::kMutator) {
      chain.reset();
    } else {
      OnAnotherThread([&chain] { chain.reset(); });
    }
  }
};

TEST_P(DropTest, ItsObjectDiesInThisCycleOrTheNext) {
  std::optional<AsyncSlotChain> chain = NewChain();
  AddNode(*chain, 1);
  CollectAnd([&] { Drop(chain); });
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// What was read before the drop, at the same point, is good for as long as its
// handle: the marker may never have seen the slot.
TEST_P(DropTest, WhatAHandleWasMadeOfBeforeLives) {
  std::optional<AsyncSlotChain> chain = NewChain();
  const AsyncSlotRef ref = AddNode(*chain, 1);
  {
    HandleScope scope(mutator_);
    std::optional<Handle<Node>> kept;
    CollectAnd([&] {
      kept.emplace(scope.Local(Load(ref)).ToHandleChecked());
      Drop(chain);
    });
    EXPECT_EQ(lifetimes_.alive(), 2);
    EXPECT_EQ((*kept)->next->number, 2);
    Collect();
    EXPECT_EQ(lifetimes_.alive(), 2);
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// So is what was moved on: into the heap, a Persistent, another scope.
TEST_P(DropTest, WhatWasStoredElsewhereBeforeLives) {
  HandleScope outer(mutator_);
  const Handle<Node> root = outer.New<Node>(lifetimes_, 0);
  std::optional<AsyncSlotChain> chains[3] = {NewChain(), NewChain(),
                                             NewChain()};
  const AsyncSlotRef refs[3] = {AddNode(*chains[0], 1), AddNode(*chains[1], 3),
                                AddNode(*chains[2], 5)};
  std::optional<AsyncSlotChain> other = NewChain();
  Persistent<Node> persistent;
  AsyncSlotRef added;
  CollectAnd([&] {
    HandleScope scope(mutator_);
    root->next = Load(refs[0]);
    persistent.Reset(mutator_, Load(refs[1]));
    added = other->Add(scope.Local(Load(refs[2])).ToHandleChecked().get());
    for (auto& chain : chains) Drop(chain);
  });
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 7);
  EXPECT_EQ(root->next->next->number, 2);
  EXPECT_EQ(persistent->next->number, 4);
  EXPECT_EQ(Load(added)->next->number, 6);
  root->next = nullptr;
  persistent.Reset();
  Drop(other);
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 1);
}

// The block of a scope that goes is used by another at once.
TEST_P(DropTest, AScopeThatTakesItsBlocksKeepsItsOwnObjects) {
  std::optional<AsyncSlotChain> chain = NewChain();
  for (int i = 0; i < 20; ++i) AddNode(*chain, i);
  std::optional<AsyncSlotChain> next;
  std::vector<AsyncSlotRef> refs;
  CollectAnd([&] {
    Drop(chain);
    next = NewChain();
    for (int i = 0; i < 20; ++i) refs.push_back(AddNode(*next, 100 + i));
  });
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 40);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Load(refs[static_cast<size_t>(i)])->next->number, 101 + i);
  }
  next.reset();
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

std::string NameOf(
    const ::testing::TestParamInfo<std::tuple<Point, Dropper>>& info) {
  constexpr const char* kPoints[] = {"Idle",     "Started", "Marked",
                                     "Finished", "Cleared", "Swept"};
  return std::string(kPoints[static_cast<int>(std::get<Point>(info.param))]) +
         (std::get<Dropper>(info.param) == Dropper::kMutator
              ? "ByTheMutator"
              : "ByAnotherThread");
}

INSTANTIATE_TEST_SUITE_P(
    EachPoint, DropTest,
    ::testing::Combine(
        ::testing::Values(Point::kIdle, Point::kStarted, Point::kMarked,
                          Point::kFinished, Point::kCleared, Point::kSwept),
        ::testing::Values(Dropper::kMutator, Dropper::kOtherThread)),
    NameOf);

// ---- during a mark ----

// An old object that only a slot holds, which a new object takes over.
TEST_F(AsyncRootsTest, ANewObjectMayTakeTheLastReferenceFromASlot) {
  HandleScope scope(mutator_);
  std::optional<AsyncSlotChain> chain = NewChain();
  const AsyncSlotRef ref = AddNode(*chain, 1);
  Begin();
  const Handle<Node> young = scope.New<Node>(lifetimes_, 0);
  young->next = Load(ref);
  OnAnotherThread([&chain] { chain.reset(); });
  End();
  EXPECT_EQ(lifetimes_.alive(), 3);
  EXPECT_EQ(young->next->next->number, 2);
}

// A slot that is taken during a mark needs no look, though the mark has passed
// it or never comes to its chunk.
TEST_F(AsyncRootsTest, ASlotOfAScopeThatIsMadeDuringAMarkKeepsItsObject) {
  HandleScope scope(mutator_);
  const Handle<Node> root = scope.New<Node>(lifetimes_, 0);
  {
    HandleScope inner(mutator_);
    root->next = inner.New<Node>(lifetimes_, 1);
  }
  Begin();
  std::optional<AsyncSlotChain> chain = NewChain();
  AsyncSlotRef old;
  {
    HandleScope inner(mutator_);
    old = chain->Add(inner.Local(root->next).ToHandleChecked().get());
    root->next = nullptr;
  }
  const AsyncSlotRef young = AddNode(*chain, 2);
  End();
  EXPECT_EQ(lifetimes_.alive(), 4);
  EXPECT_EQ(Load(old)->number, 1);
  EXPECT_EQ(Load(young)->next->number, 3);
  chain.reset();
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 1);
}

// I-7: a pause does not depend on how many there are.
TEST_F(AsyncRootsTest, ThePausesOfACycleLookAtNoSlot) {
  std::optional<AsyncSlotChain> chain = NewChain();
  const AsyncSlotRef ref = AddNode(*chain, 1);
  Begin();
  EXPECT_FALSE(heap_->IsMarked(Load(ref).get()));
  Mark();
  EXPECT_TRUE(heap_->IsMarked(Load(ref).get()));
  // Whatever was added meanwhile.
  std::vector<AsyncSlotChain> chains;
  for (int i = 0; i < 1000; ++i) {
    chains.push_back(*NewChain());
    HandleScope scope(mutator_);
    chains.back().Add(scope.Local(Load(ref)).ToHandleChecked().get());
  }
  EXPECT_TRUE(cycle_.FinishMark(mutators_, /*budget=*/1));
  Clear();
  Sweep();
  EXPECT_EQ(lifetimes_.alive(), 2);
}

TEST_F(AsyncRootsTest, SlotsAreShownInPieces) {
  constexpr int kScopes = 20'000;
  std::vector<std::optional<AsyncSlotChain>> chains;
  std::vector<AsyncSlotRef> refs;
  for (int i = 0; i < kScopes; ++i) {
    chains.push_back(NewChain());
    refs.push_back(AddNode(*chains.back(), i));
  }
  Begin();
  int pieces = 1;
  while (!cycle_.Mark(1000)) {
    ++pieces;
    chains[static_cast<size_t>(pieces)].reset();
  }
  EXPECT_GT(pieces, 10);
  End();
  EXPECT_GE(lifetimes_.alive(), 2 * (kScopes - pieces));
  EXPECT_EQ(Load(refs.back())->next->number, kScopes);
  chains.clear();
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(AsyncRootsTest, AMarkWithHelpersFindsSlots) {
  CollectionCycle cycle(*heap_, roots_, /*helpers=*/3, /*generations=*/false);
  std::vector<std::optional<AsyncSlotChain>> chains;
  for (int i = 0; i < 5000; ++i) {
    chains.push_back(NewChain());
    AddNode(*chains.back(), i);
  }
  const auto collect = [&] {
    const std::atomic<bool> cancelled = false;
    cycle.FinishSweep();
    cycle.StartMark(mutators_, CollectionKind::kMajor);
    ASSERT_TRUE(cycle.MarkTogether(cancelled));
    ASSERT_TRUE(cycle.FinishMark(mutators_, CollectionCycle::kEverything));
    cycle.Clear();
    cycle.EndClearing();
    cycle.StartSweep();
    heap_->SweepAll();
  };
  collect();
  EXPECT_EQ(lifetimes_.alive(), 10'000);
  chains.clear();
  collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// In one pause the mark is exact, with scopes as well.
TEST_F(AsyncRootsTest, TheVerifierFollowsSlots) {
  std::optional<AsyncSlotChain> chain = NewChain();
  AddNode(*chain, 1);
  Begin();
  Mark();
  ASSERT_TRUE(cycle_.FinishMark(mutators_, CollectionCycle::kEverything));
  cycle_.Verify(mutators_, {.in_one_pause = true, .exact = true});
  Clear();
  Sweep();
  EXPECT_EQ(lifetimes_.alive(), 2);
}

}  // namespace
}  // namespace bibop
