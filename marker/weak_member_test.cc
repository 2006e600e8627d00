#include "bibop/marker/weak_member.h"

#include <array>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/object_reference.h"
#include "bibop/handles/persistent.h"
#include "bibop/marker/marking_fixture.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

struct Node {
  Node(Lifetimes& lifetimes, int n) : tracked(lifetimes), number(n) {}
  Tracked tracked;
  int number;
  Member<Node> strong;
  WeakMember<Node> weak;
  void Trace(auto& visitor) const { visitor(strong, weak); }
};
struct Other {
  int64_t other = 0;
};
struct Derived : Other, Node {
  using Node::Node;
  using Node::Trace;
};

static_assert(!ObjectReference<WeakMember<Node>>,
              "what it refers to may be dead: it has to be locked");
static_assert(!std::is_constructible_v<Member<Node>, WeakMember<Node>>);
static_assert(!std::is_convertible_v<Node*, WeakMember<Node>>);
static_assert(!std::is_assignable_v<WeakMember<Derived>&, Handle<Node>>);

class WeakMemberTest : public MarkingTest {
 protected:
  Handle<Node> New(HandleScope& scope, int n = 0) {
    return scope.New<Node>(lifetimes_, n);
  }
  // Has `from` refer weakly to a new object that nothing else refers to.
  void ReferToNew(Handle<Node> from, int n = 0) {
    HandleScope scope(mutator_);
    from->weak = New(scope, n);
  }
};

TEST_F(WeakMemberTest, RefersToWhatItWasGiven) {
  HandleScope scope(mutator_);
  const Handle<Derived> object = scope.New<Derived>(lifetimes_, 7);
  MutableHandle<Node> at = scope.Mutable<Node>();
  at = object;
  const Persistent<Node> persistent(mutator_, object);
  const Member<Node> member = object;
  WeakMember<Node> empty;
  EXPECT_TRUE(empty.IsEmpty());
  EXPECT_TRUE(empty.Lock(scope).IsEmpty());
  const WeakMember<Node> from_handle = object;
  const WeakMember<Node> from_mutable = at;
  const WeakMember<Node> from_persistent = persistent;
  const WeakMember<Node> from_member = member;
  const WeakMember<Node> copy = from_member;  // NOLINT: it is the test
  for (const auto* weak :
       {&from_handle, &from_mutable, &from_persistent, &from_member, &copy}) {
    EXPECT_FALSE(weak->IsEmpty());
    EXPECT_TRUE(weak->Lock(scope).ToHandleChecked() == object);
  }
  empty = at;
  EXPECT_EQ(empty.Lock(scope).ToHandleChecked()->number, 7);
  at = nullptr;
  empty = at;
  EXPECT_TRUE(empty.IsEmpty());
  empty = copy;
  EXPECT_FALSE(empty.IsEmpty());
  empty = nullptr;
  EXPECT_TRUE(empty.IsEmpty());
}

TEST_F(WeakMemberTest, KeepsNothingAliveAndIsEmptyOnceItsObjectIsDead) {
  HandleScope scope(mutator_);
  const Handle<Node> root = New(scope);
  ReferToNew(root);
  EXPECT_FALSE(root->weak.IsEmpty());
  EXPECT_EQ(lifetimes_.alive(), 2);
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_TRUE(root->weak.IsEmpty());
  EXPECT_TRUE(root->weak.Lock(scope).IsEmpty());
}

TEST_F(WeakMemberTest, GoesOnReferringToWhatSomethingElseKeepsAlive) {
  HandleScope scope(mutator_);
  const Handle<Node> root = New(scope);
  ReferToNew(root, 7);
  root->strong = root->weak.Lock(scope).ToHandleChecked();
  Collect();
  EXPECT_EQ(root->weak.Lock(scope).ToHandleChecked()->number, 7);
  root->weak.Lock(scope).ToHandleChecked()->weak = root;
  Collect();
  EXPECT_TRUE(root->strong->weak.Lock(scope).ToHandleChecked() == root);
}

TEST_F(WeakMemberTest, ACycleOfStrongAndWeakReferencesDies) {
  {
    HandleScope scope(mutator_);
    const Handle<Node> parent = New(scope);
    parent->strong = New(scope);
    parent->strong->weak = parent;
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(WeakMemberTest, LockKeepsTheObjectAsAHandleDoes) {
  HandleScope scope(mutator_);
  const Handle<Node> root = New(scope);
  ReferToNew(root, 7);
  {
    HandleScope inner(mutator_);
    const Handle<Node> locked = root->weak.Lock(inner).ToHandleChecked();
    Collect();
    EXPECT_EQ(locked->number, 7);
  }
  Collect();
  EXPECT_TRUE(root->weak.IsEmpty());
}

struct Group {
  std::array<WeakMember<Node>, 3> members;
  WeakMember<Node> matrix[2][2];
  void Trace(auto& visitor) const { visitor(members, matrix); }
};

TEST_F(WeakMemberTest, IsFoundInWhateverItIsPartOf) {
  HandleScope scope(mutator_);
  const Handle<Group> group = scope.New<Group>();
  const auto array = scope.NewArray<WeakMember<Node>>(1000);
  {
    HandleScope inner(mutator_);
    group->members[2] = New(inner);
    group->matrix[1][1] = New(inner);
    for (auto& weak : *array) weak = New(inner);
  }
  const Handle<Node> kept = (*array)[500].Lock(scope).ToHandleChecked();
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_TRUE(group->members[2].IsEmpty());
  EXPECT_TRUE(group->matrix[1][1].IsEmpty());
  for (size_t i = 0; i < array->size(); ++i) {
    ASSERT_EQ((*array)[i].IsEmpty(), i != 500);
  }
  EXPECT_TRUE((*array)[500].Lock(scope).ToHandleChecked() == kept);
}

TEST_F(WeakMemberTest, ThatPointsAtABaseIsClearedWithTheWholeObject) {
  HandleScope scope(mutator_);
  const Handle<Node> root = New(scope);
  {
    HandleScope inner(mutator_);
    root->weak = inner.New<Derived>(lifetimes_, 7);
    Collect();
    EXPECT_EQ(root->weak.Lock(inner).ToHandleChecked()->number, 7);
  }
  Collect();
  EXPECT_TRUE(root->weak.IsEmpty());
}

// ---- while objects are marked ----

TEST_F(WeakMemberTest, WhatIsLockedDuringAMarkIsMarked) {
  HandleScope scope(mutator_);
  const Handle<Node> root = New(scope);
  ReferToNew(root, 7);
  BeginMark();
  Mark();
  {
    HandleScope inner(mutator_);
    root->strong = root->weak.Lock(inner).ToHandleChecked();
  }
  FinishMark();
  EndCycle();
  EXPECT_EQ(root->strong->number, 7);
  EXPECT_FALSE(root->weak.IsEmpty());
}

TEST_F(WeakMemberTest, WhatIsCopiedDuringAMarkIsMarked) {
  HandleScope scope(mutator_);
  const Handle<Node> root = New(scope);
  ReferToNew(root, 7);
  BeginMark();
  Mark();
  // Born marked: its Trace will not be called.
  const Handle<Node> black = New(scope);
  black->weak = root->weak;
  FinishMark();
  EndCycle();
  EXPECT_EQ(black->weak.Lock(scope).ToHandleChecked()->number, 7);
}

TEST_F(WeakMemberTest, AskingIsEmptyDuringAMarkKeepsNothing) {
  HandleScope scope(mutator_);
  const Handle<Node> root = New(scope);
  ReferToNew(root);
  BeginMark();
  EXPECT_FALSE(root->weak.IsEmpty());
  FinishMark();
  EndCycle();
  EXPECT_TRUE(root->weak.IsEmpty());
}

TEST_F(WeakMemberTest, SetAfterItsObjectWasTracedItRefersToWhatLives) {
  HandleScope scope(mutator_);
  const Handle<Node> root = New(scope);
  const Handle<Node> before = New(scope);
  BeginMark();
  Mark();
  {
    HandleScope inner(mutator_);
    root->weak = New(inner, 7);
  }
  before->weak = root;
  FinishMark();
  EndCycle();
  EXPECT_EQ(root->weak.Lock(scope).ToHandleChecked()->number, 7)
      << "what was allocated during the mark lives until the next";
  EXPECT_TRUE(before->weak.Lock(scope).ToHandleChecked() == root);
  const Handle<Node> last = New(scope);
  Collect();
  EXPECT_EQ(root->weak.Lock(scope).IsEmpty(), false)
      << "a handle of it is open";
  static_cast<void>(last);
}

TEST_F(WeakMemberTest, InAnObjectThatIsBornMarkedItIsClearedByALaterCycle) {
  HandleScope scope(mutator_);
  const Handle<Node> root = New(scope);
  BeginMark();
  Mark();
  {
    HandleScope inner(mutator_);
    const Handle<Node> black = New(inner, 1);
    ReferToNew(black, 2);
    root->strong = black;
  }
  FinishMark();
  EndCycle();
  EXPECT_FALSE(root->strong->weak.IsEmpty());
  Collect();
  EXPECT_TRUE(root->strong->weak.IsEmpty());
  EXPECT_EQ(lifetimes_.alive(), 2);
}

// ---- while references are cleared ----

TEST_F(WeakMemberTest, ReadsOfTheDeadFindNothingBeforeTheyAreCleared) {
  HandleScope scope(mutator_);
  const Handle<Node> root = New(scope);
  const Handle<Node> other = New(scope);
  ReferToNew(root);
  BeginMark();
  FinishMark();
  EXPECT_TRUE(root->weak.Lock(scope).IsEmpty());
  other->weak = root->weak;
  EXPECT_TRUE(other->weak.IsEmpty());
  EXPECT_FALSE(root->weak.IsEmpty()) << "it was not cleared yet";
  EndCycle();
  EXPECT_TRUE(root->weak.IsEmpty());
  EXPECT_EQ(lifetimes_.alive(), 2);
}

TEST_F(WeakMemberTest, WhatIsStoredWhileReferencesAreClearedStays) {
  HandleScope scope(mutator_);
  const Handle<Node> root = New(scope, 7);
  ReferToNew(root);
  BeginMark();
  FinishMark();
  root->weak = root;
  EndCycle();
  EXPECT_EQ(root->weak.Lock(scope).ToHandleChecked()->number, 7);
}

TEST_F(WeakMemberTest, WhatIsAllocatedWhileReferencesAreClearedIsNotDead) {
  HandleScope scope(mutator_);
  const Handle<Node> root = New(scope);
  ReferToNew(root);
  BeginMark();
  FinishMark();
  ReferToNew(root, 7);
  ClearWeak();
  EXPECT_EQ(root->weak.Lock(scope).ToHandleChecked()->number, 7);
  EndCycle();
  EXPECT_EQ(root->weak.Lock(scope).ToHandleChecked()->number, 7);
}

}  // namespace
}  // namespace bibop
