#include "bibop/handles/handle_cast.h"

#include <memory>
#include <type_traits>

#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

struct Shape {
  virtual ~Shape() = default;
};
struct Named {
  virtual ~Named() = default;
  int name = 5;
};
struct Circle final : Shape, Named {
  int radius = 3;
};
struct Square final : Shape {};
struct Plain {};
struct PlainDerived : Plain {
  int number = 1;
};

class HandleCastTest : public ::testing::Test {
 protected:
  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  TestMutator mutator_{*heap_};
};

TEST_F(HandleCastTest, StaticGoesDownWhereTheProgramKnows) {
  HandleScope scope(mutator_);
  const Handle<Plain> plain = scope.New<PlainDerived>();
  EXPECT_EQ(static_handle_cast<PlainDerived>(plain)->number, 1);
  const Handle<Circle> circle = scope.New<Circle>();
  const Handle<Named> named = circle;
  EXPECT_NE(static_cast<void*>(named.get()), static_cast<void*>(circle.get()));
  EXPECT_EQ(static_handle_cast<Circle>(named), circle);
}

TEST_F(HandleCastTest, DynamicGoesDownWhereTheObjectIsOne) {
  HandleScope scope(mutator_);
  const Handle<Shape> circle = scope.New<Circle>();
  const Handle<Shape> square = scope.New<Square>();
  EXPECT_EQ(dynamic_handle_cast<Circle>(circle).ToHandleChecked()->radius, 3);
  EXPECT_TRUE(dynamic_handle_cast<Circle>(square).IsEmpty());
}

TEST_F(HandleCastTest, DynamicGoesToASiblingBase) {
  HandleScope scope(mutator_);
  const Handle<Shape> circle = scope.New<Circle>();
  EXPECT_EQ(dynamic_handle_cast<Named>(circle).ToHandleChecked()->name, 5);
}

template <class To, class From>
concept Dynamic =
    requires(Handle<From> handle) { dynamic_handle_cast<To>(handle); };
template <class To, class From>
concept Static =
    requires(Handle<From> handle) { static_handle_cast<To>(handle); };
static_assert(Dynamic<Circle, Shape>);
static_assert(!Dynamic<PlainDerived, Plain>, "Plain has no virtual function");
static_assert(Static<Circle, Shape>);
static_assert(!Static<Plain, Shape>, "they are not related");

}  // namespace
}  // namespace bibop
