#include "bibop/marker/weak_map.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>

#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/weak_word.h"

namespace bibop::internal {

EphemeronTable::EphemeronTable(size_t capacity) : capacity_(capacity) {
  std::uninitialized_default_construct_n(&cell(0), capacity);
}

size_t EphemeronTable::BytesFor(size_t capacity) {
  constexpr size_t kMost = std::numeric_limits<size_t>::max();
  return capacity > kMost / sizeof(EphemeronCell)
             ? kMost
             : capacity * sizeof(EphemeronCell);
}

size_t EphemeronTable::CapacityFor(size_t entries) {
  // From a quarter to half full, so that as many can be added as are moved.
  return std::max(std::bit_ceil(2 * entries), kSmallest);
}

size_t EphemeronTable::HomeOf(const void* key) const {
  // Fibonacci hashing: the upper bits of the product depend on all of the
  // address.
  constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;
  const uint64_t product = (reinterpret_cast<uintptr_t>(key) >> 3) * kGolden;
  return static_cast<size_t>(product >>
                             (64 - std::countr_zero(uint64_t{capacity_})));
}

EphemeronCell* EphemeronTable::Find(const void* key) {
  for (size_t at = HomeOf(key);; at = (at + 1) & (capacity_ - 1)) {
    const void* found = cell(at).key().Load();
    if (found == key) return &cell(at);
    if (found == nullptr) return nullptr;
  }
}

void EphemeronTable::Add(const void* key, const void* value) {
  size_t at = HomeOf(key);
  while (EphemeronCell::IsObject(cell(at).key().Load())) {
    at = (at + 1) & (capacity_ - 1);
  }
  if (cell(at).key().Load() == nullptr) ++touched_;
  cell(at).Set(key, value);
  in_use_.fetch_add(1, std::memory_order_relaxed);
}

void EphemeronTable::Remove(EphemeronCell& entry) {
  entry.Erase();
  in_use_.fetch_sub(1, std::memory_order_relaxed);
}

void EphemeronTable::AddAll(const EphemeronTable& other,
                            const ObjectHeap& heap) {
  // Nothing is swept before this thread's next safepoint.
  const bool clearing = heap.phase() == HeapPhase::kClearing;
  for (const EphemeronCell& entry : other.cells()) {
    const void* key = entry.key().Load();
    if (!EphemeronCell::IsObject(key)) continue;
    if (clearing && !heap.IsMarked(key)) continue;
    Add(key, entry.value().Load());
  }
}

}  // namespace bibop::internal
