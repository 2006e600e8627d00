// MarkerPool: threads that help a marker. They take objects from the heap's
// mark queue, where each marker puts some of its own when another waits: work
// sharing by batches, as in V8's worklists.
//
// Owned by the collector and used by one thread at a time, but for Assist and
// AssistWith. The threads start when they are first needed; where the system
// refuses one there are fewer, until a later Drain gets it. Threads that wait
// for the end of the mark help as well meanwhile, and others for a while.
//
// Invariants: outside of Drain no helper touches the heap.

#ifndef BIBOP_MARKER_MARKER_POOL_H_
#define BIBOP_MARKER_MARKER_POOL_H_

#include <atomic>
#include <cstdint>
#include <optional>
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
  MarkerPool(ObjectHeap& heap, int helpers);
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

  // Between the two calls there may be Drains. The first mark has number 1.
  void BeginMark() ABSL_LOCKS_EXCLUDED(mutex_);
  void EndMark() ABSL_LOCKS_EXCLUDED(mutex_);

  // Helps with Drains until the EndMark of the mark of that number; while
  // enough others do, only waits. Returns at once if it is not that mark's
  // time. Any thread may call it for which no pause waits. Ends the program if
  // there is no memory.
  void Assist(int64_t mark) ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether a Drain is running, or was a moment ago.
  bool IsDraining() const { return open_.load(std::memory_order_relaxed); }
  // Helps with a Drain that is running by marking about `objects`, if there is
  // something for it at once or after a nap of 20 us, and enough others do not
  // help. As Assist.
  void AssistWith(size_t objects) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Counts the caller as helping in the round that is open, and as assisting;
  // returns false if there is none or enough assist.
  bool JoinRound() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartThreads() ABSL_LOCKS_EXCLUDED(mutex_);
  // What a thread does, from that round on.
  void Help(int64_t first_round) ABSL_LOCKS_EXCLUDED(mutex_);
  // What it does in one, in which it was counted as helping.
  void HelpInRound() ABSL_LOCKS_EXCLUDED(mutex_);
  // Marks what is in the mark queue and what that leads to, but not many more
  // than `most` objects. Returns whether the round is open.
  bool MarkSome(Marker& own, size_t most);
  // If the mark queue is empty waits for `nap`, and says so to who has more.
  // Returns whether it was.
  bool AwaitWork(absl::Duration nap);
  // Hands over what a helper has marked, and has it no longer count as one.
  void Leave(Marker& own) ABSL_LOCKS_EXCLUDED(mutex_);

  ObjectHeap& heap_;
  const int wanted_;
  // No more threads assist: one for each processor that has no marker, or one.
  const int most_assisting_;
  std::vector<std::thread> threads_;
  absl::Mutex mutex_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  // Whether there is a mark, and the number of that or of the last one.
  bool marking_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t mark_ ABSL_GUARDED_BY(mutex_) = 0;
  int assisting_ ABSL_GUARDED_BY(mutex_) = 0;
  // The number of the round that is running or was the last one, and what its
  // helpers have marked so far: not the Drain's own marker, which marks.
  int64_t round_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<Marker> helped_ ABSL_GUARDED_BY(mutex_);
  // Helpers that have not finished the round. One that assists joins while the
  // round is open.
  int helping_ ABSL_GUARDED_BY(mutex_) = 0;
  // Whether helpers may take a batch, and how many are on one. A helper counts
  // itself before it looks whether it may, the caller says that none may before
  // it looks how many do: sequentially consistent. Opened under the mutex,
  // where JoinRound looks, too; IsDraining takes it for a hint: relaxed.
  std::atomic<bool> open_ = false;
  std::atomic<int> busy_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_MARKER_MARKER_POOL_H_
