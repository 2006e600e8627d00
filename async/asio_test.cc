// Coroutines of Asio that hold objects while they sleep.

#include "bibop/async/asio.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "absl/log/absl_check.h"
#include "absl/strings/numbers.h"
#include "asio/awaitable.hpp"
#include "asio/bind_cancellation_slot.hpp"
#include "asio/cancellation_signal.hpp"
#include "asio/detached.hpp"
#include "asio/io_context.hpp"
#include "asio/post.hpp"
#include "asio/steady_timer.hpp"
#include "asio/strand.hpp"
#include "asio/this_coro.hpp"
#include "asio/thread_pool.hpp"
#include "asio/use_awaitable.hpp"
#include "asio/use_future.hpp"
#include "bibop/async/async_any_handle.h"
#include "bibop/async/async_handle.h"
#include "bibop/async/async_handle_guard.h"
#include "bibop/async/async_handle_scope.h"
#include "bibop/async/callback_executor.h"
#include "bibop/async/gc_scope.h"
#include "bibop/async/gc_task.h"
#include "bibop/async/spawn.h"
#include "bibop/async/task_stretch.h"
#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
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

// A suspension after which the coroutine goes on on any thread.
asio::awaitable<void> Yield() { co_await asio::post(asio::use_awaitable); }

class AsioTest : public ::testing::Test {
 protected:
  explicit AsioTest(HeapOptions options = {})
      : heap_(Heap::Create(std::move(options)).value()) {}

  // Calls f(node), with a node that refers to another, on an attached thread.
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
  std::unique_ptr<Heap> heap_;
};

TEST_F(AsioTest, ACoroutineKeepsItsObjectsUntilItIsDone) {
  std::future<int64_t> result;
  {
    asio::thread_pool pool(2);
    const AsioExecutor executor(*heap_, pool.get_executor());
    WithNode([&](Handle<Node> node) {
      result = SpawnWithGc(
          executor, Capture(node),
          [](AsyncHandle<Node> node) -> asio::awaitable<int64_t> {
            int64_t sum = 0;
            for (int i = 0; i < 20; ++i) {
              co_await Yield();
              AsyncHandleScope::WithGuard(
                  TaskMutator(), [&](AsyncHandleGuard& guard) {
                    sum += guard.Get(node)->next->number;
                    guard.mutator().heap().Collect();
                  });
            }
            co_return sum;
          },
          asio::use_future);
    });
    EXPECT_EQ(result.get(), 40);
    pool.join();
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(AsioTest, AnExceptionGoesToTheTokenAndTheRootsAreFree) {
  asio::thread_pool pool(1);
  std::future<void> result;
  WithNode([&](Handle<Node> node) {
    result = SpawnWithGc(
        AsioExecutor(*heap_, pool.get_executor()), Capture(node),
        [](AsyncHandle<Node>) -> asio::awaitable<void> {
          co_await Yield();
          throw std::runtime_error("broken");
        },
        asio::use_future);
  });
  EXPECT_THROW(result.get(), std::runtime_error);
  pool.join();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(AsioTest, WhatNeverRunsOrIsNotDoneWhenItsContextGoesFreesItsRoots) {
  for (const bool runs : {false, true}) {
    std::optional<asio::io_context> context(std::in_place);
    WithNode([&](Handle<Node> node) {
      SpawnWithGc(
          AsioExecutor(*heap_, context->get_executor()), Capture(node),
          [](AsyncHandle<Node>) -> asio::awaitable<void> {
            asio::steady_timer timer(co_await asio::this_coro::executor);
            timer.expires_after(std::chrono::hours(1));
            co_await timer.async_wait(asio::use_awaitable);
            ADD_FAILURE();
          });
    });
    if (runs) std::thread([&] { context->poll(); }).join();
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), 2);
    context.reset();
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), 0);
  }
}

TEST_F(AsioTest, ACancelledCoroutineFreesItsRoots) {
  asio::io_context context;
  asio::cancellation_signal signal;
  bool failed = false;
  WithNode([&](Handle<Node> node) {
    SpawnWithGc(
        AsioExecutor(*heap_, context.get_executor()), Capture(node),
        [](AsyncHandle<Node>) -> asio::awaitable<void> {
          asio::steady_timer timer(co_await asio::this_coro::executor);
          timer.expires_after(std::chrono::hours(1));
          co_await timer.async_wait(asio::use_awaitable);
        },
        asio::bind_cancellation_slot(
            signal.slot(),
            [&failed](const std::exception_ptr& e) { failed = e != nullptr; }));
  });
  std::thread([&] {
    context.poll();
    signal.emit(asio::cancellation_type::terminal);
    context.run();
  }).join();
  EXPECT_TRUE(failed);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// main's, say.
TEST_F(AsioTest, AThreadThatIsAttachedBeforeRunsCoroutinesToo) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  asio::io_context context;
  static int64_t found;
  {
    HandleScope scope(mutator);
    GcScope roots(*heap_);
    roots.Track(scope.New<Node>(lifetimes_, 3));
    roots.Spawn(
        AsioExecutor(*heap_, asio::make_strand(context)),
        [](std::vector<AsyncAnyHandle> tracked) -> asio::awaitable<void> {
          co_await Yield();
          found = AsyncHandleScope::WithGuard(
              TaskMutator(), [&](AsyncHandleGuard& guard) {
                return tracked[0].TryAs<Node>(guard).ToHandleChecked()->number;
              });
        });
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 1);
  {
    const ParkedScope parked(mutator);
    context.run();
  }
  EXPECT_EQ(found, 3);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// The other adapter, on the same pool.
TEST_F(AsioTest, APoolTakesCallbacks) {
  asio::thread_pool pool(2);
  std::atomic<int64_t> number = 0;
  static std::atomic<int64_t>* result;
  result = &number;
  const CallbackExecutor executor(
      *heap_, [&pool](auto task) { asio::post(pool, std::move(task)); });
  WithNode([&](Handle<Node> node) {
    SpawnWithGc(executor, Capture(node), [](AsyncHandle<Node> node) {
      AsyncHandleGuard guard(TaskMutator());
      *result = guard.Get(node)->next->number;
    });
  });
  pool.join();
  EXPECT_EQ(number, 2);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

using AsioDeathTest = AsioTest;

TEST_F(AsioDeathTest, AGuardThatIsOpenAcrossASuspensionIsTold) {
  EXPECT_DEATH(
      {
        asio::thread_pool pool(1);
        WithNode([&](Handle<Node> node) {
          SpawnWithGc(
              AsioExecutor(*heap_, pool.get_executor()), Capture(node),
              [](AsyncHandle<Node>) -> asio::awaitable<void> {
                // Not a local, which checked builds would find before.
                alignas(64) static std::byte place[sizeof(RunningScope)];
                ::new (static_cast<void*>(place)) RunningScope(TaskMutator());
                co_await Yield();
              });
        });
        pool.join();
      },
      "a task that was made at async/asio_test.cc:.*is suspended or ends, and "
      "leaves open an AsyncHandleGuard");
}

// ---- many ----

class BusyAsioTest : public AsioTest {
 protected:
  BusyAsioTest()
      : AsioTest({.min_budget_bytes = 256 << 10,
                  .small_heap_bytes = 256 << 10,
                  .stress = {.verify = VerifyLevel::kReachable}}) {}
};

struct Totals {
  std::atomic<unsigned> done = 0;
  std::atomic<int> wrong = 0;
};

// How many coroutines: BIBOP_COROUTINES, by default so many that it takes
// seconds.
unsigned Coroutines() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): it only reads
  const char* text = std::getenv("BIBOP_COROUTINES");
  unsigned number = 0;
  if (text == nullptr) return 5000;
  ABSL_CHECK(absl::SimpleAtoi(text, &number)) << "BIBOP_COROUTINES=" << text;
  return number;
}

// Each has a list of nodes that its own scope holds, and takes nodes from a
// shared table and puts others there.
TEST_F(BusyAsioTest, ManyCoroutinesChangeAGraphOnFourThreads) {
  const unsigned coroutines = Coroutines();
  constexpr int kSuspensions = 20;
  static Totals* totals;
  static Lifetimes* lifetimes;
  Totals counts;
  totals = &counts;
  lifetimes = &lifetimes_;
  {
    asio::thread_pool pool(4);
    const AsioExecutor executor(*heap_, pool.get_executor());
    std::thread([&] {
      MutatorScope attached(*heap_);
      Mutator& mutator = attached;
      HandleScope scope(mutator);
      const Handle<Table> table = scope.NewArray<Member<Node>>(64);
      for (unsigned i = 0; i < coroutines; ++i) {
        HandleScope one(mutator);
        const Handle<Node> first = one.New<Node>(lifetimes_, 0);
        SpawnWithGc(
            executor, Capture(table, first, i),
            [](AsyncHandle<Table> table, AsyncHandle<Node> first,
               unsigned seed) -> asio::awaitable<void> {
              std::minstd_rand random(seed + 1);  // NOLINT: repeatable
              std::optional<AsyncHandleScope> scope;
              AsyncHandle<Node> last = first;
              for (int i = 1; i <= kSuspensions; ++i) {
                co_await Yield();
                AsyncHandleScope::WithGuard(
                    TaskMutator(), [&](AsyncHandleGuard& guard) {
                      const Handle<Node> before = guard.Get(last);
                      const Handle<Node> node = guard.New<Node>(*lifetimes, i);
                      before->next = node;
                      if (guard.Get(first)->number != 0 ||
                          before->number != i - 1) {
                        ++totals->wrong;
                      }
                      AsyncHandleScope next(guard.mutator().heap());
                      last = next.Add(node);
                      scope = std::move(next);
                      Member<Node>& entry = (*guard.Get(table))[random() % 64];
                      if (entry != nullptr && entry->number < 0) {
                        ++totals->wrong;
                      }
                      entry = i % 2 == 0 ? node : guard.Get(first);
                    });
              }
              // The list is whole: `first` kept it.
              AsyncHandleScope::WithGuard(
                  TaskMutator(), [&](AsyncHandleGuard& guard) {
                    int64_t length = 0;
                    for (const Node* at = guard.Get(first)->next.get();
                         at != nullptr; at = at->next.get()) {
                      if (at->number != ++length) ++totals->wrong;
                    }
                    if (length != kSuspensions) ++totals->wrong;
                  });
              ++totals->done;
            });
      }
    }).join();
    while (counts.done < coroutines) heap_->Collect();
    pool.join();
  }
  EXPECT_EQ(counts.wrong, 0);
  EXPECT_EQ(lifetimes_.born(),
            static_cast<int64_t>(coroutines) * (kSuspensions + 1));
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

}  // namespace
}  // namespace bibop
