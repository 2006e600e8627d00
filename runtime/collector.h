// Collector: when a heap is collected, by which thread, and how far at once.
//
// One thread at a time drives the cycle: it calls Step until the cycle is over,
// or, in incremental mode, once. Which thread that is:
//
//   mode              Collect            a budget was spent
//   kStopTheWorld     who calls it       who finds it out; all in one pause
//   kIncremental      who calls it       who finds it out, a step at each slow
//                                        path of an allocation
//   kConcurrent       who calls it       who finds it out if little was alive
//                                        last; else the collector's own thread
//
// Everyone else goes on, or waits for the end: parked, and in concurrent mode
// marking meanwhile.
//
// In a pause no more is marked than takes some hundred microseconds, but for
// stop-the-world mode: if that was all that is alive the cycle ends in its
// first pause, else marking goes on while mutators run, and the pause that ends
// it is tried again until it finds no more than that left to do.
//
// Owned by the heap. Any thread may call any function, as it says.

#ifndef BIBOP_RUNTIME_COLLECTOR_H_
#define BIBOP_RUNTIME_COLLECTOR_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"
#include "bibop/runtime/collection_cycle.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/memory_keeper.h"
#include "bibop/runtime/pacer.h"
#include "bibop/runtime/safepoints.h"
#include "bibop/runtime/stress.h"

namespace bibop {

class Mutator;

class Collector {
 public:
  // Starts its thread, where `options` ask for one. Returns ResourceExhausted
  // where the system refuses it. The others must outlive this.
  static absl::StatusOr<std::unique_ptr<Collector>> Start(
      const HeapOptions& options, ObjectHeap& objects, HeapRoots& roots,
      Safepoints& safepoints, MemoryKeeper& keeper);

  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  ~Collector() { Stop(); }

  // Ends the thread, and gives up a cycle that is under way.
  //
  // REQUIRES: no thread is attached, or attaches or collects from now on.
  void Stop();

  // Runs a cycle of that kind, or a major one, that begins after this call to
  // its end, or waits until another thread has. `self` is the calling thread's
  // mutator, or null. Aborts during a collection in what that calls.
  void Collect(CycleCause cause, CollectionKind kind, Mutator* self)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Has a cycle of that kind, or a major one, begin soon: the collector's
  // thread runs it, or, in modes without one, who allocates next. Any thread
  // may call it, even in a collection.
  void Request(CollectionKind kind) ABSL_LOCKS_EXCLUDED(mutex_);

  // If a good part of the budget is spent, or a cycle was asked for: requests
  // one of the kind that would come next; in modes without a thread runs a step
  // of it, or all, here. Returns whether there is more to do here. `self` as
  // for Collect.
  bool CollectWhenIdle(Mutator* self) ABSL_LOCKS_EXCLUDED(mutex_);

  // Does what is due, if so much was allocated that something is: runs a cycle
  // or a step of one, or has the collector's thread run one. Waits only if that
  // falls far behind. On the thread of `self`, at a safepoint.
  void CollectIfDue(Mutator& self) {
    if (AllocatedBytes() >= due_at_bytes_.load(std::memory_order_relaxed)) {
      CollectDue(self);
    }
  }

  // Under stress: what comes at an allocation, and at a safepoint. On the
  // thread of `self`, at a safepoint.
  void CountAllocation(Mutator& self) {
    if (stress_.CountAllocation()) CollectForStress(self);
  }
  void CountSafepoint(Mutator& self) {
    stress_.CountSafepoint();
    if (stress_.options().every_safepoint) CollectForStress(self);
  }

  // If a cycle is under way that its own thread drives, waits until it has
  // cleared what it clears, and returns true. On the thread of `self`, at a
  // safepoint.
  bool AwaitUnderWay(Mutator& self) ABSL_LOCKS_EXCLUDED(mutex_);

  // After a collection for which a heap was full, and its sweep: lets the heap
  // grow somewhat beyond its soft limit, if collections take most of the time
  // and nearly as much is alive.
  void EaseSoftLimit() ABSL_LOCKS_EXCLUDED(stats_mutex_);
  // Where a collection has not made room below the soft limit: lets the heap
  // grow somewhat beyond, so that an object of `size` bytes may find room.
  // Returns false if it may not grow any more.
  bool ExceedSoftLimit(size_t size) ABSL_LOCKS_EXCLUDED(stats_mutex_);

  // Counts bytes outside of the heap as allocated. Any thread may call it.
  void CountExternal(int64_t bytes) {
    external_allocated_.fetch_add(bytes, std::memory_order_relaxed);
  }

  // What cycles add up to; the rest of the figures is elsewhere.
  HeapStats stats() const ABSL_LOCKS_EXCLUDED(stats_mutex_);

 private:
  class WaitingScope;
  // A cycle that somebody wants soon.
  struct Asked {
    CollectionKind kind;
    CycleCause cause;
  };

  Collector(const HeapOptions& options, ObjectHeap& objects, HeapRoots& roots,
            Safepoints& safepoints, MemoryKeeper& keeper);

  // What was allocated since the heap was made, external bytes included.
  int64_t AllocatedBytes() const {
    return objects_.allocated().bytes +
           external_allocated_.load(std::memory_order_relaxed);
  }
  // When a mark has finished: says when the next cycle is due, and which kind
  // it is.
  void SetBudget(int64_t mutators) ABSL_LOCKS_EXCLUDED(mutex_);
  void Ask(Asked asked) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CollectDue(Mutator& self) ABSL_LOCKS_EXCLUDED(mutex_);
  // Runs a cycle, and perhaps the beginning of another, beside which the
  // mutator then runs.
  void CollectForStress(Mutator& self) ABSL_LOCKS_EXCLUDED(mutex_);

  // Marks as much as is due for what was allocated after the mark should have
  // been over, if it is not.
  void Assist(int64_t allocated, Mutator& self);
  // Waits until that cycle has cleared what it clears, and marks meanwhile.
  void WaitUntilCleared(int64_t cycle, Mutator& self)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // What the collector's thread does.
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits until nobody drives, and helps with the mark meanwhile.
  void AwaitNoDriver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes the calling thread the one that drives, if there is none.
  bool TryDrive() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StopDriving() ABSL_LOCKS_EXCLUDED(mutex_);
  // Aborts if the calling thread drives already.
  void CheckDoesNotDrive() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // The rest is for the thread that drives.

  // Runs a cycle, or what is left of it, to its end. Returns before that if the
  // collector is to stop.
  void DriveToEnd(CycleCause cause, CollectionKind kind);
  // Does a part of a cycle: begins one like this if none is under way, or
  // marks about `budget` objects and does what follows if there are no more.
  // Returns whether the cycle is over. Ends the program if there is no memory
  // for that.
  bool Step(CycleCause cause, CollectionKind kind, size_t budget);
  bool TakeStep(CycleCause cause, CollectionKind kind, size_t budget);
  // How long the current step has worked, without waiting for a processor.
  absl::Duration WorkOfStep() const;
  // How long its thread has waited for a processor since it began.
  absl::Duration DelayOfStep() const;
  // The parts.
  void Begin(CycleCause cause, CollectionKind kind);
  // How much is marked in the pause that begins a cycle.
  size_t MostInFirstPause() const;
  void TryFinish();
  void Clear();
  void End();
  // Does `work` while the world is stopped, and returns how long that was.
  struct PauseTimes {
    absl::Duration wall;
    absl::Duration descheduled;
  };
  PauseTimes Pause(absl::FunctionRef<void(CollectionCycle::Mutators)> work);
  // In a pause, when the mark has finished.
  void NoteMarked(CollectionCycle::Mutators mutators);
  // The same, under stress. `in_one_pause`: it began in this pause.
  void CheckMarked(CollectionCycle::Mutators mutators, bool in_one_pause);
  // Clears what has to be.
  void ClearReferences();
  // When a major cycle has ended.
  void AdjustSoftLimit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(stats_mutex_);

  const HeapOptions& options_;
  Stress stress_;
  ObjectHeap& objects_;
  Safepoints& safepoints_;
  MemoryKeeper& keeper_;
  // Used by the thread that drives.
  CollectionCycle cycle_;
  CycleStats current_;
  std::chrono::steady_clock::time_point mark_start_;
  absl::Duration since_mark_before_ = absl::ZeroDuration();
  // How long the steps of this cycle before the current one worked, and when
  // that began, and how long its thread had waited for a processor.
  absl::Duration worked_ = absl::ZeroDuration();
  absl::Duration delayed_ = absl::ZeroDuration();
  std::chrono::steady_clock::time_point step_start_;
  absl::Duration step_start_delay_ = absl::ZeroDuration();
  std::chrono::steady_clock::time_point major_end_;
  Pacer pacer_;
  // The kind of the next cycle that a spent budget causes.
  CollectionKind next_kind_ = CollectionKind::kMajor;
  int minors_since_major_ = 0;

  // The sum of all positive adjustments of external bytes. Written by any
  // thread, read by running mutators; orders nothing: relaxed.
  std::atomic<int64_t> external_allocated_ = 0;
  // The totals of allocated bytes at which a collection is due, at which one is
  // worth while where the program has nothing else to do, and at which mutators
  // wait for one that is under way. Written by who drives, the first under
  // mutex_ and also by who asks for a collection; read by any thread, for which
  // an old value does: relaxed.
  std::atomic<int64_t> due_at_bytes_ = 0;
  std::atomic<int64_t> idle_at_bytes_ = 0;
  std::atomic<int64_t> wait_at_bytes_ = 0;
  // From which total on mutators mark objects for what is allocated beyond it,
  // and how many for each MiB: so many that the mark has ended when they would
  // wait for it. Written by who drives, the first also by who marks for some of
  // it; read by any thread, for which an old value does: relaxed.
  std::atomic<int64_t> assisted_to_bytes_ = 0;
  std::atomic<int64_t> assist_for_mib_ = 0;
  // Whether little was found alive. In the same way.
  std::atomic<bool> is_small_ = true;
  // Whether the collector is to stop. Set by who stops it, read by
  // its thread: relaxed.
  std::atomic<bool> ending_ = false;

  mutable absl::Mutex mutex_;
  // Who drives; none if nobody does.
  std::thread::id driver_ ABSL_GUARDED_BY(mutex_);
  // Whether the collector's thread is to run a cycle, or is about to.
  bool requested_ ABSL_GUARDED_BY(mutex_) = false;
  // What was asked for since a cycle began.
  std::optional<Asked> asked_ ABSL_GUARDED_BY(mutex_);
  // How many cycles have begun to mark, finished clearing, and ended.
  int64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t cleared_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t ended_ ABSL_GUARDED_BY(mutex_) = 0;
  // The number of the last major one that has ended.
  int64_t major_ended_ ABSL_GUARDED_BY(mutex_) = 0;

  mutable absl::Mutex stats_mutex_;
  HeapStats stats_ ABSL_GUARDED_BY(stats_mutex_);
  // By how much the heap may exceed the soft limit at once, and whether it has
  // since the last major cycle ended.
  size_t grant_ ABSL_GUARDED_BY(stats_mutex_) = 0;
  bool exceeded_ ABSL_GUARDED_BY(stats_mutex_) = false;
  // Whether the last major cycle took more than two thirds of the time since
  // the end of the one before, not counting that in which others had the
  // processor.
  bool busy_ ABSL_GUARDED_BY(stats_mutex_) = false;

  // The last member, for it uses the others.
  std::thread thread_;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_COLLECTOR_H_
