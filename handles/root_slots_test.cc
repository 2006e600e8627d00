#include "bibop/handles/root_slots.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "absl/base/no_destructor.h"
#include "bibop/handles/local_snapshot.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/object_heap.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

constexpr size_t kBlock = internal::RootSlotBlock::kSlots;

// A number to put into a slot; nobody takes it for an address. Odd, for objects
// may lie at any address.
uintptr_t Word(size_t n) { return 0x1001 + 8 * n; }
const void* Address(size_t n) { return reinterpret_cast<const void*>(Word(n)); }

// A cache with a snapshot of its own, of a heap without objects.
struct OwnSnapshot {
  static ObjectHeap& Heap() {
    static const absl::NoDestructor<std::unique_ptr<ObjectHeap>> heap(
        ObjectHeap::Create(size_t{1} << 20).value());
    return **heap;
  }
  LocalSnapshot own_snapshot{Heap()};
};
class Cache : private OwnSnapshot, public LocalRootSlots {
 public:
  explicit Cache(RootSlotPool& pool) : LocalRootSlots(pool, own_snapshot) {}
};

std::vector<RootSlot*> Take(LocalRootSlots& local, size_t count) {
  std::vector<RootSlot*> slots(count);
  for (size_t i = 0; i < count; ++i) slots[i] = &local.Take(Word(i));
  return slots;
}
void Release(const std::vector<RootSlot*>& slots) {
  for (RootSlot* slot : slots) RootSlotPool::Release(*slot);
}
void OnAnotherThread(auto f) { std::thread(f).join(); }

size_t CountRoots(const RootSlotPool& pool) {
  return RootCollector(pool).roots.size();
}

class RootSlotsTest : public ::testing::Test {
 protected:
  RootSlotPool::Owner pool_ = RootSlotPool::Create();
  Cache local_{*pool_};
};

TEST_F(RootSlotsTest, AStrongSlotIsARootUntilItIsReleased) {
  RootSlot& one = local_.Take(Word(1));
  RootSlot& two = local_.Take(Word(2));
  EXPECT_EQ(RootCollector(*pool_).roots,
            std::multiset<const void*>({Address(1), Address(2)}));
  RootSlotPool::Release(one);
  EXPECT_EQ(RootCollector(*pool_).roots,
            std::multiset<const void*>({Address(2)}));
  RootSlotPool::Release(two);
  EXPECT_TRUE(RootCollector(*pool_).roots.empty());
}

TEST_F(RootSlotsTest, AWeakSlotIsNoRootAndIsClearedOnceItsObjectIsDead) {
  RootSlot& dead = local_.Take(Word(1) | kWeakRootSlot);
  RootSlot& alive = local_.Take(Word(2) | kWeakRootSlot);
  RootSlot& strong = local_.Take(Word(1));
  EXPECT_EQ(RootCollector(*pool_).roots,
            std::multiset<const void*>({Address(1)}));
  pool_->ClearDead([](const void* object) { return object == Address(2); });
  EXPECT_EQ(dead, kWeakRootSlot);
  EXPECT_EQ(alive, Word(2) | kWeakRootSlot);
  EXPECT_EQ(strong, Word(1));
  Release({&dead, &alive, &strong});
}

TEST_F(RootSlotsTest, AClearedSlotIsNotAskedForAgainAndNotReused) {
  RootSlot& weak = local_.Take(Word(1) | kWeakRootSlot);
  pool_->ClearDead([](const void*) { return false; });
  pool_->ClearDead([](const void* object) {
    ADD_FAILURE() << "asked for " << object;
    return false;
  });
  const std::vector<RootSlot*> others = Take(local_, 3 * kBlock);
  for (const RootSlot* slot : others) EXPECT_NE(slot, &weak);
  Release(others);
  Release({&weak});
}

// While the collector decides on a weak slot, a thread that is not attached
// releases it, or converts its address.
TEST_F(RootSlotsTest, AWeakSlotThatIsReleasedAsItIsClearedStaysFree) {
  RootSlot& slot = local_.Take(Word(1) | kWeakRootSlot);
  pool_->ClearDead([&slot](const void*) {
    OnAnotherThread([&slot] { RootSlotPool::Release(slot); });
    return false;
  });
  EXPECT_NE(slot & kFreeRootSlot, 0u);
  Release(Take(local_, 2 * kBlock));
  EXPECT_EQ(pool_->capacity(), 2 * kBlock);
}

TEST_F(RootSlotsTest, AWeakSlotThatIsConvertedAsItIsClearedIsAskedForAgain) {
  RootSlot& slot = local_.Take(Word(1) | kWeakRootSlot);
  std::vector<const void*> asked;
  pool_->ClearDead([&](const void* object) {
    asked.push_back(object);
    slot = Word(2) | kWeakRootSlot;
    return false;
  });
  EXPECT_EQ(asked, std::vector<const void*>({Address(1), Address(2)}));
  EXPECT_EQ(slot, kWeakRootSlot);
  RootSlotPool::Release(slot);
}

TEST_F(RootSlotsTest, ASlotThatIsClearedAsItIsConvertedStaysEmpty) {
  const auto add_two = [](void* address) {
    return static_cast<std::byte*>(address) + 16;
  };
  RootSlot& strong = local_.Take(Word(1));
  RootSlot& weak = local_.Take(Word(1) | kWeakRootSlot);
  RootSlotPool::Convert(strong, add_two);
  EXPECT_EQ(strong, Word(3));
  RootSlotPool::Convert(weak, add_two);
  EXPECT_EQ(weak, Word(3) | kWeakRootSlot);
  RootSlotPool::Convert(weak, [&](void* address) {
    pool_->ClearDead([](const void*) { return false; });
    return add_two(address);
  });
  EXPECT_EQ(weak, kWeakRootSlot);
  RootSlotPool::Convert(weak, add_two);
  EXPECT_EQ(weak, kWeakRootSlot);
  Release({&strong, &weak});
}

TEST_F(RootSlotsTest, FreeSlotsAreNoRootsWhereverTheyAre) {
  // More than the cache takes; and by another thread.
  Release(Take(local_, LocalRootSlots::kMostCached + 10));
  const std::vector<RootSlot*> slots = Take(local_, 10);
  OnAnotherThread([&] { Release(slots); });
  EXPECT_EQ(CountRoots(*pool_), 0u);
  pool_->ClearDead([](const void*) {
    ADD_FAILURE();
    return true;
  });
}

TEST_F(RootSlotsTest, SlotsAreReused) {
  for (size_t count : {size_t{1}, kBlock, kBlock + 1, size_t{2000}}) {
    const size_t blocks = (count + kBlock - 1) / kBlock;
    for (int round = 0; round < 20; ++round) {
      const std::vector<RootSlot*> slots = Take(local_, count);
      EXPECT_EQ(std::set<RootSlot*>(slots.begin(), slots.end()).size(), count);
      EXPECT_EQ(CountRoots(*pool_), count);
      Release(slots);
    }
    EXPECT_LE(pool_->capacity(), blocks * kBlock);
  }
}

TEST_F(RootSlotsTest, SlotsThatAnotherThreadReleasedAreReused) {
  for (int round = 0; round < 20; ++round) {
    const std::vector<RootSlot*> slots = Take(local_, 1000);
    OnAnotherThread([&] { Release(slots); });
    EXPECT_EQ(CountRoots(*pool_), 0u);
  }
  EXPECT_LE(pool_->capacity(), 1000 + kBlock);
}

// Each mutator brings its thread's slots back.
TEST_F(RootSlotsTest, SlotsOfAThreadThatLeftAreReused) {
  for (int round = 0; round < 20; ++round) {
    OnAnotherThread([this] {
      Cache local(*pool_);
      Release(Take(local, 400));
    });
  }
  EXPECT_LE(pool_->capacity(), 400 + kBlock);
}

TEST_F(RootSlotsTest, AThreadThatOnlyReleasesKeepsFewSlots) {
  for (int round = 0; round < 20; ++round) {
    const std::vector<RootSlot*> slots = Take(local_, 1000);
    OnAnotherThread([&] {
      Cache local(*pool_);
      Release(slots);
      OnAnotherThread([this] {
        Cache third(*pool_);
        Release(Take(third, 1000 - LocalRootSlots::kMostCached));
      });
    });
  }
  EXPECT_LE(pool_->capacity(), 1000 + kBlock);
}

TEST_F(RootSlotsTest, AThreadMayBeAttachedToSeveralHeaps) {
  RootSlotPool::Owner other = RootSlotPool::Create();
  {
    auto other_local = std::make_unique<Cache>(*other);
    for (int round = 0; round < 1000; ++round) {
      RootSlot& mine = local_.Take(Word(1));
      RootSlot& others = other_local->Take(Word(2));
      EXPECT_TRUE(RootSlotPool::IsReadableHere(mine));
      EXPECT_TRUE(RootSlotPool::IsReadableHere(others));
      Release({&mine, &others});
    }
    EXPECT_EQ(pool_->capacity(), kBlock);
    EXPECT_EQ(other->capacity(), kBlock);
    // Not the latest leaves first.
    Cache third(*pool_);
    RootSlot& slot = other_local->Take(Word(2));
    other_local.reset();
    EXPECT_FALSE(RootSlotPool::IsReadableHere(slot));
    RootSlotPool::Release(slot);
    EXPECT_EQ(CountRoots(*other), 0u);
  }
  Release({&local_.Take(Word(1))});
  EXPECT_EQ(pool_->capacity(), kBlock);
}

TEST_F(RootSlotsTest, OnlyARunningMutatorMayReadASlot) {
  RootSlot& slot = local_.Take(Word(1));
  EXPECT_TRUE(RootSlotPool::IsReadableHere(slot));
  local_.set_parked(true);
  EXPECT_FALSE(RootSlotPool::IsReadableHere(slot));
  local_.set_parked(false);
  OnAnotherThread([&] { EXPECT_FALSE(RootSlotPool::IsReadableHere(slot)); });
  RootSlotPool::Release(slot);
}

using RootSlotsDeathTest = RootSlotsTest;

TEST_F(RootSlotsDeathTest, TakingASlotWhereThatIsNotAllowedIsTold) {
  EXPECT_DEATH(OnAnotherThread([this] { local_.Take(Word(1)); }),
               "the mutator of another thread");
  EXPECT_DEATH(OnAnotherThread([this] { local_.Retire(); }),
               "by another thread");
  local_.set_parked(true);
  EXPECT_DEATH(local_.Take(Word(1)), "by a parked thread");
}

TEST(RootSlotPool, SlotsInUseReferToNothingOnceItIsAbandoned) {
  RootSlotPool::Owner pool = RootSlotPool::Create();
  std::vector<RootSlot*> slots;
  {
    Cache local(*pool);
    slots = Take(local, 1000);
    slots.push_back(&local.Take(Word(1) | kWeakRootSlot));
    Release(Take(local, 1000));
  }
  pool.reset();
  for (RootSlot* slot : slots) EXPECT_EQ(RootAddress(*slot), nullptr);
  // The last deletes the pool, or the leak checker tells.
  Release(slots);
}

TEST(RootSlotPool, WithoutSlotsInUseItGoesAtOnce) {
  RootSlotPool::Owner unused = RootSlotPool::Create();
  unused.reset();
  RootSlotPool::Owner pool = RootSlotPool::Create();
  {
    Cache local(*pool);
    const std::vector<RootSlot*> slots = Take(local, 2000);
    OnAnotherThread([&] { Release(slots); });
    Release(Take(local, 10));  // part of what the other thread released
  }
  pool.reset();
}

// For the sanitizers: nobody uses the pool after it was deleted, and somebody
// deletes it.
TEST(RootSlotPool, SlotsMayBeReleasedWhileItIsAbandoned) {
  for (size_t round = 0; round < 500; ++round) {
    RootSlotPool::Owner pool = RootSlotPool::Create();
    std::vector<RootSlot*> slots;
    {
      Cache local(*pool);
      slots = Take(local, 1 + round % 300);
    }
    const auto middle = slots.begin() + slots.size() / 2;
    std::atomic<int> ready = 0;
    const auto release = [&ready](const std::vector<RootSlot*>& mine) {
      ++ready;
      while (ready < 3) std::this_thread::yield();
      Release(mine);
    };
    std::thread one(release, std::vector<RootSlot*>(slots.begin(), middle));
    std::thread two(release, std::vector<RootSlot*>(middle, slots.end()));
    ++ready;
    while (ready < 3) std::this_thread::yield();
    pool.reset();
    one.join();
    two.join();
  }
}

// Several threads, some with a cache and some without, take slots and release
// those of others; nothing is lost and no slot is two.
TEST(RootSlotPool, ManyThreadsTakeAndReleaseSlots) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 3000;
  RootSlotPool::Owner pool = RootSlotPool::Create();
  // Where a slot goes that one thread took and another releases.
  std::vector<std::atomic<RootSlot*>> exchange(700);
  {
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(t);  // NOLINT(cert-msc51-cpp): repeatable
        for (int turn = 0; turn < 5; ++turn) {
          auto local = std::make_unique<Cache>(*pool);
          for (int round = 0; round < kRounds; ++round) {
            const uintptr_t mine = Word(t * kRounds + round);
            RootSlot* slot = &local->Take(mine);
            ASSERT_EQ(*slot, mine);
            slot = exchange[random() % exchange.size()].exchange(slot);
            if (slot == nullptr) continue;
            ASSERT_EQ(*slot & (kFreeRootSlot | kWeakRootSlot), 0u);
            RootSlotPool::Release(*slot);
          }
          local.reset();
          for (int i = 0; i < 100; ++i) {
            RootSlot* slot =
                exchange[random() % exchange.size()].exchange(nullptr);
            if (slot != nullptr) RootSlotPool::Release(*slot);
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  size_t left = 0;
  std::multiset<const void*> expected;
  for (const auto& slot : exchange) {
    if (slot == nullptr) continue;
    ++left;
    expected.insert(RootAddress(*slot.load()));
  }
  EXPECT_GT(left, 0u);
  EXPECT_EQ(RootCollector(*pool).roots, expected);
  EXPECT_LE(
      pool->capacity(),
      exchange.size() + kThreads * (LocalRootSlots::kMostCached + 2 * kBlock));
  for (const auto& slot : exchange) {
    if (slot != nullptr) RootSlotPool::Release(*slot);
  }
}

// Random takes and releases, of strong and weak slots, by threads that come and
// go, with collections in between, against a model.
class RootSlotModelTest : public ::testing::TestWithParam<int> {};

TEST_P(RootSlotModelTest, TheRootsAreThoseOfAModel) {
  std::mt19937 random(GetParam());  // NOLINT(cert-msc51-cpp): repeatable
  RootSlotPool::Owner pool = RootSlotPool::Create();
  auto local = std::make_unique<Cache>(*pool);
  std::map<RootSlot*, uintptr_t> model;
  size_t most_in_use = 0;

  const auto release_some = [&](size_t count) {
    std::vector<RootSlot*> released;
    while (count-- > 0 && !model.empty()) {
      const auto at = std::next(model.begin(),
                                random() % std::min<size_t>(model.size(), 50));
      released.push_back(at->first);
      model.erase(at);
    }
    return released;
  };
  for (int step = 0; step < 2000; ++step) {
    const size_t count = random() % 10 == 0 ? random() % 1500 : random() % 20;
    switch (random() % 8) {
      case 0:
      case 1:
      case 2:
        for (size_t i = 0; i < count; ++i) {
          const uintptr_t word =
              Word(random() % 100) | (random() % 3 == 0 ? kWeakRootSlot : 0);
          RootSlot& slot = local->Take(word);
          ASSERT_TRUE(model.emplace(&slot, word).second) << "it was in use";
        }
        break;
      case 3:
      case 4:
        Release(release_some(count));
        break;
      case 5:
        OnAnotherThread(
            [released = release_some(count)] { Release(released); });
        break;
      case 6:  // a thread that comes, releases, takes, and goes
        OnAnotherThread([&] {
          Cache other(*pool);
          Release(release_some(count));
          for (size_t i = 0; i < count / 2; ++i) {
            RootSlot& slot = other.Take(Word(i));
            ASSERT_TRUE(model.emplace(&slot, Word(i)).second);
          }
        });
        break;
      default:
        if (random() % 4 == 0) {
          local.reset();
          Release(release_some(count));
          local = std::make_unique<Cache>(*pool);
        }
        const void* limit = Address(random() % 100);
        const auto is_alive = [limit](const void* o) { return o < limit; };
        pool->ClearDead(is_alive);
        for (auto& [slot, word] : model) {
          if ((word & kWeakRootSlot) != 0 && !is_alive(RootAddress(word))) {
            word = kWeakRootSlot;
          }
        }
        break;
    }
    most_in_use = std::max(most_in_use, model.size());
    if (step % 20 != 0) continue;
    std::multiset<const void*> expected;
    for (const auto& [slot, word] : model) {
      ASSERT_EQ(*slot, word);
      if ((word & kWeakRootSlot) == 0) expected.insert(RootAddress(word));
    }
    ASSERT_EQ(RootCollector(*pool).roots, expected);
    // One other thread at a time has slots in a cache.
    ASSERT_LE(pool->capacity(),
              most_in_use + LocalRootSlots::kMostCached + 2 * kBlock);
  }
  local.reset();
  pool.reset();
  for (const auto& [slot, word] : model) {
    EXPECT_EQ(RootAddress(*slot), nullptr);
    RootSlotPool::Release(*slot);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RootSlotModelTest, ::testing::Range(0, 8));

// LeakSanitizer would tell of a pool that waits for a release that was.
TEST(RootSlotPoolTest, APoolWithReleasedSlotsThatAMarkHasNotSeenIsDeleted) {
  for (const bool abandoned_first : {false, true}) {
    RootSlotPool::Owner pool = RootSlotPool::Create();
    RootSlot* slot = nullptr;
    {
      Cache local(*pool);
      slot = &local.Take(Word(1));
    }
    pool->BeginMark();
    if (!abandoned_first) {
      OnAnotherThread([slot] { RootSlotPool::Release(*slot); });
      EXPECT_EQ(slot->load(), Word(1) | kReleasedRootSlot);
    }
    pool.reset();
    if (abandoned_first) {
      EXPECT_EQ(slot->load(), 0u);
      OnAnotherThread([slot] { RootSlotPool::Release(*slot); });
    }
  }
}

}  // namespace
}  // namespace bibop
