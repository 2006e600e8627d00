// AsyncHandleScopes with a heap: each object is held by the scope under test
// alone.

#include "bibop/async/async_handle_scope.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/hash/hash_testing.h"
#include "absl/log/scoped_mock_log.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "bibop/async/async_handle.h"
#include "bibop/async/async_handle_guard.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/no_gc_scope.h"
#include "bibop/handles/persistent.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/mutator.h"
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

void OnAnotherThread(auto f) { std::thread(f).join(); }

class AsyncHandleScopeTest : public ::testing::TestWithParam<CollectionMode> {
 protected:
  // Adds an object that refers to another.
  AsyncHandle<Node> AddNode(Mutator& mutator, AsyncHandleScope& scope, int n) {
    HandleScope local(mutator);
    const Handle<Node> node = local.New<Node>(lifetimes_, n);
    node->next = local.New<Node>(lifetimes_, n + 1);
    return scope.Add(node);
  }
  static int NumberOfNext(Mutator& mutator, AsyncHandle<Node> node) {
    AsyncHandleGuard guard(mutator);
    return guard.Get(node)->next->number;
  }
  void CollectAndDestroy() {
    heap_->Collect();
    heap_->Collect();
  }

  Lifetimes lifetimes_;
  std::unique_ptr<Heap> heap_ = Heap::Create({.mode = GetParam()}).value();
};

INSTANTIATE_TEST_SUITE_P(Modes, AsyncHandleScopeTest,
                         ::testing::Values(CollectionMode::kStopTheWorld,
                                           CollectionMode::kIncremental,
                                           CollectionMode::kConcurrent),
                         [](const auto& info) {
                           switch (info.param) {
                             case CollectionMode::kStopTheWorld:
                               return "StopTheWorld";
                             case CollectionMode::kIncremental:
                               return "Incremental";
                             case CollectionMode::kConcurrent:
                               return "Concurrent";
                           }
                           return "";
                         });

TEST_P(AsyncHandleScopeTest, AScopeAloneKeepsItsObjectsAndThenLetsThemDie) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  std::optional<AsyncHandleScope> scope(std::in_place, *heap_);
  std::vector<AsyncHandle<Node>> nodes;
  for (int i = 0; i < 50; ++i) nodes.push_back(AddNode(mutator, *scope, i));
  EXPECT_EQ(scope->size(), 50u);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 100);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(NumberOfNext(mutator, nodes[static_cast<size_t>(i)]), i + 1);
  }
  AsyncHandleScope moved = *std::move(scope);
  scope.reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 100);
  EXPECT_EQ(NumberOfNext(mutator, nodes[0]), 1);
  moved = AsyncHandleScope(*heap_);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_P(AsyncHandleScopeTest, TheHeapCountsItsScopesHoweverLongTheyAre) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  EXPECT_EQ(heap_->CountAsyncScopes(), 0u);
  std::vector<AsyncHandleScope> scopes;
  for (int i = 0; i < 1000; ++i) {
    scopes.emplace_back(*heap_);
    for (int n = 0; n < i % 20; ++n) AddNode(mutator, scopes.back(), n);
  }
  EXPECT_EQ(heap_->CountAsyncScopes(), 1000u);
  // A thread that is not attached frees blocks in a way of its own.
  OnAnotherThread(
      [&scopes]() { scopes.erase(scopes.begin() + 400, scopes.end()); });
  EXPECT_EQ(heap_->CountAsyncScopes(), 400u);
  scopes.clear();
  EXPECT_EQ(heap_->CountAsyncScopes(), 0u);
}

TEST_P(AsyncHandleScopeTest, ScopesAreCountedWhileOthersComeAndGo) {
  std::vector<AsyncHandleScope> kept;
  for (int i = 0; i < 100; ++i) kept.emplace_back(*heap_);
  std::thread attached([this] {
    MutatorScope mutator(*heap_);
    for (int i = 0; i < 500; ++i) {
      AsyncHandleScope scope(*heap_);
      for (int n = 0; n < i % 20; ++n) AddNode(mutator, scope, n);
    }
  });
  std::thread unattached([this] {
    for (int i = 0; i < 500; ++i) AsyncHandleScope scope(*heap_);
  });
  for (int i = 0; i < 100; ++i) {
    EXPECT_GE(heap_->CountAsyncScopes(), 100u);
    // A block that is being added to a chain may count as well.
    EXPECT_LE(heap_->CountAsyncScopes(), 110u);
  }
  attached.join();
  unattached.join();
  EXPECT_EQ(heap_->CountAsyncScopes(), 100u);
}

TEST_P(AsyncHandleScopeTest, WhatAGuardRootsLivesAsLongAsTheGuard) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  std::optional<AsyncHandleScope> scope(std::in_place, *heap_);
  const AsyncHandle<Node> node = AddNode(mutator, *scope, 1);
  {
    AsyncHandleGuard guard(mutator);
    const Handle<Node> checked = guard.Get(node);
    const Handle<Node> unchecked = guard.GetUnchecked(node);
    const Handle<Node> made = guard.New<Node>(lifetimes_, 7);
    scope.reset();
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), 3);
    EXPECT_EQ(checked->next->number, 2);
    EXPECT_TRUE(unchecked == checked);
    EXPECT_EQ(made->number, 7);
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_P(AsyncHandleScopeTest, AnObjectGoesFromScopeToScopeAndToAPersistent) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  std::optional<AsyncHandleScope> first(std::in_place, *heap_);
  std::optional<AsyncHandleScope> second(std::in_place, *heap_);
  const AsyncHandle<Node> in_first = AddNode(mutator, *first, 1);
  const AsyncHandle<Node> in_second = first->WithGuard(
      mutator,
      [&](AsyncHandleGuard& guard) { return second->Add(guard, in_first); });
  EXPECT_FALSE(in_first == in_second);
  first.reset();
  CollectAndDestroy();
  EXPECT_EQ(NumberOfNext(mutator, in_second), 2);
  Persistent<Node> persistent = second->WithGuard(
      mutator,
      [&](AsyncHandleGuard& guard) { return guard.ToPersistent(in_second); });
  second.reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 2);
  EXPECT_EQ(persistent->next->number, 2);
  persistent.Reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_P(AsyncHandleScopeTest, NewRootsWhatItMakesInTheScopeAlone) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  std::optional<AsyncHandleScope> scope(std::in_place, *heap_);
  const AsyncHandle<Node> node = scope->New<Node>(mutator, lifetimes_, 5);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 1);
  AsyncHandleScope::WithGuard(mutator, [&](AsyncHandleGuard& guard) {
    EXPECT_EQ(guard.Get(node)->number, 5);
  });
  scope.reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

struct Front {
  int64_t front = 11;
};
struct Compound : Front, Node {
  Compound(Lifetimes& lifetimes, int n) : Node(lifetimes, n) {}
  int64_t back = 12;
};

TEST_P(AsyncHandleScopeTest, AHandleOfABaseKeepsTheWholeObject) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  std::optional<AsyncHandleScope> scope(std::in_place, *heap_);
  const AsyncHandle<Compound> compound =
      scope->New<Compound>(mutator, lifetimes_, 1);
  const AsyncHandle<Node> node = compound;
  const AsyncHandle<const Node> read_only = node;
  AsyncHandle<Front> front;
  EXPECT_TRUE(front.IsEmpty());
  front = compound;
  // Added as a base, which is not at the start of the object.
  AsyncHandle<Node> added;
  {
    HandleScope local(mutator);
    const Handle<Node> base = local.New<Compound>(lifetimes_, 2);
    added = scope->Add(base);
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 2);
  {
    AsyncHandleGuard guard(mutator);
    const Handle<Compound> whole = guard.Get(compound);
    EXPECT_EQ(guard.Get(node).get(), static_cast<Node*>(whole.get()));
    EXPECT_EQ(guard.Get(read_only).get(), static_cast<Node*>(whole.get()));
    EXPECT_EQ(guard.Get(front)->front, 11);
    EXPECT_EQ(guard.GetUnchecked(node)->number, 1);
    EXPECT_EQ(static_cast<Compound*>(guard.Get(added).get())->back, 12);
  }
  EXPECT_TRUE(node == compound) << "it is the same slot";
  EXPECT_FALSE(added == node);
  scope.reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

struct Virtual : virtual Front {};
struct Unrelated {};
static_assert(std::is_convertible_v<AsyncHandle<Compound>, AsyncHandle<Front>>);
static_assert(
    std::is_convertible_v<AsyncHandle<Node>, AsyncHandle<const Node>>);
static_assert(
    !std::is_convertible_v<AsyncHandle<const Node>, AsyncHandle<Node>>);
static_assert(!std::is_convertible_v<AsyncHandle<Node>, AsyncHandle<Compound>>);
static_assert(!std::is_convertible_v<AsyncHandle<Virtual>, AsyncHandle<Front>>);
static_assert(
    !std::is_convertible_v<AsyncHandle<Node>, AsyncHandle<Unrelated>>);

TEST_P(AsyncHandleScopeTest, HandlesAreComparedAndHashed) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  AsyncHandleScope scope(*heap_);
  AsyncHandleScope other(*heap_);
  const AsyncHandle<Node> one = AddNode(mutator, scope, 1);
  const AsyncHandle<Node> two = AddNode(mutator, scope, 2);
  const AsyncHandle<Node> copy = one;
  EXPECT_TRUE(absl::VerifyTypeImplementsAbslHashCorrectly(
      {AsyncHandle<Node>(), one, two, copy, AddNode(mutator, other, 3)}));
  EXPECT_TRUE(copy == one);
  EXPECT_EQ(one.scope_number(), scope.number());
  EXPECT_NE(one.scope_number(), other.number());
  EXPECT_EQ(AsyncHandle<Node>().scope_number(), 0u);
}

// ---- threads ----

TEST_P(AsyncHandleScopeTest, AScopeOutlivesTheThreadThatMadeIt) {
  std::optional<AsyncHandleScope> scope;
  AsyncHandle<Node> node;
  OnAnotherThread([&] { scope.emplace(*heap_); });  // it is not attached
  OnAnotherThread([&] {
    MutatorScope mutator(*heap_);
    node = AddNode(mutator, *scope, 1);
  });
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 2);
  OnAnotherThread([&] {
    MutatorScope mutator(*heap_);
    EXPECT_EQ(NumberOfNext(mutator, node), 2);
  });
  OnAnotherThread([&] { scope.reset(); });
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_P(AsyncHandleScopeTest, AParkedThreadMakesAndDestroysScopes) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  std::optional<AsyncHandleScope> scope;
  std::optional<AsyncHandleScope> other(std::in_place, *heap_);
  AddNode(mutator, *other, 1);
  {
    const ParkedScope parked(mutator);
    scope.emplace(*heap_);
    other.reset();
    heap_->Collect();
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
  const AsyncHandle<Node> node = AddNode(mutator, *scope, 1);
  CollectAndDestroy();
  EXPECT_EQ(NumberOfNext(mutator, node), 2);
}

TEST_P(AsyncHandleScopeTest, AGuardMakesAParkedThreadRunAndParksItAgain) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  AsyncHandleScope scope(*heap_);
  const AsyncHandle<Node> node = AddNode(mutator, scope, 1);
  const ParkedScope parked(mutator);
  {
    AsyncHandleGuard guard(mutator);
    EXPECT_FALSE(mutator.parked());
    EXPECT_EQ(guard.Get(node)->number, 1);
    {
      const ParkedScope parked_again(guard.mutator());
      heap_->Collect();
      AsyncHandleGuard inner(mutator);
      EXPECT_EQ(inner.Get(node)->number, 1);
    }
    EXPECT_FALSE(mutator.parked());
    guard.New<Node>(lifetimes_, 2);
  }
  EXPECT_TRUE(mutator.parked());
  // Nobody waits for this thread.
  OnAnotherThread([this] { heap_->Collect(); });
  for (int i = 0; i < 100; ++i) {
    OnAnotherThread([this] { heap_->Collect(); });
    AsyncHandleGuard guard(mutator);
    EXPECT_EQ(guard.Get(node)->next->number, 2);
  }
}

TEST_P(AsyncHandleScopeTest, AGuardOnARunningThreadLeavesItRunning) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  HandleScope outer(mutator);
  const Handle<Node> before = outer.New<Node>(lifetimes_, 1);
  {
    AsyncHandleGuard guard(mutator);
    AsyncHandleGuard inner(mutator);
    EXPECT_FALSE(mutator.parked());
  }
  EXPECT_FALSE(mutator.parked());
  heap_->Collect();
  EXPECT_EQ(before->number, 1);
}

TEST_P(AsyncHandleScopeTest, AThreadMayBeAttachedToSeveralHeaps) {
  auto other = Heap::Create({.mode = GetParam()}).value();
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  MutatorScope attached_to_other(*other);
  Mutator& mutator_of_other = attached_to_other;
  const ParkedScope parked(mutator);
  const ParkedScope parked_in_other(mutator_of_other);
  AsyncHandleScope scope(*heap_);
  AsyncHandleScope scope_of_other(*other);
  AsyncHandle<Node> node;
  AsyncHandle<Node> node_of_other;
  {
    const AsyncHandleGuard guard(mutator);
    node = AddNode(mutator, scope, 1);
  }
  {
    const AsyncHandleGuard guard(mutator_of_other);
    node_of_other = AddNode(mutator_of_other, scope_of_other, 3);
  }
  CollectAndDestroy();
  other->Collect();
  EXPECT_EQ(NumberOfNext(mutator, node), 2);
  EXPECT_EQ(NumberOfNext(mutator_of_other, node_of_other), 4);
}

// ---- the end of the heap ----

TEST_P(AsyncHandleScopeTest, AScopeMayOutliveItsHeap) {
  absl::ScopedMockLog log(absl::MockLogDefault::kDisallowUnexpected);
  EXPECT_CALL(log,
              Log(absl::LogSeverity::kWarning, _,
                  AllOf(HasSubstr("before 2 AsyncHandleScopes,"),
                        HasSubstr("\n  1 made at async/async_handle_scope_t"))))
      .Times(kCheckedHandles ? 1 : 0);
  log.StartCapturingLogs();
  AsyncHandleScope scope(*heap_);
  std::optional<AsyncHandleScope> other = AsyncHandleScope(*heap_);
  {
    MutatorScope mutator(*heap_);
    AddNode(mutator, scope, 1);
    AddNode(mutator, *other, 1);
  }
  heap_.reset();
  EXPECT_EQ(lifetimes_.alive(), 0);
  OnAnotherThread([&] { other.reset(); });
  const AsyncHandleScope moved = std::move(scope);
  EXPECT_EQ(moved.size(), 1u);
}

// ---- misuse ----

using AsyncHandleScopeDeathTest = AsyncHandleScopeTest;
INSTANTIATE_TEST_SUITE_P(Concurrent, AsyncHandleScopeDeathTest,
                         ::testing::Values(CollectionMode::kConcurrent));

TEST_P(AsyncHandleScopeDeathTest, AStaleHandleAbortsInEveryBuild) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  std::optional<AsyncHandleScope> scope = AsyncHandleScope(*heap_);
  const AsyncHandle<Node> node = AddNode(mutator, *scope, 1);
  const std::string message =
      absl::StrCat("AsyncHandleScope, number ", scope->number(),
                   kCheckedHandles ? " .made at .*async_handle_scope_test" : "",
                   ".*, was destroyed");
  scope.reset();
  EXPECT_DEATH(NumberOfNext(mutator, node), message);
  // Its block is in use again.
  AsyncHandleScope next(*heap_);
  AddNode(mutator, next, 2);
  EXPECT_DEATH(NumberOfNext(mutator, node), message);
  AsyncHandleGuard guard(mutator);
  EXPECT_DEATH(
      { const Persistent<Node> p = guard.ToPersistent(node); }, message);
  EXPECT_DEATH(next.Add(guard, node), message);
  EXPECT_DEATH(guard.Get(AsyncHandle<Node>()), "an empty AsyncHandle");
}

TEST_P(AsyncHandleScopeDeathTest, AMovedScopeIsNotAddedTo) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  AsyncHandleScope scope(*heap_);
  const AsyncHandleScope moved = std::move(scope);
  // NOLINTNEXTLINE(bugprone-use-after-move): it is tested
  EXPECT_DEATH(AddNode(mutator, scope, 1), "AsyncHandleScope that was moved");
}

TEST_P(AsyncHandleScopeDeathTest, AGuardBelongsToItsThread) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  EXPECT_DEATH(OnAnotherThread([&] { const AsyncHandleGuard guard(mutator); }),
               "begins or ends on another thread than its mutator's");
  // As a coroutine does that resumes elsewhere.
  EXPECT_DEATH(
      {
        alignas(AsyncHandleGuard) std::byte frame[sizeof(AsyncHandleGuard)];
        auto* guard =
            ::new (static_cast<void*>(frame)) AsyncHandleGuard(mutator);
        OnAnotherThread([guard] { guard->~AsyncHandleGuard(); });
      },
      "begins or ends on another thread than its mutator's");
}

TEST_P(AsyncHandleScopeDeathTest, AGuardDoesNotParkInANoGcScope) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  EXPECT_DEATH(
      {
        const ParkedScope parked(mutator);
        std::optional<AsyncHandleGuard> guard(mutator);
        std::optional<NoGcScope> no_gc(mutator);
        guard.reset();
      },
      "NoGcScope");
}

TEST_P(AsyncHandleScopeDeathTest, CheckedBuildsTellOfTheMutatorOfAnotherHeap) {
  if (!kCheckedHandles) GTEST_SKIP() << "for checked builds";
  auto other = Heap::Create({}).value();
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  MutatorScope mutator_of_other(*other);
  AsyncHandleScope scope(*heap_);
  const AsyncHandle<Node> node = AddNode(mutator, scope, 1);
  EXPECT_DEATH(NumberOfNext(mutator_of_other, node),
               "with the mutator of another heap");
}

TEST_P(AsyncHandleScopeDeathTest, CheckedBuildsTellOfAGuardInACoroutinesFrame) {
  if (!kCheckedHandles) GTEST_SKIP() << "for checked builds";
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  // Where a frame lies.
  EXPECT_DEATH(std::make_unique<std::optional<AsyncHandleGuard>>(mutator),
               "not on the stack");
}

struct Owner {
  Owner(Mutator& mutator, Lifetimes& lifetimes) : scope(mutator.heap()) {
    scope.New<Node>(mutator, lifetimes, 1);
  }
  AsyncHandleScope scope;
};

TEST_P(AsyncHandleScopeDeathTest, CheckedBuildsTellOfAScopeInItsOwnHeap) {
  if (!kCheckedHandles) GTEST_SKIP() << "for checked builds";
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  HandleScope scope(mutator);
  EXPECT_DEATH(scope.New<Owner>(mutator, lifetimes_),
               "keeps cycles alive for ever: use a Member");
}

}  // namespace
}  // namespace bibop
