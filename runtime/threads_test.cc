// Many threads on one heap.

#include <array>
#include <atomic>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/mutable_handle.h"
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

constexpr int kThreads = 4;

class ThreadsTest : public ::testing::Test {
 protected:
  void CollectAndDestroy() {
    heap_->Collect();
    heap_->Collect();
  }

  Lifetimes lifetimes_;
  std::unique_ptr<Heap> heap_ =
      Heap::Create({.min_budget_bytes = 64 << 10, .small_heap_bytes = 64 << 10})
          .value();
};

// Objects with extra bytes: their cells come in small pieces.
TEST_F(ThreadsTest, StatsTellThatThreadsContendForTheHeapsLock) {
  EXPECT_EQ(heap_->stats().lock_waits, 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this] {
      MutatorScope mutator(*heap_);
      for (int n = 0; heap_->stats().lock_waits == 0; ++n) {
        HandleScope scope(mutator);
        for (int of_few = 0; of_few < 100; ++of_few) {
          scope.NewWithExtraBytes<Node>(1000, lifetimes_, n);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(heap_->stats().lock_waits, 0);
  EXPECT_GT(heap_->stats().lock_wait_time, absl::ZeroDuration());
  CollectAndDestroy();
}

TEST(LoneThreadTest, StatsTellOfNoWaitsForTheHeapsLock) {
  Lifetimes lifetimes;
  // Not so much that the heap's own threads are woken up.
  const std::unique_ptr<Heap> heap = Heap::Create({.min_budget_bytes = 64 << 20,
                                                   .small_heap_bytes = 64 << 20,
                                                   .stress = kNoStress})
                                         .value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  for (int n = 0; n < 2000; ++n) {
    scope.New<Node>(lifetimes, n);
    scope.NewWithExtraBytes<Node>(1000, lifetimes, n);
  }
  ASSERT_EQ(heap->stats().cycles, 0);
  EXPECT_EQ(heap->stats().lock_waits, 0);
  EXPECT_EQ(heap->stats().lock_wait_time, absl::ZeroDuration());
}

TEST_F(ThreadsTest, AThreadUsesTheBlocksThatOneBeforeItLeft) {
  for (int i = 0; i < 50; ++i) {
    std::thread([this] {
      MutatorScope mutator(*heap_);
      HandleScope scope(mutator);
      for (int n = 0; n < 100; ++n) scope.New<Node>(lifetimes_, n);
      heap_->Collect();
    }).join();
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.born(), 5000);
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_LT(heap_->stats().block_bytes, 1 << 20);
}

// Each thread keeps a list and drops parts of it; collections run at many
// allocations of each. A node that died too early would be overwritten.
TEST_F(ThreadsTest, EachKeepsWhatItHasThroughTheCollectionsOfAll) {
  constexpr int kRounds = 300;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  std::atomic<int> kept = 0;
  std::barrier all_kept(kThreads + 1);
  std::barrier all_checked(kThreads + 1);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);  // NOLINT(cert-msc51-cpp): repeatable
      MutatorScope attached(*heap_);
      Mutator& mutator = attached;
      HandleScope scope(mutator);
      MutableHandle<Node> head = scope.Mutable<Node>();
      int64_t length = 0;
      for (int round = 0; round < kRounds; ++round) {
        const int64_t grow = random() % 500;
        for (int64_t i = 0; i < grow; ++i) {
          HandleScope inner(mutator);
          const Handle<Node> node = inner.New<Node>(lifetimes_, length++);
          node->next = head;
          head = node;
        }
        for (int64_t drop = random() % (length + 1); drop > 0; --drop) {
          head = head->next;
          --length;
        }
        mutator.Safepoint();
        int64_t expected = length;
        for (const Node* at = head.get(); at != nullptr; at = at->next.get()) {
          ASSERT_EQ(at->number, --expected);
        }
        ASSERT_EQ(expected, 0);
      }
      kept += static_cast<int>(length);
      {
        const ParkedScope parked(mutator);
        all_kept.arrive_and_wait();
        all_checked.arrive_and_wait();
      }
    });
  }
  all_kept.arrive_and_wait();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), kept);
  all_checked.arrive_and_wait();
  for (std::thread& thread : threads) thread.join();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_GT(heap_->stats().cycles, 10);
}

// Threads that come and go, collect, and are collected.
TEST_F(ThreadsTest, ThreadsAttachAndDetachWhileOthersCollect) {
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      for (int turn = 0; turn < 50; ++turn) {
        MutatorScope mutator(*heap_);
        HandleScope scope(mutator);
        for (int n = 0; n < 100; ++n) scope.New<Node>(lifetimes_, n);
        if (turn % 10 == t) heap_->Collect();
      }
    });
  }
  for (int i = 0; i < 20; ++i) heap_->Collect();
  for (std::thread& thread : threads) thread.join();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.born(), kThreads * 50 * 100);
  EXPECT_EQ(lifetimes_.alive(), 0);
}

struct Mailbox {
  Member<Node> letter;
  void Trace(auto& visitor) const { visitor(letter); }
};

// What one thread made, another may keep; the first does not wait for it.
TEST_F(ThreadsTest, AnObjectMadeByOneThreadLivesOnWithAnother) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  HandleScope scope(mutator);
  const Handle<Mailbox> mailbox = scope.New<Mailbox>();
  absl::Notification sent;
  std::thread sender([&, box = mailbox.get()] {
    MutatorScope other(*heap_);
    HandleScope other_scope(other);
    box->letter = other_scope.New<Node>(lifetimes_, 7);
    sent.Notify();
  });
  {
    const ParkedScope parked(mutator);
    sent.WaitForNotification();
    sender.join();
  }
  CollectAndDestroy();
  EXPECT_EQ(mailbox->letter->number, 7);
  EXPECT_EQ(lifetimes_.alive(), 1);
  mailbox->letter = nullptr;
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(ThreadsTest, AParkedThreadKeepsItsObjectsAndNobodyWaitsForIt) {
  absl::Notification parked;
  absl::Notification collected;
  std::thread sleeper([&] {
    MutatorScope attached(*heap_);
    Mutator& mutator = attached;
    HandleScope scope(mutator);
    const Handle<Node> node = scope.New<Node>(lifetimes_, 3);
    {
      const ParkedScope scope_of_waiting(mutator);
      parked.Notify();
      collected.WaitForNotification();
    }
    EXPECT_EQ(node->number, 3);
  });
  parked.WaitForNotification();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 1);
  collected.Notify();
  sleeper.join();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(ThreadsTest, AThreadThatOnlyComputesStopsAtASafepoint) {
  std::atomic<bool> done = false;
  absl::Notification started;
  std::thread computer([&] {
    MutatorScope attached(*heap_);
    Mutator& mutator = attached;
    started.Notify();
    while (!done) mutator.Safepoint();
  });
  started.WaitForNotification();
  heap_->Collect();
  done = true;
  computer.join();
  EXPECT_GE(heap_->stats().cycles, 1);
}

// A collection that was asked for covers all garbage of the time it was asked,
// even if another thread's was running.
TEST_F(ThreadsTest, ConcurrentRequestsAreAllServed) {
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this] {
      Lifetimes mine;
      for (int i = 0; i < 20; ++i) {
        {
          MutatorScope mutator(*heap_);
          HandleScope scope(mutator);
          scope.New<Node>(mine, i);
        }
        CollectAndDestroy();
        ASSERT_EQ(mine.alive(), 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

using ThreadsDeathTest = ThreadsTest;

TEST_F(ThreadsDeathTest, AllocatingWhileParkedIsTold) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  HandleScope scope(mutator);
  const ParkedScope parked(mutator);
  EXPECT_DEATH(scope.New<Node>(lifetimes_, 1), "by a parked thread");
  EXPECT_DEATH(ParkedScope again(mutator), "for a running mutator");
}

TEST_F(ThreadsDeathTest, LeavingWhileParkedIsTold) {
  EXPECT_DEATH(
      {
        std::unique_ptr<Mutator> mutator = heap_->Attach().value();
        const ParkedScope parked(*mutator);
        mutator.reset();
      },
      "end its ParkedScope before its MutatorScope");
}

TEST_F(ThreadsDeathTest, ParkingAnotherThreadsMutatorIsTold) {
  MutatorScope attached(*heap_);
  Mutator& mutator = attached;
  EXPECT_DEATH(std::thread([&mutator] { ParkedScope parked(mutator); }).join(),
               "for a running mutator, on its thread");
}

}  // namespace
}  // namespace bibop
