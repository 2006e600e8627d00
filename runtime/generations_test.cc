// Minor cycles, taken step by step while their only mutator does things in
// between: what is young and reachable lives, by whichever way it is reachable,
// and what is young and not dies.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "bibop/containers/containers.h"
#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/persistent.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/handles/weak_persistent.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/card_table.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/ephemeron.h"
#include "bibop/marker/member.h"
#include "bibop/marker/weak_member.h"
#include "bibop/runtime/collection_cycle.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

struct Other {
  explicit Other(Lifetimes& lifetimes) : tracked(lifetimes) {}
  Tracked tracked;
};

struct Node {
  explicit Node(Lifetimes& lifetimes, int n = 0)
      : tracked(lifetimes), number(n) {}
  Node(Lifetimes& lifetimes, absl::FunctionRef<void(Node&)> construct)
      : tracked(lifetimes) {
    construct(*this);
  }
  void Trace(auto& visitor) const {
    visitor(left, right, other, weak, ephemeron, children, by_number, in_order);
    if (maybe.has_value()) visitor(*maybe);
  }
  Tracked tracked;
  int number = 0;
  Member<Node> left;
  Member<Node> right;
  Member<Other> other;
  WeakMember<Node> weak;
  Ephemeron<Node, Node> ephemeron;
  Vector<Member<Node>> children;
  std::optional<Member<Node>> maybe;
  UnorderedMap<int, Member<Node>> by_number;
  Map<int, Member<Node>> in_order;
};

// May not be traced before its constructor has returned.
struct Careful {
  Careful(Lifetimes& lifetimes, absl::FunctionRef<void(Careful&)> construct)
      : tracked(lifetimes) {
    construct(*this);
    complete = true;
  }
  void Trace(auto& visitor) const {
    EXPECT_TRUE(complete);
    visitor(next);
  }
  Tracked tracked;
  Member<Node> next;
  bool complete = false;
};

class GenerationsTest : public ::testing::Test {
 protected:
  void Begin(CollectionKind kind) {
    cycle_.FinishSweep();
    cycle_.StartMark(mutators_, kind);
  }
  void Mark() {
    ASSERT_TRUE(cycle_.Mark(CollectionCycle::kEverything));
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
  void Collect(CollectionKind kind) {
    Begin(kind);
    Mark();
    Clear();
    Sweep();
  }
  void CollectMinor() { Collect(CollectionKind::kMinor); }
  void CollectMajor() { Collect(CollectionKind::kMajor); }

  // So often that all that is reachable is old.
  void MakeOld() {
    CollectMajor();
    CollectMajor();
  }

  // Makes `store` keep a young object in an old one, by that way alone, and
  // expects that it lives in minor cycles, and dies with the old one in a major
  // one: whether it is stored between two cycles or during one, of either kind.
  void ExpectKeeps(absl::FunctionRef<void(HandleScope&, Node&)> store,
                   absl::FunctionRef<int(Node&)> number) {
    for (int kinds = 0; kinds < 16; ++kinds) {
      for (int when = 0; when < 5; ++when) {
        SCOPED_TRACE(::testing::Message() << kinds << " " << when);
        ExpectKeeps(store, number, kinds, when);
      }
    }
  }
  // Each bit of `kinds` is a cycle, a major one if it is 1. The first is that
  // during or before which something is stored.
  void ExpectKeeps(absl::FunctionRef<void(HandleScope&, Node&)> store,
                   absl::FunctionRef<int(Node&)> number, int kinds, int when) {
    const auto kind_of = [kinds](int cycle) {
      return (kinds >> cycle & 1) != 0 ? CollectionKind::kMajor
                                       : CollectionKind::kMinor;
    };
    Persistent<Node> old;
    {
      HandleScope scope(mutator_);
      old = Persistent<Node>(mutator_, scope.New<Node>(lifetimes_));
    }
    MakeOld();
    for (int i = 0; i < 3; ++i) CollectMinor();
    ASSERT_EQ(lifetimes_.alive(), 1);
    const auto store_if = [&](bool now) {
      if (!now) return;
      HandleScope scope(mutator_);
      store(scope, *old);
    };
    store_if(when == 0);
    Begin(kind_of(0));
    store_if(when == 1);
    ASSERT_TRUE(cycle_.Mark(CollectionCycle::kEverything));
    cycle_.AgeCardsOfSome(CollectionCycle::kEverything);
    store_if(when == 2);
    Mark();
    store_if(when == 3);
    Clear();
    store_if(when == 4);
    Sweep();
    for (int i = 1; i < 8; ++i) {
      Begin(i < 4 ? kind_of(i) : CollectionKind::kMinor);
      // Not each major cycle does.
      if (i % 2 == 0) cycle_.AgeCardsOfSome(CollectionCycle::kEverything);
      Mark();
      Clear();
      Sweep();
      EXPECT_EQ(lifetimes_.alive(), 2) << "cycle " << i;
      EXPECT_EQ(number(*old), 7);
    }
    CollectMajor();
    EXPECT_EQ(lifetimes_.alive(), 2);
    EXPECT_EQ(number(*old), 7);
    old.Reset();
    CollectMajor();
    EXPECT_EQ(lifetimes_.alive(), 0);
  }

  static void SetUpTestSuite() { ASSERT_TRUE(EnableCardTable().ok()); }

  Lifetimes lifetimes_;
  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity, /*generations=*/true).value();
  HeapRoots roots_;
  TestMutator mutator_{*heap_, roots_};
  const std::array<MutatorBase*, 1> mutators_ = {&mutator_};
  CollectionCycle cycle_{*heap_, roots_, /*helpers=*/0, /*generations=*/true};
};

using GenerationsDeathTest = GenerationsTest;

TEST_F(GenerationsTest, WhatIsYoungAndNotReachableDies) {
  HandleScope scope(mutator_);
  const Handle<Node> kept = scope.New<Node>(lifetimes_);
  {
    HandleScope inner(mutator_);
    inner.New<Node>(lifetimes_);
  }
  CollectMinor();
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_EQ(cycle_.live().objects, 1);
  EXPECT_EQ(kept->number, 0);
}

TEST_F(GenerationsTest, WhatIsOldDiesInAMajorCycleOnly) {
  {
    HandleScope scope(mutator_);
    scope.New<Node>(lifetimes_);
    CollectMinor();
    CollectMinor();
  }
  CollectMinor();
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_EQ(cycle_.live().objects, 1);
  CollectMajor();
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_EQ(cycle_.live().objects, 0);
}

// What is half built when a cycle comes is not old for that, and does not keep
// the rest of itself after its death.
TEST_F(GenerationsTest, WhatOneCycleHasFoundIsStillYoung) {
  for (const CollectionKind first :
       {CollectionKind::kMinor, CollectionKind::kMajor}) {
    {
      HandleScope scope(mutator_);
      const Handle<Node> root = scope.New<Node>(lifetimes_);
      Collect(first);
      HandleScope inner(mutator_);
      root->left = inner.New<Node>(lifetimes_);
    }
    EXPECT_EQ(lifetimes_.alive(), 2);
    CollectMinor();
    EXPECT_EQ(lifetimes_.alive(), 0);
    EXPECT_EQ(cycle_.live().objects, 0);
  }
}

TEST_F(GenerationsTest, WhatWasBornDuringACycleIsYoung) {
  for (const CollectionKind kind :
       {CollectionKind::kMinor, CollectionKind::kMajor}) {
    {
      HandleScope scope(mutator_);
      Begin(kind);
      const Handle<Node> root = scope.New<Node>(lifetimes_);
      root->left = scope.New<Node>(lifetimes_);
      Mark();
      root->right = scope.New<Node>(lifetimes_);
      Clear();
      Sweep();
    }
    EXPECT_EQ(lifetimes_.alive(), 3);
    CollectMinor();
    EXPECT_EQ(lifetimes_.alive(), 0);
  }
}

// I-6.
TEST_F(GenerationsTest, AMemberOfAnOldObjectKeepsAYoungOne) {
  ExpectKeeps([&](HandleScope& scope,
                  Node& old) { old.left = scope.New<Node>(lifetimes_, 7); },
              [](Node& old) { return old.left->number; });
}

TEST_F(GenerationsTest, AMemberThatIsConstructedInAnOldObjectKeepsAYoungOne) {
  ExpectKeeps(
      [&](HandleScope& scope, Node& old) {
        old.maybe.emplace(scope.New<Node>(lifetimes_, 7));
      },
      [](Node& old) { return (*old.maybe)->number; });
}

TEST_F(GenerationsTest, AnEphemeronWithAnOldKeyKeepsAYoungValue) {
  ExpectKeeps(
      [&](HandleScope& scope, Node& old) {
        old.ephemeron.Set(Member<Node>(&old), scope.New<Node>(lifetimes_, 7));
      },
      [&](Node& old) {
        HandleScope scope(mutator_);
        return old.ephemeron.LockValue(scope).ToHandleChecked()->number;
      });
}

TEST_F(GenerationsTest, AContainerOfAnOldObjectKeepsAYoungElement) {
  ExpectKeeps(
      [&](HandleScope& scope, Node& old) {
        old.children.push_back(scope.New<Node>(lifetimes_, 7));
      },
      [](Node& old) { return old.children[0]->number; });
}

// The verifier finds what stores without the barrier.
TEST_F(GenerationsDeathTest, AnOldObjectThatRefersToAYoungOneHasADirtyCard) {
  HandleScope scope(mutator_);
  const Handle<Node> old = scope.New<Node>(lifetimes_);
  MakeOld();
  for (int i = 0; i < 3; ++i) CollectMinor();
  Node* const young = scope.New<Node>(lifetimes_).get();
  static_assert(sizeof(old->left) == sizeof(young));
  static_assert(sizeof(old->weak) == sizeof(young));
  for (void* field :
       {static_cast<void*>(&old->left), static_cast<void*>(&old->weak)}) {
    void* const before = nullptr;
    std::memcpy(field, &young, sizeof(young));
    EXPECT_DEATH(CollectMinor(), "Node at .* is old, its cards are clean.*I-6");
    std::memcpy(field, &before, sizeof(before));
  }
}

// Maps have nodes, and arrays of buckets, that point back at the map.
TEST_F(GenerationsTest, MapsThatAreMovedPassTheVerifier) {
  HandleScope scope(mutator_);
  const Handle<Node> old = scope.New<Node>(lifetimes_);
  for (int i = 0; i < 40; ++i) {
    old->by_number[i] = scope.New<Node>(lifetimes_, i);
    old->in_order[i] = scope.New<Node>(lifetimes_, i);
  }
  MakeOld();
  for (int i = 0; i < 4; ++i) CollectMinor();
  const Handle<Node> young = scope.New<Node>(lifetimes_);
  young->by_number = std::move(old->by_number);
  young->in_order = std::move(old->in_order);
  {
    // One that dies young, and leaves its stores to the next major cycle.
    HandleScope inner(mutator_);
    const Handle<Node> dead = inner.New<Node>(lifetimes_);
    dead->by_number[1] = dead->in_order[1] = young;
  }
  for (int i = 0; i < 8; ++i) {
    CollectMinor();
    HandleScope inner(mutator_);
    for (int j = 0; j < 50; ++j) inner.New<Node>(lifetimes_);
  }
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(young->by_number[i]->number, i);
    EXPECT_EQ(young->in_order[i]->number, i);
  }
}

// A regression: the cards of a block with a young store and nothing old were
// taken for looked at by two marks when one had. So that it has blocks of its
// own the store is large.
TEST_F(GenerationsTest, AContainerOfAnyAgeKeepsAnElementOfAnyAge) {
  for (int store_found = 0; store_found < 3; ++store_found) {
    for (int when = 0; when < 3; ++when) {
      SCOPED_TRACE(::testing::Message() << store_found << " " << when);
      Persistent<Node> owner;
      {
        HandleScope scope(mutator_);
        owner = Persistent<Node>(mutator_, scope.New<Node>(lifetimes_));
      }
      MakeOld();
      {
        HandleScope scope(mutator_);
        owner->children.resize(1000);
      }
      for (int i = 0; i < store_found; ++i) CollectMinor();
      const auto store_if = [&](bool now) {
        if (!now) return;
        HandleScope scope(mutator_);
        owner->children[900] = scope.New<Node>(lifetimes_, 7);
      };
      store_if(when == 0);
      Begin(CollectionKind::kMinor);
      store_if(when == 1);
      ASSERT_TRUE(cycle_.Mark(CollectionCycle::kEverything));
      store_if(when == 2);
      Mark();
      Clear();
      Sweep();
      for (int i = 0; i < 6; ++i) {
        CollectMinor();
        ASSERT_EQ(lifetimes_.alive(), 2) << "minor cycle " << i;
        EXPECT_EQ(owner->children[900]->number, 7);
      }
      owner.Reset();
      CollectMajor();
      EXPECT_EQ(lifetimes_.alive(), 0);
    }
  }
}

TEST_F(GenerationsTest, AnOldContainerKeepsAYoungElement) {
  Persistent<Node> old;
  {
    HandleScope scope(mutator_);
    old = Persistent<Node>(mutator_, scope.New<Node>(lifetimes_));
    old->children.resize(1000);
  }
  MakeOld();
  {
    HandleScope scope(mutator_);
    old->children[900] = scope.New<Node>(lifetimes_, 7);
  }
  CollectMinor();
  EXPECT_EQ(lifetimes_.alive(), 2);
  EXPECT_EQ(old->children[900]->number, 7);
  old.Reset();
  CollectMajor();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(GenerationsTest, AnElementOfALargeOldArrayKeepsAYoungObject) {
  // In one block, in a run of blocks, in a span.
  for (const size_t size : {1000u, 20'000u, 1'000'000u}) {
    HandleScope scope(mutator_);
    const auto array = scope.NewArray<Member<Node>>(size);
    MakeOld();
    for (const size_t at : {size_t{0}, size / 2, size - 1}) {
      HandleScope inner(mutator_);
      (*array)[at] = inner.New<Node>(lifetimes_, 7);
    }
    for (int i = 0; i < 4; ++i) CollectMinor();
    EXPECT_EQ(lifetimes_.alive(), 3) << size;
    EXPECT_EQ((*array)[size / 2]->number, 7);
    for (const size_t at : {size_t{0}, size / 2, size - 1}) {
      (*array)[at] = nullptr;
    }
    CollectMajor();
    EXPECT_EQ(lifetimes_.alive(), 0) << size;
  }
}

TEST_F(GenerationsTest, APersistentKeepsAYoungObject) {
  Persistent<Node> root;
  {
    HandleScope scope(mutator_);
    root = Persistent<Node>(mutator_, scope.New<Node>(lifetimes_, 7));
  }
  CollectMinor();
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_EQ(root->number, 7);
  root.Reset();
  CollectMajor();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(GenerationsTest, WeakReferencesToAYoungObjectThatDiesAreCleared) {
  HandleScope scope(mutator_);
  const Handle<Node> old = scope.New<Node>(lifetimes_);
  const Handle<Node> other = scope.New<Node>(lifetimes_);
  MakeOld();
  WeakPersistent<Node> outside;
  // When it was allocated in a cycle, and found by one; only by one; by none.
  for (int before = 2; before >= 0; --before) {
    {
      HandleScope inner(mutator_);
      if (before == 2) Begin(CollectionKind::kMinor);
      const Handle<Node> young = inner.New<Node>(lifetimes_);
      old->weak = young;
      other->ephemeron.Set(young, inner.New<Node>(lifetimes_));
      outside = WeakPersistent<Node>(mutator_, young);
      if (before == 2) {
        Mark();
        Clear();
        Sweep();
      }
      if (before > 0) CollectMinor();
    }
    EXPECT_EQ(lifetimes_.alive(), 4);
    CollectMinor();
    EXPECT_EQ(lifetimes_.alive(), 2);
    EXPECT_TRUE(old->weak.IsEmpty());
    EXPECT_TRUE(other->ephemeron.IsEmpty());
    EXPECT_TRUE(outside.IsEmpty());
  }
}

TEST_F(GenerationsTest, WeakReferencesToAnOldObjectStay) {
  HandleScope scope(mutator_);
  const Handle<Node> old = scope.New<Node>(lifetimes_);
  {
    HandleScope inner(mutator_);
    old->weak = inner.New<Node>(lifetimes_, 7);
    MakeOld();
  }
  CollectMinor();
  EXPECT_EQ(lifetimes_.alive(), 2) << "nothing old dies";
  {
    HandleScope inner(mutator_);
    EXPECT_EQ(old->weak.Lock(inner).ToHandleChecked()->number, 7);
  }
  CollectMajor();
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_TRUE(old->weak.IsEmpty());
}

// I-5 in a minor cycle: the young object's only reference in the heap is
// overwritten before the old object was looked at.
TEST_F(GenerationsTest, WhatAnOldMemberReferredToLivesThoughItIsOverwritten) {
  HandleScope scope(mutator_);
  const Handle<Node> old = scope.New<Node>(lifetimes_);
  MakeOld();
  {
    HandleScope inner(mutator_);
    old->left = inner.New<Node>(lifetimes_, 7);
  }
  Begin(CollectionKind::kMinor);
  HandleScope inner(mutator_);
  const Handle<Node> young = inner.Local(old->left).ToHandleChecked();
  old->left = nullptr;
  Mark();
  Clear();
  Sweep();
  EXPECT_EQ(lifetimes_.alive(), 2);
  EXPECT_EQ(young->number, 7);
}

// A cell that is handed out while cards are being looked at is no object yet.
// What was in it may have been old.
TEST_F(GenerationsTest, NoObjectIsTracedBeforeItIsMade) {
  HandleScope scope(mutator_);
  // So that the type gets blocks of its own.
  for (int i = 0; i < 200; ++i) {
    HandleScope inner(mutator_);
    inner.New<Node>(lifetimes_);
  }
  const Handle<Node> old = scope.New<Node>(lifetimes_);
  {
    HandleScope inner(mutator_);
    for (int i = 0; i < 100; ++i)
      inner.New<Careful>(lifetimes_, [](Careful&) {});
    MakeOld();
  }
  CollectMajor();
  ASSERT_EQ(lifetimes_.alive(), 1);
  Begin(CollectionKind::kMinor);
  const Handle<Array<Member<Careful>>> array =
      scope.NewArray<Member<Careful>>(100);
  for (int i = 0; i < 100; ++i) {
    HandleScope inner(mutator_);
    (*array)[i] = inner.New<Careful>(lifetimes_, [&](Careful& self) {
      self.next = old;
      // Looks at cards, this one's among them.
      if (i == 50) {
        ASSERT_TRUE(cycle_.Mark(CollectionCycle::kEverything));
      }
    });
  }
  Mark();
  Clear();
  Sweep();
  EXPECT_EQ(lifetimes_.alive(), 101);
}

// Mutators got new blocks until all cards were looked at.
TEST_F(GenerationsTest, MutatorsUseTheBlocksThatThereAreMeanwhile) {
  HandleScope scope(mutator_);
  const auto kept = scope.NewArray<Member<Node>>(3000);
  for (size_t i = 0; i < kept->size(); ++i) {
    HandleScope inner(mutator_);
    (*kept)[i] = inner.New<Node>(lifetimes_);
    inner.New<Node>(lifetimes_);
  }
  MakeOld();
  CollectMajor();
  const size_t bytes = heap_->memory().in_use;
  Begin(CollectionKind::kMinor);
  for (int i = 0; i < 1000; ++i) {
    HandleScope inner(mutator_);
    inner.New<Node>(lifetimes_);
  }
  EXPECT_EQ(heap_->memory().in_use, bytes);
  Mark();
  Clear();
  Sweep();
  CollectMinor();
  EXPECT_EQ(lifetimes_.alive(), 3000);
}

// An object that is being made when a cycle finds it is one to be found when it
// is complete, and its constructor goes on to refer to what is young.
TEST_F(GenerationsTest, AConstructorMayRunThroughCycles) {
  for (const CollectionKind first :
       {CollectionKind::kMinor, CollectionKind::kMajor}) {
    CollectMajor();
    ASSERT_EQ(lifetimes_.alive(), 0);
    HandleScope scope(mutator_);
    const Handle<Node> node = scope.New<Node>(lifetimes_, [&](Node& self) {
      // By the reference in the object alone.
      const auto refer = [&](Member<Node>& from, int number) {
        HandleScope inner(mutator_);
        from = inner.New<Node>(lifetimes_, number);
      };
      refer(self.left, 1);
      Collect(first);
      refer(self.right, 2);
      CollectMinor();
      // Old already, and may not be traced.
      refer(self.maybe.emplace(), 3);
      CollectMinor();
    });
    for (int i = 0; i < 3; ++i) CollectMinor();
    EXPECT_EQ(lifetimes_.alive(), 4);
    EXPECT_EQ(node->left->number, 1);
    EXPECT_EQ(node->right->number, 2);
    EXPECT_EQ((*node->maybe)->number, 3);
    node->left = node->right = nullptr;
    *node->maybe = nullptr;
    CollectMajor();
    EXPECT_EQ(lifetimes_.alive(), 1);
  }
}

// It is old, and its card dirty, when the next cycle looks at cards.
TEST_F(GenerationsTest, NoObjectIsTracedBeforeItsConstructorHasReturned) {
  HandleScope scope(mutator_);
  const Handle<Careful> careful =
      scope.New<Careful>(lifetimes_, [&](Careful& self) {
        for (int i = 0; i < 3; ++i) {
          {
            HandleScope inner(mutator_);
            self.next = inner.New<Node>(lifetimes_, i);
          }
          Begin(CollectionKind::kMinor);
          ASSERT_TRUE(cycle_.Mark(CollectionCycle::kEverything));
          ASSERT_TRUE(
              cycle_.FinishMark(mutators_, CollectionCycle::kEverything));
          Clear();
          Sweep();
        }
      });
  CollectMinor();
  EXPECT_EQ(careful->next->number, 2);
}

// A region that is handed out between the mark and the sweep is in use after
// it, for objects that are born with the mark of a cycle that is over.
TEST_F(GenerationsTest, WhatIsBornMarkedAfterTheMarkKeepsWhatIsYoung) {
  HandleScope scope(mutator_);
  Begin(CollectionKind::kMajor);
  Mark();
  const Handle<Node> before = scope.New<Node>(lifetimes_);
  Clear();
  Sweep();
  const Handle<Node> born_marked = scope.New<Node>(lifetimes_, [&](Node& self) {
    HandleScope inner(mutator_);
    self.other = inner.New<Other>(lifetimes_);
  });
  ASSERT_EQ(Cage::DescriptorOf(&*before), Cage::DescriptorOf(&*born_marked));
  ASSERT_TRUE(heap_->IsMarked(&*born_marked));
  ASSERT_FALSE(heap_->IsMarked(born_marked->other.get()));
  CollectMinor();
  EXPECT_EQ(lifetimes_.alive(), 3);
  EXPECT_TRUE(heap_->IsMarked(born_marked->other.get()));
}

// Blocks in which nothing was allocated since the last cycle are not swept
// again, and are allocated in all the same.
TEST_F(GenerationsTest, SettledBlocksAreUsedAgain) {
  HandleScope scope(mutator_);
  const auto kept = scope.NewArray<Member<Node>>(1000);
  for (int i = 0; i < 1000; ++i) {
    HandleScope inner(mutator_);
    (*kept)[i] = inner.New<Node>(lifetimes_, i);
    inner.New<Node>(lifetimes_);
  }
  MakeOld();
  const size_t bytes = heap_->memory().in_use;
  for (int round = 0; round < 10; ++round) {
    CollectMinor();
    CollectMinor();
    {
      HandleScope inner(mutator_);
      for (int i = 0; i < 300; ++i) {
        const Handle<Node> young = inner.New<Node>(lifetimes_);
        EXPECT_TRUE(heap_->FindLiveObject(reinterpret_cast<uintptr_t>(&*young))
                        .has_value());
      }
    }
    mutator_.allocator().Retire();
    heap_->CheckInvariants();
    CollectMinor();
    EXPECT_EQ(lifetimes_.alive(), 1000);
  }
  EXPECT_EQ(heap_->memory().in_use, bytes);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ((*kept)[i]->number, i);
}

TEST_F(GenerationsTest, ACycleMayBeGivenUp) {
  {
    HandleScope scope(mutator_);
    for (int i = 0; i < 100; ++i) scope.New<Node>(lifetimes_);
    CollectMajor();
    scope.New<Node>(lifetimes_);
    Begin(CollectionKind::kMinor);
    scope.New<Node>(lifetimes_);
  }
  mutator_.allocator().Retire();
  cycle_.GiveUp();
  heap_->CheckInvariants();
  heap_->DestroyObjects();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// And of what was found alive nothing counts twice.
TEST_F(GenerationsTest, WhatIsBornBetweenMarkAndSweepCountsAsAlive) {
  HandleScope scope(mutator_);
  scope.New<Node>(lifetimes_);
  Begin(CollectionKind::kMinor);
  Mark();
  for (int i = 0; i < 1000; ++i) scope.New<Node>(lifetimes_);
  Clear();
  Sweep();
  for (int i = 0; i < 4; ++i) {
    CollectMinor();
    EXPECT_EQ(cycle_.live().objects, 1001);
  }
  CollectMajor();
  EXPECT_EQ(cycle_.live().objects, 1001);
}

// Epochs and the numbers of marks wrap around.
TEST_F(GenerationsTest, HundredsOfCyclesOfEitherKind) {
  HandleScope scope(mutator_);
  const Handle<Node> root = scope.New<Node>(lifetimes_);
  int number = 0;
  for (int i = 0; i < 700; ++i) {
    {
      HandleScope inner(mutator_);
      const Handle<Node> node = inner.New<Node>(lifetimes_, ++number);
      node->left = root->left;
      root->left = node;
      inner.New<Node>(lifetimes_);
    }
    Collect(i % 300 < 2 || i > 600 ? CollectionKind::kMajor
                                   : CollectionKind::kMinor);
    ASSERT_EQ(lifetimes_.alive(), 1 + number) << i;
  }
  for (Node* node = root->left.get(); node != nullptr;
       node = node->left.get()) {
    ASSERT_EQ(node->number, number--);
  }
}

}  // namespace
}  // namespace bibop
