#include "bibop/marker/member.h"

#include <memory>
#include <type_traits>
#include <utility>

#include "bibop/base/build_config.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/mutator.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

struct Base {
  int number = 0;
};
struct Derived : Base {
  Member<Derived> self;
  Derived() : self(this) {}
  void Trace(auto& visitor) const { visitor(self); }
};

class MemberTest : public ::testing::Test {
 protected:
  std::unique_ptr<Heap> heap_ = Heap::Create({}).value();
  MutatorScope mutator_{*heap_};
};

TEST_F(MemberTest, IsNullUntilItIsAssigned) {
  HandleScope scope(mutator_);
  Member<Base> member;
  EXPECT_FALSE(member);
  EXPECT_TRUE(member == nullptr);
  EXPECT_EQ(member.get(), nullptr);
  const Handle<Base> handle = scope.New<Base>();
  member = handle;
  EXPECT_TRUE(member);
  EXPECT_TRUE(member == handle);
  member = nullptr;
  EXPECT_FALSE(member);
}

TEST_F(MemberTest, IsNotDereferencedWhereItIsNullInCheckedBuilds) {
  if (!kCheckedHandles) GTEST_SKIP() << "an unchecked build";
  const Member<Base> member;
  EXPECT_DEATH(static_cast<void>(*member), "a null Member is dereferenced");
}

TEST_F(MemberTest, TakesWhateverRefersToAnObject) {
  HandleScope scope(mutator_);
  const Handle<Derived> handle = scope.New<Derived>();
  MutableHandle<Derived> at = scope.Mutable(handle);
  Member<Base> from_handle = handle;
  Member<Base> from_mutable = at;
  Member<Base> from_member = handle->self;
  EXPECT_TRUE(from_handle == from_mutable);
  EXPECT_TRUE(from_member == handle);
  handle->number = 5;
  EXPECT_EQ(from_handle->number, 5);
  EXPECT_EQ((*from_handle).number, 5);
  at = nullptr;
  from_handle = at;
  EXPECT_FALSE(from_handle);
  static_assert(!std::is_assignable_v<Member<Derived>&, Handle<Base>>);
  static_assert(!std::is_assignable_v<Member<Base>&, std::shared_ptr<Base>>);
  static_assert(!std::is_convertible_v<Base*, Member<Base>>);
}

TEST_F(MemberTest, CopiesReferToTheSameObject) {
  HandleScope scope(mutator_);
  Member<Base> a = scope.New<Base>();
  const Member<Base> b = a;
  EXPECT_TRUE(a == b);
  a = scope.New<Base>();
  EXPECT_TRUE(a != b);
}

}  // namespace
}  // namespace bibop
