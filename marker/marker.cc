#include "bibop/marker/marker.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/prefetch.h"
#include "absl/log/absl_check.h"
#include "bibop/base/build_config.h"
#include "bibop/base/poison.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/mark_queue.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/death_watch.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/weak_lists.h"
#include "bibop/marker/weak_word.h"

namespace bibop {

using internal::EphemeronCell;

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

template <bool look_up>
inline void Marker::MarkAndTrace(Candidate candidate, MarkCounts& counts) {
  const BlockDescriptor* block = Mark(candidate, counts);
  if (block == nullptr) return;
  const TypeInfo* type = block->TypeOfCell(candidate.mark - block->marks);
  if (type->trace != nullptr) type->trace(candidate.cell, visitor_);
  if constexpr (look_up) {
    pending_.Resolve(candidate.cell, [this](const EphemeronCell& cell) {
      visitor_.VisitPointer(cell.value().Load());
    });
  }
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

template <bool look_up>
bool Marker::DrainPointers(size_t budget) {
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
      if (next.mark != nullptr) MarkAndTrace<look_up>(next, counts);
    }
    if (heap_.mark_queue().IsWanted()) {
      heap_.mark_queue().Add(visitor_.TakeHalf());
    }
    if (!visitor_.empty()) continue;
    for (size_t i = 0; i < kQueueSize; ++i) {
      const Candidate next =
          std::exchange(queue[(oldest + i) % kQueueSize], {});
      if (next.mark != nullptr) MarkAndTrace<look_up>(next, counts);
    }
    done = visitor_.empty() && !TakeMore();
    if (done) break;
  }
  for (const Candidate& next : queue) {
    if (next.mark != nullptr) MarkAndTrace<look_up>(next, counts);
  }
  counts_ = counts;
  return done;
}

bool Marker::Drain(size_t budget) {
  if (!pending_.IsNobodyWaiting()) return DrainEphemerons(budget);
  return DrainPointers<false>(budget);
}

bool Marker::DrainEphemerons(size_t budget) {
  if (counts_.objects != looked_up_) look_again_ = {0, pending_.all().size()};
  bool done = false;
  while (!done) {
    const int64_t before = counts_.objects;
    if (!(pending_.IsNobodyWaiting() ? DrainPointers<false>(budget)
                                     : DrainPointers<true>(budget))) {
      break;
    }
    budget -= std::min(budget, static_cast<size_t>(counts_.objects - before));
    if (!LookAtEphemerons(budget)) break;
    done = visitor_.empty();
  }
  looked_up_ = counts_.objects;
  return done;
}

bool Marker::LookAtEphemerons(size_t& budget) {
  auto& [next, end] = look_again_;
  for (; next < end; ++next, --budget) {
    if (budget == 0) return false;
    const EphemeronCell& cell = *pending_.all()[next].cell;
    const void* key = cell.key().Load();
    if (EphemeronCell::IsObject(key) && IsMarked(key)) {
      visitor_.VisitPointer(cell.value().Load());
    }
  }
  std::vector<internal::EphemeronCells>& visited = visitor_.weak().ephemerons;
  while (!visited.empty()) {
    internal::EphemeronCells& cells = visited.back();
    for (; cells.count > 0; ++cells.first, --cells.count, --budget) {
      if (budget == 0) return false;
      LookAt({cells.first, cells.in_use});
    }
    visited.pop_back();
  }
  return true;
}

void Marker::LookAt(internal::PendingEphemerons::Pending ephemeron) {
  const void* key = ephemeron.cell->key().Load();
  const void* value = ephemeron.cell->value().Load();
  if (!EphemeronCell::IsObject(key)) {
    if (value != nullptr) pending_.Add(nullptr, ephemeron);
    return;
  }
  const Candidate candidate = Prefetch(key);
  if (std::atomic_ref(*candidate.mark).load(std::memory_order_relaxed) ==
      epoch_) {
    visitor_.VisitPointer(value);
  } else {
    pending_.Add(candidate.cell, ephemeron);
  }
}

bool Marker::AnyWeak() const {
  const internal::WeakLists& weak = visitor_.weak();
  return !weak.words.empty() || !weak.watches.empty() ||
         !pending_.all().empty();
}

bool Marker::ClearIfDead(const internal::WeakWord& word, void* after) const {
  void* object = word.Load();
  return EphemeronCell::IsObject(object) && !IsMarked(object) &&
         word.Replace(object, after);
}

void Marker::ClearWeak(Observers& observers) const {
  for (const internal::WeakWord* word : visitor_.weak().words) {
    ClearIfDead(*word, nullptr);
  }
  for (const internal::DeathWatch* watch : visitor_.weak().watches) {
    if (ClearIfDead(watch->object(), nullptr) &&
        watch->observer()->OnDeath(watch->id())) {
      observers.push_back(watch->observer());
    }
  }
  for (const auto& [cell, in_use] : pending_.all()) {
    ClearIfDead(cell->value(), nullptr);
    if (ClearIfDead(cell->key(), EphemeronCell::Erased()) &&
        in_use != nullptr) {
      in_use->fetch_sub(1, std::memory_order_relaxed);
    }
  }
}

void Marker::Absorb(Marker& other) {
  counts_.objects += other.counts_.objects;
  counts_.bytes += other.counts_.bytes;
  visitor_.weak().Absorb(other.visitor_.weak());
}

}  // namespace bibop
