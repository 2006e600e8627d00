// Each kind of root keeps its object through each kind of collection, and lets
// it die in the next one. An object is held by the root under test alone; in
// builds that poison freed memory, a look at one that was freed is noticed.
//
// Persistents have a test of their own.

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "absl/log/absl_log.h"
#include "bibop/handles/array.h"
#include "bibop/handles/branded_handle_scope.h"
#include "bibop/handles/escapable_handle_scope.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_cast.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/mutator.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

constexpr char kText[] = "a string that is too long to be kept inline";

struct Base {
  int number = 7;
};

struct Node : Base {
  explicit Node(Lifetimes& lifetimes) : tracked(lifetimes) {}
  Tracked tracked;
  std::string text = kText;
  Member<Node> next;
  void Trace(auto& visitor) const { visitor(next); }
};

struct Garbage {
  char bytes[64];
};

// How a collection comes about.
enum class Way { kRequested, kRequestedByAnother, kBudgetSpent, kHeapFull };

std::string NameOf(const ::testing::TestParamInfo<Way>& way) {
  switch (way.param) {
    case Way::kRequested:
      return "Requested";
    case Way::kRequestedByAnother:
      return "RequestedByAnotherThread";
    case Way::kBudgetSpent:
      return "BudgetSpent";
    case Way::kHeapFull:
      return "HeapFull";
  }
  ABSL_LOG(FATAL) << "a way without a name";
}

class RootsTest : public ::testing::TestWithParam<Way> {
 protected:
  static HeapOptions OptionsFor(Way way) {
    HeapOptions options;
    // Where another collection would come first.
    options.stress.ignore_environment =
        way == Way::kBudgetSpent || way == Way::kHeapFull;
    if (way == Way::kHeapFull) options.max_bytes = 2 << 20;
    if (way == Way::kBudgetSpent) {
      options.min_budget_bytes = options.small_heap_bytes = 64 << 10;
    }
    return options;
  }

  // Collects in the way of this test. What was dead is destroyed afterwards.
  void Collect() {
    const int64_t before = heap_->stats().cycles;
    CycleCause cause = CycleCause::kRequested;
    switch (GetParam()) {
      case Way::kRequested:
        heap_->Collect();
        break;
      case Way::kRequestedByAnother: {
        const ParkedScope parked(mutator_);
        std::thread([this] { heap_->Collect(); }).join();
        break;
      }
      case Way::kBudgetSpent:
        cause = CycleCause::kBudgetSpent;
        AllocateUntilACycle(before);
        break;
      case Way::kHeapFull:
        cause = CycleCause::kHeapFull;
        AllocateUntilACycle(before);
        break;
    }
    // More if one was under way.
    ASSERT_GE(heap_->stats().cycles, before + 1);
    ASSERT_EQ(last_cause_, cause);
    // Before it marks, it destroys what the one above found dead.
    heap_->Collect();
  }

  // Checks that one object, or `count`, is alive, and collects.
  void ExpectAliveAfterACollection(int count = 1) {
    Collect();
    EXPECT_EQ(lifetimes_.alive(), count);
  }

  void AllocateUntilACycle(int64_t before) {
    while (heap_->stats().cycles == before) {
      HandleScope scope(mutator_);
      for (int i = 0; i < 100; ++i) scope.New<Garbage>();
    }
  }

  Lifetimes lifetimes_;
  CycleCause last_cause_ = CycleCause::kRequested;
  std::unique_ptr<Heap> heap_ = [this] {
    HeapOptions options = OptionsFor(GetParam());
    options.on_cycle_end = [this](const CycleStats& cycle) {
      last_cause_ = cycle.cause;
    };
    return Heap::Create(std::move(options)).value();
  }();
  MutatorScope attached_{*heap_};
  Mutator& mutator_ = attached_;
};

INSTANTIATE_TEST_SUITE_P(EveryWay, RootsTest,
                         ::testing::Values(Way::kRequested,
                                           Way::kRequestedByAnother,
                                           Way::kBudgetSpent, Way::kHeapFull),
                         NameOf);

TEST_P(RootsTest, AHandle) {
  {
    HandleScope scope(mutator_);
    const Handle<Node> node = scope.New<Node>(lifetimes_);
    ExpectAliveAfterACollection();
    EXPECT_EQ(node->text, kText);
  }
  ExpectAliveAfterACollection(0);
}

TEST_P(RootsTest, AHandleFromTryNew) {
  {
    HandleScope scope(mutator_);
    const Handle<Node> node = scope.TryNew<Node>(lifetimes_).value();
    ExpectAliveAfterACollection();
    EXPECT_EQ(node->text, kText);
  }
  ExpectAliveAfterACollection(0);
}

TEST_P(RootsTest, AHandleOfABase) {
  {
    HandleScope scope(mutator_);
    const Handle<Base> base = scope.New<Node>(lifetimes_);
    ExpectAliveAfterACollection();
    EXPECT_EQ(static_handle_cast<Node>(base)->text, kText);
  }
  ExpectAliveAfterACollection(0);
}

TEST_P(RootsTest, AHandleOfAnArray) {
  {
    HandleScope scope(mutator_);
    const auto array = scope.NewArray<Member<Node>>(3);
    {
      HandleScope inner(mutator_);
      (*array)[2] = inner.New<Node>(lifetimes_);
    }
    ExpectAliveAfterACollection();
    EXPECT_EQ((*array)[2]->text, kText);
  }
  ExpectAliveAfterACollection(0);
}

TEST_P(RootsTest, ALocalOfAMember) {
  {
    HandleScope scope(mutator_);
    const Handle<Node> owner = scope.New<Node>(lifetimes_);
    {
      HandleScope inner(mutator_);
      owner->next = inner.New<Node>(lifetimes_);
    }
    const MaybeHandle<Node> local = scope.Local(owner->next);
    owner->next = nullptr;
    ExpectAliveAfterACollection(2);
    EXPECT_EQ(local.ToHandleChecked()->text, kText);
  }
  ExpectAliveAfterACollection(0);
}

TEST_P(RootsTest, AMutableHandle) {
  HandleScope scope(mutator_);
  MutableHandle<Node> at = scope.Mutable<Node>();
  {
    HandleScope inner(mutator_);
    at = inner.New<Node>(lifetimes_);
  }
  ExpectAliveAfterACollection();
  EXPECT_EQ(at->text, kText);
  at = nullptr;
  ExpectAliveAfterACollection(0);
}

TEST_P(RootsTest, AMutableHandleThatStartsFromAnObject) {
  {
    HandleScope scope(mutator_);
    const Handle<Node> owner = scope.New<Node>(lifetimes_);
    {
      HandleScope inner(mutator_);
      owner->next = inner.New<Node>(lifetimes_);
    }
    const MutableHandle<Node> at = scope.Mutable(owner->next);
    owner->next = nullptr;
    ExpectAliveAfterACollection(2);
    EXPECT_EQ(at->text, kText);
  }
  ExpectAliveAfterACollection(0);
}

TEST_P(RootsTest, AnEscapedHandle) {
  {
    HandleScope scope(mutator_);
    const auto make = [this]() -> Handle<Node> {
      EscapableHandleScope inner(mutator_);
      inner.New<Node>(lifetimes_);
      return inner.Escape(inner.New<Node>(lifetimes_));
    };
    const Handle<Node> node = make();
    ExpectAliveAfterACollection();
    EXPECT_EQ(node->text, kText);
  }
  ExpectAliveAfterACollection(0);
}

TEST_P(RootsTest, ABrandedHandle) {
  WithHandleScope(mutator_, [this](auto& scope) {
    const auto node = scope.template New<Node>(lifetimes_);
    ExpectAliveAfterACollection();
    EXPECT_EQ(node->text, kText);
  });
  ExpectAliveAfterACollection(0);
}

TEST_P(RootsTest, EachOfTenThousandHandles) {
  constexpr int kHandles = 10000;
  {
    HandleScope scope(mutator_);
    for (int i = 0; i < kHandles; ++i) scope.New<Node>(lifetimes_);
    ExpectAliveAfterACollection(kHandles);
    {
      HandleScope inner(mutator_);
      for (int i = 0; i < kHandles; ++i) inner.New<Node>(lifetimes_);
    }
    ExpectAliveAfterACollection(kHandles);
  }
  ExpectAliveAfterACollection(0);
}

// ---- objects in construction (I-4) ----

// Its constructor allocates, so that collections run while its object is rooted
// by its slot only, and what it stored so far by the object only.
struct BuildsItself {
  template <class Collect>
  BuildsItself(MutatorBase& mutator, Lifetimes& lifetimes, Collect collect)
      : tracked(lifetimes), self(this) {
    {
      HandleScope scope(mutator);
      first = scope.New<Node>(lifetimes);
    }
    collect();
    alive_inside = lifetimes.alive();
    HandleScope scope(mutator);
    second = scope.New<Node>(lifetimes);
  }
  Tracked tracked;
  int alive_inside = 0;
  Member<BuildsItself> self;
  Member<Node> first;
  Member<Node> second;
  void Trace(auto& visitor) const { visitor(self, first, second); }
};

TEST_P(RootsTest, AnObjectInConstructionAndWhatItRefersTo) {
  {
    HandleScope scope(mutator_);
    const Handle<BuildsItself> built =
        scope.New<BuildsItself>(mutator_, lifetimes_, [this] { Collect(); });
    EXPECT_EQ(built->alive_inside, 2);
    ExpectAliveAfterACollection(3);
    EXPECT_EQ(built->self, built);
    EXPECT_EQ(built->first->text, kText);
    EXPECT_EQ(built->second->text, kText);
  }
  ExpectAliveAfterACollection(0);
}

// An object that, while it is being made, makes others that refer to it: no
// reference to it has to be made beforehand.
struct Child;
struct Parent {
  template <class Collect>
  Parent(HandleScope& scope, Lifetimes& lifetimes, Collect collect);
  Tracked tracked;
  std::string text = kText;
  Member<Child> child;
  void Trace(auto& visitor) const { visitor(child); }
};
struct Child {
  Child(Lifetimes& lifetimes, Member<Parent> p)
      : tracked(lifetimes), parent(p) {}
  Tracked tracked;
  Member<Parent> parent;
  void Trace(auto& visitor) const { visitor(parent); }
};
template <class Collect>
Parent::Parent(HandleScope& scope, Lifetimes& lifetimes, Collect collect)
    : tracked(lifetimes),
      child(scope.New<Child>(lifetimes, Member<Parent>(this))) {
  collect();
}

TEST_P(RootsTest, ACycleThatIsMadeInAConstructor) {
  HandleScope outer(mutator_);
  MutableHandle<Child> child = outer.Mutable<Child>();
  {
    HandleScope scope(mutator_);
    const Handle<Parent> parent =
        scope.New<Parent>(scope, lifetimes_, [this] { Collect(); });
    child = parent->child;
  }
  ExpectAliveAfterACollection(2);
  EXPECT_EQ(child->parent->text, kText);
  child = nullptr;
  ExpectAliveAfterACollection(0);
}

struct ThrowsAfterAllocating {
  template <class Collect>
  ThrowsAfterAllocating(MutatorBase& mutator, Lifetimes& lifetimes,
                        Collect collect)
      : tracked(lifetimes) {
    HandleScope scope(mutator);
    next = scope.New<Node>(lifetimes);
    collect();
    throw std::runtime_error("refused");
  }
  Tracked tracked;
  Member<Node> next;
  void Trace(auto& visitor) const { visitor(next); }
};

TEST_P(RootsTest, AnObjectWhoseConstructorThrowsIsNone) {
  HandleScope scope(mutator_);
  const Handle<Node> other = scope.New<Node>(lifetimes_);
  for (int i = 0; i < 10; ++i) {
    EXPECT_THROW(scope.New<ThrowsAfterAllocating>(mutator_, lifetimes_,
                                                  [this] { Collect(); }),
                 std::runtime_error);
  }
  ExpectAliveAfterACollection();
  EXPECT_EQ(lifetimes_.born(), 21);
  EXPECT_EQ(other->text, kText);
}

}  // namespace
}  // namespace bibop
