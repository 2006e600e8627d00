// LockWaits: how often, and how long in all, threads waited for a lock that
// others had. CountingLock holds a lock and counts that.
//
//   absl::Mutex mutex_;
//   LockWaits waits_;
//   const CountingLock lock(mutex_, waits_);
//
// A lock that is free is taken by one compare and exchange, as without this,
// and no clock is read. So where a program counts none its threads do not
// contend for that lock.
//
// One thread at a time writes the sums, the one that has just got the lock; any
// thread may read them. They order nothing: relaxed.

#ifndef BIBOP_HEAP_LOCK_WAITS_H_
#define BIBOP_HEAP_LOCK_WAITS_H_

#include <atomic>
#include <cstdint>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace bibop {

class LockWaits {
 public:
  LockWaits() = default;
  LockWaits(const LockWaits&) = delete;
  LockWaits& operator=(const LockWaits&) = delete;

  // Locks `mutex`, which is always the same one.
  void Lock(absl::Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) {
    if (mutex.try_lock()) return;
    LockSlow(mutex);
  }

  // How often a thread had to wait, those that still wait left out. Any thread
  // may ask.
  int64_t count() const { return count_.load(std::memory_order_relaxed); }
  // How long that was, all together. Any thread may ask.
  absl::Duration time() const {
    return absl::Nanoseconds(nanoseconds_.load(std::memory_order_relaxed));
  }

 private:
  ABSL_ATTRIBUTE_NOINLINE void LockSlow(absl::Mutex& mutex)
      ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex);

  std::atomic<int64_t> count_ = 0;
  std::atomic<int64_t> nanoseconds_ = 0;
};

// Holds `mutex`, and counts in `waits` if it had to wait.
class ABSL_SCOPED_LOCKABLE CountingLock {
 public:
  CountingLock(absl::Mutex& mutex, LockWaits& waits)
      ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : mutex_(mutex) {
    waits.Lock(mutex);
  }
  CountingLock(const CountingLock&) = delete;
  CountingLock& operator=(const CountingLock&) = delete;
  ~CountingLock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  absl::Mutex& mutex_;
};

}  // namespace bibop

#endif  // BIBOP_HEAP_LOCK_WAITS_H_
