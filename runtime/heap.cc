#include "bibop/runtime/heap.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/log/absl_check.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/base/memory_limit.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/card_table.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/object_heap.h"
#include "bibop/runtime/collector.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/memory_keeper.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/stress_environment.h"

namespace bibop {
namespace {

// Where the control group has next to nothing: as HeapOptions says.
constexpr size_t kMinSoftLimit = size_t{1} << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<Heap>> Heap::Create(HeapOptions options) {
  if (absl::Status s = ApplyStressFromEnvironment(options); !s.ok()) return s;
  if (absl::Status s = Validate(options); !s.ok()) return s;
  if (absl::Status s = internal::ForkCheck::MayMakeHeap(); !s.ok()) return s;
  if (options.soft_limit_bytes == 0) {
    const std::optional<size_t> may_use = ControlGroupMemoryLimit();
    options.soft_limit_bytes = may_use.has_value()
                                   ? std::max(*may_use / 10 * 9, kMinSoftLimit)
                                   : options.max_bytes;
  }
  options.soft_limit_bytes =
      std::min(options.soft_limit_bytes, options.max_bytes);
  if (options.generations) {
    if (absl::Status s = EnableCardTable(); !s.ok()) return s;
  }
  absl::StatusOr<std::unique_ptr<ObjectHeap>> objects =
      ObjectHeap::Create(options.max_bytes, options.generations);
  if (!objects.ok()) return objects.status();
  auto heap =
      absl::WrapUnique(new Heap(std::move(options), *std::move(objects)));
  if (absl::Status s = heap->StartThreads(); !s.ok()) return s;
  return heap;
}

Heap::Heap(HeapOptions options, std::unique_ptr<ObjectHeap> objects)
    : options_(std::move(options)), objects_(std::move(objects)) {}

absl::Status Heap::StartThreads() {
  absl::StatusOr<std::unique_ptr<MemoryKeeper>> keeper =
      MemoryKeeper::Start(*objects_, options_.decommit_half_life);
  if (!keeper.ok()) return keeper.status();
  keeper_ = *std::move(keeper);
  absl::StatusOr<std::unique_ptr<Collector>> collector =
      Collector::Start(options_, *objects_, roots_, safepoints_, *keeper_);
  if (!collector.ok()) return collector.status();
  collector_ = *std::move(collector);
  return absl::OkStatus();
}

Heap::~Heap() {
  fork_check_.CheckSameProcess();
  const std::string attached = safepoints_.DescribeAttached();
  ABSL_CHECK(attached.empty())
      << "a heap is destroyed while attached to it is " << attached
      << ": end the MutatorScope there first";
  // Null where a thread was refused.
  if (collector_ != nullptr) collector_->Stop();
  keeper_.reset();
  // While destructors can use the rest of this.
  objects_->DestroyObjects();
}

absl::StatusOr<std::unique_ptr<Mutator>> Heap::Attach() {
  fork_check_.CheckSameProcess();
  objects_->CheckMayCollect();
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

void Heap::AdjustExternalBytes(int64_t delta) {
  fork_check_.CheckSameProcess();
  objects_->AdjustExternalBytes(delta);
  if (delta > 0) collector_->CountExternal(delta);
}

void Heap::Collect(CollectionKind kind) {
  Collect(CycleCause::kRequested, kind);
}

void Heap::Collect(CycleCause cause, CollectionKind kind) {
  collector_->Collect(cause, kind, CheckMayCollectHere());
}

void Heap::CollectSoon(CollectionKind kind) {
  fork_check_.CheckSameProcess();
  collector_->Request(kind);
}

bool Heap::CollectWhenIdle() {
  return collector_->CollectWhenIdle(CheckMayCollectHere());
}

Mutator* Heap::CheckMayCollectHere() const {
  fork_check_.CheckSameProcess();
  objects_->CheckMayCollect();
  MutatorBase* self = MutatorBase::LatestOfThisThread();
  while (self != nullptr && &self->object_heap() != objects_.get()) {
    self = self->next_of_thread();
  }
  if (self == nullptr || self->parked()) return nullptr;
  self->CheckMayCollect();
  // All mutators of a Heap are Mutators.
  return static_cast<Mutator*>(self);
}

HeapStats Heap::stats() const {
  fork_check_.CheckSameProcess();
  HeapStats stats = collector_->stats();
  stats.allocated_objects = objects_->allocated().objects;
  stats.allocated_bytes = objects_->allocated().bytes;
  stats.freed_objects = objects_->freed_objects();
  const ObjectHeap::Memory memory = objects_->memory();
  stats.block_bytes = static_cast<int64_t>(memory.in_use);
  stats.committed_bytes = static_cast<int64_t>(memory.committed);
  stats.free_resident_bytes = static_cast<int64_t>(memory.free_resident);
  stats.external_bytes = memory.external;
  stats.lock_waits = objects_->lock_waits().count();
  stats.lock_wait_time = objects_->lock_waits().time();
  return stats;
}

}  // namespace bibop
