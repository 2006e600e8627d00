#include "bibop/runtime/collection_cycle.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/persistent.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/handles/weak_persistent.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/member.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

void OnAnotherThread(auto f) { std::thread(f).join(); }

struct Node {
  explicit Node(Lifetimes& lifetimes, int n = 0)
      : tracked(lifetimes), number(n) {}
  void Trace(auto& visitor) const { visitor(left, right); }
  Tracked tracked;
  int number;
  Member<Node> left;
  Member<Node> right;
};

// The cycle, taken step by step while its only mutator does things in between:
// what happens beside a concurrent marker, in every order that matters.
class CollectionCycleTest : public ::testing::Test {
 protected:
  void Begin() {
    cycle_.FinishSweep();
    cycle_.StartMark(mutators_, CollectionKind::kMajor);
  }
  // From kMarking to the end, and sweeps.
  void End() {
    ASSERT_TRUE(cycle_.Mark(CollectionCycle::kEverything));
    ASSERT_TRUE(cycle_.FinishMark(mutators_, CollectionCycle::kEverything));
    cycle_.Clear();
    cycle_.EndClearing();
    cycle_.StartSweep();
    heap_->SweepAll();
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

TEST_F(CollectionCycleTest, FindsWhatIsReachableAndNothingElse) {
  HandleScope scope(mutator_);
  const Handle<Node> root = scope.New<Node>(lifetimes_, 1);
  {
    HandleScope inner(mutator_);
    root->left = inner.New<Node>(lifetimes_, 2);
    inner.New<Node>(lifetimes_, 3);
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 2);
  EXPECT_EQ(cycle_.live().objects, 2);
  root->left = nullptr;
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 1);
}

// I-5. The only reference in the heap is overwritten before the marker has seen
// it, after a handle was made of it, which is not looked at again.
TEST_F(CollectionCycleTest, WhatAMemberReferredToLivesThoughItIsOverwritten) {
  HandleScope scope(mutator_);
  const Handle<Node> root = scope.New<Node>(lifetimes_);
  {
    HandleScope inner(mutator_);
    root->left = inner.New<Node>(lifetimes_, 1);
    root->left->left = inner.New<Node>(lifetimes_, 2);
    root->right = inner.New<Node>(lifetimes_, 3);
  }
  Begin();
  {
    HandleScope inner(mutator_);
    const Handle<Node> child = inner.Local(root->left).ToHandleChecked();
    root->left = nullptr;
    root->right = root->right->left;  // another Member, null
    End();
    EXPECT_EQ(lifetimes_.alive(), 4);
    EXPECT_EQ(child->number, 1);
    EXPECT_EQ(child->left->number, 2);
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 1);
}

// The value that is stored is no substitute for the one that is lost.
TEST_F(CollectionCycleTest, TheOldValueIsSavedNotTheNew) {
  HandleScope scope(mutator_);
  const Handle<Node> root = scope.New<Node>(lifetimes_);
  const Handle<Node> other = scope.New<Node>(lifetimes_);
  const Node* old = nullptr;
  {
    HandleScope inner(mutator_);
    const Handle<Node> child = inner.New<Node>(lifetimes_, 7);
    old = child.get();
    root->left = child;
  }
  Begin();
  HandleScope late(mutator_);
  const Handle<Node> child = late.Local(root->left).ToHandleChecked();
  root->left = other;
  End();
  EXPECT_EQ(lifetimes_.alive(), 3);
  EXPECT_EQ(child.get(), old);
  EXPECT_EQ(child->number, 7);
}

TEST_F(CollectionCycleTest, AMarkedObjectIsNotQueuedAgain) {
  HandleScope scope(mutator_);
  const Handle<Node> root = scope.New<Node>(lifetimes_);
  Begin();
  ASSERT_TRUE(cycle_.Mark(CollectionCycle::kEverything));
  for (int i = 0; i < 1000; ++i) root->left = root;
  EXPECT_FALSE(cycle_.AnyInQueue());
  CollectionCycle::TakeSnapshot(mutator_);
  EXPECT_FALSE(cycle_.AnyInQueue());
  End();
}

TEST_F(CollectionCycleTest, AFullBufferGoesToTheMarkerAndNothingIsDropped) {
  constexpr size_t kObjects = 10'000;
  HandleScope scope(mutator_);
  const auto array = scope.NewArray<Member<Node>>(kObjects);
  for (Member<Node>& member : *array) {
    HandleScope inner(mutator_);
    member = inner.New<Node>(lifetimes_);
  }
  Begin();
  for (Member<Node>& member : *array) member = nullptr;
  EXPECT_TRUE(cycle_.AnyInQueue());
  End();
  EXPECT_EQ(lifetimes_.alive(), static_cast<int>(kObjects));
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(CollectionCycleTest, WhatIsAllocatedDuringAMarkSurvivesIt) {
  HandleScope scope(mutator_);
  // Uniform blocks and mixed ones, objects with extra bytes, and spans.
  constexpr size_t kObjects = 2000;
  Begin();
  for (size_t i = 0; i < kObjects; ++i) {
    HandleScope inner(mutator_);
    inner.New<Node>(lifetimes_);
    inner.NewWithExtraBytes<Node>(i * 10, lifetimes_);
  }
  {
    HandleScope inner(mutator_);
    inner.NewWithExtraBytes<Node>(1'000'000, lifetimes_);
  }
  End();
  EXPECT_EQ(lifetimes_.alive(), static_cast<int>(2 * kObjects + 1));
  EXPECT_EQ(cycle_.live().objects, static_cast<int64_t>(2 * kObjects + 1));
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// Born marked, so never traced: what it refers to has to live all the same.
TEST_F(CollectionCycleTest, ANewObjectMayTakeTheLastReferenceToAnOldOne) {
  HandleScope scope(mutator_);
  const Handle<Node> root = scope.New<Node>(lifetimes_);
  {
    HandleScope inner(mutator_);
    root->left = inner.New<Node>(lifetimes_, 5);
  }
  Begin();
  const Handle<Node> young = scope.New<Node>(lifetimes_);
  young->left = root->left;
  root->left = nullptr;
  End();
  EXPECT_EQ(lifetimes_.alive(), 3);
  EXPECT_EQ(young->left->number, 5);
}

TEST_F(CollectionCycleTest, AnEmptyBlockIsNotUsedAgainBeforeItIsSwept) {
  HandleScope scope(mutator_);
  for (int i = 0; i < 2000; ++i) {
    HandleScope inner(mutator_);
    inner.New<Node>(lifetimes_);
  }
  Begin();
  ASSERT_TRUE(cycle_.Mark(CollectionCycle::kEverything));
  ASSERT_TRUE(cycle_.FinishMark(mutators_, CollectionCycle::kEverything));
  // All are dead now, and stay as they are.
  for (int i = 0; i < 2000; ++i) {
    HandleScope inner(mutator_);
    inner.New<Node>(lifetimes_);
  }
  EXPECT_FALSE(heap_->SweepSome(1));
  EXPECT_EQ(lifetimes_.dead(), 0);
  cycle_.EndClearing();
  cycle_.StartSweep();
  heap_->SweepAll();
  EXPECT_EQ(lifetimes_.dead(), 2000);
  EXPECT_EQ(lifetimes_.alive(), 2000);
}

// A weak read that found kClearing may look at the mark until its thread comes
// to the next safepoint, and so may look at what was born meanwhile.
TEST_F(CollectionCycleTest, WhatIsBornBeforeTheSweepStartsIsNotTakenForDead) {
  // More than a region, in blocks of the type.
  constexpr int kObjects = 2000;
  HandleScope scope(mutator_);
  const auto expect_born_alive = [this](const char* when) {
    for (int i = 0; i < kObjects; ++i) {
      HandleScope inner(mutator_);
      const Handle<Node> node = inner.New<Node>(lifetimes_);
      ASSERT_TRUE(heap_->IsMarked(node.get())) << when;
      ASSERT_FALSE(WeakPersistent<Node>(mutator_, node).Lock(inner).IsEmpty())
          << when;
    }
    // In mixed blocks, small and large, and in a span.
    for (const size_t extra_bytes : {1000, 10'000, 1'000'000}) {
      HandleScope inner(mutator_);
      const Handle<Node> node =
          inner.NewWithExtraBytes<Node>(extra_bytes, lifetimes_);
      ASSERT_TRUE(heap_->IsMarked(node.get())) << when;
    }
  };
  Begin();
  ASSERT_TRUE(cycle_.Mark(CollectionCycle::kEverything));
  expect_born_alive("marking");
  ASSERT_TRUE(cycle_.FinishMark(mutators_, CollectionCycle::kEverything));
  expect_born_alive("clearing");
  cycle_.Clear();
  cycle_.EndClearing();
  expect_born_alive("cleared");
  cycle_.StartSweep();
  heap_->SweepAll();
  EXPECT_EQ(lifetimes_.born(), 3 * (kObjects + 3));
  EXPECT_EQ(lifetimes_.dead(), 0);
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// ---- roots outside of the stack ----

TEST_F(CollectionCycleTest, APersistentsObjectLivesThoughItIsReleased) {
  HandleScope scope(mutator_);
  Persistent<Node> root;
  {
    HandleScope inner(mutator_);
    root.Reset(mutator_, inner.New<Node>(lifetimes_, 1));
    root->left = inner.New<Node>(lifetimes_, 2);
  }
  Begin();
  const Handle<Node> kept = scope.Local(root).ToHandleChecked();
  root.Reset();
  End();
  EXPECT_EQ(lifetimes_.alive(), 2);
  EXPECT_EQ(kept->left->number, 2);
}

// It has no place to save the object in.
TEST_F(CollectionCycleTest, AnotherThreadMayReleaseThePersistent) {
  HandleScope scope(mutator_);
  Persistent<Node> root;
  {
    HandleScope inner(mutator_);
    root.Reset(mutator_, inner.New<Node>(lifetimes_, 1));
    root->left = inner.New<Node>(lifetimes_, 2);
  }
  const size_t capacity = roots_.slots->capacity();
  Begin();
  {
    HandleScope inner(mutator_);
    const Handle<Node> kept = inner.Local(root).ToHandleChecked();
    OnAnotherThread([&root] { root.Reset(); });
    EXPECT_TRUE(root == nullptr);
    End();
    EXPECT_EQ(lifetimes_.alive(), 2);
    EXPECT_EQ(kept->left->number, 2);
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
  // The slot is free again.
  std::vector<Persistent<Node>> all;
  const Handle<Node> object = scope.New<Node>(lifetimes_);
  while (all.size() < capacity) all.emplace_back(mutator_, object);
  EXPECT_EQ(roots_.slots->capacity(), capacity);
}

// The thread learnt of the mark, and the heap was gone before it released.
TEST_F(CollectionCycleTest, AReleaseThatComesLateIsFreedByTheNextCycle) {
  Persistent<Node> root;
  {
    HandleScope scope(mutator_);
    root.Reset(mutator_, scope.New<Node>(lifetimes_));
  }
  Begin();
  OnAnotherThread([&root] { root.Reset(); });
  // As if the tag were seen by nobody in this cycle.
  ASSERT_TRUE(cycle_.Mark(CollectionCycle::kEverything));
  ASSERT_TRUE(cycle_.FinishMark(mutators_, CollectionCycle::kEverything));
  EXPECT_TRUE(cycle_.AnyToClear());
  cycle_.EndClearing();
  cycle_.StartSweep();
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 1) << "found by the tagged slot";
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(CollectionCycleTest, APersistentMadeDuringAMarkIsARoot) {
  HandleScope scope(mutator_);
  const Handle<Node> root = scope.New<Node>(lifetimes_);
  Persistent<Node> late;
  {
    HandleScope inner(mutator_);
    root->left = inner.New<Node>(lifetimes_, 1);
  }
  Begin();
  static_cast<void>(cycle_.Mark(1));
  late.Reset(mutator_, root->left);
  root->left = nullptr;
  End();
  EXPECT_EQ(lifetimes_.alive(), 2);
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 2);
  late.Reset();
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 1);
}

// ---- weak ones ----

TEST_F(CollectionCycleTest, WhatIsLockedDuringAMarkLives) {
  WeakPersistent<Node> weak;
  {
    HandleScope scope(mutator_);
    weak.Reset(mutator_, scope.New<Node>(lifetimes_, 1));
  }
  HandleScope scope(mutator_);
  Begin();
  {
    HandleScope inner(mutator_);
    EXPECT_EQ(weak.Lock(inner).ToHandleChecked()->number, 1);
  }
  End();
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_FALSE(weak.IsEmpty());
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_TRUE(weak.IsEmpty());
}

TEST_F(CollectionCycleTest, WhatWasFoundDeadIsNotLockedBeforeItIsCleared) {
  WeakPersistent<Node> dead;
  WeakPersistent<Node> alive;
  WeakPersistent<Node> young;
  HandleScope scope(mutator_);
  const Handle<Node> root = scope.New<Node>(lifetimes_, 2);
  alive.Reset(mutator_, root);
  {
    HandleScope inner(mutator_);
    dead.Reset(mutator_, inner.New<Node>(lifetimes_, 1));
  }
  Begin();
  ASSERT_TRUE(cycle_.Mark(CollectionCycle::kEverything));
  ASSERT_TRUE(cycle_.FinishMark(mutators_, CollectionCycle::kEverything));
  ASSERT_TRUE(cycle_.AnyToClear());
  ASSERT_EQ(heap_->phase(), HeapPhase::kClearing);
  EXPECT_TRUE(dead.Lock(scope).IsEmpty());
  EXPECT_FALSE(dead.IsEmpty()) << "not cleared yet";
  EXPECT_FALSE(alive.Lock(scope).IsEmpty());
  young.Reset(mutator_, scope.New<Node>(lifetimes_, 3));
  EXPECT_EQ(young.Lock(scope).ToHandleChecked()->number, 3);
  cycle_.Clear();
  EXPECT_TRUE(dead.IsEmpty());
  EXPECT_EQ(young.Lock(scope).ToHandleChecked()->number, 3);
  cycle_.EndClearing();
  cycle_.StartSweep();
  heap_->SweepAll();
  EXPECT_EQ(lifetimes_.alive(), 2);
  EXPECT_FALSE(alive.Lock(scope).IsEmpty());
}

// ---- how much at once ----

// A list of so many nodes, made from its end.
void MakeList(MutatorBase& mutator, Member<Node>& head, Lifetimes& lifetimes,
              int length) {
  HandleScope scope(mutator);
  MutableHandle<Node> list = scope.Mutable<Node>();
  for (int i = 0; i < length; ++i) {
    HandleScope inner(mutator);
    const Handle<Node> node = inner.New<Node>(lifetimes, i);
    node->left = list;
    list = node;
  }
  head = list;
}

// I-7.
TEST_F(CollectionCycleTest, TheEndOfAMarkIsPutOffIfItWouldTakeLong) {
  constexpr int kLength = 100'000;
  HandleScope scope(mutator_);
  const Handle<Node> root = scope.New<Node>(lifetimes_);
  MakeList(mutator_, root->left, lifetimes_, kLength);
  Begin();
  EXPECT_FALSE(cycle_.Mark(1000));
  int attempts = 1;
  for (; !cycle_.FinishMark(mutators_, 1000); ++attempts) {
    ASSERT_EQ(heap_->phase(), HeapPhase::kMarking);
    ASSERT_LT(attempts, kLength);
  }
  EXPECT_GT(attempts, kLength / 2000) << "each does little";
  EXPECT_EQ(cycle_.live().objects, kLength + 1);
  cycle_.EndClearing();
  cycle_.StartSweep();
  heap_->SweepAll();
  EXPECT_EQ(lifetimes_.dead(), 0);
}

TEST_F(CollectionCycleTest, ALargeArrayIsMarkedInPieces) {
  constexpr size_t kSize = 1'000'000;
  HandleScope scope(mutator_);
  const auto array = scope.NewArray<Member<Node>>(kSize);
  const Handle<Node> object = scope.New<Node>(lifetimes_, 4);
  (*array)[kSize - 1] = object;
  {
    HandleScope inner(mutator_);
    (*array)[kSize / 2] = inner.New<Node>(lifetimes_, 4);
  }
  Begin();
  int pieces = 1;
  while (!cycle_.Mark(1000)) ++pieces;
  EXPECT_GT(pieces, 100);
  End();
  EXPECT_EQ(lifetimes_.alive(), 2);
  EXPECT_EQ((*array)[kSize / 2]->number, 4);
}

// I-7.
TEST_F(CollectionCycleTest, RootSlotsAreShownInPieces) {
  constexpr size_t kRoots = 100'000;
  constexpr size_t kBudget = 1000;
  HandleScope scope(mutator_);
  std::vector<Persistent<Node>> roots;
  for (size_t i = 0; i < kRoots; ++i) {
    HandleScope inner(mutator_);
    roots.emplace_back(mutator_, inner.New<Node>(lifetimes_));
  }
  const auto marked = [this, &roots] {
    return static_cast<size_t>(
        std::ranges::count_if(roots, [this](const Persistent<Node>& root) {
          return heap_->IsMarked(root.get());
        }));
  };
  Begin();
  EXPECT_EQ(marked(), 0u);
  EXPECT_FALSE(cycle_.Mark(kBudget));
  EXPECT_LT(marked(), 2 * kBudget);
  size_t pieces = 2;
  while (!cycle_.Mark(kBudget)) ++pieces;
  EXPECT_GT(pieces, kRoots / (2 * kBudget));
  EXPECT_EQ(marked(), kRoots);
  End();
  EXPECT_EQ(lifetimes_.dead(), 0);
  roots.clear();
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// I-7. There is nothing to mark: to look at so many slots takes long enough.
TEST_F(CollectionCycleTest, SlotsWithNothingToMarkAreLookedAtInPieces) {
  constexpr size_t kSlots = 100'000;
  HandleScope scope(mutator_);
  const Handle<Node> object = scope.New<Node>(lifetimes_);
  std::vector<WeakPersistent<Node>> weak;
  for (size_t i = 0; i < kSlots; ++i) weak.emplace_back(mutator_, object);
  Begin();
  size_t pieces = 1;
  while (!cycle_.Mark(1000)) ++pieces;
  EXPECT_GT(pieces, kSlots / 10'000);
  End();
  // Nor does the pause that ends a mark look at all.
  Begin();
  size_t attempts = 1;
  while (!cycle_.FinishMark(mutators_, 1000)) ++attempts;
  EXPECT_GT(attempts, kSlots / 10'000);
  cycle_.Clear();
  cycle_.EndClearing();
  cycle_.StartSweep();
}

// Epochs come again after 31.
TEST_F(CollectionCycleTest, ObjectsLiveAndDieThroughMoreCyclesThanAByteCounts) {
  HandleScope scope(mutator_);
  const Handle<Node> root = scope.New<Node>(lifetimes_, 1);
  for (int i = 0; i < 600; ++i) {
    {
      HandleScope inner(mutator_);
      root->left = inner.New<Node>(lifetimes_, i);
    }
    Begin();
    {
      HandleScope inner(mutator_);
      root->right = inner.New<Node>(lifetimes_, i);
    }
    End();
    ASSERT_EQ(root->left->number, i);
    ASSERT_EQ(root->right->number, i);
    ASSERT_LE(lifetimes_.alive(), 5);
  }
}

// Helpers mark the same as one thread does.
TEST_F(CollectionCycleTest, SeveralMarkersFindTheSame) {
  constexpr int kLists = 64;
  constexpr int kLength = 3000;
  CollectionCycle cycle(*heap_, roots_, /*helpers=*/3, /*generations=*/false);
  HandleScope scope(mutator_);
  const auto lists = scope.NewArray<Member<Node>>(kLists);
  for (int round = 0; round < 5; ++round) {
    for (Member<Node>& list : *lists) {
      MakeList(mutator_, list, lifetimes_, kLength);
    }
    cycle.FinishSweep();
    cycle.StartMark(mutators_, CollectionKind::kMajor);
    const std::atomic<bool> cancelled = false;
    while (!cycle.MarkTogether(cancelled)) {
    }
    ASSERT_TRUE(cycle.FinishMark(mutators_, CollectionCycle::kEverything));
    cycle.EndClearing();
    cycle.StartSweep();
    heap_->SweepAll();
    ASSERT_EQ(lifetimes_.alive(), kLists * kLength);
  }
}

TEST_F(CollectionCycleTest, AMarkThatIsCancelledEndsSoon) {
  HandleScope scope(mutator_);
  const Handle<Node> root = scope.New<Node>(lifetimes_);
  MakeList(mutator_, root->left, lifetimes_, 300'000);
  Begin();
  const std::atomic<bool> cancelled = true;
  EXPECT_FALSE(cycle_.MarkTogether(cancelled));
  End();
  EXPECT_EQ(lifetimes_.dead(), 0);
}

// A heap may be destroyed in the middle of a cycle.
TEST_F(CollectionCycleTest, GivingACycleUpEndsTheBarriers) {
  HandleScope scope(mutator_);
  scope.New<Node>(lifetimes_);
  {
    CollectionCycle cycle(*heap_, roots_, 0, /*generations=*/false);
    cycle.FinishSweep();
    cycle.StartMark(mutators_, CollectionKind::kMajor);
    EXPECT_TRUE(internal::BarriersOn());
    mutator_.allocator().Retire();
  }
  EXPECT_FALSE(internal::BarriersOn());
  EXPECT_EQ(heap_->phase(), HeapPhase::kIdle);
}

}  // namespace
}  // namespace bibop
