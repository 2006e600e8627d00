// Containers under change while the heap is collected, in every mode: each
// thread does random operations to its own and compares them with a model;
// shared ones are guarded by a mutex.

#include <atomic>
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/containers/container_operations.h"
#include "bibop/containers/containers.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/persistent.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/mutator.h"
#include "gtest/gtest.h"

namespace bibop::testing {
namespace {

constexpr int kThreads = 2;
constexpr absl::Duration kTime = absl::Milliseconds(60);

template <class C>
struct Owner {
  C a;
  C b;
  void Trace(auto& visitor) const { visitor(a, b); }
};

template <class P>
class ContainersThreadsTest : public ::testing::Test {};
TYPED_TEST_SUITE(ContainersThreadsTest, AsTestTypes<AllPairs>::Types);

template <class P>
void ChangeAtRandom(Heap& heap, unsigned seed, absl::Time end) {
  using C = typename P::Real;
  using Model = typename P::Model;
  const std::vector<Operation<C>> operations = Operations<C>();
  const std::vector<Operation<Model>> on_model = Operations<Model>();
  MutatorScope attached(heap);
  Mutator& mutator = attached;
  Persistent<Owner<C>> owner;
  {
    HandleScope scope(mutator);
    owner = Persistent<Owner<C>>(mutator, scope.New<Owner<C>>());
  }
  Model model_a;
  Model model_b;
  std::mt19937 random(seed);
  while (absl::Now() < end) {
    const size_t which = random() % operations.size();
    const int n = static_cast<int>(random() % 100);
    {
      HandleScope scope(mutator);
      Operands<C> o = {&scope, owner->a, owner->b, n};
      operations[which].run(o);
      Operands<Model> on = {nullptr, model_a, model_b, n};
      on_model[which].run(on);
      if (model_a.size() > 500) {
        owner->a.clear();
        model_a.clear();
      }
    }
    mutator.Safepoint();
    if (random() % 8 != 0) continue;
    ASSERT_EQ(Described(owner->a), Described(model_a))
        << operations[which].name;
    ASSERT_EQ(Described(owner->b), Described(model_b))
        << operations[which].name;
  }
}

TYPED_TEST(ContainersThreadsTest, MayChangeWhileTheHeapIsMarked) {
  for (const CollectionMode mode :
       {CollectionMode::kConcurrent, CollectionMode::kIncremental,
        CollectionMode::kStopTheWorld}) {
    const auto heap = Heap::Create({.mode = mode,
                                    .markers = 2,
                                    .min_budget_bytes = 128 << 10,
                                    .small_heap_bytes = 128 << 10})
                          .value();
    const absl::Time end = absl::Now() + kTime;
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (unsigned t = 0; t < kThreads; ++t) {
      threads.emplace_back(
          [&heap, t, end] { ChangeAtRandom<TypeParam>(*heap, t, end); });
    }
    std::thread collector([&heap, end] {
      while (absl::Now() < end) heap->Collect();
    });
    for (std::thread& thread : threads) thread.join();
    collector.join();
    heap->Collect();
    EXPECT_EQ(heap->stats().live_objects, 0);
  }
}

struct Shared {
  void Trace(auto& visitor) const { visitor(queue, by_key, tree); }
  Deque<Ref> queue;
  FlatHashMap<int, Ref> by_key;
  Map<int, Vector<Ref>> tree;
};

TEST(SharedContainersTest, ThreadsMayTakeTurns) {
  const auto heap = Heap::Create({.min_budget_bytes = 128 << 10,
                                  .small_heap_bytes = 128 << 10})
                        .value();
  MutatorScope attached(*heap);
  Mutator& mutator = attached;
  HandleScope scope(mutator);
  const Persistent<Shared> shared(mutator, scope.New<Shared>());
  absl::Mutex mutex;
  std::atomic<int> wrong = 0;
  const absl::Time end = absl::Now() + absl::Milliseconds(500);
  std::vector<std::thread> threads;
  threads.reserve(3);
  for (unsigned t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      MutatorScope own(*heap);
      Mutator& here = own;
      std::mt19937 random(t);
      while (absl::Now() < end) {
        HandleScope inner(here);
        {
          ParkedScope parked(here);
          mutex.lock();
        }
        const int key = static_cast<int>(random() % 300);
        const Ref ref = {key, inner.New<Thing>(key)};
        shared->queue.push_back(ref);
        shared->by_key[key] = shared->queue.front();
        shared->tree[key % 10].push_back(ref);
        if (shared->queue.size() > 50) {
          std::string text;
          Describe(shared->queue.front(), text);
          Describe(shared->by_key, text);
          Describe(shared->tree, text);
          if (text.find("WRONG") != std::string::npos) ++wrong;
          shared->queue.pop_front();
          if (shared->by_key.size() > 200) shared->by_key.clear();
          shared->tree.erase(key % 10);
        }
        mutex.unlock();
      }
    });
  }
  {
    ParkedScope parked(mutator);
    while (absl::Now() < end) heap->Collect();
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace bibop::testing
