// Right uses of scopes which a compiler's analysis could take for wrong ones:
// that this compiles without a warning is half of the test.

#include <memory>
#include <stdexcept>

#include "bibop/handles/escapable_handle_scope.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/no_gc_scope.h"
#include "bibop/handles/sealed_handle_scope.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
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

class RightUsesTest : public ::testing::Test {
 protected:
  std::unique_ptr<Heap> heap_ = Heap::Create({}).value();
  MutatorScope attached_{*heap_};
  Mutator& mutator_ = attached_;
};

// Clang: the typestate of a reference's referent is unknown.
Handle<Node> EscapeFrom(EscapableHandleScope& scope, int value) {
  return scope.Escape(scope.New<Node>(value));
}

Handle<Node> EscapeByFunction(Mutator& mutator) {
  EscapableHandleScope scope(mutator);
  return EscapeFrom(scope, 1);
}

Handle<Node> EscapeByLambda(Mutator& mutator) {
  EscapableHandleScope scope(mutator);
  const auto escape = [&scope] { return scope.Escape(scope.New<Node>(2)); };
  return escape();
}

Handle<Node> EscapeFromLoop(Mutator& mutator, int count) {
  EscapableHandleScope scope(mutator);
  for (int i = 0; i < count; ++i) {
    HandleScope inner(mutator);
    const Handle<Node> node = inner.New<Node>(i);
    if (node->value == 3) return scope.Escape(node);
  }
  return scope.Escape(scope.New<Node>(-1));
}

MaybeHandle<Node> EscapeOrNot(Mutator& mutator, int value) {
  EscapableHandleScope scope(mutator);
  if (value == 0) return {};
  const Handle<Node> node = scope.New<Node>(value);
  if (value == 1) return scope.Escape(node);
  try {
    if (value == 2) throw std::runtime_error("two");
    return scope.Escape(node);
  } catch (const std::runtime_error&) {
    return scope.Escape(scope.New<Node>(-2));
  }
}

TEST_F(RightUsesTest, EscapeInEveryPathOnce) {
  HandleScope scope(mutator_);
  EXPECT_EQ(EscapeByFunction(mutator_)->value, 1);
  EXPECT_EQ(EscapeByLambda(mutator_)->value, 2);
  EXPECT_EQ(EscapeFromLoop(mutator_, 10)->value, 3);
  EXPECT_EQ(EscapeFromLoop(mutator_, 2)->value, -1);
  EXPECT_TRUE(EscapeOrNot(mutator_, 0).IsEmpty());
  EXPECT_EQ(EscapeOrNot(mutator_, 1).ToHandleChecked()->value, 1);
  EXPECT_EQ(EscapeOrNot(mutator_, 2).ToHandleChecked()->value, -2);
  EXPECT_EQ(EscapeOrNot(mutator_, 3).ToHandleChecked()->value, 3);
}

// Clang saw no end of a seal whose destructor was trivial.
TEST_F(RightUsesTest, AScopeIsSealedInPartsOfALoop) {
  HandleScope scope(mutator_);
  int created = 0;
  for (int i = 0; i < 5; ++i) {
    {
      SealedHandleScope sealed(scope);
      if (i == 3) continue;
      HandleScope inner(mutator_);
      created += inner.New<Node>(1)->value;
    }
    created += scope.New<Node>(1)->value;
  }
  EXPECT_EQ(created, 8);
}

int Sum(Mutator& mutator, const Node* node) {
  NoGcScope no_gc(mutator);
  int sum = 0;
  for (; node != nullptr; node = node->next.get()) sum += node->value;
  return sum;
}

TEST_F(RightUsesTest, AStretchWithoutCollectionsEndsOnEveryPath) {
  HandleScope scope(mutator_);
  MutableHandle<Node> list = scope.Mutable<Node>();
  int sum = 0;
  for (int i = 0; i < 5; ++i) {
    {
      NoGcScope no_gc(mutator_);
      sum += Sum(mutator_, list.get());
      if (i == 1) continue;
      if (i == 4) break;
    }
    const Handle<Node> node = scope.New<Node>(1);
    node->next = list;
    list = node;
  }
  EXPECT_EQ(sum, 0 + 1 + 1 + 2 + 3);
  heap_->Collect();
  EXPECT_EQ(Sum(mutator_, list.get()), 3);
}

}  // namespace
}  // namespace bibop
