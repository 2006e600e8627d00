#include "bibop/runtime/memory_keeper.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <memory>
#include <system_error>
#include <thread>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/heap/object_heap.h"

namespace bibop {
namespace {

constexpr absl::Duration kLongestPeriod = absl::Milliseconds(50);
constexpr absl::Duration kShortestPeriod = absl::Milliseconds(1);
// Blocks swept before it looks whether it is to stop.
constexpr size_t kSweepBatch = 64;
// The least that is given back, so that an end is reached.
constexpr size_t kLeastBytes = size_t{256} << 10;

}  // namespace

size_t DecayedBytes(size_t idle, absl::Duration elapsed,
                    absl::Duration half_life) {
  if (half_life == absl::InfiniteDuration()) return 0;
  if (half_life == absl::ZeroDuration()) return idle;
  const double part = 1.0 - std::exp2(-absl::FDivDuration(elapsed, half_life));
  const auto bytes = static_cast<size_t>(static_cast<double>(idle) * part);
  return std::min(idle, std::max(bytes, kLeastBytes));
}

absl::StatusOr<std::unique_ptr<MemoryKeeper>> MemoryKeeper::Start(
    ObjectHeap& heap, absl::Duration half_life) {
  auto keeper = absl::WrapUnique(new MemoryKeeper(heap, half_life));
  try {
    keeper->thread_ = std::thread([k = keeper.get()] { k->Run(); });
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the system refuses a thread for the heap: ", error.what()));
  }
  return keeper;
}

MemoryKeeper::MemoryKeeper(ObjectHeap& heap, absl::Duration half_life)
    : heap_(heap),
      half_life_(half_life),
      period_(std::clamp(half_life / 10, kShortestPeriod, kLongestPeriod)) {}

MemoryKeeper::~MemoryKeeper() {
  {
    absl::MutexLock lock(mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void MemoryKeeper::WakeSlow() {
  absl::MutexLock lock(mutex_);
  awake_.store(true, std::memory_order_relaxed);
}

bool MemoryKeeper::stopping() const {
  absl::MutexLock lock(mutex_);
  return stopping_;
}

void MemoryKeeper::Run() {
  for (;;) {
    {
      absl::MutexLock lock(mutex_);
      mutex_.Await(absl::Condition(
          +[](MemoryKeeper* k) ABSL_EXCLUSIVE_LOCKS_REQUIRED(k->mutex_) {
            return k->awake_.load(std::memory_order_relaxed) || k->stopping_;
          },
          this));
    }
    absl::Time last = absl::Now();
    for (bool more = true; more;) {
      {
        absl::MutexLock lock(mutex_);
        if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), period_)) {
          return;
        }
      }
      awake_.store(false, std::memory_order_seq_cst);
      const absl::Time now = absl::Now();
      more = Tick(now - last);
      last = now;
    }
  }
}

bool MemoryKeeper::Tick(absl::Duration elapsed) {
  while (heap_.SweepSome(kSweepBatch)) {
    if (stopping()) return true;
  }
  heap_.ReleaseFreeMemory(
      DecayedBytes(heap_.TakeIdleBytes(), elapsed, half_life_));
  return half_life_ != absl::InfiniteDuration() &&
         heap_.free_resident_bytes() > 0;
}

}  // namespace bibop
