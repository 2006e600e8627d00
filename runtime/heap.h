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
// In this version one thread at a time is attached to a heap, and collections
// stop it. Functions say which thread may call them.

#ifndef BIBOP_RUNTIME_HEAP_H_
#define BIBOP_RUNTIME_HEAP_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "bibop/heap/object_heap.h"
#include "bibop/runtime/collection_cycle.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/memory_keeper.h"

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
  // Aborts if a thread is attached.
  ~Heap();

  // Attaches the calling thread until the mutator is destroyed, which has to
  // happen on the same thread and before the heap is. Returns
  // FailedPrecondition if a thread is attached already, ResourceExhausted where
  // the system has no memory. Any thread may call it. MutatorScope is the
  // usual way.
  absl::StatusOr<std::unique_ptr<Mutator>> Attach()
      ABSL_LOCKS_EXCLUDED(attach_mutex_);

  // Collects: every object that no handle reaches is dead afterwards.
  // Destructors of dead objects run later: on a background thread, as memory is
  // needed, or when the next collection begins. To be called by the attached
  // thread, or by any if none is and none attaches meanwhile; aborts otherwise,
  // and if called during a collection.
  void Collect();

  // Says that objects own `delta` more bytes of memory outside of the heap, or
  // fewer: a buffer from malloc, a mapped file. They count against max_bytes
  // and make collections due sooner, but never cause one here; where that is
  // wanted use Mutator::AdjustExternalBytes. Any thread may call it,
  // destructors too.
  void AdjustExternalBytes(int64_t delta);

  // What happened so far. To be called by the attached thread, or by any if
  // none is.
  HeapStats stats() const;

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
  void Collect(CycleCause cause);
  void FinishSweep() { cycle_.FinishSweep(); }
  void SetBudget(int64_t live_bytes);
  void Detach() ABSL_LOCKS_EXCLUDED(attach_mutex_);
  // The attached mutator, or null. Aborts if another thread is attached.
  Mutator* CurrentMutator() ABSL_LOCKS_EXCLUDED(attach_mutex_);

  const HeapOptions options_;
  const std::unique_ptr<ObjectHeap> objects_;
  CollectionCycle cycle_;
  // The sum of all positive adjustments. Written by any thread, read by the
  // attached one; orders nothing: relaxed.
  std::atomic<int64_t> external_allocated_ = 0;
  // Threads may ask to be attached at any time. What else there is belongs to
  // the attached thread; the mutex hands it over from one to the next.
  absl::Mutex attach_mutex_;
  Mutator* mutator_ ABSL_GUARDED_BY(attach_mutex_) = nullptr;
  std::thread::id attached_thread_ ABSL_GUARDED_BY(attach_mutex_);
  // The total of allocated bytes at which the next collection is due.
  int64_t next_cycle_at_bytes_ = 0;
  bool reporting_ = false;
  HeapStats stats_;
  // Last: its thread ends before what it uses does.
  const std::unique_ptr<MemoryKeeper> keeper_;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_HEAP_H_
