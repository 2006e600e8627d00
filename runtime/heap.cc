#include "bibop/runtime/heap.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/log/absl_check.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/object_heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/memory_keeper.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/safepoints.h"

namespace bibop {

absl::StatusOr<std::unique_ptr<Heap>> Heap::Create(HeapOptions options) {
  if (absl::Status s = Validate(options); !s.ok()) return s;
  absl::StatusOr<std::unique_ptr<ObjectHeap>> objects =
      ObjectHeap::Create(options.max_bytes);
  if (!objects.ok()) return objects.status();
  absl::StatusOr<std::unique_ptr<MemoryKeeper>> keeper =
      MemoryKeeper::Start(**objects, options.decommit_half_life);
  if (!keeper.ok()) return keeper.status();
  return absl::WrapUnique(
      new Heap(std::move(options), *std::move(objects), *std::move(keeper)));
}

Heap::Heap(HeapOptions options, std::unique_ptr<ObjectHeap> objects,
           std::unique_ptr<MemoryKeeper> keeper)
    : options_(std::move(options)),
      objects_(std::move(objects)),
      cycle_(*objects_, *roots_),
      keeper_(std::move(keeper)) {
  SetBudget(0, 1);
}

Heap::~Heap() {
  ABSL_CHECK(!safepoints_.AnyAttached())
      << "a heap is destroyed while a thread is attached to it: end its "
         "MutatorScope first";
  keeper_.reset();
  // While destructors can use the rest of this.
  objects_->DestroyObjects();
}

absl::StatusOr<std::unique_ptr<Mutator>> Heap::Attach() {
  absl::StatusOr<LocalAllocator> allocator = LocalAllocator::Create(*objects_);
  if (!allocator.ok()) return allocator.status();
  auto mutator = absl::WrapUnique(new Mutator(*this, *std::move(allocator)));
  if (!mutator->attached_) {
    return absl::FailedPreconditionError(
        "this thread is attached to the heap already: pass its Mutator on "
        "instead of attaching again");
  }
  return mutator;
}

void Heap::SetBudget(int64_t live_bytes, int64_t mutators) {
  const auto grown = static_cast<int64_t>(static_cast<double>(live_bytes) *
                                          (options_.growth_factor - 1.0));
  const auto small = static_cast<int64_t>(options_.small_heap_bytes);
  const auto for_one = static_cast<int64_t>(options_.min_budget_bytes);
  const int64_t lowest = std::max(for_one, std::min(mutators * for_one, small));
  next_cycle_at_bytes_ =
      AllocatedBytes() +
      std::max({grown, lowest, std::min(8 * live_bytes, small - live_bytes)});
}

void Heap::AdjustExternalBytes(int64_t delta) {
  objects_->AdjustExternalBytes(delta);
  if (delta > 0) {
    external_allocated_.fetch_add(delta, std::memory_order_relaxed);
  }
}

void Heap::Collect() { Collect(CycleCause::kRequested); }

void Heap::Collect(CycleCause cause) {
  objects_->CheckMayCollect();
  while (!safepoints_.BeginCycle(cause != CycleCause::kBudgetSpent)) {
    // Another thread has just collected, which serves this one as well, unless
    // it is to be sure that what was garbage when it asked is found.
    if (cause == CycleCause::kBudgetSpent) return;
  }
  const absl::Cleanup end = [this] { safepoints_.EndCycle(); };
  // Before the world is stopped: destructors run.
  cycle_.FinishSweep();
  const auto pause_start = std::chrono::steady_clock::now();
  const std::vector<MutatorBase*> mutators = safepoints_.StopTheWorld();
  CycleStats cycle = cycle_.Run(mutators, cause);
  SetBudget(cycle.live_bytes, static_cast<int64_t>(mutators.size()));
  cycle.pause =
      absl::FromChrono(std::chrono::steady_clock::now() - pause_start);
  safepoints_.ResumeTheWorld();

  keeper_->Wake();
  {
    absl::MutexLock lock(stats_mutex_);
    stats_.cycles = cycle.cycle;
    stats_.live_objects = cycle.live_objects;
    stats_.live_bytes = cycle.live_bytes;
    stats_.total_pause += cycle.pause;
    stats_.max_pause = std::max(stats_.max_pause, cycle.pause);
  }
  if (options_.on_cycle_end) options_.on_cycle_end(cycle);
}

HeapStats Heap::stats() const {
  HeapStats stats;
  {
    absl::MutexLock lock(stats_mutex_);
    stats = stats_;
  }
  stats.allocated_objects = objects_->allocated().objects;
  stats.allocated_bytes = objects_->allocated().bytes;
  stats.freed_objects = objects_->freed_objects();
  stats.block_bytes = static_cast<int64_t>(objects_->bytes_in_use());
  stats.committed_bytes = static_cast<int64_t>(objects_->bytes_committed());
  stats.free_resident_bytes =
      static_cast<int64_t>(objects_->free_resident_bytes());
  stats.external_bytes = objects_->external_bytes();
  return stats;
}

}  // namespace bibop
