// Persistents and WeakPersistents that several threads make, move and release.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/persistent.h"
#include "bibop/handles/weak_persistent.h"
#include "bibop/marker/marking_visitor.h"
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

struct Front {
  int64_t front = -1;
};
struct Number {
  explicit Number(int64_t n) : number(n) {}
  int64_t number;
};
// Its base Number is not at its start.
struct Node : Front, Number {
  Node(Lifetimes& lifetimes, int64_t n) : Number(n), tracked(lifetimes) {}
  Tracked tracked;
  Member<Node> next;
  void Trace(auto& visitor) const { visitor(next); }
};

class PersistentsThreadsTest : public ::testing::Test {
 protected:
  Persistent<Node> MakeNode(Mutator& mutator, int64_t n) {
    HandleScope scope(mutator);
    return Persistent<Node>(mutator, scope.New<Node>(lifetimes_, n));
  }
  void CollectAndDestroy() {
    heap_->Collect();
    heap_->Collect();
  }

  Lifetimes lifetimes_;
  std::unique_ptr<Heap> heap_ =
      Heap::Create({.min_budget_bytes = 64 << 10, .small_heap_bytes = 64 << 10})
          .value();
};

TEST_F(PersistentsThreadsTest, ARootOutlivesTheThreadThatMadeIt) {
  Persistent<Node> persistent;
  WeakPersistent<Node> weak;
  std::thread([&] {
    MutatorScope mutator(*heap_);
    persistent = MakeNode(mutator, 7);
    weak.Reset(mutator, persistent);
  }).join();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 1);
  EXPECT_TRUE(persistent);
  EXPECT_FALSE(weak.IsEmpty());
  {
    MutatorScope mutator(*heap_);
    EXPECT_EQ(persistent->number, 7);
    HandleScope scope(mutator);
    EXPECT_TRUE(weak.Lock(scope).ToHandleChecked() == persistent);
  }
  // This thread is not attached any more.
  persistent.Reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_TRUE(weak.IsEmpty());
}

TEST_F(PersistentsThreadsTest, AnyThreadMayReleaseARoot) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  Persistent<Node> one = MakeNode(mutator, 1);
  Persistent<Node> two = MakeNode(mutator, 2);
  Persistent<Node> three = MakeNode(mutator, 3);
  std::thread([&] { one.Reset(); }).join();
  std::thread other([&] {
    MutatorScope other_mutator(*heap_);
    two.Reset();
  });
  {
    const ParkedScope parked(mutator);
    other.join();
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 1);
  {
    const ParkedScope parked(mutator);
    EXPECT_TRUE(three);
    const Persistent<Node> moved = std::move(three);
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(PersistentsThreadsTest, AParkedThreadReleasesWhileOthersCollect) {
  absl::Notification parked_now;
  absl::Notification collected;
  std::thread sleeper([&] {
    MutatorScope attached(*heap_);
    Mutator& mutator = attached;
    std::vector<Persistent<Node>> persistents;
    persistents.reserve(2000);
    for (int i = 0; i < 2000; ++i) persistents.push_back(MakeNode(mutator, i));
    const ParkedScope parked(mutator);
    parked_now.Notify();
    while (!collected.HasBeenNotified() && persistents.size() > 1000) {
      persistents.pop_back();
      std::this_thread::yield();
    }
    collected.WaitForNotification();
    persistents.clear();
  });
  parked_now.WaitForNotification();
  for (int i = 0; i < 50; ++i) heap_->Collect();
  EXPECT_GE(lifetimes_.alive(), 1000);
  collected.Notify();
  sleeper.join();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// Roots that go from the threads that make them to threads that look at them
// or only drop them.
class Mailbox {
 public:
  void Send(Persistent<Node> strong, WeakPersistent<Node> weak) {
    const absl::MutexLock lock(mutex_);
    letters_.push_back({std::move(strong), std::move(weak)});
  }
  struct Letter {
    Persistent<Node> strong;
    WeakPersistent<Node> weak;
  };
  std::vector<Letter> TakeAll() {
    const absl::MutexLock lock(mutex_);
    return std::exchange(letters_, {});
  }

 private:
  absl::Mutex mutex_;
  std::vector<Letter> letters_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(PersistentsThreadsTest, RootsWanderBetweenThreadsDuringCollections) {
  constexpr int kMakers = 2;
  constexpr int kNodes = 4000;
  Mailbox mailbox;
  std::atomic<int> at_work = kMakers;
  std::vector<std::thread> threads;
  threads.reserve(kMakers + 2);
  for (int t = 0; t < kMakers; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);  // NOLINT(cert-msc51-cpp): repeatable
      MutatorScope attached(*heap_);
      Mutator& mutator = attached;
      std::vector<Persistent<Node>> mine(100);
      for (int i = 0; i < kNodes; ++i) {
        // Half of it comes after a collection, even where a busy machine runs
        // the thread that collects last.
        while (i == kNodes / 2 && heap_->stats().cycles == 0) {
          mutator.Safepoint();
        }
        Persistent<Node> made = MakeNode(mutator, i);
        made->next = MakeNode(mutator, i + 1);
        Persistent<Node>& kept = mine[random() % mine.size()];
        mailbox.Send(std::move(kept), WeakPersistent<Node>(mutator, made));
        kept = std::move(made);
      }
      --at_work;
    });
  }
  const auto until_all_is_taken = [&](auto take) {
    for (bool last = false; !last;) {
      last = at_work == 0;
      take(mailbox.TakeAll());
      std::this_thread::yield();
    }
  };
  // One thread without a mutator: it converts, moves and drops.
  threads.emplace_back([&] {
    until_all_is_taken([](std::vector<Mailbox::Letter> letters) {
      for (Mailbox::Letter& letter : letters) {
        const Persistent<Number> strong = std::move(letter.strong);
        const WeakPersistent<Number> weak = std::move(letter.weak);
      }
    });
  });
  // One with a mutator: it looks at them.
  threads.emplace_back([&] {
    MutatorScope attached(*heap_);
    Mutator& mutator = attached;
    until_all_is_taken([&](const std::vector<Mailbox::Letter>& letters) {
      mutator.Safepoint();
      for (const Mailbox::Letter& letter : letters) {
        HandleScope scope(mutator);
        if (letter.strong) {
          ASSERT_EQ(letter.strong->next->number, letter.strong->number + 1);
        }
        const MaybeHandle<Node> node = letter.weak.Lock(scope);
        if (node.IsEmpty()) continue;
        const Handle<Node> locked = node.ToHandleChecked();
        mutator.Safepoint();
        ASSERT_EQ(locked->next->number, locked->number + 1);
      }
    });
  });
  while (at_work > 0) heap_->Collect();
  for (std::thread& thread : threads) thread.join();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.born(), 2 * kMakers * kNodes);
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// What a thread that is not attached does to weak roots while collections clear
// them never brings an address back.
TEST_F(PersistentsThreadsTest, WeakRootsAreConvertedWhileCollectionsClearThem) {
  for (int round = 0; round < 30; ++round) {
    std::vector<WeakPersistent<Node>> weak;
    std::vector<Persistent<Node>> kept;
    {
      MutatorScope mutator(*heap_);
      for (int i = 0; i < 500; ++i) {
        Persistent<Node> node = MakeNode(mutator, i);
        weak.emplace_back(mutator, node);
        if (i % 5 == 0) kept.push_back(std::move(node));
      }
    }
    std::vector<WeakPersistent<Number>> converted;
    std::atomic<bool> started = false;
    std::thread converter([&] {
      started = true;
      for (auto& w : weak) converted.emplace_back(std::move(w));
      for (size_t i = 1; i < converted.size(); i += 5) converted[i].Reset();
    });
    while (!started) std::this_thread::yield();
    heap_->Collect();
    converter.join();
    MutatorScope mutator(*heap_);
    // Garbage takes the place of what died.
    heap_->Collect();
    for (int i = 0; i < 500; ++i) MakeNode(mutator, -1).Reset();
    HandleScope scope(mutator);
    for (int i = 0; i < 500; ++i) {
      const MaybeHandle<Number> number = converted[i].Lock(scope);
      ASSERT_EQ(number.IsEmpty() ? -1 : number.ToHandleChecked()->number,
                i % 5 == 0 ? i : -1);
    }
  }
}

TEST_F(PersistentsThreadsTest, RootsAreReleasedWhileTheirHeapIsDestroyed) {
  for (int round = 0; round < 20; ++round) {
    auto heap = Heap::Create({}).value();
    std::vector<Persistent<Node>> persistents;
    std::vector<WeakPersistent<Node>> weak;
    {
      MutatorScope attached(*heap);
      Mutator& mutator = attached;
      for (int i = 0; i < 1000; ++i) {
        persistents.push_back(MakeNode(mutator, i));
        weak.emplace_back(mutator, persistents.back());
      }
    }
    std::atomic<int> ready = 0;
    const auto together = [&ready] {
      ++ready;
      while (ready < 3) std::this_thread::yield();
    };
    std::thread one([&] {
      together();
      while (!persistents.empty()) persistents.pop_back();
    });
    std::thread two([&] {
      together();
      while (!weak.empty()) {
        const WeakPersistent<Number> converted = std::move(weak.back());
        weak.pop_back();
      }
    });
    together();
    heap.reset();
    one.join();
    two.join();
    EXPECT_EQ(lifetimes_.alive(), 0);
  }
}

}  // namespace
}  // namespace bibop
