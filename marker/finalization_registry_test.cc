#include "bibop/marker/finalization_registry.h"

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/persistent.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/marking_fixture.h"
#include "bibop/marker/member.h"
#include "bibop/testing/tracked.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

struct Object {
  explicit Object(Lifetimes& lifetimes) : tracked(lifetimes) {}
  Tracked tracked;
};

class FinalizationRegistryTest : public MarkingTest {
 protected:
  // Registers a new object that nothing refers to.
  Registration RegisterNew(FinalizationRegistry<std::string>& registry,
                           std::string held) {
    HandleScope scope(mutator_);
    return registry.Register(mutator_, scope.New<Object>(lifetimes_),
                             std::move(held));
  }

  std::vector<std::string> called_;
  FinalizationRegistry<std::string> registry_{
      [this](std::string held) { called_.push_back(std::move(held)); }};
};

TEST_F(FinalizationRegistryTest, CallsBackOnceForEachObjectThatDied) {
  HandleScope scope(mutator_);
  {
    HandleScope inner(mutator_);
    const Handle<Object> object = inner.New<Object>(lifetimes_);
    registry_.Register(mutator_, object, "a");
    registry_.Register(mutator_, Member<Object>(object), "b");
    Collect();
    EXPECT_EQ(registry_.pending(), 0u);
    EXPECT_EQ(registry_.RunPending(mutator_), 0u);
    EXPECT_EQ(lifetimes_.alive(), 1);
  }
  RegisterNew(registry_, "c");
  EXPECT_EQ(registry_.size(), 3u);
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0) << "being registered keeps nothing alive";
  EXPECT_EQ(registry_.pending(), 3u);
  EXPECT_THAT(called_, IsEmpty()) << "nothing runs by itself";
  EXPECT_EQ(registry_.RunPending(mutator_), 3u);
  EXPECT_THAT(called_, UnorderedElementsAre("a", "b", "c"));
  EXPECT_EQ(registry_.size(), 0u);
  Collect();
  EXPECT_EQ(registry_.RunPending(mutator_), 0u);
  EXPECT_EQ(called_.size(), 3u);
}

TEST_F(FinalizationRegistryTest, WhatIsUnregisteredIsNotCalled) {
  const Registration first = RegisterNew(registry_, "first");
  const Registration second = RegisterNew(registry_, "second");
  EXPECT_EQ(registry_.Unregister(first), "first");
  EXPECT_EQ(registry_.Unregister(first), std::nullopt);
  Collect();
  EXPECT_EQ(registry_.pending(), 1u);
  EXPECT_EQ(registry_.Unregister(second), "second") << "pending, but not run";
  EXPECT_EQ(registry_.pending(), 0u);
  const Registration third = RegisterNew(registry_, "third");
  Collect();
  EXPECT_EQ(registry_.RunPending(mutator_), 1u);
  EXPECT_EQ(registry_.Unregister(third), std::nullopt);
  EXPECT_THAT(called_, ElementsAre("third"));
}

TEST_F(FinalizationRegistryTest, AnyThreadUnregisters) {
  const Registration registration = RegisterNew(registry_, "held");
  std::thread([&] {
    EXPECT_EQ(registry_.Unregister(registration), "held");
  }).join();
  Collect();
  EXPECT_EQ(registry_.RunPending(mutator_), 0u);
}

TEST_F(FinalizationRegistryTest, CallbacksMayAllocateRegisterAndRun) {
  std::vector<int> called;
  std::unique_ptr<FinalizationRegistry<int>> registry;
  registry = std::make_unique<FinalizationRegistry<int>>([&](int n) {
    called.push_back(n);
    if (n == 0) return;
    HandleScope scope(mutator_);
    registry->Register(mutator_, scope.New<Object>(lifetimes_), n - 1);
    registry->RunPending(mutator_);
  });
  {
    HandleScope scope(mutator_);
    registry->Register(mutator_, scope.New<Object>(lifetimes_), 2);
    registry->Register(mutator_, scope.New<Object>(lifetimes_), 12);
  }
  Collect();
  EXPECT_EQ(registry->RunPending(mutator_), 1u) << "the other ran inside";
  EXPECT_THAT(called, UnorderedElementsAre(2, 12));
  Collect();
  registry->RunPending(mutator_);
  EXPECT_THAT(called, UnorderedElementsAre(2, 12, 1, 11));
  Collect();
  registry->RunPending(mutator_);
  EXPECT_THAT(called, UnorderedElementsAre(2, 12, 1, 11, 0, 10));
}

TEST_F(FinalizationRegistryTest, IfACallbackThrowsTheRestStaysPending) {
  int calls = 0;
  FinalizationRegistry<int> registry([&](int) {
    if (++calls == 1) throw 1;  // NOLINT: anything
  });
  {
    HandleScope scope(mutator_);
    for (int i = 0; i < 3; ++i) {
      registry.Register(mutator_, scope.New<Object>(lifetimes_), i);
    }
  }
  Collect();
  EXPECT_THROW(registry.RunPending(mutator_), int);
  EXPECT_EQ(registry.pending(), 2u);
  EXPECT_EQ(registry.RunPending(mutator_), 2u);
  EXPECT_EQ(calls, 3);
}

TEST_F(FinalizationRegistryTest, HeldValuesMayBeFunctionsAndPersistents) {
  FinalizationRegistry<absl::AnyInvocable<void() &&>> functions(
      [](absl::AnyInvocable<void()&&> function) { std::move(function)(); });
  FinalizationRegistry<Persistent<Object>> objects([](Persistent<Object>) {});
  {
    HandleScope scope(mutator_);
    functions.Register(mutator_, scope.New<Object>(lifetimes_),
                       [this] { called_.emplace_back("function"); });
    const Handle<Object> other = scope.New<Object>(lifetimes_);
    objects.Register(mutator_, scope.New<Object>(lifetimes_),
                     Persistent<Object>(mutator_, other));
  }
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_EQ(functions.RunPending(mutator_), 1u);
  EXPECT_THAT(called_, ElementsAre("function"));
  EXPECT_EQ(objects.RunPending(mutator_), 1u);
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(FinalizationRegistryTest, TellsWhenSomethingIsPending) {
  int told = 0;
  {
    FinalizationRegistry<std::string> registry([](const std::string&) {},
                                               [&told] { ++told; });
    Collect();
    EXPECT_EQ(told, 0);
    for (int i = 0; i < 10; ++i) RegisterNew(registry, "");
    Collect();
    EXPECT_EQ(told, 1);
    RegisterNew(registry, "");
    Collect();
    EXPECT_EQ(told, 1) << "some were pending before";
    EXPECT_EQ(registry.RunPending(mutator_), 11u);
    RegisterNew(registry, "");
    Collect();
    EXPECT_EQ(told, 2);
    RegisterNew(registry, "");
  }
  Collect();
  EXPECT_EQ(told, 2);
}

// A regression: what died while others ran was never run.
TEST_F(FinalizationRegistryTest, TellsOfWhatDiesWhileOthersRun) {
  int told = 0;
  int calls = 0;
  std::optional<FinalizationRegistry<int>> registry;
  const auto register_new = [&] {
    HandleScope scope(mutator_);
    registry->Register(mutator_, scope.New<Object>(lifetimes_), 0);
  };
  registry.emplace(
      [&](int) {
        if (++calls != 1) return;
        register_new();
        Collect();
      },
      [&told] { ++told; });
  register_new();
  register_new();
  Collect();
  EXPECT_EQ(told, 1);
  EXPECT_EQ(registry->RunPending(mutator_), 2u);
  EXPECT_EQ(registry->pending(), 1u);
  EXPECT_EQ(told, 2);
}

TEST_F(FinalizationRegistryTest, TellsOfDeathsAfterACallbackThrew) {
  int told = 0;
  FinalizationRegistry<int> registry([](int) { throw 1; },  // NOLINT: anything
                                     [&told] { ++told; });
  const auto register_new = [&] {
    HandleScope scope(mutator_);
    registry.Register(mutator_, scope.New<Object>(lifetimes_), 0);
  };
  register_new();
  register_new();
  Collect();
  EXPECT_EQ(told, 1);
  EXPECT_THROW(registry.RunPending(mutator_), int);
  EXPECT_EQ(registry.pending(), 1u);
  register_new();
  Collect();
  EXPECT_EQ(told, 2);
}

TEST_F(FinalizationRegistryTest, TellsAgainAfterAllWereUnregistered) {
  int told = 0;
  FinalizationRegistry<std::string> registry([](const std::string&) {},
                                             [&told] { ++told; });
  const Registration registration = RegisterNew(registry, "");
  Collect();
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(registry.Unregister(registration).has_value());
  RegisterNew(registry, "");
  Collect();
  EXPECT_EQ(told, 2);
}

TEST_F(FinalizationRegistryTest, MayBeDestroyedBeforeTheObjects) {
  HandleScope scope(mutator_);
  Lifetimes held;
  {
    const Handle<Object> object = scope.New<Object>(lifetimes_);
    FinalizationRegistry<std::unique_ptr<Tracked>> registry(
        [](std::unique_ptr<Tracked>) { ADD_FAILURE(); });
    for (int i = 0; i < 3; ++i) {
      registry.Register(mutator_, object, std::make_unique<Tracked>(held));
    }
    {
      HandleScope inner(mutator_);
      registry.Register(mutator_, inner.New<Object>(lifetimes_),
                        std::make_unique<Tracked>(held));
    }
    Collect();
    EXPECT_EQ(held.alive(), 4);
  }
  EXPECT_EQ(held.alive(), 0);
  Collect();
  EXPECT_EQ(lifetimes_.alive(), 1);
}

TEST_F(FinalizationRegistryTest, MayBeDestroyedBetweenMarkAndClearing) {
  std::optional<FinalizationRegistry<std::string>> registry(
      std::in_place, [](const std::string&) { ADD_FAILURE(); },
      [] { ADD_FAILURE(); });
  RegisterNew(*registry, "held");
  BeginMark();
  FinishMark();
  registry.reset();
  EndCycle();
  Collect();
}

TEST_F(FinalizationRegistryTest, WhatIsRegisteredDuringAMarkIsFoundLater) {
  BeginMark();
  Mark();
  RegisterNew(registry_, "during the mark");
  FinishMark();
  RegisterNew(registry_, "during the clearing");
  EndCycle();
  EXPECT_EQ(registry_.pending(), 0u);
  Collect();
  EXPECT_EQ(registry_.pending(), 2u);
}

TEST(FinalizationRegistryAndItsHeap, MayOutliveTheHeap) {
  int called = 0;
  FinalizationRegistry<int> registry([&called](int) { ++called; });
  Lifetimes lifetimes;
  {
    auto heap = ObjectHeap::Create(Cage::kCapacity).value();
    TestMutator mutator(*heap);
    HandleScope scope(mutator);
    registry.Register(mutator, scope.New<Object>(lifetimes), 1);
  }
  EXPECT_EQ(lifetimes.alive(), 0);
  EXPECT_EQ(registry.size(), 1u);
  EXPECT_EQ(called, 0) << "what lives as long as its heap is not called";
  auto heap = ObjectHeap::Create(Cage::kCapacity).value();
  TestMutator mutator(*heap);
  EXPECT_EQ(registry.RunPending(mutator), 0u);
}

TEST_F(FinalizationRegistryTest, NothingIsNotRegistered) {
  EXPECT_DEATH(registry_.Register(mutator_, Member<Object>(), ""),
               "nothing is registered");
}

struct RunsInItsDestructor {
  explicit RunsInItsDestructor(absl::AnyInvocable<void()> f)
      : run(std::move(f)) {}
  ~RunsInItsDestructor() { run(); }
  absl::AnyInvocable<void()> run;
};

TEST_F(FinalizationRegistryTest, DoesNotRunInADestructor) {
  bool runs = false;
  {
    HandleScope scope(mutator_);
    scope.New<RunsInItsDestructor>([&] {
      if (runs) registry_.RunPending(mutator_);
    });
  }
  EXPECT_DEATH(
      {
        runs = true;
        Collect();
      },
      "neither may collect");
  Collect();
}

}  // namespace
}  // namespace bibop
