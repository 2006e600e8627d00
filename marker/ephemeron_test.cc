#include "bibop/marker/ephemeron.h"

#include <cstddef>
#include <ctime>

#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/marker/marker.h"
#include "bibop/marker/marking_fixture.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "bibop/marker/weak_word.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using Node = WatchedNode;

struct Holder {
  Ephemeron<Node, Node> ephemeron;
  void Trace(auto& visitor) const { visitor(ephemeron); }
};

class EphemeronTest : public MarkingTest {
 protected:
  using Pairs = Array<Ephemeron<Node, Node>>;

  // Has `fill` make pairs that lead from a key to so many nodes as there are
  // pairs: they live as long as that does.
  template <class Fill>
  void TestWhatOneKeyKeeps(size_t pairs, Fill fill) {
    HandleScope scope(mutator_);
    const Handle<Pairs> array = scope.NewArray<Ephemeron<Node, Node>>(pairs);
    {
      HandleScope inner(mutator_);
      const Handle<Node> key = New(inner);
      {
        HandleScope innermost(mutator_);
        fill(*array, key, innermost);
      }
      Collect();
      EXPECT_EQ(lifetimes_.alive(), static_cast<int>(pairs) + 1);
    }
    Collect();
    EXPECT_EQ(lifetimes_.alive(), 0);
  }
};

TEST_F(EphemeronTest, RefersToWhatItWasGiven) {
  HandleScope scope(mutator_);
  const Handle<Holder> holder = scope.New<Holder>();
  auto& ephemeron = holder->ephemeron;
  EXPECT_TRUE(ephemeron.IsEmpty());
  EXPECT_TRUE(ephemeron.LockKey(scope).IsEmpty());
  EXPECT_TRUE(ephemeron.LockValue(scope).IsEmpty());
  const Handle<Node> key = New(scope);
  const Handle<Node> value = New(scope);
  ephemeron.Set(key, value);
  EXPECT_FALSE(ephemeron.IsEmpty());
  EXPECT_TRUE(ephemeron.LockKey(scope).ToHandleChecked() == key);
  EXPECT_TRUE(ephemeron.LockValue(scope).ToHandleChecked() == value);
  ephemeron.Set(value, Member<Node>());
  EXPECT_TRUE(ephemeron.LockKey(scope).ToHandleChecked() == value);
  EXPECT_TRUE(ephemeron.LockValue(scope).IsEmpty());
  ephemeron.Set(Member<Node>(), value);
  EXPECT_TRUE(ephemeron.IsEmpty());
  EXPECT_TRUE(ephemeron.LockValue(scope).IsEmpty());
  ephemeron.Set(key, value);
  ephemeron.Reset();
  EXPECT_TRUE(ephemeron.IsEmpty());
  EXPECT_TRUE(ephemeron.LockKey(scope).IsEmpty());
}

TEST_F(EphemeronTest, TheValueLivesAsLongAsTheKeyAndDiesWithIt) {
  HandleScope scope(mutator_);
  const Handle<Holder> holder = scope.New<Holder>();
  {
    HandleScope inner(mutator_);
    const Handle<Node> key = New(inner);
    {
      HandleScope innermost(mutator_);
      holder->ephemeron.Set(key, New(innermost, 7));
    }
    Collect();
    EXPECT_EQ(lifetimes_.alive(), 2);
    EXPECT_EQ(holder->ephemeron.LockValue(inner).ToHandleChecked()->number, 7);
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_TRUE(holder->ephemeron.IsEmpty());
  EXPECT_TRUE(holder->ephemeron.LockValue(scope).IsEmpty());
}

TEST_F(EphemeronTest, TheValueDiesWithTheHolder) {
  HandleScope scope(mutator_);
  const Handle<Node> key = New(scope);
  {
    HandleScope inner(mutator_);
    inner.New<Holder>()->ephemeron.Set(key, New(inner));
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 1);
}

TEST_F(EphemeronTest, AValueThatRefersToItsKeyKeepsNeither) {
  HandleScope scope(mutator_);
  const Handle<Holder> holder = scope.New<Holder>();
  {
    HandleScope inner(mutator_);
    const Handle<Node> key = New(inner);
    const Handle<Node> value = New(inner);
    value->next = key;
    key->next = value;
    holder->ephemeron.Set(key, value);
    Collect();
    EXPECT_EQ(lifetimes_.alive(), 2);
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
  {
    HandleScope inner(mutator_);
    const Handle<Node> own = New(inner);
    holder->ephemeron.Set(own, own);
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(EphemeronTest, AValueThatLivesByItselfIsFollowedNoLonger) {
  HandleScope scope(mutator_);
  const Handle<Holder> holder = scope.New<Holder>();
  {
    HandleScope inner(mutator_);
    const Handle<Node> value = New(inner);
    {
      HandleScope innermost(mutator_);
      holder->ephemeron.Set(New(innermost), value);
    }
    Collect();
    EXPECT_EQ(lifetimes_.alive(), 1);
    EXPECT_TRUE(holder->ephemeron.LockValue(inner).IsEmpty());
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0) << "it is not kept without its key";
  // What it was is not touched.
  holder->ephemeron.Set(New(scope), New(scope));
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 2);
}

TEST_F(EphemeronTest, KeysThatOnlyOtherValuesKeepLive) {
  TestWhatOneKeyKeeps(3,
                      [this](Pairs& pairs, Handle<Node> a, HandleScope& scope) {
                        const Handle<Node> b = New(scope);
                        const Handle<Node> c = New(scope);
                        pairs[0].Set(c, New(scope));
                        pairs[1].Set(b, c);
                        pairs[2].Set(a, b);
                      });
}

TEST_F(EphemeronTest, OneKeyMayHaveMany) {
  TestWhatOneKeyKeeps(
      100, [this](Pairs& pairs, Handle<Node> first, HandleScope& scope) {
        const Handle<Node> key = New(scope);
        pairs[0].Set(first, key);
        for (size_t i = 1; i < pairs.size(); ++i) pairs[i].Set(key, New(scope));
      });
}

// A cell that shows what is in it.
struct CellHolder {
  internal::EphemeronCell cell;
  void Trace(auto& visitor) const { visitor.VisitEphemeron(cell); }
};

TEST_F(EphemeronTest, NoWordOfItEverRefersToTheDead) {
  HandleScope scope(mutator_);
  const Handle<CellHolder> holder = scope.New<CellHolder>();
  {
    HandleScope inner(mutator_);
    holder->cell.Set(New(inner).get(), New(inner).get());
  }
  Collect();
  EXPECT_EQ(holder->cell.key().Load(), internal::EphemeronCell::Erased());
  EXPECT_EQ(holder->cell.value().Load(), nullptr);
  {
    HandleScope inner(mutator_);
    const Handle<Node> value = New(inner);
    {
      HandleScope innermost(mutator_);
      holder->cell.Set(New(innermost).get(), value.get());
    }
    Collect();
    EXPECT_EQ(holder->cell.key().Load(), internal::EphemeronCell::Erased());
    EXPECT_EQ(holder->cell.value().Load(), value.get()) << "a weak reference";
  }
  Collect();
  EXPECT_EQ(holder->cell.value().Load(), nullptr);
}

// ---- while objects are marked ----

TEST_F(EphemeronTest, AKeyThatIsLockedDuringAMarkKeepsItsValue) {
  HandleScope scope(mutator_);
  const Handle<Holder> holder = scope.New<Holder>();
  {
    HandleScope inner(mutator_);
    holder->ephemeron.Set(New(inner), New(inner, 7));
  }
  BeginMark();
  Mark();
  const Handle<Node> value =
      holder->ephemeron.LockValue(scope).ToHandleChecked();
  FinishMark();
  EndCycle();
  EXPECT_EQ(value->number, 7);
  EXPECT_EQ(lifetimes_.alive(), 2);
}

TEST_F(EphemeronTest, AValueThatIsOverwrittenDuringAMarkLivesOn) {
  HandleScope scope(mutator_);
  const Handle<Holder> holder = scope.New<Holder>();
  const Handle<Node> key = New(scope);
  {
    HandleScope inner(mutator_);
    holder->ephemeron.Set(key, New(inner, 7));
  }
  BeginMark();
  const Handle<Node> black = New(scope);
  {
    HandleScope inner(mutator_);
    black->next = holder->ephemeron.LockValue(inner).ToHandleChecked();
  }
  holder->ephemeron.Reset();
  FinishMark();
  EndCycle();
  EXPECT_EQ(lifetimes_.alive(), 3);
  EXPECT_EQ(black->next->number, 7);
}

TEST_F(EphemeronTest, InAnObjectThatIsBornMarkedItIsClearedByALaterCycle) {
  HandleScope scope(mutator_);
  BeginMark();
  const Handle<Holder> black = scope.New<Holder>();
  {
    HandleScope inner(mutator_);
    black->ephemeron.Set(New(inner), New(inner, 7));
  }
  FinishMark();
  EndCycle();
  EXPECT_FALSE(black->ephemeron.IsEmpty());
  EXPECT_EQ(lifetimes_.alive(), 2);
  Collect();
  EXPECT_TRUE(black->ephemeron.IsEmpty());
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// ---- while references are cleared ----

TEST_F(EphemeronTest, ReadsOfTheDeadFindNothingBeforeTheyAreCleared) {
  HandleScope scope(mutator_);
  const Handle<Holder> holder = scope.New<Holder>();
  {
    HandleScope inner(mutator_);
    holder->ephemeron.Set(New(inner), New(inner));
  }
  BeginMark();
  FinishMark();
  EXPECT_TRUE(holder->ephemeron.LockKey(scope).IsEmpty());
  EXPECT_TRUE(holder->ephemeron.LockValue(scope).IsEmpty());
  EXPECT_FALSE(holder->ephemeron.IsEmpty()) << "it was not cleared yet";
  EndCycle();
  EXPECT_TRUE(holder->ephemeron.IsEmpty());
}

TEST_F(EphemeronTest, WhatIsSetWhileReferencesAreClearedStays) {
  HandleScope scope(mutator_);
  const Handle<Holder> holder = scope.New<Holder>();
  {
    HandleScope inner(mutator_);
    holder->ephemeron.Set(New(inner), New(inner));
  }
  BeginMark();
  FinishMark();
  const Handle<Node> key = New(scope);
  holder->ephemeron.Set(key, New(scope, 7));
  EndCycle();
  EXPECT_TRUE(holder->ephemeron.LockKey(scope).ToHandleChecked() == key);
  EXPECT_EQ(holder->ephemeron.LockValue(scope).ToHandleChecked()->number, 7);
}

// ---- time ----

// A collection that marks a chain of ephemerons, each of whose keys is the
// value of the one after it in memory, so that each look at all of them would
// find one. In processor seconds.
class EphemeronChainTest : public EphemeronTest {
 protected:
  // The length of the chain: what a test of so many takes.
  static constexpr size_t kCount = 100000;

  // Has element i of the array say that node i + 1 lives if node i does, in
  // reverse order. Returns the first node.
  Handle<Node> MakeChain(HandleScope& scope,
                         Handle<Array<Ephemeron<Node, Node>>> ephemerons) {
    const size_t count = ephemerons->size();
    const Handle<Node> first = New(scope);
    MutableHandle<Node> key = scope.Mutable(first);
    for (size_t i = count; i-- > 0;) {
      HandleScope inner(mutator_);
      const Handle<Node> value = New(inner);
      (*ephemerons)[i].Set(key, value);
      key = value;
    }
    return first;
  }

  static double SecondsOfProcessor() {
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  }
};

TEST_F(EphemeronChainTest, TakesTimeInProportionToItsLength) {
  HandleScope scope(mutator_);
  const auto ephemerons = scope.NewArray<Ephemeron<Node, Node>>(kCount);
  {
    HandleScope inner(mutator_);
    {
      HandleScope innermost(mutator_);
      const Handle<Node> first = MakeChain(innermost, ephemerons);
      const double start = SecondsOfProcessor();
      Collect();
      const double took = SecondsOfProcessor() - start;
      RecordProperty("milliseconds", static_cast<int>(1000 * took));
      // About 20 ms; a look at all for each would take minutes.
      EXPECT_LT(took, 2.0);
      EXPECT_EQ(lifetimes_.alive(), static_cast<int>(kCount) + 1);
      EXPECT_FALSE((*ephemerons)[0].IsEmpty());
      static_cast<void>(first);
    }
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_TRUE((*ephemerons)[0].IsEmpty());
}

TEST_F(EphemeronChainTest, IsMarkedInSmallSteps) {
  HandleScope scope(mutator_);
  constexpr size_t kLinks = 3000;
  const auto ephemerons = scope.NewArray<Ephemeron<Node, Node>>(kLinks);
  const Handle<Node> first = MakeChain(scope, ephemerons);
  BeginMark();
  int steps = 0;
  while (!marker_->DrainEphemerons(100)) ++steps;
  EXPECT_GT(steps, 50);
  FinishMark();
  EndCycle();
  EXPECT_EQ(lifetimes_.alive(), static_cast<int>(kLinks) + 1);
  static_cast<void>(first);
}

TEST_F(EphemeronChainTest, WhatOtherMarkersMarkIsLookedUpInTheEnd) {
  HandleScope scope(mutator_);
  const auto ephemerons = scope.NewArray<Ephemeron<Node, Node>>(100);
  {
    HandleScope inner(mutator_);
    MakeChain(inner, ephemerons);
  }
  BeginMark();
  Mark();
  EXPECT_TRUE(marker_->AnyWeak());
  // The mutator finds the first key, and another marker takes that from the
  // queue.
  const Handle<Node> key = (*ephemerons)[99].LockKey(scope).ToHandleChecked();
  mutator_.snapshot().Flush();
  Marker other(*heap_);
  EXPECT_TRUE(other.Drain());
  EXPECT_EQ(other.counts().objects, 1);
  marker_->Absorb(other);
  while (!marker_->DrainEphemerons(10)) {
  }
  static_cast<void>(key);
  FinishMark();
  EndCycle();
  EXPECT_EQ(lifetimes_.alive(), 101);
}

TEST_F(EphemeronTest, WhatOtherMarkersHaveTracedIsLookedAtToo) {
  HandleScope scope(mutator_);
  const Handle<Node> key = New(scope);
  Holder* of_live = nullptr;
  Holder* of_dead = nullptr;
  {
    HandleScope inner(mutator_);
    of_live = inner.New<Holder>().get();
    of_live->ephemeron.Set(key, New(inner, 7));
    of_dead = inner.New<Holder>().get();
    of_dead->ephemeron.Set(New(inner), New(inner));
  }
  BeginMark();
  Marker other(*heap_);
  other.VisitRoot(of_live);
  other.VisitRoot(of_dead);
  EXPECT_TRUE(other.Drain());
  marker_->Absorb(other);
  FinishMark();
  EndCycle();
  EXPECT_EQ(of_live->ephemeron.LockValue(scope).ToHandleChecked()->number, 7);
  EXPECT_TRUE(of_dead->ephemeron.IsEmpty());
  EXPECT_EQ(lifetimes_.alive(), 2);
}

}  // namespace
}  // namespace bibop
