// What checked builds abort on: uses of handles and scopes that the compiler
// cannot see to be wrong. Each message names the fault and the scope.

#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/branded_handle_scope.h"
#include "bibop/handles/escapable_handle_scope.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_cast.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/no_gc_scope.h"
#include "bibop/handles/sealed_handle_scope.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/mutator.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

struct Node {
  explicit Node(int v) : value(v) {}
  void Trace(auto& visitor) const { visitor(next); }
  int value;
  Member<Node> next;
};

// A scope in which clang's analysis of threads does not see one, and so no
// misuse.
template <class Scope>
using Hidden = std::optional<Scope>;

// An object of static storage that may hold a handle.
std::optional<Handle<Node>> global;

class HandleChecksTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kCheckedHandles) GTEST_SKIP() << "an unchecked build";
  }

  std::unique_ptr<Heap> heap_ =
      Heap::Create({.max_handles_per_scope = 1000}).value();
  MutatorScope attached_{*heap_};
  Mutator& mutator_ = attached_;
};

// A handle of a scope that has closed.
ABSL_ATTRIBUTE_NOINLINE Handle<Node> Dangling(Mutator& mutator) {
  HandleScope scope(mutator);
  const Handle<Node> node = scope.New<Node>(1);
  return node;
}

MaybeHandle<Node> MaybeDangling(Mutator& mutator) { return Dangling(mutator); }

TEST_F(HandleChecksTest, AUseAfterTheScopeNamesWhereItOpenedAndClosed) {
  HandleScope scope(mutator_);
  EXPECT_DEATH(static_cast<void>(Dangling(mutator_)->value),
               "a handle was used after its scope. The scope was opened at "
               ".*handle_checks_test.cc:[0-9]+ in .*Dangling.*, and closed in "
               ".*Dangling");
  EXPECT_DEATH(static_cast<void>(scope.New<Node>(1)->next = Dangling(mutator_)),
               "a handle was used after its scope");
  EXPECT_DEATH(
      static_cast<void>(MaybeDangling(mutator_).ToHandleChecked()->value),
      "a handle was used after its scope");
  EXPECT_DEATH(static_cast<void>(Dangling(mutator_) == Dangling(mutator_)),
               "a handle was used after its scope");
}

struct Forgetful {
  Member<Node> forgotten;
  void Trace(auto& /*visitor*/) const {}
};

TEST_F(HandleChecksTest, FollowingAMemberToACollectedObjectAborts) {
  HandleScope scope(mutator_);
  const Handle<Forgetful> object = scope.New<Forgetful>();
  {
    HandleScope inner(mutator_);
    object->forgotten = inner.New<Node>(1);
  }
  EXPECT_EQ(object->forgotten->value, 1);
  heap_->Collect();
  heap_->Collect();
  EXPECT_DEATH(static_cast<void>(object->forgotten->value),
               "a Member refers to an object that was collected: a Trace does "
               "not visit the Member");
}

TEST_F(HandleChecksTest, WhereAScopeClosedLongAgoIsNotKnown) {
  HandleScope outer(mutator_);
  EXPECT_DEATH(
      {
        const Handle<Node> node = Dangling(mutator_);
        for (int i = 0; i < 5000; ++i) HandleScope scope(mutator_);
        static_cast<void>(node->value);
      },
      "opened at .*handle_checks_test.cc:[0-9]+ in .*Dangling.*, and closed "
      "more than 4096 scopes ago");
}

TEST_F(HandleChecksTest, AHandleOutlivesNoInnerBlock) {
  HandleScope scope(mutator_);
  EXPECT_DEATH(
      {
        Handle<Node> node = scope.New<Node>(1);
        {
          HandleScope inner(mutator_);
          node = inner.New<Node>(2);
        }
        static_cast<void>(node->value);
      },
      "a handle was used after its scope");
}

TEST_F(HandleChecksTest, AMutableHandleDiesWithItsScope) {
  EXPECT_DEATH(
      {
        std::optional<HandleScope> scope;
        scope.emplace(mutator_);
        MutableHandle<Node> node = scope->Mutable(scope->New<Node>(1));
        scope.reset();
        static_cast<void>(node->value);
      },
      "a handle was used after its scope");
}

TEST_F(HandleChecksTest, AHandleBelongsToItsThread) {
  HandleScope scope(mutator_);
  EXPECT_DEATH(
      {
        const Handle<Node> node = scope.New<Node>(1);
        std::thread([&node] { static_cast<void>(node->value); }).join();
      },
      "a handle was used by another thread than the one that it belongs to, "
      "or after that one had left the heap. Its scope was opened at "
      ".*handle_checks_test.cc");
}

TEST_F(HandleChecksTest, AScopeBelongsToItsThread) {
  HandleScope scope(mutator_);
  EXPECT_DEATH(std::thread([&scope] { scope.New<Node>(1); }).join(),
               "a HandleScope was used by another thread");
  EXPECT_DEATH(
      std::thread([this] { HandleScope stranger(mutator_); }).join(),
      "a HandleScope was opened by another thread than its mutator's, at "
      ".*handle_checks_test.cc");
}

TEST_F(HandleChecksTest, AHandleDiesWithItsThreadsAttachment) {
  EXPECT_DEATH(
      {
        auto heap = Heap::Create({}).value();
        auto mutator = heap->Attach().value();
        const Handle<Node> node = Dangling(*mutator);
        mutator.reset();
        static_cast<void>(node->value);
      },
      "a handle was used after its thread had left the heap");
}

TEST_F(HandleChecksTest, AHandleIsNotTakenForOneOfALaterAttachment) {
  EXPECT_DEATH(
      {
        auto heap = Heap::Create({}).value();
        auto mutator = heap->Attach().value();
        const Handle<Node> node = Dangling(*mutator);
        mutator.reset();
        mutator = heap->Attach().value();
        HandleScope scope(*mutator);
        scope.New<Node>(2);
        static_cast<void>(node->value);
      },
      "a handle was used after its scope");
}

TEST_F(HandleChecksTest, AParkedThreadUsesNoHandle) {
  HandleScope scope(mutator_);
  const Handle<Node> node = scope.New<Node>(1);
  MutableHandle<Node> at = scope.Mutable(node);
  EXPECT_DEATH(
      {
        ParkedScope parked(mutator_);
        static_cast<void>(node->value);
      },
      "a handle was used by a parked thread.*opened at "
      ".*handle_checks_test.cc");
  EXPECT_DEATH(
      {
        ParkedScope parked(mutator_);
        static_cast<void>(at->value);
      },
      "a handle was used by a parked thread");
  EXPECT_DEATH(
      {
        ParkedScope parked(mutator_);
        static_cast<void>(scope.Mutable<Node>());
      },
      "a HandleScope was used by a parked thread");
  EXPECT_DEATH(
      {
        ParkedScope parked(mutator_);
        HandleScope inner(mutator_);
      },
      "a HandleScope was opened by a parked thread");
  {
    ParkedScope parked(mutator_);
  }
  EXPECT_EQ(node->value, 1) << "unparked, it may";
}

TEST_F(HandleChecksTest, AParkedThreadClosesNoScopeAndOpensNone) {
  HandleScope outer(mutator_);
  EXPECT_DEATH(
      {
        std::optional<HandleScope> scope(std::in_place, mutator_);
        ParkedScope parked(mutator_);
        scope.reset();
      },
      "a HandleScope was used by a parked thread");
  EXPECT_DEATH(
      {
        ParkedScope parked(mutator_);
        NoGcScope no_gc(mutator_);
      },
      "a NoGcScope was opened by a parked thread");
  EXPECT_DEATH(
      {
        ParkedScope parked(mutator_);
        SealedHandleScope sealed(mutator_);
      },
      "a SealedHandleScope was opened by a parked thread");
}

TEST_F(HandleChecksTest, SealsAndNoGcScopesBelongToTheMutatorsThread) {
  HandleScope outer(mutator_);
  EXPECT_DEATH(std::thread([this] { NoGcScope no_gc(mutator_); }).join(),
               "a NoGcScope was opened by another thread than its mutator's");
  EXPECT_DEATH(
      std::thread([this] { SealedHandleScope sealed(mutator_); }).join(),
      "a SealedHandleScope was opened by another thread than its mutator's");
}

ABSL_ATTRIBUTE_NOINLINE Handle<Node> Escaped(Mutator& mutator) {
  HandleScope scope(mutator);
  EscapableHandleScope inner(mutator);
  const Handle<Node> node = inner.New<Node>(1);
  return node;
}

TEST_F(HandleChecksTest, WhereAnEscapableScopeClosedIsNamed) {
  EXPECT_DEATH(static_cast<void>(Escaped(mutator_)->value),
               "and closed in [^~]*Escaped");
}

TEST_F(HandleChecksTest, ABrandedHandleInALambdaDiesWithItsScope) {
  EXPECT_DEATH(
      static_cast<void>(WithHandleScope(mutator_,
                                        [](auto& scope) {
                                          const auto node =
                                              scope.template New<Node>(1);
                                          return [node] { return node->value; };
                                        })()),
      "a handle was used after its scope");
}

TEST_F(HandleChecksTest, AHandleIsOnTheStack) {
  HandleScope scope(mutator_);
  const Handle<Node> node = scope.New<Node>(1);
  EXPECT_DEATH(std::vector<Handle<Node>>({node}),
               "a handle is kept at .*, which is not on the stack.*"
               "opened at .*handle_checks_test.cc");
  EXPECT_DEATH(global = node, "which is not on the stack");
  EXPECT_DEATH(std::make_unique<Handle<Node>>(node),
               "which is not on the stack");
  using Pair = std::pair<int, MaybeHandle<Node>>;
  EXPECT_DEATH(std::make_shared<Pair>(1, node), "which is not on the stack");
  // A std::function has no room for handles in checked builds.
  const auto closure = [node, s = std::string()] { return node->value; };
  EXPECT_DEATH(std::function<int()>{closure}, "which is not on the stack");
  EXPECT_DEATH(std::thread([node] { static_cast<void>(node->value); }).join(),
               "which is not on the stack");
}

TEST_F(HandleChecksTest, AScopeIsOnTheStack) {
  EXPECT_DEATH(
      {
        auto scope = std::make_unique<std::optional<HandleScope>>();
        scope->emplace(mutator_);
      },
      "a HandleScope was opened that is not on the stack");
}

// A coroutine that runs as far as its first suspension.
struct Task {
  struct promise_type {
    Task get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_never initial_suspend() { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  std::coroutine_handle<promise_type> coroutine;
};

Task KeepsAScope(Mutator& mutator) {
  HandleScope scope(mutator);
  co_await std::suspend_always();
  scope.New<Node>(1);
}

TEST_F(HandleChecksTest, AScopeIsInNoCoroutinesFrame) {
  EXPECT_DEATH(KeepsAScope(mutator_),
               "a HandleScope was opened that is not on the stack of this "
               "thread, but in a coroutine");
}

TEST_F(HandleChecksTest, OnlyWhatIsAliveEscapes) {
  HandleScope outer(mutator_);
  EXPECT_DEATH(
      {
        EscapableHandleScope scope(mutator_);
        scope.Escape(Dangling(mutator_));
      },
      "a handle was used after its scope");
}

TEST_F(HandleChecksTest, WhatEscapedDiesWithTheParent) {
  HandleScope outer(mutator_);
  EXPECT_DEATH(
      {
        std::optional<Handle<Node>> escaped;
        {
          HandleScope parent(mutator_);
          {
            EscapableHandleScope scope(mutator_);
            escaped = scope.Escape(scope.New<Node>(1));
          }
          if ((*escaped)->value != 1) std::exit(0);
        }
        static_cast<void>((*escaped)->value);
      },
      "a handle was used after its scope");
}

TEST_F(HandleChecksTest, AHandleOfAMutableHandleDiesWhenThatIsAssignedTo) {
  HandleScope scope(mutator_);
  const Handle<Node> first = scope.New<Node>(1);
  const Handle<Node> second = scope.New<Node>(2);
  MutableHandle<Node> at = scope.Mutable(first);
  const Handle<Node> borrowed = at.ToHandleChecked();
  at = first;
  EXPECT_EQ(borrowed->value, 1);
  at = second;
  EXPECT_DEATH(static_cast<void>(borrowed->value),
               "a handle was used whose slot has been assigned to.*opened at "
               ".*handle_checks_test.cc");
}

TEST_F(HandleChecksTest, AScopeThatGrowsInALoopIsFound) {
  HandleScope scope(mutator_);
  const Handle<Node> node = scope.New<Node>(1);
  node->next = node;
  for (int i = 0; i < 10000; ++i) {
    HandleScope inner(mutator_);
    static_cast<void>(inner.Local(node->next));
  }
  EXPECT_DEATH(
      for (int i = 0; i < 1000; ++i) static_cast<void>(scope.Local(node)),
      "a HandleScope has 1001 handles, and HeapOptions::max_handles_per_scope "
      "is 1000. It was opened at .*handle_checks_test.cc");
}

TEST_F(HandleChecksTest, BothScopesAreNamedWhereAnOuterOneIsAsked) {
  HandleScope outer(mutator_);
  HandleScope inner(mutator_);
  EXPECT_DEATH(outer.New<Node>(1),
               "inside of which another one is open.*opened at "
               ".*handle_checks_test.cc.*, the inner one at "
               ".*handle_checks_test.cc");
  EXPECT_DEATH(static_cast<void>(Hidden<SealedHandleScope>(outer)),
               "inside of which another one is open");
}

TEST_F(HandleChecksTest,
       NothingIsAllocatedInANoGcScopeNotEvenWhereThereIsRoom) {
  HandleScope scope(mutator_);
  EXPECT_DEATH(
      {
        const Hidden<NoGcScope> no_gc(mutator_);
        HandleScope inner(mutator_);
        inner.New<Node>(1);
      },
      "in a NoGcScope");
}

TEST_F(HandleChecksTest, ACastHandleIsCheckedLikeItsSource) {
  HandleScope scope(mutator_);
  EXPECT_DEATH(
      static_cast<void>(static_handle_cast<Node>(Dangling(mutator_))->value),
      "a handle was used after its scope");
}

}  // namespace
}  // namespace bibop
