#include "bibop/marker/weak_map.h"

#include <cstddef>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/persistent.h"
#include "bibop/marker/marking_fixture.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using Node = WatchedNode;

using Map = WeakMap<Node, Node>;

class WeakMapTest : public MarkingTest {
 protected:
  // Adds an entry of a new key and value, and returns the key.
  Handle<Node> Add(HandleScope& scope, Handle<Map> map, int n) {
    const Handle<Node> key = New(scope, n);
    map->Set(mutator_, key, New(scope, 1000 + n));
    return key;
  }
  // The numbers of the keys that ForEach shows.
  std::multiset<int> Keys(Handle<Map> map) {
    std::multiset<int> keys;
    map->ForEach(
        mutator_, [&](HandleScope&, Handle<Node> key, MaybeHandle<Node> value) {
          keys.insert(key->number);
          if (!value.IsEmpty()) {
            EXPECT_EQ(value.ToHandleChecked()->number, 1000 + key->number);
          }
        });
    return keys;
  }
};

TEST_F(WeakMapTest, IsAMap) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  const Handle<Node> a = New(scope);
  const Handle<Node> b = New(scope);
  const Handle<Node> one = New(scope, 1);
  const Persistent<Node> two(mutator_, New(scope, 2));
  EXPECT_EQ(map->size(), 0u);
  EXPECT_FALSE(map->Contains(a));
  EXPECT_TRUE(map->Get(scope, a).IsEmpty());
  EXPECT_FALSE(map->Erase(a));
  map->Set(mutator_, a, one);
  map->Set(mutator_, Member<Node>(b), two);
  EXPECT_EQ(map->size(), 2u);
  EXPECT_TRUE(map->Contains(a));
  EXPECT_TRUE(map->Get(scope, a).ToHandleChecked() == one);
  EXPECT_TRUE(map->Get(scope, b).ToHandleChecked() == two);
  map->Set(mutator_, a, two);
  EXPECT_EQ(map->size(), 2u);
  EXPECT_TRUE(map->Get(scope, a).ToHandleChecked() == two);
  map->Set(mutator_, a, Member<Node>());
  EXPECT_TRUE(map->Contains(a));
  EXPECT_TRUE(map->Get(scope, a).IsEmpty());
  EXPECT_TRUE(map->Erase(a));
  EXPECT_FALSE(map->Erase(a));
  EXPECT_FALSE(map->Contains(a));
  EXPECT_EQ(map->size(), 1u);
  map->Clear();
  EXPECT_EQ(map->size(), 0u);
  EXPECT_FALSE(map->Contains(b));
  map->Set(mutator_, b, one);
  EXPECT_TRUE(map->Get(scope, b).ToHandleChecked() == one);
}

TEST_F(WeakMapTest, AValueLivesAsLongAsItsKeyAndAnEntryDiesWithIt) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  MutableHandle<Node> key = scope.Mutable<Node>();
  {
    HandleScope inner(mutator_);
    key = Add(inner, map, 1);
    Add(inner, map, 2);
  }
  Collect();
  EXPECT_EQ(map->size(), 1u);
  EXPECT_EQ(lifetimes_.alive(), 2);
  {
    HandleScope inner(mutator_);
    EXPECT_EQ(map->Get(inner, key).ToHandleChecked()->number, 1001);
  }
  key = nullptr;
  Collect();
  EXPECT_EQ(map->size(), 0u);
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(WeakMapTest, AValueDiesWithTheMap) {
  HandleScope scope(mutator_);
  const Handle<Node> key = New(scope);
  {
    HandleScope inner(mutator_);
    inner.New<Map>()->Set(mutator_, key, New(inner));
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 1);
}

TEST_F(WeakMapTest, WhatIsErasedOrReplacedDies) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  const Handle<Node> erased = New(scope);
  const Handle<Node> replaced = New(scope);
  const Handle<Node> last = New(scope);
  {
    HandleScope inner(mutator_);
    map->Set(mutator_, erased, New(inner));
    map->Set(mutator_, replaced, New(inner));
  }
  map->Erase(erased);
  map->Set(mutator_, replaced, last);
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 3);
  {
    HandleScope inner(mutator_);
    map->Set(mutator_, replaced, New(inner));
  }
  map->Clear();
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 3);
}

TEST_F(WeakMapTest, AValueThatRefersToItsKeyKeepsNeither) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  {
    HandleScope inner(mutator_);
    for (int i = 0; i < 100; ++i) {
      const Handle<Node> key = Add(inner, map, i);
      map->Get(inner, key).ToHandleChecked()->next = key;
    }
    Collect();
    EXPECT_EQ(lifetimes_.alive(), 200);
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_EQ(map->size(), 0u);
}

TEST_F(WeakMapTest, KeysThatOnlyOtherValuesKeepLive) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  constexpr int kLinks = 1000;
  {
    HandleScope inner(mutator_);
    const Handle<Node> first = New(inner);
    {
      HandleScope innermost(mutator_);
      MutableHandle<Node> key = innermost.Mutable(first);
      for (int i = 0; i < kLinks; ++i) {
        HandleScope loop(mutator_);
        const Handle<Node> value = New(loop);
        map->Set(mutator_, key, value);
        key = value;
      }
    }
    Collect();
    EXPECT_EQ(lifetimes_.alive(), kLinks + 1);
    EXPECT_EQ(map->size(), size_t{kLinks});
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(WeakMapTest, MapsOfMaps) {
  using Outer = WeakMap<Node, Map>;
  HandleScope scope(mutator_);
  const Handle<Outer> outer = scope.New<Outer>();
  MutableHandle<Node> outer_key = scope.Mutable<Node>();
  MutableHandle<Node> inner_key = scope.Mutable<Node>();
  {
    HandleScope inner(mutator_);
    const Handle<Map> map = inner.New<Map>();
    outer_key = New(inner);
    outer->Set(mutator_, outer_key, map);
    inner_key = Add(inner, map, 1);
    Add(inner, map, 2);
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 3);
  {
    HandleScope inner(mutator_);
    const Handle<Map> map = outer->Get(inner, outer_key).ToHandleChecked();
    EXPECT_EQ(map->size(), 1u);
    EXPECT_EQ(map->Get(inner, inner_key).ToHandleChecked()->number, 1001);
  }
  outer_key = nullptr;
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 1) << "the value went with the inner map";
  EXPECT_EQ(outer->size(), 0u);
}

TEST_F(WeakMapTest, ForEachShowsEachEntryOnce) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  EXPECT_TRUE(Keys(map).empty());
  std::multiset<int> expected;
  for (int i = 0; i < 100; ++i) {
    Add(scope, map, i);
    expected.insert(i);
  }
  EXPECT_EQ(Keys(map), expected);
}

TEST_F(WeakMapTest, InForEachEntriesMayBeRemovedAndChanged) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  for (int i = 0; i < 100; ++i) Add(scope, map, i);
  const Handle<Node> other = New(scope, -1);
  map->ForEach(mutator_,
               [&](HandleScope& inner, Handle<Node> key, MaybeHandle<Node>) {
                 New(inner);
                 if (key->number % 2 == 0) {
                   map->Erase(key);
                 } else {
                   map->Set(mutator_, key, other);
                 }
               });
  EXPECT_EQ(map->size(), 50u);
  map->ForEach(mutator_,
               [&](HandleScope&, Handle<Node> key, MaybeHandle<Node> value) {
                 EXPECT_EQ(key->number % 2, 1);
                 EXPECT_TRUE(value.ToHandleChecked() == other);
               });
}

TEST_F(WeakMapTest, InForEachNothingMayBeAdded) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  Add(scope, map, 1);
  EXPECT_DEATH(
      map->ForEach(mutator_, [&](HandleScope& inner, Handle<Node>,
                                 MaybeHandle<Node>) { Add(inner, map, 2); }),
      "added to, or cleared, in its ForEach");
  EXPECT_DEATH(map->ForEach(mutator_, [&](HandleScope&, Handle<Node>,
                                          MaybeHandle<Node>) { map->Clear(); }),
               "added to, or cleared, in its ForEach");
  try {
    map->ForEach(mutator_, [](HandleScope&, Handle<Node>, MaybeHandle<Node>) {
      throw 1;  // NOLINT: anything
    });
  } catch (int) {
    Add(scope, map, 2);
  }
  EXPECT_EQ(map->size(), 2u);
}

TEST_F(WeakMapTest, ThereIsNoEntryOfNothing) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  EXPECT_DEATH((void)map->Contains(Member<Node>()), "the entry of nothing");
}

TEST_F(WeakMapTest, AnyOrderOfChangesAndCollections) {
  std::mt19937 random(5);  // NOLINT(cert-msc51-cpp): repeatable
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  constexpr size_t kKeys = 300;
  const auto keys = scope.NewArray<Member<Node>>(kKeys);
  std::map<int, bool> model;
  int next = 0;
  for (int step = 0; step < 20000; ++step) {
    HandleScope inner(mutator_);
    auto& key = (*keys)[random() % kKeys];
    switch (random() % 8) {
      case 0:
      case 1:
      case 2:
        if (key) model.erase(key->number);
        key = Add(inner, map, next);
        model[next++] = true;
        break;
      case 3:
        if (key) {
          ASSERT_EQ(map->Erase(key), model.erase(key->number) == 1);
        }
        break;
      case 4:
        if (key && map->Contains(key)) {
          map->Set(mutator_, key, New(inner, 1000 + key->number));
        }
        break;
      case 5:
        if (key) model.erase(key->number);
        key = nullptr;
        break;
      default:
        if (key) {
          const MaybeHandle<Node> value = map->Get(inner, key);
          ASSERT_EQ(value.IsEmpty(), !model.contains(key->number));
          if (!value.IsEmpty()) {
            ASSERT_EQ(value.ToHandleChecked()->number, 1000 + key->number);
          }
        }
    }
    if (step % 1000 == 0) {
      Collect();
      ASSERT_EQ(map->size(), model.size());
      ASSERT_EQ(Keys(map).size(), model.size());
    }
  }
}

TEST_F(WeakMapTest, EntriesThatComeAndGoTakeNoMemory) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  const Handle<Node> value = New(scope);
  for (int i = 0; i < 100; ++i) {
    HandleScope inner(mutator_);
    for (int n = 0; n < 100; ++n) {
      const Handle<Node> key = New(inner);
      map->Set(mutator_, key, value);
      if (n % 2 == 0) map->Erase(key);
    }
    Collect();
  }
  Collect();
  EXPECT_LT(heap_->memory().in_use, size_t{1} << 20);
}

// ---- while objects are marked ----

TEST_F(WeakMapTest, ThatGrowsDuringAMarkLosesNothing) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  const auto keys = scope.NewArray<Member<Node>>(100);
  {
    HandleScope inner(mutator_);
    for (int i = 0; i < 50; ++i) (*keys)[i] = Add(inner, map, i);
    Add(inner, map, 999);
  }
  BeginMark();
  // The old table was not looked at yet.
  {
    HandleScope inner(mutator_);
    for (int i = 50; i < 100; ++i) (*keys)[i] = Add(inner, map, i);
  }
  FinishMark();
  EndCycle();
  EXPECT_EQ(map->size(), 100u) << "what died is not kept by growing";
  for (const auto& key : *keys) {
    HandleScope inner(mutator_);
    ASSERT_EQ(map->Get(inner, key).ToHandleChecked()->number,
              1000 + key->number);
  }
  Collect();
  EXPECT_EQ(map->size(), 100u);
  EXPECT_EQ(lifetimes_.alive(), 200);
}

TEST_F(WeakMapTest, ThatIsBornMarkedIsClearedByALaterCycle) {
  HandleScope scope(mutator_);
  BeginMark();
  const Handle<Map> map = scope.New<Map>();
  MutableHandle<Node> key = scope.Mutable<Node>();
  {
    HandleScope inner(mutator_);
    key = Add(inner, map, 1);
    Add(inner, map, 2);
  }
  FinishMark();
  EndCycle();
  EXPECT_EQ(map->size(), 2u);
  Collect();
  EXPECT_EQ(map->size(), 1u);
  HandleScope inner(mutator_);
  EXPECT_EQ(map->Get(inner, key).ToHandleChecked()->number, 1001);
}

TEST_F(WeakMapTest, WhatIsErasedDuringAMarkIsNotLost) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  const Handle<Node> erased = Add(scope, map, 1);
  const Handle<Node> replaced = Add(scope, map, 2);
  const Handle<Node> cleared = Add(scope, map, 3);
  {
    // No handles of the values are open when the mark begins.
    HandleScope inner(mutator_);
    for (const Handle<Node>& key : {erased, replaced, cleared}) {
      map->Set(mutator_, key, New(inner, 1000 + key->number));
    }
  }
  BeginMark();
  const Handle<Node> black = New(scope);
  {
    HandleScope inner(mutator_);
    black->next = map->Get(inner, erased).ToHandleChecked();
    black->next->next = map->Get(inner, replaced).ToHandleChecked();
    black->next->next->next = map->Get(inner, cleared).ToHandleChecked();
  }
  map->Erase(erased);
  map->Set(mutator_, replaced, black);
  map->Clear();
  FinishMark();
  EndCycle();
  // Three keys, their first values, of which handles are open, the second ones,
  // and the black one.
  EXPECT_EQ(lifetimes_.alive(), 10);
  EXPECT_EQ(black->next->number, 1001);
  EXPECT_EQ(black->next->next->number, 1002);
  EXPECT_EQ(black->next->next->next->number, 1003);
}

TEST_F(WeakMapTest, KeysThatForEachShowsDuringAMarkLive) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  {
    HandleScope inner(mutator_);
    for (int i = 0; i < 10; ++i) Add(inner, map, i);
  }
  BeginMark();
  Mark();
  EXPECT_EQ(Keys(map).size(), 10u);
  FinishMark();
  EndCycle();
  EXPECT_EQ(Keys(map).size(), 10u);
  Collect();
  EXPECT_EQ(map->size(), 0u);
}

// ---- while references are cleared ----

TEST_F(WeakMapTest, TheDeadAreNotShownNorCopiedBeforeTheyAreCleared) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  const Handle<Node> kept = Add(scope, map, 1);
  {
    HandleScope inner(mutator_);
    for (int i = 2; i < 7; ++i) Add(inner, map, i);
  }
  BeginMark();
  FinishMark();
  EXPECT_EQ(Keys(map), std::multiset<int>({1}));
  EXPECT_EQ(map->size(), 6u) << "they were not cleared yet";
  // Grows, into a table that nobody clears.
  for (int i = 10; i < 20; ++i) Add(scope, map, i);
  EXPECT_EQ(map->size(), 11u);
  EndCycle();
  EXPECT_EQ(map->size(), 11u);
  EXPECT_EQ(Keys(map).size(), 11u);
  EXPECT_EQ(lifetimes_.alive(), 22);
  EXPECT_EQ(map->Get(scope, kept).ToHandleChecked()->number, 1001);
}

TEST_F(WeakMapTest, EntriesAreUsedAgainOnceTheyAreCleared) {
  HandleScope scope(mutator_);
  const Handle<Map> map = scope.New<Map>();
  {
    HandleScope inner(mutator_);
    for (int i = 0; i < 6; ++i) Add(inner, map, i);
  }
  BeginMark();
  FinishMark();
  ClearWeak();
  EXPECT_EQ(map->size(), 0u);
  const Handle<Node> key = Add(scope, map, 7);
  ClearWeak();
  EXPECT_EQ(map->size(), 1u);
  EndCycle();
  EXPECT_EQ(map->Get(scope, key).ToHandleChecked()->number, 1007);
}

}  // namespace
}  // namespace bibop
