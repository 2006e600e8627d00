#include "bibop/runtime/heap.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/log/absl_check.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/object_heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/memory_keeper.h"
#include "bibop/runtime/mutator.h"

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
      cycle_(*objects_),
      keeper_(std::move(keeper)) {
  SetBudget(0);
}

Heap::~Heap() {
  absl::MutexLock lock(attach_mutex_);
  ABSL_CHECK(mutator_ == nullptr)
      << "a heap is destroyed while thread " << attached_thread_
      << " is attached to it: end its MutatorScope first";
}

absl::StatusOr<std::unique_ptr<Mutator>> Heap::Attach() {
  absl::MutexLock lock(attach_mutex_);
  if (mutator_ != nullptr) {
    return absl::FailedPreconditionError(
        attached_thread_ == std::this_thread::get_id()
            ? "this thread is attached to the heap already: pass its Mutator "
              "on "
              "instead of attaching again"
            : "another thread is attached to the heap: in this version a heap "
              "has one at a time");
  }
  absl::StatusOr<LocalAllocator> allocator = LocalAllocator::Create(*objects_);
  if (!allocator.ok()) return allocator.status();
  auto mutator = absl::WrapUnique(new Mutator(*this, *std::move(allocator)));
  mutator_ = mutator.get();
  attached_thread_ = std::this_thread::get_id();
  return mutator;
}

void Heap::Detach() {
  absl::MutexLock lock(attach_mutex_);
  mutator_ = nullptr;
}

Mutator* Heap::CurrentMutator() {
  absl::MutexLock lock(attach_mutex_);
  ABSL_CHECK(mutator_ == nullptr ||
             attached_thread_ == std::this_thread::get_id())
      << "a heap is collected by the thread that is attached to it";
  return mutator_;
}

void Heap::SetBudget(int64_t live_bytes) {
  const auto grown = static_cast<int64_t>(static_cast<double>(live_bytes) *
                                          (options_.growth_factor - 1.0));
  const auto lowest = static_cast<int64_t>(options_.min_budget_bytes);
  const auto small = static_cast<int64_t>(options_.small_heap_bytes);
  next_cycle_at_bytes_ =
      AllocatedBytes() +
      std::max({grown, lowest, std::min(8 * live_bytes, small)});
}

void Heap::AdjustExternalBytes(int64_t delta) {
  objects_->AdjustExternalBytes(delta);
  if (delta > 0) {
    external_allocated_.fetch_add(delta, std::memory_order_relaxed);
  }
}

void Heap::Collect() { Collect(CycleCause::kRequested); }

void Heap::Collect(CycleCause cause) {
  ABSL_CHECK(!reporting_)
      << "HeapOptions::on_cycle_end may neither allocate nor collect";
  const CycleStats cycle = cycle_.Run(CurrentMutator(), cause);
  SetBudget(cycle.live_bytes);
  keeper_->Wake();
  stats_.cycles = cycle.cycle;
  stats_.live_objects = cycle.live_objects;
  stats_.live_bytes = cycle.live_bytes;
  stats_.total_pause += cycle.pause;
  stats_.max_pause = std::max(stats_.max_pause, cycle.pause);
  if (options_.on_cycle_end) {
    reporting_ = true;
    const absl::Cleanup done = [this] { reporting_ = false; };
    options_.on_cycle_end(cycle);
  }
}

HeapStats Heap::stats() const {
  HeapStats stats = stats_;
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
