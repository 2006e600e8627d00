#include "bibop/handles/branded_handle_scope.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <type_traits>

#include "absl/status/statusor.h"
#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

struct Base {
  explicit Base(int n) : number(n) {}
  int number;
};
struct Derived : Base {
  using Base::Base;
};

template <class Brand>
int Twice(BrandedHandle<Base, Brand> base) {
  return 2 * base->number;
}

int Thrice(Handle<Base> base) { return 3 * base->number; }

class BrandedHandleScopeTest : public ::testing::Test {
 protected:
  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  TestMutator mutator_{*heap_};
};

TEST_F(BrandedHandleScopeTest, ItsHandlesAreRootsUntilTheFunctionReturns) {
  const int number = WithHandleScope(mutator_, [this](auto& scope) {
    const auto one = scope.template New<Base>(1);
    const auto two = scope.template New<Base>(2);
    EXPECT_EQ(RootCollector(mutator_.handles()).roots,
              std::multiset<const void*>({one.get(), two.get()}));
    return one->number + two->number;
  });
  EXPECT_EQ(number, 3);
  EXPECT_TRUE(RootCollector(mutator_.handles()).roots.empty());
}

TEST_F(BrandedHandleScopeTest, ItMakesWhatAHandleScopeMakes) {
  HandleScope outer(mutator_);
  const Handle<Base> outside = outer.New<Base>(7);
  WithHandleScope(mutator_, [&outside](auto& scope) {
    EXPECT_EQ(scope.template TryNew<Base>(1).value()->number, 1);
    EXPECT_EQ(scope.template NewArray<int>(5)->size(), 5u);
    EXPECT_EQ(scope.template TryNewArray<int>(6).value()->size(), 6u);
    EXPECT_EQ((*scope.Local(outside))->number, 7);
    EXPECT_EQ(scope.Local(outside), outside);
  });
}

TEST_F(BrandedHandleScopeTest, AHandleIsOneOfABaseOfItsClass) {
  WithHandleScope(mutator_, []<class Brand>(BrandedHandleScope<Brand>& scope) {
    const BrandedHandle<Derived, Brand> derived =
        scope.template New<Derived>(4);
    const BrandedHandle<Base, Brand> base = derived;
    EXPECT_EQ(Twice(base), 8);
    EXPECT_EQ(base, derived);
  });
}

TEST_F(BrandedHandleScopeTest, FunctionsTakeThemWithAndWithoutTheBrand) {
  WithHandleScope(mutator_, [](auto& scope) {
    const auto base = scope.template New<Base>(4);
    EXPECT_EQ(Twice(base), 8);
    EXPECT_EQ(Thrice(base.ToHandle()), 12);
  });
}

TEST_F(BrandedHandleScopeTest, ScopesNest) {
  WithHandleScope(mutator_, [this](auto& outer) {
    const auto a = outer.template New<Base>(1);
    WithHandleScope(mutator_, [&a](auto& inner) {
      const auto b = inner.template New<Base>(2);
      using A = std::remove_cvref_t<decltype(a)>;
      static_assert(std::is_assignable_v<A&, decltype(a)>);
      static_assert(!std::is_assignable_v<A&, decltype(b)>);
      EXPECT_EQ(a->number + b->number, 3);
    });
  });
}

}  // namespace
}  // namespace bibop
