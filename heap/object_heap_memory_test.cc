// What a heap takes from the system, what it gives back, and the limit.

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/object_heap_fixture.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/type_info.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kMiB = size_t{1} << 20;

struct Leaf {
  int64_t words[4];
};

// ---- many types ----

constexpr size_t kTypes = 1000;
constexpr size_t kObjectsOfEach = 10;

// Types of 16 to 515 bytes, every size twice.
template <size_t number>
struct Numbered {
  std::byte bytes[16 + number / 2];
};

struct Allocation {
  absl::StatusOr<void*> (*allocate)(LocalAllocator& allocator);
  size_t bytes;
};

template <size_t... numbers>
std::array<Allocation, sizeof...(numbers)> AllocationsOf(
    std::index_sequence<numbers...> /*types*/) {
  return {
      Allocation{&Allocate<Numbered<numbers>>, sizeof(Numbered<numbers>)}...};
}

// Allocates objects of each type and returns their bytes.
size_t AllocateEach(LocalAllocator& allocator) {
  size_t bytes = 0;
  for (size_t i = 0; i < kObjectsOfEach; ++i) {
    for (const Allocation& type :
         AllocationsOf(std::make_index_sequence<kTypes>())) {
      EXPECT_TRUE(type.allocate(allocator).ok());
      bytes += type.bytes;
    }
  }
  return bytes;
}

// The bytes of blocks and tables that are no object's. Of a heap in which
// nothing was freed: blocks are committed in steps of 4 MiB.
int64_t Overhead(const ObjectHeap& heap, size_t payload) {
  constexpr size_t kStep = 4 * kMiB;
  const size_t blocks = heap.memory().in_use;
  const size_t committed_blocks = (blocks + kStep - 1) / kStep * kStep;
  return static_cast<int64_t>(blocks) +
         static_cast<int64_t>(heap.memory().committed - committed_blocks) -
         static_cast<int64_t>(payload);
}

TEST_F(ObjectHeapTest, AThousandRareTypesTakeLittleMoreThanTheirObjects) {
  const size_t payload = AllocateEach(*allocator_);
  EXPECT_LT(Overhead(*heap_, payload), int64_t{4} << 20);
}

TEST_F(ObjectHeapTest, SoTheyDoOnEightThreads) {
  constexpr size_t kThreads = 8;
  std::array<size_t, kThreads> payloads = {};
  std::vector<LocalAllocator> allocators;
  for (size_t i = 0; i < kThreads; ++i) {
    allocators.push_back(LocalAllocator::Create(*heap_).value());
  }
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back(
        [&, i]() { payloads[i] = AllocateEach(allocators[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  size_t payload = 0;
  for (size_t bytes : payloads) payload += bytes;
  EXPECT_LT(Overhead(*heap_, payload), int64_t{4} << 20);
}

// ---- blocks that empty ----

// After a peak one object in 200 is left, in all blocks. A service that needs
// an eighth of these goes on, and replaces those objects at random.
TEST_F(ObjectHeapTest, SparseBlocksEmptyWhileAServiceGoesOn) {
  constexpr size_t kPeakBlocks = 128;
  constexpr size_t kLeaves = kBlockSize / sizeof(Leaf);
  for (const bool swept_at_once : {false, true}) {
    std::minstd_rand random(1);
    std::vector<void*> live;
    AllocateWhileRare<Leaf>();
    for (size_t i = 0; i < kPeakBlocks * kLeaves; ++i) {
      void* leaf = Allocate<Leaf>().value();
      if (random() % 200 == 0) live.push_back(leaf);
    }
    Collect(live);
    heap_->SweepAll();
    EXPECT_GT(heap_->memory().in_use, kPeakBlocks * kBlockSize * 9 / 10);
    for (int cycle = 0; cycle < 60; ++cycle) {
      for (size_t i = 0; i < kPeakBlocks / 8 * kLeaves; ++i) {
        void* leaf = Allocate<Leaf>().value();
        if (random() % 500 == 0) live[random() % live.size()] = leaf;
      }
      Collect(live);
      if (swept_at_once) heap_->SweepAll();
    }
    heap_->SweepAll();
    EXPECT_LT(heap_->memory().in_use, kPeakBlocks * kBlockSize * 7 / 16);
    Collect({});
    heap_->SweepAll();
  }
}

// ---- the limit ----

class LimitTest : public ObjectHeapTest {
 protected:
  static constexpr size_t kLimit = 16 * kMiB;

  LimitTest() : ObjectHeapTest(kLimit) {}

  absl::StatusCode TrySpan(size_t bytes) {
    return Allocate<Leaf>(bytes).status().code();
  }
  // Fills the heap by calls of `allocate`, has a twentieth of what was made
  // die, besides which `others` live, and fills it again. Returns how many died
  // less how many were made.
  size_t FillAgain(absl::FunctionRef<absl::StatusOr<void*>()> allocate,
                   std::vector<void*> others) {
    size_t dead = 0;
    for (size_t i = 0;; ++i) {
      const absl::StatusOr<void*> cell = allocate();
      if (!cell.ok()) break;
      if (i % 20 == 0) {
        ++dead;
      } else {
        others.push_back(*cell);
      }
    }
    Collect(others);
    while (allocate().ok()) --dead;
    return dead;
  }
  void ExpectWithinLimit() {
    const auto external = std::max(heap_->memory().external, int64_t{0});
    EXPECT_LE(heap_->memory().in_use, kLimit);
    // Free blocks go when something else comes.
    if (heap_->memory().free_resident == 0) return;
    EXPECT_LE(heap_->memory().in_use + heap_->memory().free_resident +
                  static_cast<size_t>(external),
              kLimit);
  }
};

TEST_F(LimitTest, AFullHeapUsesBlocksThatAreNearlyFull) {
  const std::vector<void*> rare = AllocateWhileRare<Leaf>();
  EXPECT_EQ(FillAgain([this] { return Allocate<Leaf>(); }, rare), 0u);
  Collect({});
  heap_->SweepAll();
  EXPECT_EQ(FillAgain([this] { return Allocate<Leaf>(48); }, {}), 0u);
}

TEST_F(LimitTest, ExternalBytesCount) {
  heap_->AdjustExternalBytes(10 * kMiB);
  EXPECT_EQ(TrySpan(7 * kMiB), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(TrySpan(6 * kMiB), absl::StatusCode::kOk);
  EXPECT_EQ(Allocate<Leaf>().status().code(),
            absl::StatusCode::kResourceExhausted);
  heap_->AdjustExternalBytes(-1 * static_cast<int64_t>(kMiB));
  EXPECT_EQ(heap_->memory().external, static_cast<int64_t>(9 * kMiB));
  EXPECT_EQ(Allocate<Leaf>().status().code(), absl::StatusCode::kOk);
}

TEST_F(LimitTest, ExternalBytesKeepTheRoomThatTheyHadSinceTheLastReserve) {
  const auto adjust = [this](int64_t mib) {
    heap_->AdjustExternalBytes(mib * static_cast<int64_t>(kMiB));
  };
  adjust(8);
  adjust(-4);
  heap_->ReserveForExternalBytes();
  EXPECT_EQ(TrySpan(9 * kMiB), absl::StatusCode::kResourceExhausted);
  // What is not used shrinks by an eighth.
  heap_->ReserveForExternalBytes();
  EXPECT_EQ(TrySpan(9 * kMiB), absl::StatusCode::kOk);
  // And gives way where nothing else helps, before the limit does.
  EXPECT_EQ(TrySpan(kMiB), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(heap_->RaiseLimit(kMiB, kMiB, /*extra=*/kMiB / 2));
  EXPECT_EQ(TrySpan(kMiB + kMiB / 2), absl::StatusCode::kOk);
  EXPECT_FALSE(heap_->RaiseLimit(2 * kMiB, 2 * kMiB, /*extra=*/0));
}

// A regression: near the most that there may be nothing was raised, and what
// was kept for external bytes was kept for ever.
TEST_F(LimitTest, NearTheMostTheLimitAndTheReserveGiveWayAsFarAsTheyCan) {
  heap_->AdjustExternalBytes(8 * kMiB);
  heap_->AdjustExternalBytes(-8 * static_cast<int64_t>(kMiB));
  heap_->ReserveForExternalBytes();
  EXPECT_EQ(TrySpan(7 * kMiB), absl::StatusCode::kOk);
  EXPECT_EQ(TrySpan(8 * kMiB), absl::StatusCode::kResourceExhausted);
  // More than there is would be handier.
  EXPECT_TRUE(heap_->RaiseLimit(8 * kMiB, 10 * kMiB, /*extra=*/0));
  EXPECT_EQ(TrySpan(8 * kMiB), absl::StatusCode::kOk);
  heap_->SetLimit(kLimit - kMiB - kMiB / 2);
  EXPECT_TRUE(heap_->AdjustExternalBytes(1));
  EXPECT_TRUE(heap_->RaiseLimit(0, 2 * kMiB, /*extra=*/0));
  EXPECT_FALSE(heap_->ExceedsSoftLimit());
}

TEST_F(LimitTest, ExternalBytesAreToldThatTheyExceedALimitBelowTheMost) {
  heap_->SetLimit(kMiB);
  EXPECT_FALSE(heap_->AdjustExternalBytes(kMiB));
  EXPECT_TRUE(heap_->AdjustExternalBytes(1));
  EXPECT_TRUE(heap_->ExceedsSoftLimit());
  EXPECT_TRUE(heap_->RaiseLimit(0, 0, /*extra=*/kMiB));
  EXPECT_FALSE(heap_->AdjustExternalBytes(kMiB));
  EXPECT_TRUE(heap_->AdjustExternalBytes(kLimit));
  // There is no higher one, and they are not refused.
  EXPECT_FALSE(heap_->RaiseLimit(0, 0, /*extra=*/0));
  EXPECT_FALSE(heap_->ExceedsSoftLimit());
}

TEST_F(LimitTest, HoldsForWhatIsInUseAndWhatIsFreeAndResident) {
  std::mt19937 random(8);  // NOLINT(cert-msc51-cpp): repeatable
  std::vector<void*> live;
  int refused = 0;
  for (int step = 0; step < 1000; ++step) {
    const uint32_t action = random() % 10;
    if (action < 6) {
      const size_t most = random() % 2 == 0 ? 60000 : 3000000;
      const absl::StatusOr<void*> object = Allocate<Leaf>(33 + random() % most);
      if (object.ok()) {
        live.push_back(*object);
      } else {
        ++refused;
      }
    } else if (action < 8) {
      heap_->AdjustExternalBytes(static_cast<int64_t>(random() % kMiB) -
                                 static_cast<int64_t>(kMiB / 2));
    } else {
      std::erase_if(live, [&](void*) { return random() % 3 == 0; });
      Collect(live);
      heap_->FinishSweep();
    }
    ExpectWithinLimit();
  }
  EXPECT_GT(refused, 10);
}

TEST_F(LimitTest, IdleBytesAreTheLeastThatWasFreeSinceTheyWereTaken) {
  EXPECT_EQ(TrySpan(8 * kMiB), absl::StatusCode::kOk);
  Collect({});
  heap_->FinishSweep();
  (void)heap_->TakeIdleBytes();
  EXPECT_EQ(TrySpan(3 * kMiB), absl::StatusCode::kOk);
  Collect({});
  heap_->FinishSweep();
  EXPECT_EQ(heap_->memory().free_resident, 8 * kMiB);
  EXPECT_EQ(heap_->TakeIdleBytes(), 5 * kMiB);
  EXPECT_EQ(heap_->TakeIdleBytes(), 8 * kMiB) << "nobody needed any";
}

// ---- giving back ----

class ReleaseTest : public ObjectHeapTest {
 protected:
  // Pages of the first `bytes` bytes of the heap that the system has memory
  // for.
  size_t ResidentPages(std::byte* start, size_t bytes) {
    std::vector<unsigned char> pages(bytes / kPage);
    EXPECT_EQ(mincore(start, bytes, pages.data()), 0);
    return std::ranges::count_if(pages,
                                 [](auto page) { return (page & 1) != 0; });
  }

  // Makes, writes to, and frees spans, and returns the first byte of them.
  std::byte* FreeSpans(size_t count, size_t bytes) {
    std::byte* first = nullptr;
    for (size_t i = 0; i < count; ++i) {
      auto* span = static_cast<std::byte*>(Allocate<Leaf>(bytes).value());
      std::fill_n(span, bytes, std::byte{1});
      if (i == 0) first = span;
    }
    Collect({});
    heap_->FinishSweep();
    return first;
  }
};

TEST_F(ReleaseTest, MemoryOfFreeBlocksGoesBackToTheSystemAndTheyStayUsable) {
  std::byte* first = FreeSpans(32, kMiB);
  EXPECT_EQ(heap_->memory().free_resident, 32 * kMiB);
  EXPECT_EQ(ResidentPages(first, 32 * kMiB), 32 * kMiB / kPage);
  heap_->ReleaseFreeMemory(32 * kMiB);
  EXPECT_EQ(heap_->memory().free_resident, 0u);
  EXPECT_EQ(ResidentPages(first, 32 * kMiB), 0u);
  heap_->CheckInvariants();
  EXPECT_EQ(FreeSpans(32, kMiB), first);
  EXPECT_EQ(ResidentPages(first, 32 * kMiB), 32 * kMiB / kPage);
}

TEST_F(ReleaseTest, GivesBackWhatItIsAskedForAndLittleMore) {
  std::byte* first = FreeSpans(64, kMiB);
  heap_->ReleaseFreeMemory(1);
  EXPECT_LT(heap_->memory().free_resident, 64 * kMiB);
  EXPECT_GE(heap_->memory().free_resident, 56 * kMiB);
  heap_->ReleaseFreeMemory(20 * kMiB);
  EXPECT_LE(heap_->memory().free_resident, 43 * kMiB);
  EXPECT_GE(heap_->memory().free_resident, 28 * kMiB);
  EXPECT_EQ(ResidentPages(first, 64 * kMiB),
            heap_->memory().free_resident / kPage);
  heap_->ReleaseFreeMemory(0);
  EXPECT_GE(heap_->memory().free_resident, 28 * kMiB);
}

TEST_F(ReleaseTest, ObjectsKeepTheirContents) {
  std::vector<void*> kept;
  for (int i = 0; i < 30000; ++i) {
    auto* leaf = static_cast<Leaf*>(Allocate<Leaf>().value());
    leaf->words[0] = i;
    if (i % 3000 == 0) kept.push_back(leaf);
  }
  Collect(kept);
  heap_->FinishSweep();
  heap_->ReleaseFreeMemory(kCageSize);
  EXPECT_EQ(heap_->memory().free_resident, 0u);
  for (size_t i = 0; i < kept.size(); ++i) {
    EXPECT_EQ(static_cast<Leaf*>(kept[i])->words[0],
              static_cast<int64_t>(3000 * i));
  }
  EXPECT_EQ(Objects(), std::set<void*>(kept.begin(), kept.end()));
}

// The side records of small cells are as much as a 14th of the blocks.
TEST_F(ReleaseTest, MemoryOfSideRecordsGoesBackToo) {
  for (int i = 0; i < 2'000'000; ++i) (void)Allocate<int64_t>().value();
  std::byte* table = reinterpret_cast<std::byte*>(
      Cage::DescriptorOf(Allocate<int64_t>().value())->first());
  table = reinterpret_cast<std::byte*>(reinterpret_cast<uintptr_t>(table) &
                                       ~(kCageSize - 1)) +
          Cage::kSideTableOffset;
  EXPECT_GE(ResidentPages(table, 2 * kMiB), 300u);
  Collect({});
  heap_->FinishSweep();
  heap_->ReleaseFreeMemory(kCageSize);
  EXPECT_LE(ResidentPages(table, 2 * kMiB), 32u);
}

// ---- a system without memory ----

#if !defined(ABSL_HAVE_ADDRESS_SANITIZER) && \
    !defined(ABSL_HAVE_THREAD_SANITIZER) &&  \
    !defined(ABSL_HAVE_MEMORY_SANITIZER)
// The sanitizers' own memory does not fit under such a limit.
TEST_F(ObjectHeapTest, MemoryThatTheSystemRefusesIsAStatusAndTheHeapIsUsable) {
  void* object = Allocate<Leaf>().value();
  rlimit old;
  ASSERT_EQ(getrlimit(RLIMIT_DATA, &old), 0);
  rlimit small = old;
  small.rlim_cur = 1024 * kMiB;
  ASSERT_EQ(setrlimit(RLIMIT_DATA, &small), 0);
  const absl::StatusOr<void*> refused = Allocate<Leaf>(2048 * kMiB);
  size_t spans = 0;
  absl::StatusOr<void*> span = Allocate<Leaf>(16 * kMiB);
  for (; span.ok(); span = Allocate<Leaf>(16 * kMiB)) ++spans;
  ASSERT_EQ(setrlimit(RLIMIT_DATA, &old), 0);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(refused.status().message().find("Cannot allocate memory"),
            absl::string_view::npos)
      << refused.status();
  EXPECT_EQ(span.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(spans, 10u);
  EXPECT_LT(spans, 65u);
  Collect({object});
  heap_->FinishSweep();
  heap_->CheckInvariants();
  EXPECT_TRUE(Allocate<Leaf>(2048 * kMiB).ok());
  EXPECT_EQ(Objects().size(), 2u);
}
#endif

}  // namespace
}  // namespace bibop
