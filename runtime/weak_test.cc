// Weak references in collections of every mode, with mutators that run
// meanwhile.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/persistent.h"
#include "bibop/handles/weak_persistent.h"
#include "bibop/marker/ephemeron.h"
#include "bibop/marker/finalization_registry.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "bibop/marker/weak_map.h"
#include "bibop/marker/weak_member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/mutator.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

struct Node {
  Node(Lifetimes& lifetimes, int64_t n)
      : tracked(lifetimes), number(n), check(~n) {}
  ~Node() { check = 0; }
  bool IsAlive() const { return check == ~number; }
  Tracked tracked;
  const int64_t number;
  int64_t check;
  Member<Node> next;
  void Trace(auto& visitor) const { visitor(next); }
};

struct Configuration {
  const char* name;
  CollectionMode mode;
  int markers = 0;
};

constexpr Configuration kModes[] = {
    {"StopTheWorld", CollectionMode::kStopTheWorld},
    {"Incremental", CollectionMode::kIncremental},
    {"Concurrent", CollectionMode::kConcurrent, 1},
    {"FourMarkers", CollectionMode::kConcurrent, 4},
};

std::string NameOf(const ::testing::TestParamInfo<Configuration>& info) {
  return info.param.name;
}

class WeakReferencesTest : public ::testing::TestWithParam<Configuration> {
 protected:
  void CollectAndDestroy() {
    heap_->Collect();
    heap_->Collect();
  }
  Handle<Node> New(HandleScope& scope, int64_t n = 0) {
    return scope.New<Node>(lifetimes_, n);
  }

  Lifetimes lifetimes_;
  std::unique_ptr<Heap> heap_ = Heap::Create({.mode = GetParam().mode,
                                              .markers = GetParam().markers,
                                              .min_budget_bytes = 64 << 10,
                                              .small_heap_bytes = 64 << 10})
                                    .value();
};

INSTANTIATE_TEST_SUITE_P(Modes, WeakReferencesTest, ::testing::ValuesIn(kModes),
                         NameOf);

struct Holder {
  WeakMember<Node> member;
  Ephemeron<Node, Node> ephemeron;
  Member<WeakMap<Node, Node>> map;
  void Trace(auto& visitor) const { visitor(member, ephemeron, map); }
};

TEST_P(WeakReferencesTest, KeepNothingAndAreEmptyAfterwards) {
  MutatorScope mutator(*heap_);
  HandleScope scope(mutator);
  const Handle<Holder> holder = scope.New<Holder>();
  holder->map = scope.New<WeakMap<Node, Node>>();
  WeakPersistent<Node> persistent;
  {
    HandleScope inner(mutator);
    const Handle<Node> key = New(inner, 1);
    holder->member = key;
    persistent.Reset(mutator, key);
    {
      HandleScope innermost(mutator);
      const Handle<Node> value = New(innermost, 2);
      value->next = key;
      holder->ephemeron.Set(key, value);
      holder->map->Set(mutator, key, New(innermost, 3));
    }
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), 3);
    EXPECT_TRUE(holder->member.Lock(inner).ToHandleChecked() == key);
    EXPECT_EQ(holder->ephemeron.LockValue(inner).ToHandleChecked()->number, 2);
    EXPECT_EQ(holder->map->Get(inner, key).ToHandleChecked()->number, 3);
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_TRUE(persistent.IsEmpty());
  EXPECT_TRUE(holder->member.IsEmpty());
  EXPECT_TRUE(holder->ephemeron.IsEmpty());
  EXPECT_EQ(holder->map->size(), 0u);
}

TEST_P(WeakReferencesTest, AChainOfAHundredThousandInReverseOrder) {
  constexpr int kCount = 100000;
  MutatorScope mutator(*heap_);
  HandleScope scope(mutator);
  const auto chain = scope.NewArray<Ephemeron<Node, Node>>(kCount);
  {
    HandleScope inner(mutator);
    const Handle<Node> first = New(inner);
    {
      HandleScope innermost(mutator);
      MutableHandle<Node> key = innermost.Mutable(first);
      for (size_t i = kCount; i-- > 0;) {
        HandleScope loop(mutator);
        const Handle<Node> value = New(loop, static_cast<int64_t>(i));
        (*chain)[i].Set(key, value);
        key = value;
      }
    }
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), kCount + 1);
    EXPECT_EQ((*chain)[0].LockValue(inner).ToHandleChecked()->number, 0);
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// Ephemerons whose values are lists, so that several markers have work, and
// that lead to each other across their lists.
TEST_P(WeakReferencesTest, AForestBehindEphemerons) {
  constexpr size_t kTrees = 300;
  constexpr int kLength = 500;
  MutatorScope mutator(*heap_);
  HandleScope scope(mutator);
  const Handle<WeakMap<Node, Node>> map = scope.New<WeakMap<Node, Node>>();
  {
    HandleScope inner(mutator);
    const Handle<Node> first = New(inner);
    {
      HandleScope innermost(mutator);
      MutableHandle<Node> key = innermost.Mutable(first);
      for (size_t i = 0; i < kTrees; ++i) {
        HandleScope loop(mutator);
        const Handle<Node> head = New(loop);
        map->Set(mutator, key, head);
        MutableHandle<Node> last = loop.Mutable(head);
        for (int n = 1; n < kLength; ++n) {
          last->next = New(loop);
          last = last->next;
        }
        key = last;
      }
    }
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), static_cast<int>(kTrees * kLength) + 1);
    EXPECT_EQ(map->size(), kTrees);
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_EQ(map->size(), 0u);
}

TEST_P(WeakReferencesTest, CallbacksComeOnceAndTheProgramIsTold) {
  std::atomic<int> told = 0;
  std::multiset<int64_t> called;
  FinalizationRegistry<int64_t> registry(
      [&called](int64_t n) { called.insert(n); }, [&told] { ++told; });
  MutatorScope mutator(*heap_);
  for (int64_t i = 0; i < 1000; ++i) {
    HandleScope scope(mutator);
    registry.Register(mutator, New(scope, i), i);
    if (told != 0) registry.RunPending(mutator);
  }
  heap_->Collect();
  registry.RunPending(mutator);
  EXPECT_GE(told, 1);
  EXPECT_EQ(called.size(), 1000u);
  EXPECT_EQ(std::set<int64_t>(called.begin(), called.end()).size(), 1000u);
  EXPECT_EQ(registry.size(), 0u);
}

// A regression: after a hook had thrown others were not called, and the heap's
// thread collected no more.
TEST_P(WeakReferencesTest, AHookThatThrowsIsLoggedAndCollectionsGoOn) {
  std::atomic<int> thrown = 0;
  std::atomic<int> told = 0;
  FinalizationRegistry<int> throwing([](int) {},
                                     [&thrown] {
                                       ++thrown;
                                       throw std::runtime_error("no room");
                                     });
  FinalizationRegistry<int> other([](int) {}, [&told] { ++told; });
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  HandleScope scope(mutator);
  // What is alive is more than its allocator collects itself.
  scope.NewArray<int64_t>(size_t{1} << 18);
  {
    HandleScope inner(mutator);
    const Handle<Node> node = New(inner);
    throwing.Register(mutator, node, 0);
    other.Register(mutator, node, 0);
  }
  heap_->Collect();
  EXPECT_EQ(thrown, 1);
  EXPECT_EQ(told, 1);
  {
    HandleScope inner(mutator);
    throwing.Register(mutator, New(inner), 0);
  }
  heap_->Collect();
  EXPECT_EQ(thrown, 2) << "nothing came of the first call";
  const int64_t cycles = heap_->stats().cycles;
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (heap_->stats().cycles < cycles + 3 && absl::Now() < end) {
    HandleScope inner(mutator);
    for (int i = 0; i < 1000; ++i) New(inner, i);
  }
  EXPECT_GE(heap_->stats().cycles, cycles + 3);
}

// ---- with several threads ----

// How many collections there are meanwhile: rather so many, but not for longer
// than that.
constexpr int kCollections = 100;
constexpr absl::Duration kLongest = absl::Seconds(1);

// What the threads share.
struct Shared {
  static constexpr size_t kSlots = 64;
  WeakMember<Node> members[kSlots];
  Ephemeron<Node, Node> ephemerons[kSlots];
  // Keep nodes alive for a while, by any thread.
  Member<Node> strong[kSlots];
  Member<WeakMap<Node, Node>> map;
  void Trace(auto& visitor) const { visitor(members, ephemerons, strong, map); }
};

class WeakReferencesThreadsTest : public WeakReferencesTest {
 protected:
  // Runs `work(mutator, thread)` on some threads while another collects. It
  // goes on as long as running() says.
  template <class F>
  void RunWhileCollecting(F work) {
    running_ = true;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&, i] {
        MutatorScope mutator(*heap_);
        work(mutator, i);
      });
    }
    const absl::Time end = absl::Now() + kLongest;
    for (int i = 0; i < kCollections && absl::Now() < end; ++i) {
      heap_->Collect();
      absl::SleepFor(absl::Microseconds(i % 8 * 100));
    }
    running_ = false;
    for (std::thread& thread : threads) thread.join();
  }
  bool running() const { return running_; }

  // Fails unless the node is alive, or nothing.
  static void Look(const MaybeHandle<Node>& node) {
    if (!node.IsEmpty()) {
      ASSERT_TRUE(node.ToHandleChecked()->IsAlive());
    }
  }

 private:
  std::atomic<bool> running_ = false;
};

INSTANTIATE_TEST_SUITE_P(Modes, WeakReferencesThreadsTest,
                         ::testing::ValuesIn(kModes), NameOf);

TEST_P(WeakReferencesThreadsTest, AreReadAndWrittenByAllAtOnce) {
  Persistent<Shared> shared;
  {
    MutatorScope mutator(*heap_);
    HandleScope scope(mutator);
    shared.Reset(mutator, scope.New<Shared>());
  }
  RunWhileCollecting([&](Mutator& mutator, int thread) {
    std::mt19937 random(thread);  // NOLINT(cert-msc51-cpp): repeatable
    HandleScope outer(mutator);
    const Handle<Shared> s = outer.Local(shared).ToHandleChecked();
    for (int round = 0; running(); ++round) {
      HandleScope scope(mutator);
      const size_t at = random() % Shared::kSlots;
      const size_t other = random() % Shared::kSlots;
      switch (random() % 10) {
        case 0:
          s->strong[at] = New(scope, round);
          break;
        case 1:
          s->strong[at] = nullptr;
          break;
        case 2:
          s->members[at] = s->strong[other];
          break;
        case 3:
          s->members[at] = New(scope, round);
          break;
        case 4:
          s->members[at] = s->members[other];
          break;
        case 5:
          s->ephemerons[at].Set(s->strong[other], New(scope, round));
          break;
        case 6: {
          // Back among the living.
          const MaybeHandle<Node> node = s->members[at].Lock(scope);
          Look(node);
          if (!node.IsEmpty()) s->strong[other] = node.ToHandleChecked();
          break;
        }
        case 7: {
          const MaybeHandle<Node> node = s->ephemerons[at].LockValue(scope);
          Look(node);
          if (!node.IsEmpty()) s->strong[other] = node.ToHandleChecked();
          break;
        }
        case 8:
          Look(s->ephemerons[at].LockKey(scope));
          break;
        default:
          Look(s->members[at].Lock(scope));
      }
      mutator.Safepoint();
    }
  });
  shared.Reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_P(WeakReferencesThreadsTest, WhatAThreadHoldsItFinds) {
  RunWhileCollecting([&](Mutator& mutator, int thread) {
    std::mt19937 random(thread);  // NOLINT(cert-msc51-cpp): repeatable
    constexpr size_t kHeld = 50;
    HandleScope outer(mutator);
    const auto held = outer.NewArray<Member<Node>>(kHeld);
    const auto weak = outer.NewArray<WeakMember<Node>>(kHeld);
    const Handle<WeakMap<Node, Node>> map = outer.New<WeakMap<Node, Node>>();
    std::vector<WeakPersistent<Node>> persistents(kHeld);
    for (int round = 0; running(); ++round) {
      HandleScope scope(mutator);
      const size_t at = random() % kHeld;
      auto& node = (*held)[at];
      if (random() % 4 == 0 || !node) {
        node = New(scope, round);
        (*weak)[at] = node;
        persistents[at].Reset(mutator, node);
        // The value leads back to the key.
        const Handle<Node> value = New(scope, round + 1);
        value->next = node;
        map->Set(mutator, node, value);
      } else if (random() % 16 == 0) {
        map->Erase(node);
        node = nullptr;
      } else {
        ASSERT_TRUE(node->IsAlive());
        ASSERT_TRUE((*weak)[at].Lock(scope).ToHandleChecked() == node);
        ASSERT_TRUE(persistents[at].Lock(scope).ToHandleChecked() == node);
        const Handle<Node> value = map->Get(scope, node).ToHandleChecked();
        ASSERT_TRUE(value->IsAlive());
        ASSERT_EQ(value->number, node->number + 1);
      }
      if (round % 500 == 0) {
        size_t shown = 0;
        map->ForEach(mutator, [&](HandleScope&, Handle<Node> key,
                                  const MaybeHandle<Node>& value) {
          ++shown;
          ASSERT_TRUE(key->IsAlive());
          Look(value);
        });
        ASSERT_GE(map->size(), shown);
      }
      mutator.Safepoint();
    }
  });
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_P(WeakReferencesThreadsTest, OneMapUnderALock) {
  absl::Mutex mutex;
  Persistent<Shared> shared;
  {
    MutatorScope mutator(*heap_);
    HandleScope scope(mutator);
    shared.Reset(mutator, scope.New<Shared>());
    shared->map = scope.New<WeakMap<Node, Node>>();
  }
  RunWhileCollecting([&](Mutator& mutator, int thread) {
    std::mt19937 random(thread);  // NOLINT(cert-msc51-cpp): repeatable
    HandleScope outer(mutator);
    const Handle<Shared> s = outer.Local(shared).ToHandleChecked();
    for (int round = 0; running(); ++round) {
      HandleScope scope(mutator);
      {
        // Whoever has it may be stopped in an allocation.
        const ParkedScope parked(mutator);
        mutex.lock();
      }
      auto& key = s->strong[random() % Shared::kSlots];
      if (!key || random() % 8 == 0) {
        key = New(scope, round);
        s->map->Set(mutator, key, New(scope, round + 1));
      } else {
        const Handle<Node> value = s->map->Get(scope, key).ToHandleChecked();
        EXPECT_TRUE(value->IsAlive());
        EXPECT_EQ(value->number, key->number + 1);
      }
      mutex.unlock();
      mutator.Safepoint();
    }
  });
  {
    MutatorScope mutator(*heap_);
    CollectAndDestroy();
    EXPECT_LE(shared->map->size(), Shared::kSlots);
    EXPECT_EQ(lifetimes_.alive(), 2 * static_cast<int>(shared->map->size()));
  }
  shared.Reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_P(WeakReferencesThreadsTest, EveryDeathIsToldOnce) {
  std::atomic<int64_t> registered = 0;
  std::atomic<int64_t> unregistered = 0;
  std::atomic<int64_t> called = 0;
  FinalizationRegistry<int64_t> registry([&called](int64_t) { ++called; });
  RunWhileCollecting([&](Mutator& mutator, int thread) {
    std::mt19937 random(thread);  // NOLINT(cert-msc51-cpp): repeatable
    std::vector<Registration> registrations;
    for (int round = 0; running(); ++round) {
      HandleScope scope(mutator);
      registrations.push_back(
          registry.Register(mutator, New(scope, round), round));
      ++registered;
      if (random() % 4 == 0) {
        const Registration one = registrations[random() % registrations.size()];
        if (registry.Unregister(one).has_value()) ++unregistered;
      }
      if (random() % 16 == 0) registry.RunPending(mutator);
      mutator.Safepoint();
    }
  });
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
  MutatorScope mutator(*heap_);
  registry.RunPending(mutator);
  EXPECT_EQ(called + unregistered, registered);
  EXPECT_EQ(registry.size(), 0u);
}

}  // namespace
}  // namespace bibop
