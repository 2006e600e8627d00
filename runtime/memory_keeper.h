// MemoryKeeper: the background thread of a heap. It sweeps what collections
// left unswept, and gives the memory of free blocks back to the operating
// system.
//
// It wakes up some times in a half-life while there is something to do. What
// was swept and not needed the last forty times is idle; of that, it gives back
// so much that half goes in each half-life, those in which it was not yet
// known to be idle included. So a heap that allocates keeps what it needs
// between two collections, if these are not far apart, and memory that nobody
// needs any more decays.
//
// The decay after jemalloc's, the low-water mark after tcmalloc's.
//
// Started and stopped by the heap's owner; Wake may be called by any thread.

#ifndef BIBOP_RUNTIME_MEMORY_KEEPER_H_
#define BIBOP_RUNTIME_MEMORY_KEEPER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bibop/heap/object_heap.h"

namespace bibop {

// How many of `idle` bytes are to be given back after `elapsed`.
double DecayedBytes(size_t idle, absl::Duration elapsed,
                    absl::Duration half_life);

// The least of the last forty numbers; of fewer, 0.
class LowWaterMark {
 public:
  static constexpr size_t kLast = 40;

  // Adds a number and returns the mark.
  size_t Add(size_t bytes);

 private:
  std::array<size_t, kLast> last_ = {};
  size_t next_ = 0;
};

class MemoryKeeper {
 public:
  // Starts the thread. Returns ResourceExhausted where the system refuses one.
  // `heap` must outlive this.
  static absl::StatusOr<std::unique_ptr<MemoryKeeper>> Start(
      ObjectHeap& heap, absl::Duration half_life);

  MemoryKeeper(const MemoryKeeper&) = delete;
  MemoryKeeper& operator=(const MemoryKeeper&) = delete;

  // Stops the thread, after the blocks that it is sweeping, at most 64, and the
  // memory that it is giving back.
  ~MemoryKeeper();

  // Says that blocks may have become free or wait to be swept.
  void Wake() ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!awake_.load(std::memory_order_relaxed)) WakeSlow();
  }

 private:
  MemoryKeeper(ObjectHeap& heap, absl::Duration half_life);

  void WakeSlow() ABSL_LOCKS_EXCLUDED(mutex_);
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  // Sweeps and gives back; returns whether there is more to do later.
  bool Tick(absl::Duration elapsed) ABSL_LOCKS_EXCLUDED(mutex_);
  bool stopping() const ABSL_LOCKS_EXCLUDED(mutex_);

  ObjectHeap& heap_;
  const absl::Duration half_life_;
  // How often it wakes up.
  const absl::Duration period_;
  mutable absl::Mutex mutex_;
  // Whether there is something to do. Set under the lock, for the thread waits
  // for it there; cleared by the thread before it looks what there is. Read
  // without the lock, relaxed, by a Wake that need not be heard again: the
  // thread has yet to look.
  std::atomic<bool> awake_ = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // What is to be given back by now; negative if it was more than was due, for
  // it goes in pieces. Used by the thread only.
  double due_bytes_ = 0;
  // Of the bytes that were idle between two looks, and what that was when it
  // last looked. Used by the thread only.
  LowWaterMark idle_;
  size_t last_idle_ = 0;
  std::thread thread_;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_MEMORY_KEEPER_H_
