#include "bibop/heap/lock_waits.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using Clock = std::chrono::steady_clock;

TEST(LockWaits, ALockThatNobodyElseWantsIsTakenWithoutAWait) {
  absl::Mutex mutex;
  LockWaits waits;
  for (int i = 0; i < 10'000; ++i) const CountingLock lock(mutex, waits);
  EXPECT_EQ(waits.count(), 0);
  EXPECT_EQ(waits.time(), absl::ZeroDuration());
}

TEST(LockWaits, WhereThreadsContendTheirWaitsAreCountedAndAddedUp) {
  constexpr int kThreads = 4;
  absl::Mutex mutex;
  LockWaits waits;
  int64_t taken = 0;
  std::atomic<int64_t> in_lock = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      // How long this thread was in the constructor.
      Clock::duration mine = {};
      // Until there was a wait, however long that takes on this machine.
      while (waits.count() < 10) {
        const Clock::time_point start = Clock::now();
        const CountingLock lock(mutex, waits);
        mine += Clock::now() - start;
        ++taken;
      }
      in_lock += std::chrono::nanoseconds(mine).count();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(waits.count(), 10);
  EXPECT_LE(waits.count(), taken);
  EXPECT_GT(waits.time(), absl::ZeroDuration());
  EXPECT_LE(waits.time(), absl::Nanoseconds(in_lock.load()));
}

}  // namespace
}  // namespace bibop
