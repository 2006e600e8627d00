// Allocation by one mutator.
//
// For each type that the mutator allocates often there is a region, a run of
// free cells in a block of that type, in which an allocation is an addition. A
// type is rare until the mutator has allocated 8 KiB of it: until then, and for
// objects with extra bytes, cells of mixed blocks are used, so a rare type does
// not cost a block.
//
// A region's alloc bits are set when it is handed out, and its mark bytes are
// those of objects that are born now (ObjectHeap::birth_mark). So
// bits may be set where no object is yet; Retire clears them, and every
// collection begins with it.
//
// Owned by a mutator and used by its thread only; while that is stopped, by the
// collector. Any number of allocators share a heap.

#ifndef BIBOP_HEAP_LOCAL_ALLOCATOR_H_
#define BIBOP_HEAP_LOCAL_ALLOCATOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/optimization.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/base/poison.h"
#include "bibop/base/virtual_memory.h"
#include "bibop/heap/block.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/type_info.h"

namespace bibop {

namespace internal {

// Free cells, [next, limit), of one type; both 0 if there are none.
struct Region {
  uintptr_t next;
  uintptr_t limit;
};

// Where T's region is in a table of them: 0, that of no type, until the program
// is loaded. Not made from kTypeId, which may be initialized later.
template <class T>
inline const uint32_t kRegionOffset =
    RegisterType(kTypeInfo<T>) * sizeof(Region);

}  // namespace internal

class LocalAllocator {
 public:
  // A type's objects go to mixed blocks until an allocator has allocated so
  // many bytes of them.
  static constexpr size_t kRareBytes = 8192;

  // Returns ResourceExhausted where the system has no memory for the table of
  // regions (1 MiB of address space, of which a page is used for 256 types).
  //
  // `heap` must outlive the allocator.
  static absl::StatusOr<LocalAllocator> Create(ObjectHeap& heap);

  // Leaves the source with no region, fit to be destroyed only.
  LocalAllocator(LocalAllocator&&) = default;
  LocalAllocator& operator=(LocalAllocator&&) = delete;
  LocalAllocator(const LocalAllocator&) = delete;
  LocalAllocator& operator=(const LocalAllocator&) = delete;

  // Gives what it did not use back to the heap.
  ~LocalAllocator();

  // Returns a cell for a T, uninitialized; null if T has no region or it is
  // used up. Never collects and never blocks.
  template <class T>
  ABSL_ATTRIBUTE_ALWAYS_INLINE void* TryAllocate() {
    constexpr size_t kCellSize = kTypeInfo<T>.cell_size;
    if constexpr (kCellSize > kMaxSmallSize) return nullptr;
    Region& region = *reinterpret_cast<Region*>(
        reinterpret_cast<std::byte*>(regions_) + internal::kRegionOffset<T>);
    const uintptr_t cell = region.next;
    if (cell + kCellSize > region.limit) [[unlikely]]
      return nullptr;
    region.next = cell + kCellSize;
    ABSL_ASSUME(cell != 0);
    UnpoisonForObject(reinterpret_cast<void*>(cell), sizeof(T));
    return reinterpret_cast<void*>(cell);
  }

  // Returns a cell for an object of `type` that takes `size` bytes, extra bytes
  // included, after getting new cells if there are none, which may sweep blocks
  // and so run destructors. `id` is the type's number, or 0 if that is not
  // known yet. Returns ResourceExhausted when the heap has no more room.
  //
  // REQUIRES: size >= type.size.
  absl::StatusOr<void*> AllocateSlow(const TypeInfo& type, TypeId id,
                                     size_t size);

  // Takes back a cell that was just allocated, when constructing the object
  // failed. No destructor will run for it.
  void Abandon(void* cell) { heap_.Abandon(cell); }

  // The heap in which it allocates.
  ObjectHeap& heap() const { return heap_; }

  // Has every allocation take the slow path: regions are one cell from now on.
  void LimitRegionsToOneCell() { one_cell_ = true; }

  // Gives up all regions: afterwards exactly the live objects have alloc bits
  // set, dead ones that were not yet swept included.
  void Retire();

 private:
  // The most blocks of one type that an allocator has at once.
  static constexpr size_t kMostBlocks = 8;
  // A region of a mixed block is about so large: what may lie idle of a size
  // class on each mutator.
  static constexpr size_t kMixedRegionBytes = 2048;

  using Region = internal::Region;
  // Where a type's regions come from: blocks that are the allocator's own.
  // Blocks before the current one are used up, those after it are to come. The
  // region is the last run of cells of the current one that was handed out, and
  // Refill goes on looking for free cells where that ends.
  struct Source {
    BlockDescriptor* block() const {
      return current < count ? blocks[current] : nullptr;
    }

    std::array<BlockDescriptor*, kMostBlocks> blocks = {};
    size_t current = 0;
    size_t count = 0;
    CellRun region = {0, 0};
    // How many blocks to ask for next: the more the more were used up, for the
    // heap's lock, and all that it guards, wanders between processors.
    size_t ask_for = 1;
  };
  struct MixedSource {
    Region region = {0, 0};
    MixedCells cells;
  };

  LocalAllocator(ObjectHeap& heap, VirtualRange table);

  absl::StatusOr<void*> AllocateUniform(const TypeInfo& type, TypeId id);
  absl::StatusOr<void*> AllocateMixed(const TypeInfo& type, TypeId id,
                                      size_t size, size_t size_class);
  // Gets a region for `type`, whose region is used up.
  absl::Status Refill(const TypeInfo& type, TypeId id);
  // Makes the source's run of cells the region of the type.
  void HandOut(const Source& source, TypeId id);
  void RetireSource(Source& source, TypeId id);
  void RetireMixed(CellsFor what,
                   std::array<MixedSource, kNumSmallClasses>& sources);
  // Counts the objects in the used part of a run of cells.
  void Count(const BlockDescriptor& block, size_t objects);
  // What was counted and the heap has not been told yet, once.
  AllocationCounts TakeCounts() { return std::exchange(counts_, {}); }

  ObjectHeap& heap_;
  const uint16_t home_;
  // By TypeId, as large as there can be types, so that no allocation has to
  // compare; only pages that are used take memory.
  VirtualRange table_;
  Region* regions_;
  std::vector<Source> sources_;  // by TypeId
  // The bytes of each type that went to mixed blocks, by TypeId, up to
  // kRareBytes and an object.
  std::vector<uint16_t> rare_bytes_;
  // Of cells for objects, and for stores.
  std::array<MixedSource, kNumSmallClasses> mixed_ = {};
  std::array<MixedSource, kNumSmallClasses> stores_ = {};
  AllocationCounts counts_;
  bool one_cell_ = false;
};

}  // namespace bibop

#endif  // BIBOP_HEAP_LOCAL_ALLOCATOR_H_
