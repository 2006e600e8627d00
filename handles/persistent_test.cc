#include "bibop/handles/persistent.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/object_reference.h"
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

static_assert(RootReference<Persistent<Base>> && !RootReference<Handle<Base>>);
static_assert(sizeof(Persistent<Base>) == sizeof(void*));
static_assert(std::is_nothrow_move_constructible_v<Persistent<Base>>);
static_assert(std::is_nothrow_move_assignable_v<Persistent<Base>>);
static_assert(
    std::is_nothrow_constructible_v<Persistent<Base>, Persistent<Derived>>);
static_assert(
    std::is_constructible_v<Persistent<const Base>, Persistent<Base>>);
static_assert(!std::is_copy_constructible_v<Persistent<Base>> &&
                  !std::is_copy_assignable_v<Persistent<Base>>,
              "copying takes a mutator");
static_assert(
    !std::is_constructible_v<Persistent<Base>, const Persistent<Derived>&>);
static_assert(!std::is_constructible_v<Persistent<Derived>, Persistent<Base>>);
static_assert(
    !std::is_constructible_v<Persistent<Base>, Persistent<const Base>>);
static_assert(
    !std::is_constructible_v<Persistent<Base>, Persistent<VirtuallyDerived>>,
    "where the base is, only the object knows");
static_assert(std::is_constructible_v<Persistent<Base>, MutatorBase&,
                                      Persistent<VirtuallyDerived>&>);
static_assert(!std::is_assignable_v<Persistent<Base>&, Handle<Base>>);
static_assert(!std::is_constructible_v<Persistent<Base>, MutatorBase&, Base*>);

class PersistentTest : public ::testing::Test {
 protected:
  std::multiset<const void*> Roots() {
    return RootCollector(*roots_.slots).roots;
  }

  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  HeapRoots roots_;
  TestMutator mutator_{*heap_, roots_};
};

TEST_F(PersistentTest, IsARootAsLongAsItExists) {
  HandleScope scope(mutator_);
  const Handle<Base> object = scope.New<Base>(7);
  {
    const Persistent<Base> persistent(mutator_, object);
    EXPECT_EQ(Roots(), std::multiset<const void*>({object.get()}));
    EXPECT_EQ(persistent->number, 7);
    EXPECT_EQ((*persistent).number, 7);
    EXPECT_EQ(persistent.get(), object.get());
    EXPECT_TRUE(persistent);
  }
  EXPECT_TRUE(Roots().empty());
}

TEST_F(PersistentTest, RefersToNothingByDefaultOrWhereItsSourceDoes) {
  HandleScope scope(mutator_);
  const Persistent<Base> empty;
  const Persistent<Base> of_empty(mutator_, empty);
  const Persistent<Base> of_null(mutator_, scope.Mutable<Base>());
  for (const auto* persistent : {&empty, &of_empty, &of_null}) {
    EXPECT_FALSE(*persistent);
    EXPECT_TRUE(*persistent == nullptr);
    EXPECT_EQ(persistent->get(), nullptr);
  }
  EXPECT_EQ(roots_.slots->capacity(), 0u) << "it takes no slot";
}

TEST_F(PersistentTest, IsMadeOfEveryKindOfReference) {
  HandleScope scope(mutator_);
  const Handle<Derived> object = scope.New<Derived>(7);
  const MutableHandle<Derived> at = scope.Mutable(object);
  const Persistent<Derived> of_handle(mutator_, object);
  const Persistent<Derived> of_mutable(mutator_, at);
  const Persistent<Derived> copy(mutator_, of_handle);
  const Persistent<Base> of_base(mutator_, of_handle);
  const Persistent<const Base> of_const(mutator_, object);
  const Persistent deduced(mutator_, of_handle);
  static_assert(std::is_same_v<decltype(deduced), const Persistent<Derived>>);
  const Base* base = object.get();
  EXPECT_EQ(Roots(), std::multiset<const void*>({object.get(), object.get(),
                                                 object.get(), object.get(),
                                                 base, base}));
  EXPECT_EQ(of_base->number, 7);
  EXPECT_EQ(of_const->number, 7);
}

TEST_F(PersistentTest, OtherReferencesAreMadeOfIt) {
  HandleScope scope(mutator_);
  Persistent<Base> persistent;
  EXPECT_TRUE(scope.Local(persistent).IsEmpty());
  Persistent<Base> other;
  {
    HandleScope inner(mutator_);
    persistent.Reset(mutator_, inner.New<Base>(7));
    other.Reset(mutator_, inner.New<Base>(8));
  }
  EXPECT_EQ(scope.Local(persistent).ToHandleChecked()->number, 7);
  MutableHandle<Base> at = scope.Mutable(persistent);
  EXPECT_EQ(at->number, 7);
  at = other;
  EXPECT_EQ(at->number, 8);
}

TEST_F(PersistentTest, MovingLeavesTheSourceEmptyAndTakesNoSlot) {
  HandleScope scope(mutator_);
  const Handle<Base> one = scope.New<Base>(1);
  const Handle<Base> two = scope.New<Base>(2);
  Persistent<Base> first(mutator_, one);
  Persistent<Base> second(std::move(first));
  // NOLINTBEGIN(bugprone-use-after-move): what it says about that
  EXPECT_FALSE(first);
  EXPECT_TRUE(second == one);
  EXPECT_EQ(Roots(), std::multiset<const void*>({one.get()}));
  Persistent<Base> third(mutator_, two);
  third = std::move(second);
  EXPECT_FALSE(second);
  EXPECT_TRUE(third == one);
  EXPECT_EQ(Roots(), std::multiset<const void*>({one.get()}))
      << "what it referred to before is no root any more";
  third = std::move(second);
  // NOLINTEND(bugprone-use-after-move)
  EXPECT_FALSE(third);
  EXPECT_TRUE(Roots().empty());
}

TEST_F(PersistentTest, MovingToItselfChangesNothing) {
  HandleScope scope(mutator_);
  const Handle<Base> object = scope.New<Base>(1);
  Persistent<Base> persistent(mutator_, object);
  Persistent<Base>& same = persistent;
  persistent = std::move(same);
  EXPECT_TRUE(persistent == object);
  swap(persistent, same);
  EXPECT_TRUE(persistent == object);
  persistent.Reset(mutator_, persistent);
  EXPECT_TRUE(persistent == object);
  EXPECT_EQ(Roots(), std::multiset<const void*>({object.get()}));
}

TEST_F(PersistentTest, SwapExchangesTheReferents) {
  HandleScope scope(mutator_);
  const Handle<Base> object = scope.New<Base>(1);
  Persistent<Base> one(mutator_, object);
  Persistent<Base> two;
  swap(one, two);
  EXPECT_FALSE(one);
  EXPECT_TRUE(two == object);
  using std::swap;
  swap(one, two);
  EXPECT_TRUE(one == object);
}

TEST_F(PersistentTest, ResetMakesItReferToAnotherObjectOrToNothing) {
  HandleScope scope(mutator_);
  const Handle<Base> one = scope.New<Base>(1);
  const Handle<Derived> two = scope.New<Derived>(2);
  Persistent<Base> persistent(mutator_, one);
  persistent.Reset(mutator_, two);
  EXPECT_EQ(persistent->number, 2);
  EXPECT_EQ(Roots(), std::multiset<const void*>({persistent.get()}));
  persistent.Reset(mutator_, scope.Mutable<Base>());
  EXPECT_FALSE(persistent);
  persistent.Reset(mutator_, one);
  persistent = nullptr;
  EXPECT_FALSE(persistent);
  persistent.Reset(mutator_, one);
  persistent.Reset();
  persistent.Reset();
  EXPECT_FALSE(persistent);
  EXPECT_TRUE(Roots().empty());
}

// A base that is not at the object's start: the slot is rewritten.
TEST_F(PersistentTest, OneOfADerivedClassMovesIntoOneOfABase) {
  HandleScope scope(mutator_);
  const Handle<Derived> object = scope.New<Derived>(7);
  Persistent<Derived> derived(mutator_, object);
  Persistent<Base> base = std::move(derived);
  EXPECT_FALSE(derived);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(base->number, 7);
  EXPECT_NE(static_cast<const void*>(base.get()), object.get());
  EXPECT_EQ(Roots(), std::multiset<const void*>({base.get()}));
  Persistent<const Base> constant = std::move(base);
  EXPECT_EQ(constant->number, 7);
  constant = Persistent<Derived>(mutator_, object);
  EXPECT_EQ(constant->number, 7);
  Persistent<Base> of_empty = std::move(derived);
  EXPECT_FALSE(of_empty);
  const Persistent<Other> first = Persistent<Derived>(mutator_, object);
  EXPECT_EQ(first.get(), object.get());
}

TEST_F(PersistentTest, AVirtualBaseIsFoundWithAMutator) {
  HandleScope scope(mutator_);
  const Handle<VirtuallyDerived> object = scope.New<VirtuallyDerived>(7);
  const Persistent<VirtuallyDerived> derived(mutator_, object);
  const Persistent<Base> base(mutator_, derived);
  EXPECT_EQ(base->number, 7);
}

TEST_F(PersistentTest, MayReferToAnArray) {
  HandleScope scope(mutator_);
  Persistent<Array<int>> persistent(mutator_, scope.NewArray<int>(10));
  (*persistent)[3] = 7;
  EXPECT_EQ((*persistent)[3], 7);
  EXPECT_EQ(persistent->size(), 10u);
}

TEST_F(PersistentTest, IsComparedAndHashedByItsObject) {
  HandleScope scope(mutator_);
  const Handle<Derived> one = scope.New<Derived>(1);
  const Handle<Derived> two = scope.New<Derived>(1);
  const Persistent<Derived> first(mutator_, one);
  const Persistent<Derived> second(mutator_, one);
  const Persistent<Derived> third(mutator_, two);
  const Persistent<Base> base(mutator_, one);
  EXPECT_TRUE(first == second);
  EXPECT_TRUE(first == one && one == first);
  EXPECT_TRUE(first == base);
  EXPECT_TRUE(first != third);
  EXPECT_TRUE(first != nullptr);
  EXPECT_EQ(absl::HashOf(first), absl::HashOf(second));
  EXPECT_EQ(absl::HashOf(first), absl::HashOf(one));
  EXPECT_NE(absl::HashOf(first), absl::HashOf(third));
}

TEST_F(PersistentTest, AVectorOfThemGrowsAndShrinks) {
  HandleScope scope(mutator_);
  std::vector<Persistent<Base>> persistents;
  std::multiset<const void*> expected;
  for (int i = 0; i < 1000; ++i) {
    const Handle<Base> object = scope.New<Base>(i);
    persistents.emplace_back(mutator_, object);
    expected.insert(object.get());
  }
  EXPECT_EQ(Roots(), expected);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(persistents[i]->number, i);
  persistents.erase(persistents.begin() + 1, persistents.end());
  EXPECT_EQ(Roots(), std::multiset<const void*>({persistents[0].get()}));
}

TEST_F(PersistentTest, AMillionThatComeAndGoTakeNoMemory) {
  HandleScope scope(mutator_);
  const Handle<Base> object = scope.New<Base>(1);
  for (int i = 0; i < 1000000; ++i) {
    Persistent<Base> persistent(mutator_, object);
    Persistent<Base> moved = std::move(persistent);
    moved.Reset(mutator_, object);
  }
  EXPECT_LE(roots_.slots->capacity(), 1000u);
}

TEST(PersistentAndItsHeap, IsEmptyAfterItsHeap) {
  Persistent<Derived> one;
  Persistent<Derived> two;
  {
    auto heap = ObjectHeap::Create(Cage::kCapacity).value();
    TestMutator mutator(*heap);
    HandleScope scope(mutator);
    one.Reset(mutator, scope.New<Derived>(1));
    two.Reset(mutator, scope.New<Derived>(2));
  }
  EXPECT_FALSE(one);
  EXPECT_EQ(one.get(), nullptr);
  EXPECT_TRUE(one == nullptr);
  EXPECT_TRUE(one == two);
  Persistent<Base> base = std::move(one);
  EXPECT_FALSE(base);
  std::thread([moved = std::move(base)]() mutable { moved.Reset(); }).join();
  // One of another heap takes its place.
  auto heap = ObjectHeap::Create(Cage::kCapacity).value();
  TestMutator mutator(*heap);
  HandleScope scope(mutator);
  two.Reset(mutator, scope.New<Derived>(3));
  EXPECT_EQ(two->number, 3);
}

struct Holder {
  Holder(MutatorBase& mutator, Handle<Base> object)
      : persistent(mutator, object) {}
  explicit Holder(Persistent<Base>&& other) : persistent(std::move(other)) {}
  Holder() = default;
  Persistent<Base> persistent;
};

TEST_F(PersistentTest, MayBePartOfAnObjectOfAnotherHeap) {
  auto other_heap = ObjectHeap::Create(Cage::kCapacity).value();
  TestMutator other(*other_heap);
  HandleScope scope(mutator_);
  HandleScope other_scope(other);
  const Handle<Holder> holder =
      other_scope.New<Holder>(mutator_, scope.New<Base>(7));
  EXPECT_EQ(holder->persistent->number, 7);
  other.allocator().Retire();
  other_heap->DestroyObjects();
  EXPECT_TRUE(Roots().empty());
}

using PersistentDeathTest = PersistentTest;

TEST_F(PersistentDeathTest, AnEmptyOneDereferencedIsTold) {
  Persistent<Base> empty;
  const char* what = kCheckedHandles ? "an empty Persistent" : "";
  EXPECT_DEATH(ASSERT_EQ(empty->number, 0), what);
  HandleScope scope(mutator_);
  Persistent<Base> moved(mutator_, scope.New<Base>(1));
  empty = std::move(moved);
  // NOLINTNEXTLINE(bugprone-use-after-move): what it says about that
  EXPECT_DEATH(ASSERT_EQ((*moved).number, 0), what);
}

class CheckedPersistentDeathTest : public PersistentTest {
 protected:
  void SetUp() override {
    if (!kCheckedHandles) GTEST_SKIP() << "a build without checks";
  }
};

TEST_F(CheckedPersistentDeathTest, ReadingOneOnAThreadThatIsNotAttachedIsTold) {
  HandleScope scope(mutator_);
  const Persistent<Base> persistent(mutator_, scope.New<Base>(1));
  const auto on_another_thread = [](auto f) { std::thread(f).join(); };
  EXPECT_DEATH(on_another_thread([&] { (void)persistent.get(); }),
               "not attached to its heap");
  EXPECT_DEATH(on_another_thread([&] { (void)persistent->number; }),
               "not attached to its heap");
  EXPECT_DEATH(on_another_thread([&] { (void)(persistent == persistent); }),
               "not attached to its heap");
  on_another_thread([&] { EXPECT_TRUE(persistent); });
  mutator_.root_slots().set_parked(true);
  EXPECT_DEATH((void)persistent.get(), "or parked");
  Persistent<Base> another;
  EXPECT_DEATH(another.Reset(mutator_, scope.New<Base>(1)),
               "by a parked thread");
}

TEST_F(CheckedPersistentDeathTest, MakingOneWithAnotherThreadsMutatorIsTold) {
  EXPECT_DEATH(std::thread([this] {
                 const Persistent<Base> persistent(mutator_,
                                                   Persistent<Base>());
               }).join(),
               "the mutator of another thread");
}

TEST_F(CheckedPersistentDeathTest, OneInAnObjectOfItsOwnHeapIsTold) {
  HandleScope scope(mutator_);
  const Handle<Base> object = scope.New<Base>(1);
  EXPECT_DEATH(scope.New<Holder>(mutator_, object), "use a Member");
  Persistent<Base> persistent(mutator_, object);
  const Handle<Holder> holder = scope.New<Holder>();
  EXPECT_DEATH(holder->persistent.Reset(mutator_, object), "use a Member");
  // NOLINTBEGIN(bugprone-use-after-move): each in a process of its own
  EXPECT_DEATH(scope.New<Holder>(std::move(persistent)), "use a Member");
  EXPECT_DEATH(holder->persistent = std::move(persistent), "use a Member");
  // NOLINTEND(bugprone-use-after-move)
  EXPECT_DEATH(swap(holder->persistent, persistent), "use a Member");
}

}  // namespace
}  // namespace bibop
