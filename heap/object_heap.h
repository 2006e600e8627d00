// All objects of one heap: the blocks of each type, the epoch of the last mark,
// and which blocks are still to be swept for it.
//
// It hands swept blocks to LocalAllocators, which allocate in them. It knows
// neither roots nor threads, and does not decide when a collection runs: its
// owner calls, in this order and with no allocation in between,
//
//   FinishSweep, retire every LocalAllocator, BeginMark,
//   set mark bytes to epoch(), FinishMark.
//
// After FinishMark no block is swept. Each is when its type next needs room, or
// by FinishSweep.
//
// Thread-compatible: callers serialize.
//
// Invariants:
// - I-1: the alloc bit of every live object is set.
// - I-2: a cell is handed out only if its alloc bit is clear.
// - I-3: a block is allocated into only after it was swept for the last
// finished
//   mark: AcquireBlock returns no other.

#ifndef BIBOP_HEAP_OBJECT_HEAP_H_
#define BIBOP_HEAP_OBJECT_HEAP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/type_info.h"

namespace bibop {

// An object in a heap.
struct ObjectRef {
  std::byte* start;
  const TypeInfo* type;
};

// Counts of what was allocated. An allocator tells the heap when a region is
// used up or retired.
struct AllocationCounts {
  int64_t objects = 0;
  int64_t bytes = 0;
};

class ObjectHeap {
 public:
  // Makes an empty heap whose blocks take at most `max_bytes` bytes. Returns
  // ResourceExhausted where the system refuses the address space.
  static absl::StatusOr<std::unique_ptr<ObjectHeap>> Create(size_t max_bytes);

  ObjectHeap(const ObjectHeap&) = delete;
  ObjectHeap& operator=(const ObjectHeap&) = delete;

  // Destroys every object.
  //
  // REQUIRES: every LocalAllocator has retired.
  ~ObjectHeap();

  // ---- allocation, for LocalAllocator ----

  // Returns a block of `type`, swept, which may have free cells; from now on it
  // is the caller's, until it calls ReturnBlock. Called again until a block has
  // room, it comes to an end: it returns ResourceExhausted when there is none
  // and no more memory may be taken.
  //
  // May run destructors. Aborts when a destructor that it runs calls it: the
  // destructor of a garbage-collected object may not allocate.
  //
  // REQUIRES: type.cell_size <= kBlockSize.
  absl::StatusOr<BlockDescriptor*> AcquireBlock(const TypeInfo& type,
                                                TypeId id);

  // Takes back a block, which may have free cells.
  void ReturnBlock(BlockDescriptor* block);

  // Adds to (or, with negative counts, takes from) what was allocated.
  void Count(AllocationCounts counts) {
    allocated_.objects += counts.objects;
    allocated_.bytes += counts.bytes;
  }

  // ---- the cycle, for the heap's owner ----

  // The number of the last mark, or of the one that runs.
  Epoch epoch() const { return epoch_; }

  // Sweeps every block that the last mark left unswept; gives empty blocks back
  // to the cage. May run destructors. Aborts if called by one of them.
  void FinishSweep();

  // Begins a new epoch: no object is marked any more.
  //
  // REQUIRES: FinishSweep was called, and every LocalAllocator has retired
  // since.
  void BeginMark();

  // Ends the mark: objects without the mark of this epoch are dead.
  void FinishMark();

  // ---- looking at it, between BeginMark and FinishMark or when nobody
  // allocates ----

  // Whether `address` lies in this heap's address space.
  bool Contains(const void* address) const { return cage_->Contains(address); }

  // The object that `word`, any number, points into; nothing if it points at no
  // object. Exact once every LocalAllocator has retired.
  std::optional<ObjectRef> FindObject(uintptr_t word) const;

  // Calls `visit` for each object, dead ones that were not yet swept included.
  //
  // REQUIRES: every LocalAllocator has retired; `visit` does not allocate.
  void ForEachObject(absl::FunctionRef<void(ObjectRef)> visit) const;

  // What was allocated since the heap was made, without the regions that
  // allocators are allocating in now.
  AllocationCounts allocated() const { return allocated_; }
  // The objects that were swept so far.
  int64_t freed_objects() const { return freed_objects_; }
  // The bytes of the blocks in use.
  size_t bytes_in_use() const { return cage_->bytes_in_use(); }
  // The bytes that were taken from the operating system, tables included.
  size_t bytes_committed() const { return cage_->bytes_committed(); }

 private:
  // The blocks of one type.
  struct TypeSpace {
    // Those before `cursor` were considered for allocation since the last mark.
    std::vector<BlockDescriptor*> blocks;
    size_t cursor = 0;
    // Blocks before `cursor` that nobody allocates in and that may have room:
    // allocators gave them back, or FinishSweep swept them.
    std::vector<BlockDescriptor*> returned;
  };

  explicit ObjectHeap(std::unique_ptr<Cage> cage) : cage_(std::move(cage)) {}

  // Sweeps a block for the last mark and returns the number of live objects.
  size_t Sweep(BlockDescriptor& block);

  std::unique_ptr<Cage> cage_;
  std::vector<TypeSpace> spaces_;  // by TypeId
  Epoch epoch_ = 1;
  bool marking_ = false;
  bool sweeping_ = false;
  AllocationCounts allocated_;
  int64_t freed_objects_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_HEAP_OBJECT_HEAP_H_
