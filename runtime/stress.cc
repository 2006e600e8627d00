#include "bibop/runtime/stress.h"

#include <atomic>
#include <cstdint>
#include <random>

#include "absl/log/absl_log.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/base/poison.h"
#include "bibop/runtime/stress_options.h"

namespace bibop {
namespace {

// How long the collector waits for mutators, and how often it looks.
constexpr absl::Duration kLongestWait = absl::Milliseconds(1);
constexpr absl::Duration kLook = absl::Microseconds(20);
// The most safepoints that it waits for.
constexpr uint64_t kMostSafepoints = 16;

// The seed of a process that was given none.
uint64_t SeedOfProcess() {
  static const uint64_t seed = [] {
    std::random_device device;
    const uint64_t made = (uint64_t{device()} << 32 | device()) | 1;
    ABSL_LOG(INFO) << "heaps under stress decide at random from seed=" << made
                   << ": BIBOP_STRESS=...,seed=" << made
                   << " has them decide the same again";
    return made;
  }();
  return seed;
}

}  // namespace

Stress::Stress(const StressOptions& options) : options_(options) {
  if (options_.clobber) ClobberFreedMemory();
  if (!Schedules()) return;
  const absl::MutexLock lock(mutex_);
  random_.seed(options_.seed != 0 ? options_.seed : SeedOfProcess());
}

bool Stress::CountAllocation() {
  if (options_.every_nth_allocation == 0) return false;
  const int64_t count = allocations_.fetch_add(1, std::memory_order_relaxed);
  return (count + 1) % options_.every_nth_allocation == 0;
}

uint64_t Stress::Random(uint64_t limit) const {
  const absl::MutexLock lock(mutex_);
  return random_() % limit;
}

void Stress::Wait() const {
  const int64_t until = safepoints_.load(std::memory_order_relaxed) +
                        static_cast<int64_t>(Random(kMostSafepoints)) + 1;
  const absl::Time end = absl::Now() + kLongestWait;
  while (safepoints_.load(std::memory_order_relaxed) < until &&
         absl::Now() < end) {
    absl::SleepFor(kLook);
  }
}

}  // namespace bibop
