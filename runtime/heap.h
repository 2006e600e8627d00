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
// Any number of threads may be attached to a heap. Collections run beside them
// and stop them for moments only, each at its next safepoint: in the slow path
// of an allocation, or where it calls Mutator::Safepoint. A thread that does
// neither for long, because it waits for something or computes, does so in a
// ParkedScope, or it keeps the others waiting; it is then named in the log.
// Functions say which thread may call them.
//
// The child of a fork may not use its parent's heaps: what would need a
// collector, or a lock that a thread may have held, aborts there.

#ifndef BIBOP_RUNTIME_HEAP_H_
#define BIBOP_RUNTIME_HEAP_H_

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/handles/async_slots.h"
#include "bibop/handles/capabilities.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"
#include "bibop/runtime/collector.h"
#include "bibop/runtime/fork_check.h"
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
  // Persistents and WeakPersistents that are left become empty, and the handles
  // of AsyncHandleScopes that are left may not be used; checked builds say
  // which there are. A collection that is under way is given up. Aborts if a
  // thread is attached, naming it.
  ~Heap();

  // Attaches the calling thread until the mutator is destroyed, which has to
  // happen on the same thread and before the heap is. Returns
  // FailedPrecondition if this thread is attached already, ResourceExhausted
  // where the system has no memory. Any thread may call it. MutatorScope is the
  // usual way.
  absl::StatusOr<std::unique_ptr<Mutator>> Attach();

  // Collects: every object that no root reached when this was called is dead
  // afterwards. With kMinor, in a heap with generations, every such object that
  // is young, which fewer than two collections of either kind have found,
  // unless something old refers to it, or the memory of a young container does;
  // the others live on. In a heap without generations it is a major one.
  // Returns when the collection has ended, which the calling thread drives, or
  // another: in concurrent and incremental mode mutators run meanwhile.
  // Destructors of dead objects run later: on a background thread, as memory is
  // needed, or when the next collection begins. Any thread may call it,
  // attached or not; an attached one is at a safepoint. Aborts if called during
  // a collection by what that calls: a destructor, a Trace, or
  // HeapOptions::on_cycle_end; or by a thread that has a NoGcScope open.
  void Collect(CollectionKind kind = CollectionKind::kMajor)
      ABSL_LOCKS_EXCLUDED(internal::no_gc);

  // The same, but returns at once. In concurrent mode the heap's own thread
  // collects, or one that allocates before it has begun; in the others, where
  // there is none, the next that allocates and needs memory for it. Instead of
  // a minor collection it is a major one if that would come next. A collection
  // that had begun to mark does not count. Any thread may call it, a destructor
  // too.
  void CollectSoon(CollectionKind kind = CollectionKind::kMajor);

  // Says that the calling thread has nothing else to do: a good time for a
  // collection that would come soon. Does nothing if less than a quarter of the
  // budget was spent since the last, and none was asked for. Otherwise in
  // concurrent mode it is CollectSoon, of the kind that would come next, and
  // returns false. The other modes collect here, unless another thread does: an
  // incremental one marks some thousand objects, the first time after it has
  // swept what was left to sweep, and returns true if there is more to do, to
  // be called again; a stop-the-world one does all in one pause. Who may call
  // it, and when it aborts, is as for Collect.
  bool CollectWhenIdle() ABSL_LOCKS_EXCLUDED(internal::no_gc);

  // Says that objects own `delta` more bytes of memory outside of the heap, or
  // fewer: a buffer from malloc, a mapped file. They count against max_bytes
  // and make collections due sooner, but never cause one here; where that is
  // wanted use Mutator::AdjustExternalBytes. Any thread may call it,
  // destructors too.
  void AdjustExternalBytes(int64_t delta);

  // What happened so far. Any thread may call it.
  HeapStats stats() const;

  // How many AsyncHandleScopes there are: a gauge that shows a task that never
  // ends. Takes some milliseconds for a million, since it looks at each. Those
  // that are made or destroyed meanwhile may be counted or not. Any thread may
  // call it.
  size_t CountAsyncScopes() const { return async_slots().CountScopes(); }

  // The slots of AsyncHandleScopes, for these. Any thread may call it.
  AsyncSlotPool& async_slots() const { return *roots_.async; }

 private:
  friend class Mutator;

  Heap(HeapOptions options, std::unique_ptr<ObjectHeap> objects);

  // Starts what has threads. Returns ResourceExhausted where the system refuses
  // one.
  absl::Status StartThreads();
  void Collect(CycleCause cause, CollectionKind kind);
  // The calling thread's mutator if that is running; else null. Aborts where no
  // collection may run.
  Mutator* CheckMayCollectHere() const;

  const internal::ForkCheck fork_check_;
  const HeapOptions options_;
  Safepoints safepoints_{options_.safepoint_warning};
  const std::unique_ptr<ObjectHeap> objects_;
  // Abandoned before the objects' memory goes.
  HeapRoots roots_;
  // In this order: the latter wakes the former.
  std::unique_ptr<MemoryKeeper> keeper_;
  std::unique_ptr<Collector> collector_;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_HEAP_H_
