#include "bibop/marker/marker_pool.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <thread>

#include "absl/log/absl_log.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/base/must_have_memory.h"
#include "bibop/heap/mark_queue.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/marker.h"

namespace bibop {
namespace {

// How often who has nothing to mark looks again, at first and later.
constexpr absl::Duration kNap = absl::Microseconds(20);
constexpr absl::Duration kLongestNap = absl::Microseconds(160);
// So many objects are marked between two looks whether to stop.
constexpr size_t kSlice = 1 << 16;

}  // namespace

MarkerPool::MarkerPool(ObjectHeap& heap, int helpers)
    : heap_(heap),
      wanted_(helpers),
      most_assisting_(std::max(
          static_cast<int>(std::thread::hardware_concurrency()) - 1 - helpers,
          1)) {}

MarkerPool::~MarkerPool() {
  {
    absl::MutexLock lock(mutex_);
    ending_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void MarkerPool::StartThreads() {
  if (threads_.size() == static_cast<size_t>(wanted_)) return;
  int64_t next = 0;
  {
    absl::MutexLock lock(mutex_);
    next = round_ + 1;
  }
  while (threads_.size() < static_cast<size_t>(wanted_)) {
    try {
      threads_.emplace_back(
          [this, next] { MustHaveMemory([this, next] { Help(next); }); });
    } catch (const std::system_error& error) {
      ABSL_LOG_FIRST_N(WARNING, 1)
          << "the system refuses a thread for marking, so it is done by fewer: "
          << error.what();
      return;
    }
  }
}

bool MarkerPool::Drain(Marker& marker, const std::atomic<bool>& cancelled) {
  StartThreads();
  bool done = false;
  do {
    {
      absl::MutexLock lock(mutex_);
      ++round_;
      helped_.emplace(heap_);
      helping_ = static_cast<int>(threads_.size());
      open_ = true;
    }
    for (done = false; !done && !cancelled.load(std::memory_order_relaxed);) {
      if (!marker.Drain(kSlice)) continue;
      // In this order: who is not busy adds nothing.
      done = busy_ == 0 && heap_.mark_queue().IsEmpty();
      if (!done) absl::SleepFor(kNap);
    }
    open_ = false;
    absl::MutexLock lock(mutex_);
    const auto alone = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return helping_ == 0;
    };
    mutex_.Await(absl::Condition(&alone));
    marker.Absorb(*helped_);
    helped_.reset();
  } while (done && marker.AnyArrays());
  return done;
}

void MarkerPool::BeginMark() {
  absl::MutexLock lock(mutex_);
  marking_ = true;
  ++mark_;
}

void MarkerPool::EndMark() {
  absl::MutexLock lock(mutex_);
  marking_ = false;
}

bool MarkerPool::JoinRound() {
  if (!open_ || assisting_ == most_assisting_) return false;
  ++helping_;
  ++assisting_;
  return true;
}

void MarkerPool::Assist(int64_t mark) {
  absl::MutexLock lock(mutex_);
  while (marking_ && mark_ == mark) {
    const auto called = [this, mark]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return !marking_ || mark_ != mark ||
             (open_ && assisting_ < most_assisting_);
    };
    mutex_.Await(absl::Condition(&called));
    if (!marking_ || mark_ != mark || !JoinRound()) continue;
    mutex_.unlock();
    MustHaveMemory([this] { HelpInRound(); });
    mutex_.lock();
    --assisting_;
  }
}

void MarkerPool::AssistWith(size_t objects) {
  absl::MutexLock lock(mutex_);
  if (!JoinRound()) return;
  mutex_.unlock();
  MustHaveMemory([this, objects] {
    Marker own(heap_);
    AwaitWork(kNap);
    MarkSome(own, objects);
    Leave(own);
  });
  mutex_.lock();
  --assisting_;
}

void MarkerPool::Help(int64_t first_round) {
  for (int64_t round = first_round;; ++round) {
    {
      absl::MutexLock lock(mutex_);
      const auto wanted = [this, round]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return ending_ || round_ == round;
      };
      mutex_.Await(absl::Condition(&wanted));
      if (ending_) return;
    }
    HelpInRound();
  }
}

void MarkerPool::HelpInRound() {
  Marker own(heap_);
  absl::Duration nap = kNap;
  while (MarkSome(own, Marker::kEverything)) {
    nap = AwaitWork(nap) ? std::min(2 * nap, kLongestNap) : kNap;
  }
  Leave(own);
}

bool MarkerPool::MarkSome(Marker& own, size_t most) {
  ++busy_;
  const bool open = open_;
  if (open && !heap_.mark_queue().IsEmpty()) {
    own.Drain(most);
    own.GiveBack();
  }
  --busy_;
  return open;
}

bool MarkerPool::AwaitWork(absl::Duration nap) {
  MarkQueue& queue = heap_.mark_queue();
  if (!queue.IsEmpty()) return false;
  queue.BeginWait();
  absl::SleepFor(nap);
  queue.EndWait();
  return true;
}

void MarkerPool::Leave(Marker& own) {
  absl::MutexLock lock(mutex_);
  helped_->Absorb(own);
  --helping_;
}

}  // namespace bibop
