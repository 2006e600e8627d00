// What StressOptions ask for, at work: counts allocations and safepoints,
// decides at random, makes the collector wait.
//
// Owned by the collector. Any thread may call any function.

#ifndef BIBOP_RUNTIME_STRESS_H_
#define BIBOP_RUNTIME_STRESS_H_

#include <atomic>
#include <cstdint>
#include <random>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "bibop/runtime/stress_options.h"

namespace bibop {

class Stress {
 public:
  // Says in the log, once in a process, which number its random decisions are
  // made from, if `options` ask for something that has some.
  explicit Stress(const StressOptions& options);
  Stress(const Stress&) = delete;
  Stress& operator=(const Stress&) = delete;

  const StressOptions& options() const { return options_; }

  // Whether collections come at every turn, and are to take all ways that there
  // are: also those that are for large heaps.
  bool Schedules() const {
    return options_.every_nth_allocation != 0 || options_.every_safepoint ||
           options_.phase != StressPhase::kNone;
  }

  // Whether it is time for a collection that is due: each costs in proportion
  // to what is alive, so with much alive it often is not.
  bool TakeTurn() {
    if (turns_to_skip_.load(std::memory_order_relaxed) <= 0) return true;
    turns_to_skip_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  // Says how many objects were found alive.
  void NoteAlive(int64_t objects) {
    turns_to_skip_.store(objects / kAliveForATurn, std::memory_order_relaxed);
  }

  // Counts an allocation, and returns whether a collection is due.
  bool CountAllocation();

  // Counts a safepoint that a mutator passed.
  void CountSafepoint() { safepoints_.fetch_add(1, std::memory_order_relaxed); }

  // Waits before that phase, if that was asked for, until mutators have passed
  // some safepoints, or for a millisecond.
  void Reach(StressPhase phase) const {
    if (options_.phase == phase) Wait();
  }

  // Heads or tails.
  bool Toss() const { return Random(2) == 0; }

 private:
  static constexpr int64_t kAliveForATurn = 64;

  // A number below `limit`.
  uint64_t Random(uint64_t limit) const ABSL_LOCKS_EXCLUDED(mutex_);
  void Wait() const;

  const StressOptions options_;
  // Counted by mutators; read by the collector, which only wants some to pass:
  // relaxed.
  std::atomic<int64_t> allocations_ = 0;
  std::atomic<int64_t> safepoints_ = 0;
  // Written by the collector, counted down by mutators: relaxed.
  std::atomic<int64_t> turns_to_skip_ = 0;
  mutable absl::Mutex mutex_;
  mutable std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_STRESS_H_
