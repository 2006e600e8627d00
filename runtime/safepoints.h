// Safepoints: the threads that are attached to a heap, and how the collector
// stops them or has each of them do something.
//
// Each mutator has one word that says what it does:
//
//   bit 0, kParked      it may not touch the heap, and nobody waits for it: it
//                       is in a ParkedScope, or waits at a safepoint, where it
//                       may be a marker's helper
//   bit 1, kRequested   the collector wants something of it
//   bit 2, kAlwaysSlow  set for good, under stress: nothing may be done without
//                       coming to Safepoints
//
//                   Park, a CAS
//        running 0 -------------> parked kParked
//                  <-------------
//                  Unpark, a CAS
//
// While kRequested is set neither CAS succeeds, and a running mutator's poll
// finds a word that is not 0: the thread comes to Safepoints, which does the
// rest under one mutex. There are two requests:
//
//   stop        StopTheWorld returns when every mutator is parked or waits;
//               until ResumeTheWorld none runs
//   handshake   Handshake returns when a function was run for each mutator: by
//               its own thread at its next safepoint, after which that goes on
//               at once, or by the collector if the mutator is parked, which
//               then stays so until that is done
//
// What a mutator did before it was parked (release) happens before what the
// collector does for it (acquire, by setting kRequested), and that (release, by
// clearing it) before what the mutator does when it runs again (acquire).
//
// Handshakes after Go's ragged barriers and HotSpot's thread-local handshakes
// (JEP 312); parking as in V8's safepoints.
//
// Invariants: in a stopped world every mutator but the collector's own has
// kParked and kRequested set; pending_ is the number of mutators that owe an
// answer.

#ifndef BIBOP_RUNTIME_SAFEPOINTS_H_
#define BIBOP_RUNTIME_SAFEPOINTS_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/optimization.h"
#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bibop/handles/mutator_base.h"

namespace bibop {

// A mutator's word. Owned by the mutator.
class MutatorState {
 public:
  MutatorState() = default;
  MutatorState(const MutatorState&) = delete;
  MutatorState& operator=(const MutatorState&) = delete;

  // A running mutator's poll. On its thread. Relaxed: one that misses a request
  // is followed by another.
  bool IsRequested() const {
    return word_.load(std::memory_order_relaxed) != 0;
  }

  // Each returns whether the mutator is parked, or running, now; if not the
  // collector wants something of it. On its thread.
  bool TryPark() {
    uint32_t running = 0;
    return word_.compare_exchange_strong(
        running, kParked, std::memory_order_release, std::memory_order_relaxed);
  }
  bool TryUnpark() {
    uint32_t parked = kParked;
    return word_.compare_exchange_strong(parked, 0, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }

  // From now on the poll and both of these return what they do when the
  // collector wants something. On its thread.
  void SetAlwaysSlow() { Set(kAlwaysSlow); }

 private:
  friend class Safepoints;

  static constexpr uint32_t kParked = 1;
  static constexpr uint32_t kRequested = 2;
  static constexpr uint32_t kAlwaysSlow = 4;

  // Sets and clears bits. Returns what the word was.
  uint32_t Set(uint32_t bits) {
    return word_.fetch_or(bits, std::memory_order_acq_rel);
  }
  uint32_t Clear(uint32_t bits) {
    return word_.fetch_and(~bits, std::memory_order_acq_rel);
  }
  bool Has(uint32_t bits) const {
    return (word_.load(std::memory_order_acquire) & bits) != 0;
  }

  // kRequested is written under the mutex of Safepoints; kParked by the
  // mutator's thread, without the mutex only where kRequested is not set.
  std::atomic<uint32_t> word_ = 0;
};

class Safepoints {
 public:
  // A thread for which a stop or a handshake waits longer than `limit` is named
  // in the log.
  explicit Safepoints(absl::Duration limit) : limit_(limit) {}
  Safepoints(const Safepoints&) = delete;
  Safepoints& operator=(const Safepoints&) = delete;

  // Adds the calling thread's mutator, running. Waits while the world is
  // stopped. Returns false, with nothing changed, if the thread has one.
  bool Attach(MutatorBase& mutator, MutatorState& state);
  // Takes the calling thread's mutator, running, out; answers what was wanted
  // of it.
  void Detach(MutatorBase& mutator);
  // The threads that are attached, for a message; empty if none is.
  std::string DescribeAttached() const;

  // What follows where a poll, TryPark or TryUnpark of the calling thread's
  // mutator says that something is wanted of it.
  void StopHere(MutatorBase& mutator);
  void ParkSlow(MutatorBase& mutator);
  void UnparkSlow(MutatorBase& mutator);

  // Stops all mutators but the calling thread's, if it has one, and returns
  // them and that.
  //
  // REQUIRES: no other thread stops the world or is in a handshake.
  std::vector<MutatorBase*> StopTheWorld();
  // Lets them go on.
  //
  // REQUIRES: the calling thread called StopTheWorld.
  void ResumeTheWorld();

  // Runs `answer` once for each mutator that is attached now. Its thread does
  // not touch the heap meanwhile. `answer` may run under a lock: it does not
  // use this.
  //
  // REQUIRES: no other thread stops the world or is in a handshake.
  void Handshake(absl::FunctionRef<void(MutatorBase&)> answer);

 private:
  struct Attached {
    std::thread::id thread;
    int system_id;  // by which the system knows the thread
    MutatorBase* mutator;
    MutatorState* state;
    // Whether the collector waits for it.
    bool owes = false;
  };
  using Answer = absl::FunctionRef<void(MutatorBase&)>;

  // Waits until `over`, which reads nothing but atomic words: for a moment
  // without sleeping, because most stops are shorter than it takes to be woken
  // up, then as the mutex has one wait. Returns false after `limit`.
  template <class Condition>
  bool WaitUntil(const Condition& over, absl::Duration limit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Waits until no mutator owes an answer.
  void WaitForAnswers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives what the mutator owes, if anything: in a stop it is no longer waited
  // for, so it has to wait itself.
  void GiveAnswer(Attached& self) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Attached& Find(const MutatorBase& mutator)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // "thread 4711 (name)"
  static std::string Describe(const Attached& attached);

  const absl::Duration limit_;
  mutable absl::Mutex mutex_;
  std::vector<Attached> attached_ ABSL_GUARDED_BY(mutex_);
  // What a handshake runs, during one.
  const Answer* answer_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // The words below are written under the mutex, and decided upon under it.
  // Without it they are only read by those who then take it: relaxed.
  //
  // Whether the world is stopped, or being stopped.
  std::atomic<bool> stopping_ = false;
  std::atomic<int> pending_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_SAFEPOINTS_H_
