// MarkerPool: threads that help a marker. They take objects from the heap's
// mark queue, where each marker puts some of its own when another waits: work
// sharing by batches, as in V8's worklists.
//
// Owned by the collector and used by one thread at a time. The threads start
// when they are first needed; where the system refuses one there are fewer,
// until a later Drain gets it.
//
// Invariants: outside of Drain no helper touches the heap.

#ifndef BIBOP_MARKER_MARKER_POOL_H_
#define BIBOP_MARKER_MARKER_POOL_H_

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/marker.h"

namespace bibop {

class MarkerPool {
 public:
  // With so many threads besides the caller's, at most. `heap` must outlive
  // this.
  MarkerPool(ObjectHeap& heap, int helpers) : heap_(heap), wanted_(helpers) {}
  MarkerPool(const MarkerPool&) = delete;
  MarkerPool& operator=(const MarkerPool&) = delete;
  // Ends the threads.
  ~MarkerPool();

  // Marks what `marker` has found, what is in the heap's mark queue, and what
  // all that refers to, on the calling thread and the helpers'; what they mark
  // is `marker`'s. Returns false, with something left, soon after `cancelled`
  // was set. As Marker::Drain otherwise.
  bool Drain(Marker& marker, const std::atomic<bool>& cancelled)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void StartThreads() ABSL_LOCKS_EXCLUDED(mutex_);
  // What a thread does, from that round on.
  void Help(int64_t first_round) ABSL_LOCKS_EXCLUDED(mutex_);

  ObjectHeap& heap_;
  const int wanted_;
  std::vector<std::thread> threads_;
  absl::Mutex mutex_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  // The number of the Drain that is running or was the last one, and whose
  // objects the helpers of it marked.
  int64_t round_ ABSL_GUARDED_BY(mutex_) = 0;
  Marker* marker_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // Helpers that have not finished the round.
  int helping_ ABSL_GUARDED_BY(mutex_) = 0;
  // Whether helpers may take a batch, and how many are on one. A helper counts
  // itself before it looks whether it may, the caller says that none may before
  // it looks how many do: sequentially consistent.
  std::atomic<bool> open_ = false;
  std::atomic<int> busy_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_MARKER_MARKER_POOL_H_
