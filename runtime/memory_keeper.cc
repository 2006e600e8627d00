#include "bibop/runtime/memory_keeper.h"

#include <algorithm>
#include <atomic>
#include <chrono>
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
#include "absl/time/time.h"
#include "bibop/heap/object_heap.h"

namespace bibop {
namespace {

using Clock = std::chrono::steady_clock;

constexpr absl::Duration kLongestPeriod = absl::Milliseconds(50);
constexpr absl::Duration kShortestPeriod = absl::Milliseconds(1);
// Blocks swept before it looks whether it is to stop.
constexpr size_t kSweepBatch = 64;
// The least that is given back at once.
constexpr double kLeastBytes = 256 << 10;

}  // namespace

double DecayedBytes(size_t idle, absl::Duration elapsed,
                    absl::Duration half_life) {
  if (half_life == absl::InfiniteDuration()) return 0;
  if (half_life == absl::ZeroDuration()) return static_cast<double>(idle);
  return static_cast<double>(idle) *
         (1.0 - std::exp2(-absl::FDivDuration(elapsed, half_life)));
}

size_t LowWaterMark::Add(size_t bytes) {
  last_[next_] = bytes;
  next_ = (next_ + 1) % last_.size();
  return *std::min_element(last_.begin(), last_.end());
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
    Clock::time_point last = Clock::now();
    for (bool more = true; more;) {
      {
        absl::MutexLock lock(mutex_);
        if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), period_)) {
          return;
        }
      }
      awake_.store(false, std::memory_order_seq_cst);
      const Clock::time_point now = Clock::now();
      more = Tick(absl::FromChrono(now - last));
      last = now;
    }
  }
}

bool MemoryKeeper::Tick(absl::Duration elapsed) {
  while (heap_.SweepSome(kSweepBatch)) {
    if (stopping()) return true;
  }
  const size_t idle = idle_.Add(heap_.TakeIdleBytes());
  due_bytes_ += DecayedBytes(idle, elapsed, half_life_);
  if (idle > last_idle_) {
    // These decay for so long already.
    due_bytes_ += DecayedBytes(idle - last_idle_, LowWaterMark::kLast * period_,
                               half_life_);
  }
  last_idle_ = idle;
  // Without an end the last bytes would halve for ever.
  if (due_bytes_ > 0 &&
      due_bytes_ >= std::min(kLeastBytes, static_cast<double>(idle))) {
    due_bytes_ -= static_cast<double>(
        heap_.ReleaseFreeMemory(static_cast<size_t>(due_bytes_) + 1));
  }
  return half_life_ != absl::InfiniteDuration() &&
         heap_.memory().free_resident > 0;
}

}  // namespace bibop
