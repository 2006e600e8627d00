#include "bibop/marker/marker.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/prefetch.h"
#include "absl/log/absl_check.h"
#include "bibop/base/build_config.h"
#include "bibop/base/poison.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/card_table.h"
#include "bibop/heap/mark_queue.h"
#include "bibop/heap/marks.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"
#include "bibop/marker/death_watch.h"
#include "bibop/marker/mark_stack.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/weak_lists.h"
#include "bibop/marker/weak_word.h"

namespace bibop {

using internal::EphemeronCell;

namespace {

// So many pointers are given to another marker at once.
constexpr size_t kMostShared = 4096;

// Prefetches the first cache line's worth of an object, which is often on two
// lines. `type` is null where it is not known. Always inline: gcc 12 takes a
// function that only prefetches for one that does nothing.
ABSL_ATTRIBUTE_ALWAYS_INLINE inline void PrefetchObject(const void* cell,
                                                        const TypeInfo* type) {
  absl::PrefetchToLocalCacheNta(cell);
  if (type == nullptr) [[unlikely]]
    return;
  const size_t last_word = std::min(type->cell_size, size_t{64}) - 8;
  absl::PrefetchToLocalCacheNta(static_cast<const std::byte*>(cell) +
                                last_word);
}

}  // namespace

// Enough for memory to be busy, few enough to stay in the first-level cache.
struct Marker::Batch {
  static constexpr size_t kMost = 128;

  size_t size = 0;
  std::array<uint8_t*, kMost> marks;
  std::array<const void*, kMost> cells;
  // Null in mixed blocks.
  std::array<const TypeInfo*, kMost> types;
};

inline Marker::Place Marker::Find(const void* object) const {
  if constexpr (kCheckedHandles) {
    CheckInThisHeap(object);
    // An arbitrary word may have pointed into a region that was handed out
    // during the mark, and then given back.
    ABSL_CHECK(
        heap_.FindObject(reinterpret_cast<uintptr_t>(object)).has_value() ||
        (Cage::DescriptorOf(object)->IsInUse() && heap_.IsMarked(object)))
        << "a root or a Member points at " << object
        << ", where there is no object: it was dropped too early (is a Member "
           "missing from a Trace?) or never was one";
  }
  BlockDescriptor* block = Cage::DescriptorOf(object);
  const size_t offset = block->OffsetInRun(Cage::OffsetInBlock(object));
  const size_t index = block->CellIndex(offset);
  return {block, index,
          static_cast<const std::byte*>(object) - offset +
              index * block->cell_size};
}

// Takes pointers and finds their objects.
inline void Marker::TakeTo(Batch& batch) {
  const std::span<const void* const> taken =
      visitor_.stack().Take(Batch::kMost);
  batch.size = taken.size();
  for (size_t i = 0; i < taken.size(); ++i) {
    const Place place = Find(taken[i]);
    uint8_t* const mark = place.block->marks + place.index;
    absl::PrefetchToLocalCache(mark);
    // Now, while its descriptor is at hand, and true of a marked object too.
    place.block->NoteMarked(marks_.old());
    batch.marks[i] = mark;
    batch.cells[i] = place.cell;
    batch.types[i] = place.block->type;
  }
}

// Marks the objects that are not marked, and leaves only those.
inline void Marker::Mark(Batch& batch) {
  const Marks marks = marks_;
  // A mark that was there is not written again, for LocalSnapshot::ShadeNew may
  // be taking it back; to write elsewhere then takes no branch.
  uint8_t marked_already = 0;
  size_t unmarked = 0;
  for (size_t i = 0; i < batch.size; ++i) {
    uint8_t* const mark = batch.marks[i];
    const MarkByte before =
        std::atomic_ref(*mark).load(std::memory_order_acquire);
    const bool is_new = !marks.IsAlive(before);
    std::atomic_ref(*(is_new ? mark : &marked_already))
        .store(marks.Found(before), std::memory_order_relaxed);
    batch.marks[unmarked] = batch.marks[i];
    batch.cells[unmarked] = batch.cells[i];
    batch.types[unmarked] = batch.types[i];
    unmarked += is_new ? 1 : 0;
  }
  batch.size = unmarked;
  for (size_t i = 0; i < unmarked; ++i) {
    PrefetchObject(batch.cells[i], batch.types[i]);
  }
}

// Counts the objects and visits what they refer to.
template <bool look_up>
inline void Marker::Trace(const Batch& batch) {
  size_t bytes = 0;
  for (size_t i = 0; i < batch.size; ++i) {
    const TypeInfo* type = batch.types[i];
    // A span, whose size the type does not tell, begins with its block.
    if (type != nullptr && Cage::OffsetInBlock(batch.cells[i]) != 0)
        [[likely]] {
      bytes += type->cell_size;
    } else {
      const BlockDescriptor* block = Cage::DescriptorOf(batch.cells[i]);
      type = block->TypeOfCell(batch.marks[i] - block->marks);
      bytes += block->cell_size;
    }
    if (type->trace != nullptr) type->trace(batch.cells[i], visitor_);
    if constexpr (look_up) {
      pending_.Resolve(batch.cells[i], [this](const EphemeronCell& cell) {
        visitor_.VisitPointer(cell.value().Load());
      });
    }
  }
  counts_.objects += static_cast<int64_t>(batch.size);
  counts_.bytes += static_cast<int64_t>(bytes);
  if (marks_.generations()) CountOld(batch);
}

void Marker::CountOld(const Batch& batch) {
  for (size_t i = 0; i < batch.size; ++i) {
    if (std::atomic_ref(*batch.marks[i]).load(std::memory_order_relaxed) !=
        marks_.old()) {
      continue;
    }
    ++old_counts_.objects;
    old_counts_.bytes +=
        static_cast<int64_t>(Cage::DescriptorOf(batch.cells[i])->cell_size);
  }
}

void Marker::VisitRootInConstruction(const void* object) {
  const ObjectHeap::TracingScope tracing(heap_);
  const Place place = Find(object);
  const size_t cell_size = place.block->cell_size;
  if (!in_construction_.insert(place.cell).second) return;
  const MarkByte before = place.block->MarkOf(place.index);
  if (!marks_.IsAlive(before)) {
    const MarkByte found = marks_.Found(before);
    place.block->Mark(place.index, found);
    ++counts_.objects;
    counts_.bytes += static_cast<int64_t>(cell_size);
    if (found == marks_.old()) {
      ++old_counts_.objects;
      old_counts_.bytes += static_cast<int64_t>(cell_size);
    }
  }
  const auto* start = static_cast<const std::byte*>(place.cell);
  // An object with Members is aligned; the cell's end may be part of no word.
  const size_t words = cell_size / sizeof(uintptr_t);
  if (reinterpret_cast<uintptr_t>(start) % sizeof(uintptr_t) != 0) return;
  for (size_t i = 0; i < words; ++i) {
    const std::optional<ObjectRef> found =
        heap_.FindObject(ReadAnyWord(start + i * sizeof(uintptr_t)));
    if (found.has_value()) visitor_.VisitPointer(found->start);
  }
}

void Marker::Remember(const ObjectHeap::BlockToRemember& remembered) {
  const ObjectHeap::TracingScope tracing(heap_);
  const BlockDescriptor& block = *remembered.block;
  const std::byte* const start = Cage::StartOf(&block);
  // Once each: a card counts how many marks have looked at it.
  if (block.MarkedEpoch() == marks_.old()) {
    TakeDirty(block, marks_.old(), [&](size_t index) {
      const std::byte* cell = start + index * block.cell_size;
      if (in_construction_.contains(cell)) return;
      const TypeInfo* type = block.TypeOfCell(index);
      if (type->trace == nullptr) return;
      type->trace(cell, visitor_);
      remembered_bytes_ += static_cast<int64_t>(block.cell_size);
    });
  } else {
    // Nothing in it is old.
    AgeCards(block);
  }
  if (!remembered.young_live) return;
  for (size_t index = 0; index < block.cell_count; ++index) {
    if (block.IsAllocated(index) && !marks_.IsAlive(block.MarkOf(index))) {
      visitor_.VisitPointer(start + index * block.cell_size);
    }
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

void Marker::Share() {
  // What large arrays refer to is not in the stack yet.
  for (size_t count = 0; count < kMostShared;) {
    const size_t more = visitor_.TakeElements();
    if (more == 0) break;
    count += more;
  }
  heap_.mark_queue().Add(visitor_.stack().TakeLower(kMostShared));
}

void Marker::GiveBack() {
  MarkStack& stack = visitor_.stack();
  while (!stack.empty()) {
    const std::span<const void* const> some = stack.Take(kMostShared);
    heap_.mark_queue().Add({some.begin(), some.end()});
  }
}

template <bool look_up>
bool Marker::DrainPointers(size_t budget) {
  const ObjectHeap::TracingScope tracing(heap_);
  MarkStack& stack = visitor_.stack();
  Batch batch;
  for (size_t looked_at = 0; looked_at < budget;) {
    if (heap_.mark_queue().IsWanted()) [[unlikely]]
      Share();
    if (stack.empty()) {
      if (!TakeMore()) return true;
      // They may all be null.
      looked_at += Batch::kMost;
      continue;
    }
    TakeTo(batch);
    looked_at += batch.size;
    Mark(batch);
    Trace<look_up>(batch);
  }
  return stack.empty() && !TakeMore();
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
    done = visitor_.stack().empty();
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
  const Place place = Find(key);
  if (marks_.IsAlive(place.block->MarkOf(place.index))) {
    visitor_.VisitPointer(value);
  } else {
    pending_.Add(place.cell, ephemeron);
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
  old_counts_.objects += other.old_counts_.objects;
  old_counts_.bytes += other.old_counts_.bytes;
  visitor_.weak().Absorb(other.visitor_.weak());
  visitor_.AbsorbElements(other.visitor_);
}

}  // namespace bibop
