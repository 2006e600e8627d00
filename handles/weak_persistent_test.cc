#include "bibop/handles/weak_persistent.h"

#include <cstdint>
#include <memory>
#include <set>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "bibop/base/build_config.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/object_reference.h"
#include "bibop/handles/persistent.h"
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
struct Other {
  int64_t other = 0;
};
struct Derived : Other, Base {
  explicit Derived(int n) : Base(n) {}
};
struct VirtuallyDerived : virtual Base {
  explicit VirtuallyDerived(int n) : Base(n) {}
};

static_assert(sizeof(WeakPersistent<Base>) == sizeof(void*));
static_assert(std::is_nothrow_move_constructible_v<WeakPersistent<Base>>);
static_assert(std::is_nothrow_move_assignable_v<WeakPersistent<Base>>);
static_assert(!std::is_copy_constructible_v<WeakPersistent<Base>>);
static_assert(
    std::is_constructible_v<WeakPersistent<Base>, WeakPersistent<Derived>>);
static_assert(!std::is_constructible_v<WeakPersistent<Base>,
                                       WeakPersistent<VirtuallyDerived>>,
              "where the base is, only the object knows, and it may be dead");
static_assert(!ObjectReference<WeakPersistent<Base>>,
              "what it refers to may be dead: it has to be locked");
static_assert(!std::is_constructible_v<Persistent<Base>, WeakPersistent<Base>>);

class WeakPersistentTest : public ::testing::Test {
 protected:
  // As a collection that found nothing alive but `alive`.
  void FindDeadAllBut(const void* alive = nullptr) {
    roots_.slots->ClearDead(
        [alive](const void* object) { return object == alive; });
  }

  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  HeapRoots roots_;
  TestMutator mutator_{*heap_, roots_};
};

TEST_F(WeakPersistentTest, IsNoRootButLockMakesOne) {
  HandleScope scope(mutator_);
  WeakPersistent<Base> weak;
  const void* address = nullptr;
  {
    HandleScope inner(mutator_);
    const Handle<Base> object = inner.New<Base>(7);
    address = object.get();
    weak.Reset(mutator_, object);
  }
  EXPECT_TRUE(RootCollector(*roots_.slots).roots.empty());
  EXPECT_TRUE(RootCollector(mutator_.handles()).roots.empty());
  const Handle<Base> locked = weak.Lock(scope).ToHandleChecked();
  EXPECT_EQ(locked.get(), address);
  EXPECT_EQ(locked->number, 7);
  EXPECT_EQ(RootCollector(mutator_.handles()).roots,
            std::multiset<const void*>({address}));
}

TEST_F(WeakPersistentTest, IsEmptyOnceItsObjectWasFoundDead) {
  HandleScope scope(mutator_);
  const Handle<Base> one = scope.New<Base>(1);
  const Handle<Base> two = scope.New<Base>(2);
  const WeakPersistent<Base> weak_one(mutator_, one);
  const WeakPersistent weak_two(mutator_, two);
  EXPECT_FALSE(weak_one.IsEmpty());
  FindDeadAllBut(two.get());
  EXPECT_TRUE(weak_one.IsEmpty());
  EXPECT_TRUE(weak_one.Lock(scope).IsEmpty());
  EXPECT_FALSE(weak_two.IsEmpty());
  EXPECT_EQ(weak_two.Lock(scope).ToHandleChecked()->number, 2);
}

TEST_F(WeakPersistentTest, RefersToNothingByDefaultOrWhereItsSourceDoes) {
  HandleScope scope(mutator_);
  const WeakPersistent<Base> empty;
  const WeakPersistent<Base> of_null(mutator_, Persistent<Base>());
  EXPECT_TRUE(empty.IsEmpty());
  EXPECT_TRUE(empty.Lock(scope).IsEmpty());
  EXPECT_TRUE(of_null.IsEmpty());
  EXPECT_EQ(roots_.slots->capacity(), 0u) << "it takes no slot";
}

TEST_F(WeakPersistentTest, MovesAndIsReset) {
  HandleScope scope(mutator_);
  const Handle<Base> one = scope.New<Base>(1);
  const Handle<Derived> two = scope.New<Derived>(2);
  WeakPersistent<Base> first(mutator_, one);
  WeakPersistent<Base> second = std::move(first);
  EXPECT_TRUE(first.IsEmpty());  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(second.Lock(scope).ToHandleChecked() == one);
  WeakPersistent<Base>& same = second;
  second = std::move(same);
  EXPECT_FALSE(second.IsEmpty());
  swap(first, second);
  EXPECT_TRUE(second.IsEmpty());
  second.Reset(mutator_, two);
  EXPECT_EQ(second.Lock(scope).ToHandleChecked()->number, 2);
  second = nullptr;
  EXPECT_TRUE(second.IsEmpty());
  first.Reset();
  EXPECT_TRUE(first.IsEmpty());
  FindDeadAllBut();
}

TEST_F(WeakPersistentTest, OneOfADerivedClassMovesIntoOneOfABase) {
  HandleScope scope(mutator_);
  const Handle<Derived> object = scope.New<Derived>(7);
  WeakPersistent<Derived> derived(mutator_, object);
  WeakPersistent<Base> base = std::move(derived);
  EXPECT_EQ(base.Lock(scope).ToHandleChecked()->number, 7);
  FindDeadAllBut(static_cast<Base*>(object.get()));
  EXPECT_FALSE(base.IsEmpty()) << "the slot says where the base is";
  WeakPersistent<Derived> dead(mutator_, object);
  FindDeadAllBut();
  base = std::move(dead);
  EXPECT_TRUE(base.IsEmpty()) << "what was found dead stays dead";
}

TEST_F(WeakPersistentTest, ManyThatComeAndGoTakeNoMemory) {
  HandleScope scope(mutator_);
  const Handle<Base> object = scope.New<Base>(1);
  for (int i = 0; i < 100; ++i) {
    std::vector<WeakPersistent<Base>> weak;
    weak.reserve(1000);
    for (int n = 0; n < 1000; ++n) weak.emplace_back(mutator_, object);
    FindDeadAllBut();
  }
  EXPECT_LE(roots_.slots->capacity(), 2000u);
}

TEST(WeakPersistentAndItsHeap, IsEmptyAfterItsHeap) {
  WeakPersistent<Derived> weak;
  {
    auto heap = ObjectHeap::Create(Cage::kCapacity).value();
    TestMutator mutator(*heap);
    HandleScope scope(mutator);
    weak.Reset(mutator, scope.New<Derived>(1));
  }
  EXPECT_TRUE(weak.IsEmpty());
  WeakPersistent<Base> base = std::move(weak);
  EXPECT_TRUE(base.IsEmpty());
  std::thread([moved = std::move(base)]() mutable { moved.Reset(); }).join();
}

struct Observer {
  Observer(MutatorBase& mutator, Handle<Base> object)
      : subject(mutator, object) {}
  WeakPersistent<Base> subject;
};

TEST_F(WeakPersistentTest, MayBePartOfAnObjectOfItsHeap) {
  HandleScope scope(mutator_);
  const Handle<Base> object = scope.New<Base>(7);
  const Handle<Observer> observer = scope.New<Observer>(mutator_, object);
  EXPECT_TRUE(observer->subject.Lock(scope).ToHandleChecked() == object);
  EXPECT_TRUE(RootCollector(*roots_.slots).roots.empty());
}

class CheckedWeakPersistentDeathTest : public WeakPersistentTest {
 protected:
  void SetUp() override {
    if (!kCheckedHandles) GTEST_SKIP() << "a build without checks";
  }
};

TEST_F(CheckedWeakPersistentDeathTest, LockingOneWhereNothingMayBeReadIsTold) {
  HandleScope scope(mutator_);
  const WeakPersistent<Base> weak(mutator_, scope.New<Base>(1));
  std::thread([&] { EXPECT_FALSE(weak.IsEmpty()); }).join();
  EXPECT_DEATH(std::thread([&] { (void)weak.Lock(scope); }).join(),
               "not attached to its heap");
  mutator_.root_slots().set_parked(true);
  EXPECT_DEATH((void)weak.Lock(scope), "or parked");
}

}  // namespace
}  // namespace bibop
