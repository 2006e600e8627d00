#include "bibop/handles/escapable_handle_scope.h"

#include <memory>

#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/local_handles.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

struct Number {
  explicit Number(int n) : number(n) {}
  int number;
};

class EscapableHandleScopeTest : public ::testing::Test {
 protected:
  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  TestMutator mutator_{*heap_};
};

Handle<Number> Make(MutatorBase& mutator, int n) {
  EscapableHandleScope scope(mutator);
  for (int i = 0; i < 1000; ++i) scope.New<Number>(-1);
  return scope.Escape(scope.New<Number>(n));
}

TEST_F(EscapableHandleScopeTest, TheEscapedIsARootOfTheParentTheRestIsNot) {
  HandleScope outer(mutator_);
  {
    HandleScope parent(mutator_);
    const Handle<Number> a = Make(mutator_, 1);
    const Handle<Number> b = Make(mutator_, 2);
    EXPECT_EQ(a->number, 1);
    EXPECT_EQ(b->number, 2);
    EXPECT_EQ(RootCollector(mutator_.handles()).roots,
              std::multiset<const void*>({a.get(), b.get()}));
  }
  EXPECT_TRUE(RootCollector(mutator_.handles()).roots.empty());
}

TEST_F(EscapableHandleScopeTest, ReservingTakesOneEmptySlotOfTheParent) {
  HandleScope parent(mutator_);
  {
    EscapableHandleScope scope(mutator_);
    scope.New<Number>(1);
  }
  EXPECT_EQ(mutator_.handles().size(), 1u);
  EXPECT_TRUE(RootCollector(mutator_.handles()).roots.empty());
}

// Where clang does not see whether there was one before.
Handle<Number> EscapeUnseen(EscapableHandleScope& scope,
                            Handle<Number> number) {
  return scope.Escape(number);
}

TEST_F(EscapableHandleScopeTest, ASecondEscapeIsTold) {
  HandleScope parent(mutator_);
  EscapableHandleScope scope(mutator_);
  const Handle<Number> number = EscapeUnseen(scope, scope.New<Number>(1));
  EXPECT_DEATH(EscapeUnseen(scope, number), "Escape was called twice");
}

TEST_F(EscapableHandleScopeTest, WithoutAParentThereIsNowhereToEscapeTo) {
  if (!LocalHandles::kCountsScopes) GTEST_SKIP() << "scopes are not counted";
  EXPECT_DEATH(EscapableHandleScope scope(mutator_), "needs a HandleScope");
}

}  // namespace
}  // namespace bibop
