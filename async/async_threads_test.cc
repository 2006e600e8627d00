// Tasks that hold objects while they sleep, and wake up on other threads.

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "bibop/async/async_handle.h"
#include "bibop/async/async_handle_guard.h"
#include "bibop/async/async_handle_scope.h"
#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/stress_options.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

struct Node {
  Node(Lifetimes& lifetimes, int64_t n) : tracked(lifetimes), number(n) {}
  Tracked tracked;
  int64_t number;
  Member<Node> next;
  void Trace(auto& visitor) const { visitor(next); }
};
using Table = Array<Member<Node>>;

// Threads that are attached to a heap and resume coroutines, each wherever it
// comes next. They are parked while they have nothing to do.
class Threads {
 public:
  Threads(Heap& heap, int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, &heap] { Run(heap); });
    }
  }
  ~Threads() {
    {
      const absl::MutexLock lock(mutex_);
      ended_ = true;
    }
    for (std::thread& thread : threads_) thread.join();
  }

  // The mutator of the calling thread, one of these.
  static Mutator& ThisMutator() { return *this_mutator; }

  void Post(std::coroutine_handle<> task) {
    const absl::MutexLock lock(mutex_);
    ready_.push_back(task);
  }

  // Suspends a task and goes on on any of the threads.
  auto Elsewhere() {
    struct Awaiter {
      Threads& threads;
      bool await_ready() const { return false; }
      void await_suspend(std::coroutine_handle<> task) const {
        threads.Post(task);
      }
      void await_resume() const {}
    };
    return Awaiter{*this};
  }

 private:
  static thread_local Mutator* this_mutator;

  void Run(Heap& heap) {
    MutatorScope attached(heap);
    Mutator& mutator = attached;
    this_mutator = &mutator;
    const ParkedScope parked(mutator);
    while (const std::coroutine_handle<> task = Take()) task.resume();
  }
  std::coroutine_handle<> Take() {
    const absl::MutexLock lock(mutex_);
    const auto any = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return ended_ || !ready_.empty();
    };
    mutex_.Await(absl::Condition(&any));
    if (ready_.empty()) return nullptr;
    const std::coroutine_handle<> task = ready_.front();
    ready_.pop_front();
    return task;
  }

  absl::Mutex mutex_;
  std::deque<std::coroutine_handle<>> ready_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};
thread_local Mutator* Threads::this_mutator = nullptr;

// A coroutine that nobody waits for.
struct Task {
  struct promise_type {
    Task get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  std::coroutine_handle<> handle;
};

struct Shared {
  Threads& threads;
  Lifetimes& lifetimes;
  Heap& heap;
  std::atomic<int>& running;
  // In a scope that outlives the tasks.
  AsyncHandle<Table> table;
};

// Builds a list of `steps` nodes that its own scope alone holds, one from each
// suspension to the next, and leaves nodes in a shared table, where others take
// them from.
Task Wander(Shared shared, AsyncHandleScope scope, unsigned seed, int steps) {
  std::mt19937 random(seed);
  AsyncHandle<Node> list;
  std::optional<AsyncHandleScope> borrowed_scope;
  AsyncHandle<Node> borrowed;
  for (int step = 0; step < steps; ++step) {
    co_await shared.threads.Elsewhere();
    AsyncHandleScope::WithGuard(
        Threads::ThisMutator(), [&](AsyncHandleGuard& guard) {
          const Handle<Node> node = guard.New<Node>(shared.lifetimes, step);
          if (step > 0) node->next = guard.Get(list);
          list = scope.Add(node);
          int64_t expected = step;
          for (const Node* at = node.get(); at != nullptr;
               at = at->next.get()) {
            ASSERT_EQ(at->number, expected--);
          }
          ASSERT_EQ(expected, -1);
          const Handle<Table> table = guard.Get(shared.table);
          Member<Node>& entry = (*table)[random() % table->size()];
          if (borrowed_scope.has_value()) {
            ASSERT_GE(guard.Get(borrowed)->number, 0);
          }
          const MaybeHandle<Node> taken = guard.Local(entry);
          borrowed_scope.reset();
          if (!taken.IsEmpty()) {
            borrowed_scope.emplace(shared.heap);
            borrowed = borrowed_scope->Add(taken.ToHandleChecked());
          }
          // The list is the task's alone again at the next step.
          entry = guard.New<Node>(shared.lifetimes, 1'000'000 + step);
        });
  }
  --shared.running;
}

class AsyncThreadsTest : public ::testing::TestWithParam<CollectionMode> {
 protected:
  void CollectAndDestroy() {
    heap_->Collect();
    heap_->Collect();
  }

  Lifetimes lifetimes_;
  std::unique_ptr<Heap> heap_ =
      Heap::Create({.mode = GetParam(),
                    .min_budget_bytes = 64 << 10,
                    .small_heap_bytes = 64 << 10,
                    .stress = {.verify = VerifyLevel::kReachable}})
          .value();
};

INSTANTIATE_TEST_SUITE_P(Modes, AsyncThreadsTest,
                         ::testing::Values(CollectionMode::kStopTheWorld,
                                           CollectionMode::kIncremental,
                                           CollectionMode::kConcurrent));

TEST_P(AsyncThreadsTest, TasksHoldTheirObjectsWhereverTheyWakeUp) {
  constexpr int kTasks = 1000;
  constexpr int kSteps = 20;
  std::atomic<int> running = kTasks;
  {
    std::optional<AsyncHandleScope> table_scope(std::in_place, *heap_);
    AsyncHandle<Table> table;
    {
      MutatorScope attached(*heap_);
      Mutator& mutator = attached;
      HandleScope scope(mutator);
      table = table_scope->Add(scope.NewArray<Member<Node>>(50));
    }
    Threads threads(*heap_, 4);
    const Shared shared = {threads, lifetimes_, *heap_, running, table};
    for (unsigned i = 0; i < kTasks; ++i) {
      threads.Post(Wander(shared, AsyncHandleScope(*heap_), i, kSteps).handle);
    }
    while (running > 0) heap_->Collect();
    EXPECT_EQ(lifetimes_.born(), 2 * kTasks * kSteps);
    CollectAndDestroy();
    EXPECT_LE(lifetimes_.alive(), 50 + kTasks * kSteps);
  }
  // The threads have ended, and the tasks with them.
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_GT(heap_->stats().cycles, 4);
}

// Scopes go from the thread that makes them to one that looks at their objects
// and one that destroys them, which is not attached and knows no cycle.
TEST_P(AsyncThreadsTest, ScopesAreDestroyedWhileTheirObjectsAreTakenOver) {
  constexpr int kScopes = 20'000;
  struct Letter {
    AsyncHandleScope scope;
    AsyncHandle<Node> node;
  };
  struct Mailbox {
    absl::Mutex mutex;
    std::vector<Letter> letters ABSL_GUARDED_BY(mutex);
    void Send(Letter letter) {
      const absl::MutexLock lock(mutex);
      letters.push_back(std::move(letter));
    }
    std::vector<Letter> TakeAll() {
      const absl::MutexLock lock(mutex);
      return std::exchange(letters, {});
    }
  };
  Mailbox made;
  Mailbox read;
  std::atomic<int> at_work = 2;
  std::thread maker([&] {
    MutatorScope attached(*heap_);
    Mutator& mutator = attached;
    for (int i = 0; i < kScopes; ++i) {
      HandleScope scope(mutator);
      const Handle<Node> node = scope.New<Node>(lifetimes_, i);
      node->next = scope.New<Node>(lifetimes_, i + 1);
      AsyncHandleScope async(*heap_);
      const AsyncHandle<Node> handle = async.Add(node);
      made.Send({std::move(async), handle});
    }
    --at_work;
  });
  std::thread reader([&] {
    MutatorScope attached(*heap_);
    Mutator& mutator = attached;
    HandleScope scope(mutator);
    const Handle<Table> kept = scope.NewArray<Member<Node>>(100);
    for (bool last = false; !last;) {
      last = at_work == 1;
      mutator.Safepoint();
      for (Letter& letter : made.TakeAll()) {
        AsyncHandleGuard guard(mutator);
        const Handle<Node> node = guard.Get(letter.node);
        Member<Node>& entry =
            (*kept)[static_cast<size_t>(node->number) % kept->size()];
        ASSERT_TRUE(!entry || entry->next->number == entry->number + 1);
        entry = node;
        read.Send(std::move(letter));
      }
    }
    --at_work;
  });
  std::thread destroyer([&] {
    for (bool last = false; !last;) {
      last = at_work == 0;
      read.TakeAll();
      std::this_thread::yield();
    }
  });
  while (at_work > 0) heap_->Collect();
  maker.join();
  reader.join();
  destroyer.join();
  EXPECT_EQ(lifetimes_.born(), 2 * kScopes);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

}  // namespace
}  // namespace bibop
