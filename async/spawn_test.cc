// Tasks that own the roots of what they refer to, on threads that take
// callbacks.

#include "bibop/async/spawn.h"

#include <atomic>
#include <cstddef>
#include <deque>
#include <future>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "bibop/async/async_any_handle.h"
#include "bibop/async/async_handle.h"
#include "bibop/async/async_handle_guard.h"
#include "bibop/async/async_handle_scope.h"
#include "bibop/async/callback_executor.h"
#include "bibop/async/gc_scope.h"
#include "bibop/async/gc_task.h"
#include "bibop/async/task_stretch.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/no_gc_scope.h"
#include "bibop/handles/persistent.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/mutator.h"
#include "bibop/testing/tracked.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

struct Node {
  Node(Lifetimes& lifetimes, int n) : tracked(lifetimes), number(n) {}
  Tracked tracked;
  int number;
  Member<Node> next;
  void Trace(auto& visitor) const { visitor(next); }
};
struct Front {
  int front = 5;
};
struct Compound : Front, Node {
  Compound(Lifetimes& lifetimes, int n) : Node(lifetimes, n) {}
};
struct Other {
  explicit Other(Lifetimes& lifetimes) : tracked(lifetimes) {}
  Tracked tracked;
};

// Callbacks that wait until somebody calls or drops them.
class Queue {
 public:
  using Callback = absl::AnyInvocable<void()>;

  void Add(Callback callback) {
    const absl::MutexLock lock(mutex_);
    callbacks_.push_back(std::move(callback));
  }
  // The next one; nothing where there is none.
  std::optional<Callback> Take() {
    const absl::MutexLock lock(mutex_);
    if (callbacks_.empty()) return std::nullopt;
    Callback callback = std::move(callbacks_.front());
    callbacks_.pop_front();
    return callback;
  }
  // Calls all, on another thread.
  void RunAll() {
    std::thread([this] {
      while (std::optional<Callback> callback = Take()) (*callback)();
    }).join();
  }

 private:
  absl::Mutex mutex_;
  std::deque<Callback> callbacks_ ABSL_GUARDED_BY(mutex_);
};

class SpawnTest : public ::testing::Test {
 protected:
  auto Executor() {
    return CallbackExecutor(*heap_,
                            [this](auto task) { queue_.Add(std::move(task)); });
  }
  // Calls f with a node that refers to another, on another thread.
  void WithNode(auto f) {
    std::thread([&] {
      MutatorScope attached(*heap_);
      Mutator& mutator = attached;
      HandleScope scope(mutator);
      const Handle<Node> node = scope.New<Node>(lifetimes_, 1);
      node->next = scope.New<Node>(lifetimes_, 2);
      f(node);
    }).join();
  }
  void CollectAndDestroy() {
    heap_->Collect();
    heap_->Collect();
  }

  Lifetimes lifetimes_;
  std::unique_ptr<Heap> heap_ = Heap::Create({}).value();
  Queue queue_;
};

TEST_F(SpawnTest, ATaskAloneKeepsItsArgumentsUntilItHasRun) {
  static int found;
  static std::string name_of_it;
  WithNode([&](Handle<Node> node) {
    SpawnWithGc(Executor(),
                Capture(node, std::string("its name"), node->next ? 7 : 0),
                [](AsyncHandle<Node> node, std::string name, int seven) {
                  AsyncHandleGuard guard(TaskMutator());
                  found = guard.Get(node)->next->number + seven;
                  name_of_it = std::move(name);
                });
  });
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 2);
  queue_.RunAll();
  EXPECT_EQ(found, 9);
  EXPECT_EQ(name_of_it, "its name");
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(SpawnTest, ATaskThatIsDroppedBeforeItRunsFreesItsRoots) {
  WithNode([&](Handle<Node> node) {
    SpawnWithGc(Executor(), Capture(node), [](AsyncHandle<Node>) { FAIL(); });
  });
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 2);
  // On a thread that is not attached.
  std::thread([&] { queue_.Take(); }).join();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(SpawnTest, ATaskThatThrowsFreesItsRoots) {
  WithNode([&](Handle<Node> node) {
    SpawnWithGc(Executor(), Capture(node), [](AsyncHandle<Node> node) {
      AsyncHandleGuard guard(TaskMutator());
      if (guard.Get(node)->number == 1) throw std::runtime_error("one");
    });
  });
  std::thread([&] {
    std::optional<Queue::Callback> callback = queue_.Take();
    EXPECT_THROW((*callback)(), std::runtime_error);
    EXPECT_EQ(lifetimes_.alive(), 2);
  }).join();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// What the executor returns is what SpawnWithGc returns.
TEST_F(SpawnTest, AFutureOfTheExecutorsHasTheResultOrTheException) {
  std::vector<std::thread> threads;
  const CallbackExecutor executor(*heap_, [&](auto task) {
    std::packaged_task<decltype(task())()> packaged(std::move(task));
    auto future = packaged.get_future();
    threads.emplace_back(std::move(packaged));
    return future;
  });
  std::future<int> number;
  std::future<int> thrown;
  WithNode([&](Handle<Node> node) {
    number = SpawnWithGc(executor, Capture(node), [](AsyncHandle<Node> node) {
      AsyncHandleGuard guard(TaskMutator());
      return guard.Get(node)->next->number;
    });
    thrown = SpawnWithGc(executor, Capture(node), [](AsyncHandle<Node>) -> int {
      throw std::runtime_error("nothing");
    });
    const ParkedScope parked(
        *static_cast<Mutator*>(MutatorBase::LatestOfThisThread()));
    EXPECT_EQ(number.get(), 2);
    EXPECT_THROW(thrown.get(), std::runtime_error);
  });
  for (std::thread& thread : threads) thread.join();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(SpawnTest, ManyTasksRunOnManyThreads) {
  constexpr int kTasks = 2000;
  static std::atomic<int> sum;
  sum = 0;
  std::atomic<bool> ended = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (bool last = false; !last;) {
        last = ended;
        while (std::optional<Queue::Callback> callback = queue_.Take()) {
          (*callback)();
        }
        std::this_thread::yield();
      }
    });
  }
  std::thread spawner([&] {
    MutatorScope attached(*heap_);
    Mutator& mutator = attached;
    for (int i = 0; i < kTasks; ++i) {
      HandleScope scope(mutator);
      const Handle<Node> node = scope.New<Node>(lifetimes_, i);
      node->next = scope.New<Node>(lifetimes_, i + 1);
      SpawnWithGc(Executor(), Capture(node), [](AsyncHandle<Node> node) {
        AsyncHandleGuard guard(TaskMutator());
        const Handle<Node> here = guard.Get(node);
        sum += here->next->number - here->number;
        here->next->next = here;
      });
    }
  });
  for (int i = 0; i < 50; ++i) heap_->Collect();
  spawner.join();
  ended = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, kTasks);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// ---- GcScope ----

TEST_F(SpawnTest, AGcScopeKeepsWhatItTracksAndHandsItToItsTask) {
  static std::vector<int> numbers;
  numbers.clear();
  GcScope roots(*heap_);
  std::thread([&] {
    MutatorScope attached(*heap_);
    Mutator& mutator = attached;
    HandleScope scope(mutator);
    roots.Track(scope.New<Compound>(lifetimes_, 1));
    roots.Track(scope.New<Other>(lifetimes_));
    const auto array = scope.NewArray<Member<Node>>(20);
    for (size_t i = 0; i < array->size(); i += 2) {
      (*array)[i] = scope.New<Node>(lifetimes_, static_cast<int>(i));
    }
    roots.TrackRange(mutator, *array);
    std::vector<Persistent<Node>> persistents;
    persistents.emplace_back(mutator, (*array)[0]);
    roots.TrackRange(mutator, persistents);
  }).join();
  EXPECT_EQ(roots.size(), 13u);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 12);
  roots.Spawn(Executor(), [](std::vector<AsyncAnyHandle> tracked) {
    AsyncHandleGuard guard(TaskMutator());
    for (const AsyncAnyHandle& any : tracked) {
      const MaybeHandle<Node> node = any.TryAs<Node>(guard);
      numbers.push_back(node.IsEmpty() ? -1 : node.ToHandleChecked()->number);
    }
  });
  EXPECT_EQ(roots.size(), 0u);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 12);
  queue_.RunAll();
  EXPECT_EQ(numbers,
            std::vector<int>({1, -1, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 0}));
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
  // And may be used again.
  WithNode([&](Handle<Node> node) { roots.Track(node); });
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 2);
}

TEST_F(SpawnTest, AGcScopeTracksWhatAnotherHas) {
  std::optional<GcScope> first = GcScope(*heap_);
  GcScope second(*heap_);
  WithNode([&](Handle<Node> node) { first->Track(node); });
  std::thread([&] {
    MutatorScope attached(*heap_);
    Mutator& mutator = attached;
    HandleScope scope(mutator);
    first->Track(scope.New<Compound>(lifetimes_, 3));
    AsyncHandleGuard guard(mutator);
    second.TrackFrom(guard, *first);
  }).join();
  first.reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 3);
  static int front;
  second.Spawn(Executor(), [](std::vector<AsyncAnyHandle> tracked) {
    AsyncHandleGuard guard(TaskMutator());
    ASSERT_EQ(tracked.size(), 2u);
    EXPECT_TRUE(tracked[0].TryAs<Front>(guard).IsEmpty());
    front = tracked[1].TryAs<Front>(guard).ToHandleChecked()->front;
  });
  queue_.RunAll();
  EXPECT_EQ(front, 5);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

struct VirtualBase {
  int base = 1;
  virtual ~VirtualBase() = default;
};
struct Left : virtual VirtualBase {};
struct Right : virtual VirtualBase {};
struct Diamond : Left, Right {
  int own = 2;
};

TEST_F(SpawnTest, AnAnyHandleIsWhatItWasMadeOfAndItsBases) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  AsyncHandleScope scope(*heap_);
  const AsyncAnyHandle diamond = scope.New<Diamond>(mutator);
  const AsyncAnyHandle compound = scope.New<Compound>(mutator, lifetimes_, 1);
  AsyncHandleGuard guard(mutator);
  EXPECT_EQ(diamond.TryAs<Diamond>(guard).ToHandleChecked()->own, 2);
  EXPECT_EQ(diamond.TryAs<VirtualBase>(guard).ToHandleChecked()->base, 1);
  EXPECT_EQ(diamond.TryAs<const Right>(guard).ToHandleChecked()->base, 1);
  EXPECT_TRUE(diamond.TryAs<Compound>(guard).IsEmpty());
  EXPECT_EQ(compound.TryAs<Node>(guard).ToHandleChecked()->number, 1);
  EXPECT_EQ(compound.TryAs<Front>(guard).ToHandleChecked()->front, 5);
  EXPECT_TRUE(compound.TryAs<Diamond>(guard).IsEmpty());
  // Not what the object is besides.
  const AsyncAnyHandle base =
      scope.Add(diamond.TryAs<Left>(guard).ToHandleChecked());
  EXPECT_TRUE(base.TryAs<Diamond>(guard).IsEmpty());
  EXPECT_FALSE(base == diamond);
  EXPECT_THAT(std::string(diamond.type_name()),
              ::testing::EndsWith("::Diamond"));
  EXPECT_TRUE(AsyncAnyHandle().IsEmpty());
}

// ---- stretches ----

TEST_F(SpawnTest, AThreadThatWasRunningIsParkedInAStretchAndRunsAfterIt) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  HandleScope scope(mutator);
  const Handle<Node> node = scope.New<Node>(lifetimes_, 1);
  {
    const TaskStretch stretch(*heap_);
    EXPECT_TRUE(mutator.parked());
    // Nobody waits for the thread.
    std::thread([this] { CollectAndDestroy(); }).join();
    AsyncHandleGuard guard(TaskMutator());
    EXPECT_FALSE(mutator.parked());
    EXPECT_EQ(guard.New<Node>(lifetimes_, 2)->number, 2);
  }
  EXPECT_FALSE(mutator.parked());
  EXPECT_EQ(lifetimes_.alive(), 2);
  node->next = scope.New<Node>(lifetimes_, 3);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 2);
  // So it does if the task throws.
  EXPECT_THROW(
      {
        const TaskStretch stretch(*heap_);
        throw std::runtime_error("broken");
      },
      std::runtime_error);
  EXPECT_FALSE(mutator.parked());
  // One that was parked stays so.
  const ParkedScope parked(mutator);
  {
    const TaskStretch stretch(*heap_);
  }
  EXPECT_TRUE(mutator.parked());
}

// As where a guard posts to an executor that calls at once.
TEST_F(SpawnTest, AStretchInAGuardKeepsWhatTheGuardRoots) {
  auto other_heap = Heap::Create({}).value();
  std::thread([&] {
    const TaskStretch outer(*heap_);
    Mutator& mutator = TaskMutator();
    AsyncHandleGuard guard(mutator);
    const Handle<Node> node = guard.New<Node>(lifetimes_, 1);
    node->next = guard.New<Node>(lifetimes_, 2);
    {
      const TaskStretch inner(*heap_);
      EXPECT_EQ(&TaskMutator(), &mutator);
      EXPECT_TRUE(mutator.parked());
      std::thread([this] { CollectAndDestroy(); }).join();
      EXPECT_EQ(lifetimes_.alive(), 2);
      {
        AsyncHandleGuard inner_guard(TaskMutator());
        const Handle<Node> third = inner_guard.New<Node>(lifetimes_, 3);
        CollectAndDestroy();
        EXPECT_EQ(lifetimes_.alive(), 3);
        EXPECT_EQ(third->number, 3);
      }
      EXPECT_TRUE(mutator.parked());
      {
        const TaskStretch elsewhere(*other_heap);
        EXPECT_EQ(&TaskMutator().heap(), other_heap.get());
        const AsyncHandleGuard other_guard(TaskMutator());
      }
      EXPECT_EQ(&TaskMutator(), &mutator);
      CollectAndDestroy();
      EXPECT_EQ(lifetimes_.alive(), 2);
    }
    EXPECT_EQ(&TaskMutator(), &mutator);
    EXPECT_FALSE(mutator.parked());
    EXPECT_EQ(node->next->number, 2);
    node->next = guard.New<Node>(lifetimes_, 4);
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), 3);
  }).join();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// ---- misuse ----

using SpawnDeathTest = SpawnTest;

// Runs `f` as a stretch of a task, with room for what it leaves open.
ABSL_ATTRIBUTE_NOINLINE void RunStretch(Heap& heap, auto f) {
  alignas(64) std::byte frame[512];
  const TaskStretch stretch(heap);
  f(static_cast<void*>(frame));
}

TEST_F(SpawnDeathTest, WhatATaskLeavesOpenIsToldInEveryBuild) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  const auto run = [&](auto leave_open) { RunStretch(*heap_, leave_open); };
  run([](void*) {
    const AsyncHandleGuard guard(TaskMutator());
    const HandleScope scope(TaskMutator());
    const NoGcScope no_gc(TaskMutator());
  });
  EXPECT_DEATH(
      run([](void* at) { ::new (at) AsyncHandleGuard(TaskMutator()); }),
      "made at async/spawn_test.cc:.*leaves open an AsyncHandleGuard");
  // Scopes open in a guard only, so that tells of those without handles.
  EXPECT_DEATH(run([](void* at) {
                 ::new (at) RunningScope(TaskMutator());
                 ::new (static_cast<std::byte*>(at) + 64)
                     HandleScope(TaskMutator());
               }),
               "leaves open an AsyncHandleGuard");
  // A NoGcScope, of which clang would see that it stays open.
  EXPECT_DEATH(run([](void*) {
                 const AsyncHandleGuard guard(TaskMutator());
                 TaskMutator().EnterNoGc();
               }),
               "in a NoGcScope");
  EXPECT_DEATH(run([](void*) { TaskMutator().EnterNoGc(); }),
               kCheckedHandles ? "a NoGcScope was opened by a parked thread"
                               : "leaves open a NoGcScope");
  EXPECT_DEATH(
      {
        std::optional<ParkedScope> parked(std::in_place, mutator);
        run([&](void*) { parked.reset(); });
      },
      "ends what it has not begun: a ParkedScope");
}

TEST_F(SpawnDeathTest, OutsideOfAGuardATaskOpensNoScopeInAnyBuild) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  HandleScope outer(mutator);
  const Handle<Node> node = outer.New<Node>(lifetimes_, 1);
  const auto run = [&](auto f) { RunStretch(*heap_, f); };
  EXPECT_DEATH(
      run([](void*) { const HandleScope scope(TaskMutator()); }),
      "a HandleScope was opened by a parked thread, at .*spawn_test.cc:[0-9]+ "
      "in .*, in a task that was made at .*spawn_test.cc:[0-9]+: open it");
  EXPECT_DEATH(
      run([&](void*) { outer.New<Other>(lifetimes_); }),
      kCheckedHandles ? "by a parked thread" : "in a task that was made at");
  // Behind it there is none.
  {
    const ParkedScope parked(mutator);
    EXPECT_DEATH(
        { const HandleScope scope(mutator); },
        "by a parked thread, at .*spawn_test.cc:[0-9]+ in [^,]*: open");
  }
  outer.New<Other>(lifetimes_);
  EXPECT_EQ(node->number, 1);
}

TEST_F(SpawnDeathTest, ATaskDoesNotRunInANoGcScope) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  EXPECT_DEATH(
      {
        mutator.EnterNoGc();
        RunStretch(*heap_, [](void*) {});
      },
      "in a NoGcScope");
}

TEST_F(SpawnDeathTest, TaskMutatorIsForTasks) {
  const MutatorScope mutator(*heap_);
  EXPECT_DEATH(TaskMutator(), "TaskMutator is called outside of a task");
}

TEST_F(SpawnDeathTest, AGcScopeThatWasMovedFromTracksNothing) {
  GcScope from(*heap_);
  const GcScope to = std::move(from);
  EXPECT_DEATH(WithNode([&](Handle<Node> node) { from.Track(node); }),
               "that was moved from");
}

// ---- what does not compile ----

template <class... Ts>
concept Capturable = requires(Ts... values) { Capture(values...); };
static_assert(Capturable<Handle<Node>, int>);
static_assert(HasSpawnTraits<decltype(CallbackExecutor(std::declval<Heap&>(),
                                                       [](auto) {}))>);
static_assert(!HasSpawnTraits<Queue>);

}  // namespace
}  // namespace bibop
