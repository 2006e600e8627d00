#include "bibop/heap/lock_waits.h"

#include <atomic>
#include <chrono>
#include <cstdint>

#include "absl/synchronization/mutex.h"

namespace bibop {

void LockWaits::LockSlow(absl::Mutex& mutex) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  mutex.lock();
  const std::chrono::nanoseconds waited = Clock::now() - start;
  // Under the lock nobody else writes them.
  count_.store(count() + 1, std::memory_order_relaxed);
  nanoseconds_.store(
      nanoseconds_.load(std::memory_order_relaxed) + int64_t{waited.count()},
      std::memory_order_relaxed);
}

}  // namespace bibop
