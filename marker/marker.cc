#include "bibop/marker/marker.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/base/prefetch.h"
#include "absl/log/absl_check.h"
#include "bibop/base/build_config.h"
#include "bibop/base/poison.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/mark_queue.h"
#include "bibop/heap/object_heap.h"

namespace bibop {
inline Marker::Candidate Marker::Prefetch(const void* object) const {
  if constexpr (kCheckedHandles) {
    CheckInThisHeap(object);
    ABSL_CHECK(
        heap_.FindObject(reinterpret_cast<uintptr_t>(object)).has_value())
        << "a root or a Member points at " << object
        << ", where there is no object: it was dropped too early (is a Member "
           "missing from a Trace?) or never was one";
  }
  BlockDescriptor* block = Cage::DescriptorOf(object);
  const size_t offset = block->OffsetInRun(Cage::OffsetInBlock(object));
  const size_t index = block->CellIndex(offset);
  const void* cell =
      static_cast<const std::byte*>(object) - offset + index * block->cell_size;
  absl::PrefetchToLocalCache(block->marks + index);
  absl::PrefetchToLocalCache(cell);
  return {block->marks + index, cell};
}

inline BlockDescriptor* Marker::Mark(Candidate candidate,
                                     MarkCounts& counts) const {
  if (std::atomic_ref(*candidate.mark).load(std::memory_order_relaxed) ==
      epoch_)
    return nullptr;
  BlockDescriptor* block = Cage::DescriptorOf(candidate.cell);
  block->Mark(*candidate.mark, epoch_);
  ++counts.objects;
  counts.bytes += static_cast<int64_t>(block->cell_size);
  return block;
}

inline void Marker::MarkAndTrace(Candidate candidate, MarkCounts& counts) {
  const BlockDescriptor* block = Mark(candidate, counts);
  if (block == nullptr) return;
  const TypeInfo* type = block->TypeOfCell(candidate.mark - block->marks);
  if (type->trace != nullptr) type->trace(candidate.cell, visitor_);
}

void Marker::VisitRootInConstruction(const void* object) {
  const ObjectHeap::TracingScope tracing(heap_);
  const Candidate candidate = Prefetch(object);
  const BlockDescriptor* block = Mark(candidate, counts_);
  if (block == nullptr) return;
  const auto* start = static_cast<const std::byte*>(candidate.cell);
  // An object with Members is aligned; the cell's end may be part of no word.
  const size_t words = block->cell_size / sizeof(uintptr_t);
  if (reinterpret_cast<uintptr_t>(start) % sizeof(uintptr_t) != 0) return;
  for (size_t i = 0; i < words; ++i) {
    const std::optional<ObjectRef> found =
        heap_.FindObject(ReadAnyWord(start + i * sizeof(uintptr_t)));
    if (found.has_value()) visitor_.VisitPointer(found->start);
  }
}

bool Marker::IsMarked(const void* object) const {
  CheckInThisHeap(object);
  return heap_.IsMarked(object);
}

bool Marker::TakeMore() {
  if (visitor_.TakeElements() != 0) return true;
  const MarkQueue::Batch batch = heap_.mark_queue().Take();
  for (const void* object : batch) visitor_.VisitPointer(object);
  return !batch.empty();
}

bool Marker::Drain(size_t budget) {
  // Long enough for memory to answer, short enough to stay in the cache.
  constexpr size_t kQueueSize = 32;
  // So many pointers are taken between two looks at what others want.
  constexpr size_t kStep = 256;
  const ObjectHeap::TracingScope tracing(heap_);
  std::array<Candidate, kQueueSize> queue = {};
  size_t oldest = 0;
  // In registers: as members they would go through memory at each object.
  MarkCounts counts = counts_;
  bool done = false;
  for (size_t taken = 0; taken < budget; taken += kStep) {
    for (size_t i = 0; i < kStep && !visitor_.empty(); ++i) {
      const Candidate next =
          std::exchange(queue[oldest], Prefetch(visitor_.Take()));
      oldest = (oldest + 1) % kQueueSize;
      if (next.mark != nullptr) MarkAndTrace(next, counts);
    }
    if (heap_.mark_queue().IsWanted()) {
      heap_.mark_queue().Add(visitor_.TakeHalf());
    }
    if (!visitor_.empty()) continue;
    for (size_t i = 0; i < kQueueSize; ++i) {
      const Candidate next =
          std::exchange(queue[(oldest + i) % kQueueSize], {});
      if (next.mark != nullptr) MarkAndTrace(next, counts);
    }
    done = visitor_.empty() && !TakeMore();
    if (done) break;
  }
  for (const Candidate& next : queue) {
    if (next.mark != nullptr) MarkAndTrace(next, counts);
  }
  counts_ = counts;
  return done;
}

void Marker::Absorb(const Marker& other) {
  counts_.objects += other.counts_.objects;
  counts_.bytes += other.counts_.bytes;
}

}  // namespace bibop
