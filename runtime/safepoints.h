// Safepoints: the threads that are attached to a heap, and how one of them
// stops the others.
//
// A mutator is running or parked. A running one may touch the heap; when a stop
// is requested it waits at its next safepoint, which is in the slow path of an
// allocation and where Mutator::Safepoint is called. A parked one may not touch
// the heap, and nobody waits for it; it waits when it wants to run again while
// the world is stopped.
//
//          BeginCycle           StopTheWorld          ResumeTheWorld
//   kIdle -----------> kPreparing ---------> kStopped -------------> kEnding
//     ^                                                                 |
//     +-----------------------------------------------------------------+
//                                EndCycle
//
// From BeginCycle to EndCycle one thread, the collector, has the cycle to
// itself; only in kStopped is no mutator running. The collector may be a
// running or a parked mutator's thread, or one that is not attached.
//
// Every function may be called by any thread, as it says. What a mutator did
// before it stopped has happened before what the collector does, and that
// before what the mutator does next: the mutex orders them.
//
// Invariants: running_ is the number of mutators that run and are not waiting
// at a safepoint; it is 0 in kStopped.

#ifndef BIBOP_RUNTIME_SAFEPOINTS_H_
#define BIBOP_RUNTIME_SAFEPOINTS_H_

#include <atomic>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "bibop/handles/mutator_base.h"

namespace bibop {

class Safepoints {
 public:
  Safepoints() = default;
  Safepoints(const Safepoints&) = delete;
  Safepoints& operator=(const Safepoints&) = delete;

  // Adds the calling thread's mutator, running. Waits while the world is
  // stopped. Returns false, with nothing changed, if the thread has one.
  bool Attach(MutatorBase& mutator);
  // Takes the calling thread's mutator, running, out.
  void Detach(MutatorBase& mutator);
  // Whether any thread has a mutator.
  bool AnyAttached() const;

  // Whether running mutators are to stop: a safepoint's poll.
  bool StopRequested() const {
    return stop_requested_.load(std::memory_order_relaxed);
  }

  // A safepoint, for a running mutator: waits while a stop is requested.
  void StopHere();

  // Make the calling thread's running mutator a parked one, and the other way
  // round.
  void Park();
  void Unpark();

  // Begins a cycle, as the collector, and returns true; or waits, as at a
  // safepoint, until the cycle of another thread has ended, and returns false.
  // If it need not `wait`, it does so only for a cycle that stops the mutators
  // anyhow, not for the destructors that run before. Aborts if the calling
  // thread is the collector already.
  bool BeginCycle(bool wait);
  // Stops all mutators and returns them.
  //
  // REQUIRES: BeginCycle returned true.
  std::vector<MutatorBase*> StopTheWorld();
  // Lets them go on.
  //
  // REQUIRES: StopTheWorld was called.
  void ResumeTheWorld();
  // Ends the cycle.
  //
  // REQUIRES: ResumeTheWorld was called.
  void EndCycle();

 private:
  enum class Phase { kIdle, kPreparing, kStopped, kEnding };
  struct Attached {
    std::thread::id thread;
    MutatorBase* mutator;
    bool parked;
  };

  // What mutators wait to be over. They read nothing but atomic words, so that
  // they can be asked without the mutex, too.
  bool IsStopping() const { return StopRequested(); }
  bool IsCollecting() const {
    return phase_.load(std::memory_order_relaxed) != Phase::kIdle;
  }
  bool IsAnyRunning() const {
    return running_.load(std::memory_order_relaxed) != 0;
  }
  using Condition = bool (Safepoints::*)() const;

  // Waits, as a mutator that is stopped if it is `running`, while the condition
  // holds or a stop is requested.
  void StopWhile(bool running, Condition condition)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Waits while the condition holds: for a moment without sleeping, because
  // most stops are shorter than it takes to be woken up, then as the mutex has
  // one wait.
  void WaitWhile(Condition condition) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddRunning(int change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetPhase(Phase from, Phase to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Aborts in what the collector calls while the world is stopped: a Trace.
  void CheckIsNotTracing() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The calling thread's mutator, or null.
  Attached* Find() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsRunning() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::vector<Attached> attached_ ABSL_GUARDED_BY(mutex_);
  // Who is not in kIdle.
  std::thread::id collector_ ABSL_GUARDED_BY(mutex_);
  // The words below are written under the mutex, and decided upon under it.
  // Without it they are only read by those who then take it: a mutator's poll,
  // where one that misses a stop is followed by another, and a wait. Relaxed.
  std::atomic<bool> stop_requested_ = false;
  std::atomic<int> running_ = 0;
  std::atomic<Phase> phase_ = Phase::kIdle;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_SAFEPOINTS_H_
