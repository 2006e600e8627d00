// Heap: a garbage-collected heap, the facade over its parts.
//
//   absl::StatusOr<std::unique_ptr<Heap>> heap = Heap::Create({});
//   MutatorScope mutator(**heap);      // this thread may now use the heap
//   HandleScope scope(mutator);
//   Handle<Node> node = scope.New<Node>();
//
// A process may have several heaps; an object of one may not refer to an object
// of another.
//
// A thread that is attached to several heaps is parked in all but one: in each
// where it runs, collections wait for it while it waits in another.
//
// Any number of threads may be attached to a heap. Collections stop all of
// them, each at its next safepoint: in the slow path of an allocation, or where
// it calls Mutator::Safepoint. A thread that does neither for long, because it
// waits for something or computes, does so in a ParkedScope, or it keeps the
// others waiting. Functions say which thread may call them.

#ifndef BIBOP_RUNTIME_HEAP_H_
#define BIBOP_RUNTIME_HEAP_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "bibop/handles/capabilities.h"
#include "bibop/handles/root_slots.h"
#include "bibop/heap/object_heap.h"
#include "bibop/runtime/collection_cycle.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/memory_keeper.h"
#include "bibop/runtime/safepoints.h"

namespace bibop {

class Mutator;

class Heap {
 public:
  // Makes an empty heap. Returns InvalidArgument if an option is out of its
  // range, ResourceExhausted where the system refuses the address space or a
  // thread. Any thread may call it.
  static absl::StatusOr<std::unique_ptr<Heap>> Create(HeapOptions options);

  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  // Destroys every object: each destructor that has not run yet runs now.
  // Persistents and WeakPersistents that are left become empty; checked builds
  // say which there are. Aborts if a thread is attached.
  ~Heap();

  // Attaches the calling thread until the mutator is destroyed, which has to
  // happen on the same thread and before the heap is. Returns
  // FailedPrecondition if this thread is attached already, ResourceExhausted
  // where the system has no memory. Any thread may call it. MutatorScope is the
  // usual way.
  absl::StatusOr<std::unique_ptr<Mutator>> Attach();

  // Collects: every object that no root reaches is dead afterwards.
  // Destructors of dead objects run later: on a background thread, as memory is
  // needed, or when the next collection begins. Any thread may call it,
  // attached or not; an attached one is at a safepoint. Aborts if called during
  // a collection by what that calls: a destructor, a Trace, or
  // HeapOptions::on_cycle_end; or by a thread that has a NoGcScope open.
  void Collect() ABSL_LOCKS_EXCLUDED(internal::no_gc);

  // Says that objects own `delta` more bytes of memory outside of the heap, or
  // fewer: a buffer from malloc, a mapped file. They count against max_bytes
  // and make collections due sooner, but never cause one here; where that is
  // wanted use Mutator::AdjustExternalBytes. Any thread may call it,
  // destructors too.
  void AdjustExternalBytes(int64_t delta);

  // What happened so far. Any thread may call it.
  HeapStats stats() const ABSL_LOCKS_EXCLUDED(stats_mutex_);

 private:
  friend class Mutator;

  Heap(HeapOptions options, std::unique_ptr<ObjectHeap> objects,
       std::unique_ptr<MemoryKeeper> keeper);

  // What was allocated since the heap was made, external bytes included.
  int64_t AllocatedBytes() const {
    return objects_->allocated().bytes +
           external_allocated_.load(std::memory_order_relaxed);
  }
  // Whether so much was allocated that a collection is due.
  bool BudgetSpent() const { return AllocatedBytes() >= next_cycle_at_bytes_; }
  void Collect(CycleCause cause) ABSL_LOCKS_EXCLUDED(stats_mutex_);
  void SetBudget(int64_t live_bytes, int64_t mutators);

  const HeapOptions options_;
  // The sum of all positive adjustments. Written by any thread, read by running
  // mutators; orders nothing: relaxed.
  std::atomic<int64_t> external_allocated_ = 0;
  // The total of allocated bytes at which the next collection is due. Written
  // while the world is stopped, read by running mutators.
  int64_t next_cycle_at_bytes_ = 0;
  Safepoints safepoints_;
  mutable absl::Mutex stats_mutex_;
  // What cycles add up to; the rest of the figures is elsewhere.
  HeapStats stats_ ABSL_GUARDED_BY(stats_mutex_);
  const std::unique_ptr<ObjectHeap> objects_;
  // Abandoned before the objects' memory goes.
  const RootSlotPool::Owner roots_ = RootSlotPool::Create();
  // Used by the collector only.
  CollectionCycle cycle_;
  std::unique_ptr<MemoryKeeper> keeper_;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_HEAP_H_
