// A heap that several threads use at once; most of all for ThreadSanitizer.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/object_heap_fixture.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/space.h"
#include "bibop/heap/type_info.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

// What became of Items.
struct Counts {
  std::atomic<int> born = 0;
  std::atomic<int> dead = 0;
  std::atomic<int> destroyed_again = 0;
};

// Notices when it is destroyed twice, or written over.
struct Item {
  static constexpr uint64_t kAlive = 0x6c6976652121;

  explicit Item(Counts& its_counts) : counts(&its_counts), self(this) {
    counts->born.fetch_add(1, std::memory_order_relaxed);
  }
  Item(const Item&) = delete;
  Item& operator=(const Item&) = delete;
  ~Item() {
    counts->dead.fetch_add(1, std::memory_order_relaxed);
    if (!IsIntact()) {
      counts->destroyed_again.fetch_add(1, std::memory_order_relaxed);
    }
    state = 0;
  }
  bool IsIntact() const { return state == kAlive && self == this; }

  Counts* counts;
  const Item* self;
  uint64_t state = kAlive;
};

// As many types as it needs for blocks of all kinds.
struct Large : Item {
  using Item::Item;
  std::byte bytes[300] = {};
};

// One of an Item or a Large, extra bytes or not; null if there is no room.
Item* AllocateItem(LocalAllocator& allocator, Counts& counts, uint32_t random) {
  const auto make = [&]<class T>(T* /*type*/) -> Item* {
    const size_t extra = random % 7 != 0     ? 0
                         : random % 333 == 0 ? 300000
                         : random % 50 == 0  ? 20000
                                             : random % 1000;
    const absl::StatusOr<void*> cell =
        extra == 0 ? Allocate<T>(allocator)
                   : allocator.AllocateSlow(kTypeInfo<T>, kTypeId<T>,
                                            sizeof(T) + extra);
    return cell.ok() ? new (*cell) T(counts) : nullptr;
  };
  return random % 3 == 0 ? make(static_cast<Large*>(nullptr))
                         : make(static_cast<Item*>(nullptr));
}

class ThreadsTest : public ObjectHeapTest {
 protected:
  static constexpr size_t kThreads = 8;

  ThreadsTest() {
    for (size_t i = 0; i < kThreads; ++i) {
      allocators_.push_back(LocalAllocator::Create(*heap_).value());
    }
  }
  ~ThreadsTest() override {
    allocators_.clear();
    DestroyHeap();
    EXPECT_EQ(counts_.born, counts_.dead);
    EXPECT_EQ(counts_.destroyed_again, 0);
  }

  void CollectAll(const std::vector<void*>& live) {
    for (LocalAllocator& allocator : allocators_) allocator.Retire();
    Collect(live);
  }

  Counts counts_;
  std::vector<LocalAllocator> allocators_;
};

// Everybody allocates, two others sweep, and one gives memory back.
TEST_F(ThreadsTest, ObjectsAreIntactAndDieOnceWhileOthersAllocateAndSweep) {
  std::vector<void*> live;
  std::mt19937 random(9);  // NOLINT(cert-msc51-cpp): repeatable
  for (int round = 0; round < 12; ++round) {
    std::vector<std::vector<Item*>> made(kThreads);
    std::atomic<bool> done = false;
    std::vector<std::thread> sweepers;
    for (size_t i = 0; i < 2; ++i) {
      sweepers.emplace_back([&]() {
        while (!done) {
          if (!heap_->SweepSome(1)) std::this_thread::yield();
        }
      });
    }
    sweepers.emplace_back([&]() {
      while (!done) {
        heap_->ReleaseFreeMemory(size_t{1} << 20);
        EXPECT_LE(heap_->memory().in_use, heap_->memory().committed);
        std::this_thread::yield();
      }
    });
    std::vector<std::thread> workers;
    for (size_t i = 0; i < kThreads; ++i) {
      workers.emplace_back([&, i, seed = random()]() {
        std::mt19937 mine(seed);
        for (int n = 0; n < 1500; ++n) {
          made[i].push_back(AllocateItem(allocators_[i], counts_, mine()));
        }
      });
    }
    for (std::thread& worker : workers) worker.join();
    done = true;
    for (std::thread& sweeper : sweepers) sweeper.join();
    // No cell was given to two.
    std::set<void*> objects(live.begin(), live.end());
    for (const std::vector<Item*>& items : made) {
      for (Item* item : items) {
        ASSERT_NE(item, nullptr);
        ASSERT_TRUE(objects.insert(item).second);
      }
    }
    live.clear();
    for (void* object : objects) {
      ASSERT_TRUE(static_cast<Item*>(object)->IsIntact());
      if (random() % 3 == 0) live.push_back(object);
    }
    ASSERT_NO_FATAL_FAILURE(CollectAll(live));
  }
  heap_->FinishSweep();
  EXPECT_EQ(Objects(), std::set<void*>(live.begin(), live.end()));
  EXPECT_EQ(counts_.born - counts_.dead, static_cast<int>(live.size()));
}

// The object lives through the collection that its constructor caused, and is
// given up while its block is swept and allocated in.
TEST_F(ThreadsTest, AConstructorThatThrowsWhileOthersSweepGivesUpItsCellOnly) {
  for (int round = 0; round < 60; ++round) {
    std::vector<void*> unfinished;
    std::vector<void*> live;
    std::vector<void*> marked;
    // So that some words of alloc bits have nothing else alive, and some have.
    for (int i = 0; i < 3000; ++i) {
      Item* item = AllocateItem(allocators_[0], counts_, i % 2 == 0 ? 7 : 1);
      ASSERT_NE(item, nullptr);
      if (i % (round % 2 == 0 ? 10 : 120) == 0) {
        unfinished.push_back(item);
      } else if (round % 2 == 0 && i % 3 == 0) {
        live.push_back(item);
      }
    }
    marked = live;
    marked.insert(marked.end(), unfinished.begin(), unfinished.end());
    CollectAll(marked);

    std::vector<Item*> made;
    std::thread constructor([&]() {
      for (void* cell : unfinished) {
        auto* item = static_cast<Item*>(cell);
        item->~Item();
        item->state = 1;
        allocators_[0].Abandon(item);
      }
    });
    std::thread sweeper([&]() {
      while (heap_->SweepSome(1)) {
      }
    });
    std::thread worker([&]() {
      for (int i = 0; i < 3000; ++i) {
        made.push_back(
            AllocateItem(allocators_[1], counts_, i % 2 == 0 ? 7 : 1));
      }
    });
    constructor.join();
    sweeper.join();
    worker.join();
    heap_->FinishSweep();
    for (LocalAllocator& allocator : allocators_) allocator.Retire();
    std::set<void*> expected(live.begin(), live.end());
    for (Item* item : made) {
      ASSERT_NE(item, nullptr);
      ASSERT_TRUE(expected.insert(item).second) << "a live cell, handed out";
    }
    ASSERT_EQ(Objects(), expected);
    for (void* object : expected) {
      ASSERT_TRUE(static_cast<Item*>(object)->IsIntact());
    }
    CollectAll({});
    heap_->FinishSweep();
    ASSERT_EQ(counts_.born, counts_.dead);
  }
}

struct Slow {
  absl::Notification* begun;
  std::atomic<bool>* ended;
  ~Slow() {
    begun->Notify();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    *ended = true;
  }
};

TEST_F(ThreadsTest, FinishSweepWaitsForTheDestructorsThatOthersRun) {
  absl::Notification begun;
  std::atomic<bool> ended = false;
  new (Allocate<Slow>().value()) Slow{&begun, &ended};
  CollectAll({});
  std::thread sweeper([this]() { heap_->SweepSome(1); });
  begun.WaitForNotification();
  EXPECT_FALSE(ended) << "the lock is not held while a destructor runs";
  EXPECT_EQ(heap_->memory().in_use, kBlockSize);
  EXPECT_FALSE(ended) << "the lock is not held while a destructor runs";
  heap_->FinishSweep();
  EXPECT_TRUE(ended);
  sweeper.join();
}

// Cells that are given back: the heap does not grow meanwhile.
TEST_F(ThreadsTest, WaitsForTheLockAreCountedWhereThreadsContendForCells) {
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([this]() {
      while (heap_->lock_waits().count() == 0) {
        const MixedCells cells =
            heap_
                ->AcquireCells(CellsFor::kObjects, /*size_class=*/0,
                               /*most=*/1, {})
                .value();
        heap_->ReturnCells(CellsFor::kObjects, /*size_class=*/0, cells);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(heap_->lock_waits().time(), absl::ZeroDuration());
}

TEST_F(ThreadsTest, AThreadAloneDoesNotWaitForTheLock) {
  for (int round = 0; round < 3; ++round) {
    std::vector<void*> live;
    for (uint32_t i = 0; i < 5000; ++i) {
      live.push_back(AllocateItem(allocators_[0], counts_, i));
    }
    heap_->AdjustExternalBytes(1);
    CollectAll(live);
  }
  EXPECT_EQ(heap_->lock_waits().count(), 0);
  EXPECT_EQ(heap_->lock_waits().time(), absl::ZeroDuration());
}

}  // namespace
}  // namespace bibop
