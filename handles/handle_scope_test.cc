#include "bibop/handles/handle_scope.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/hash/hash_testing.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

struct Base {
  explicit Base(int n) : number(n) {}
  int number;
};
struct Other {
  int64_t other = 0;
};
struct Derived : Other, Base {
  explicit Derived(int n) : Base(n) {}
};

class HandleScopeTest : public ::testing::Test {
 protected:
  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  TestMutator mutator_{*heap_};
};

TEST_F(HandleScopeTest, NewConstructsAnObjectAndRootsIt) {
  HandleScope scope(mutator_);
  const Handle<Base> handle = scope.New<Base>(7);
  EXPECT_EQ(handle->number, 7);
  EXPECT_EQ((*handle).number, 7);
  EXPECT_EQ(RootCollector(mutator_.handles()).roots,
            std::multiset<const void*>({handle.get()}));
}

TEST_F(HandleScopeTest, ClosingAScopeEndsItsRootsOnly) {
  HandleScope outer(mutator_);
  const Handle<Base> kept = outer.New<Base>(1);
  {
    HandleScope inner(mutator_);
    inner.New<Base>(2);
  }
  EXPECT_EQ(RootCollector(mutator_.handles()).roots,
            std::multiset<const void*>({kept.get()}));
}

struct SeesItsRoot {
  SeesItsRoot(MutatorBase& mutator, bool* rooted) {
    const RootCollector roots(mutator.handles());
    *rooted = roots.in_construction.contains(this) && roots.roots.empty();
  }
};

// I-4
TEST_F(HandleScopeTest, AnObjectIsRootedAsInConstructionBeforeItsConstructor) {
  HandleScope scope(mutator_);
  bool rooted = false;
  const Handle<SeesItsRoot> handle = scope.New<SeesItsRoot>(mutator_, &rooted);
  EXPECT_TRUE(rooted);
  const RootCollector roots(mutator_.handles());
  EXPECT_TRUE(roots.in_construction.empty());
  EXPECT_TRUE(roots.roots.contains(handle.get()));
}

struct Throws {
  explicit Throws(Lifetimes& lifetimes) : tracked(lifetimes) {
    throw std::runtime_error("refused");
  }
  Tracked tracked;
};

TEST_F(HandleScopeTest, AConstructorThatThrowsLeavesNothingBehind) {
  Lifetimes lifetimes;
  HandleScope scope(mutator_);
  EXPECT_THROW(scope.New<Throws>(lifetimes), std::runtime_error);
  EXPECT_THROW(scope.TryNew<Throws>(lifetimes).IgnoreError(),
               std::runtime_error);
  EXPECT_EQ(mutator_.handles().size(), 0u);
  EXPECT_EQ(lifetimes.dead(), 2);
  mutator_.allocator().Retire();
  EXPECT_EQ(heap_->allocated().objects, 0);
  heap_->ForEachObject([](ObjectRef) { FAIL() << "an object is left"; });
}

struct Large {
  std::byte bytes[100 * kBlockSize];
};

TEST_F(HandleScopeTest, WhatFindsNoRoomIsAStatusOfTryNewAndFatalForNew) {
  const std::unique_ptr<ObjectHeap> small =
      ObjectHeap::Create(size_t{1} << 20).value();
  TestMutator mutator(*small);
  HandleScope scope(mutator);
  EXPECT_EQ(scope.TryNew<Large>().status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(mutator.handles().size(), 0u);
  EXPECT_DEATH(scope.New<Large>(), "the heap is full");
}

TEST_F(HandleScopeTest, TryNewReturnsAHandle) {
  HandleScope scope(mutator_);
  const absl::StatusOr<Handle<Base>> handle = scope.TryNew<Base>(3);
  ASSERT_TRUE(handle.ok());
  EXPECT_EQ((*handle)->number, 3);
}

TEST_F(HandleScopeTest, AHandleConvertsToOneOfABase) {
  HandleScope scope(mutator_);
  const Handle<Derived> derived = scope.New<Derived>(5);
  const Handle<Base> base = derived;
  EXPECT_EQ(base->number, 5);
  EXPECT_TRUE(base == derived);
  const MaybeHandle<Base> maybe = derived;
  EXPECT_TRUE(maybe.ToHandleChecked() == base);
  static_assert(!std::is_convertible_v<Handle<Base>, Handle<Derived>>);
}

TEST_F(HandleScopeTest, HandlesCompareAndHashByObject) {
  HandleScope scope(mutator_);
  const Handle<Base> a = scope.New<Base>(1);
  const Handle<Base> b = scope.New<Base>(1);
  const Handle<Base> copy = a;
  EXPECT_TRUE(a == copy);
  EXPECT_TRUE(a != b);
  EXPECT_TRUE(absl::VerifyTypeImplementsAbslHashCorrectly({a, b, copy}));
}

TEST_F(HandleScopeTest, LocalRootsWhatAMutableHandleRefersTo) {
  HandleScope scope(mutator_);
  MutableHandle<Base> at = scope.Mutable<Base>();
  EXPECT_TRUE(scope.Local(at).IsEmpty());
  const Handle<Base> object = scope.New<Base>(1);
  at = object;
  const Handle<Base> local = scope.Local(at).ToHandleChecked();
  at = nullptr;
  EXPECT_TRUE(local == object);
  EXPECT_EQ(RootCollector(mutator_.handles()).roots.count(object.get()), 2u);
}

TEST_F(HandleScopeTest, AMutableHandleTakesOneSlotHoweverOftenItIsAssigned) {
  HandleScope scope(mutator_);
  MutableHandle<Base> at = scope.Mutable<Base>();
  EXPECT_FALSE(at);
  for (int i = 0; i < 1000; ++i) {
    HandleScope inner(mutator_);
    at = inner.New<Base>(i);
  }
  EXPECT_EQ(at->number, 999);
  EXPECT_EQ((*at).number, 999);
  EXPECT_EQ(mutator_.handles().size(), 1u);
  EXPECT_EQ(RootCollector(mutator_.handles()).roots,
            std::multiset<const void*>({at.get()}));
  MutableHandle<Base> other = scope.Mutable(at);
  EXPECT_TRUE(other == at);
  other = nullptr;
  at = other;
  EXPECT_FALSE(at);
}

TEST_F(HandleScopeTest, ANullMutableHandleIsNotDereferencedInCheckedBuilds) {
  if (!kCheckedHandles) GTEST_SKIP() << "an unchecked build";
  HandleScope scope(mutator_);
  MutableHandle<Base> at = scope.Mutable<Base>();
  EXPECT_DEATH(static_cast<void>(*at), "a null MutableHandle is dereferenced");
}

TEST_F(HandleScopeTest, AnEmptyMaybeHandleHasToBeAsked) {
  const MaybeHandle<Base> empty;
  EXPECT_TRUE(empty.IsEmpty());
  EXPECT_DEATH(empty.ToHandleChecked(), "ask IsEmpty first");
  HandleScope scope(mutator_);
  const MutableHandle<Base> null = scope.Mutable<Base>();
  EXPECT_DEATH(null.ToHandleChecked(), "null MutableHandle");
}

TEST_F(HandleScopeTest, AskingAScopeThatIsNotTheInnermostIsTold) {
  if (!kCheckedHandles) GTEST_SKIP() << "an unchecked build";
  HandleScope outer(mutator_);
  HandleScope inner(mutator_);
  EXPECT_DEATH(outer.New<Base>(1), "inside of which another one is open");
}

TEST_F(HandleScopeTest, ClosingScopesInAnotherOrderIsTold) {
  if (!kCheckedHandles) GTEST_SKIP() << "an unchecked build";
  EXPECT_DEATH(
      {
        std::optional<HandleScope> outer;
        outer.emplace(mutator_);
        HandleScope inner(mutator_);
        outer.reset();
      },
      "Scopes close in reverse order");
}

// What the compiler forbids. That it says so is for compile-fail tests.
template <class S>
concept NewOnTemporary =
    requires(S&& s) { std::forward<S>(s).template New<Base>(1); };
static_assert(NewOnTemporary<HandleScope&>);
static_assert(!NewOnTemporary<HandleScope>);
static_assert(!std::is_copy_constructible_v<HandleScope>);
static_assert(!std::is_move_constructible_v<HandleScope>);
static_assert(!std::is_copy_assignable_v<HandleScope>);
static_assert(!std::is_default_constructible_v<Handle<Base>>);
static_assert(!std::is_constructible_v<Handle<Base>, Base*>);
static_assert(!std::is_constructible_v<bool, Handle<Base>>);
static_assert(!std::is_copy_constructible_v<MutableHandle<Base>>);
static_assert(
    !std::is_assignable_v<MutableHandle<Base>&, std::shared_ptr<Base>>);

}  // namespace
}  // namespace bibop
