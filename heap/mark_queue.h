// MarkQueue: objects that a marker still has to look at, on their way from one
// thread to another: from mutators, whose barriers saved them, and from markers
// that have more than others.
//
// They come in batches, so that the lock is taken once for some hundred. It
// grows without limit: nothing that was put in is dropped.
//
// Any thread may call any function.

#ifndef BIBOP_HEAP_MARK_QUEUE_H_
#define BIBOP_HEAP_MARK_QUEUE_H_

#include <atomic>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace bibop {

class MarkQueue {
 public:
  // Pointers at or into objects.
  using Batch = std::vector<const void*>;

  MarkQueue() = default;
  MarkQueue(const MarkQueue&) = delete;
  MarkQueue& operator=(const MarkQueue&) = delete;

  // Adds a batch; an empty one is nothing.
  void Add(Batch batch) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (batch.empty()) return;
    absl::MutexLock lock(mutex_);
    batches_.push_back(std::move(batch));
    count_.store(batches_.size(), std::memory_order_relaxed);
  }

  // Takes a batch; an empty one if there is none.
  Batch Take() ABSL_LOCKS_EXCLUDED(mutex_) {
    if (IsEmpty()) return {};
    absl::MutexLock lock(mutex_);
    if (batches_.empty()) return {};
    Batch batch = std::move(batches_.back());
    batches_.pop_back();
    count_.store(batches_.size(), std::memory_order_relaxed);
    return batch;
  }

  // Says that a marker waits for a batch, or that it no longer does.
  void BeginWait() { waiting_.fetch_add(1, std::memory_order_relaxed); }
  void EndWait() { waiting_.fetch_sub(1, std::memory_order_relaxed); }
  // Whether markers wait and there is nothing for them: who has more than one
  // batch adds some.
  bool IsWanted() const {
    return waiting_.load(std::memory_order_relaxed) != 0 && IsEmpty();
  }

  // Whether there was no batch a moment ago. Who has to know exactly sees to it
  // that nobody adds any, and that what they did has happened before.
  bool IsEmpty() const { return count_.load(std::memory_order_relaxed) == 0; }

 private:
  absl::Mutex mutex_;
  std::vector<Batch> batches_ ABSL_GUARDED_BY(mutex_);
  // Their number. Written under the mutex, read without it as a hint: relaxed.
  std::atomic<size_t> count_ = 0;
  // How many markers wait. A hint: relaxed.
  std::atomic<int> waiting_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_HEAP_MARK_QUEUE_H_
