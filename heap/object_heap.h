// All objects of one heap: the blocks of each type and size class, the marks of
// the last cycle, and which blocks are still to be swept for it.
//
// It hands swept blocks to LocalAllocators, which allocate in them. It knows
// neither roots nor threads' states, and does not decide when a collection
// runs: its owner calls, in this order and with no allocation in between,
//
//   FinishSweep, retire every LocalAllocator, BeginMark,
//   BlockDescriptor::Mark with marks() for what lives,
//   retire every LocalAllocator, FinishMark,
//   clear references to what is not marked, EndClearing,
//   see to it that nobody is in a weak read, StartSweep.
//
// LocalAllocators are retired while nobody allocates; otherwise mutators may
// allocate all the time: from BeginMark to StartSweep their objects are born
// marked. Nothing is swept from FinishSweep to StartSweep, so that no cell of
// an object that a mark finds dead is used again before that is known to all;
// from FinishMark on who needs cells gets blocks that wait for no sweep.
//
// After StartSweep no block is swept. Each is when its type or class next needs
// room, or by SweepSome, or by FinishSweep. Sweeping runs destructors, on the
// thread that calls; they may neither allocate nor collect.
//
// The backing stores of containers are swept when everything else has been: the
// destructor of a dead object that has a container walks through its stores.
// Until then who needs cells for stores gets new blocks, and helps to sweep.
//
// Any thread may call any function at any time, but for the cycle's, and those
// that look at objects: they say when. The lock is never held while a
// destructor runs.
//
// Invariants:
// - I-1: the alloc bit of every live object is set.
// - I-2: a cell is handed out only if its alloc bit is clear.
// - I-3: a block is allocated into only after it was swept for the last
//   finished mark: neither AcquireBlocks nor AcquireCells returns another.
// - Every block in use is in exactly one list of one space, or an allocator's,
//   or being swept.

#ifndef BIBOP_HEAP_OBJECT_HEAP_H_
#define BIBOP_HEAP_OBJECT_HEAP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/base/prefetch.h"
#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/lock_waits.h"
#include "bibop/heap/mark_queue.h"
#include "bibop/heap/marks.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/space.h"
#include "bibop/heap/spaces.h"
#include "bibop/heap/sweep.h"
#include "bibop/heap/type_info.h"

namespace bibop {

// An object in a heap, and the bytes that are its own: those of its cell.
struct ObjectRef {
  std::byte* start;
  const TypeInfo* type;
  size_t size;
};

// Counts of what was allocated. An allocator tells the heap when a region is
// used up or retired.
struct AllocationCounts {
  int64_t objects = 0;
  int64_t bytes = 0;
};

class ObjectHeap;

namespace internal {

// The heap of which this thread is sweeping a block, and so may be running a
// destructor.
inline constinit thread_local const ObjectHeap* sweeping_heap = nullptr;

}  // namespace internal

class ObjectHeap {
 public:
  // Bytes at one moment.
  struct Memory {
    // Of the blocks in use.
    size_t in_use = 0;
    // That may be read and written, tables included.
    size_t committed = 0;
    // Of free blocks that were not given back.
    size_t free_resident = 0;
    // What AdjustExternalBytes was told, summed.
    int64_t external = 0;
    // The limit in force.
    size_t limit = 0;
  };

  // Makes an empty heap whose blocks and external bytes take at most
  // `max_bytes` bytes, with objects that are young first or without. Returns
  // ResourceExhausted where the system refuses the address space.
  static absl::StatusOr<std::unique_ptr<ObjectHeap>> Create(
      size_t max_bytes, bool generations = false);

  ObjectHeap(const ObjectHeap&) = delete;
  ObjectHeap& operator=(const ObjectHeap&) = delete;

  // Destroys every object, unless DestroyObjects has.
  ~ObjectHeap() { DestroyObjects(); }

  // Destroys every object, while this is still whole: destructors may ask for
  // figures and adjust external bytes.
  //
  // REQUIRES: every LocalAllocator has retired; no other thread uses this.
  void DestroyObjects() ABSL_LOCKS_EXCLUDED(mutex_);

  // ---- allocation, for LocalAllocator ----
  //
  // Each returns ResourceExhausted when there is no room and no more memory may
  // be taken, and may run destructors. Each aborts when a destructor or a Trace
  // calls it: neither may allocate.

  // Where they take `counts`, those are added to what was allocated: what the
  // caller allocated since it last told.

  // Puts blocks of `type`, swept, which may have free cells, into `blocks`, and
  // returns how many: at least one, and more only where they cost next to
  // nothing. From now on they are the caller's, until it calls ReturnBlocks or
  // passes them as `full`: blocks of the same type without room, that are taken
  // back first. `home` says which allocator it is: it rather gets blocks that
  // it had before. Called again until a block has room, it comes to an end.
  //
  // REQUIRES: type.cell_size <= kMaxSmallSize; `blocks` is not empty.
  absl::StatusOr<size_t> AcquireBlocks(const TypeInfo& type, TypeId id,
                                       uint16_t home, AllocationCounts counts,
                                       absl::Span<BlockDescriptor* const> full,
                                       absl::Span<BlockDescriptor*> blocks)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Takes back blocks: those without room, and those that may have free cells.
  void ReturnBlocks(TypeId id, absl::Span<BlockDescriptor* const> full,
                    absl::Span<BlockDescriptor* const> available)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Returns at least one and at most `most` free cells of a size class, their
  // alloc bits and mark bytes set. From now on they are the caller's,
  // until they hold objects or it calls ReturnCells.
  absl::StatusOr<MixedCells> AcquireCells(CellsFor what, size_t size_class,
                                          size_t most, AllocationCounts counts)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Takes back cells that hold no object.
  void ReturnCells(CellsFor what, size_t size_class, MixedCells cells)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Returns a place for an object of `size` bytes in a span of its own.
  //
  // REQUIRES: size > kMaxMediumSize.
  absl::StatusOr<void*> AllocateSpan(const TypeInfo& type, size_t size)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Takes back a cell that was just allocated, when constructing the object
  // failed. No destructor will run for it.
  void Abandon(void* cell) ABSL_LOCKS_EXCLUDED(mutex_);

  // Adds to what was allocated.
  void Count(AllocationCounts counts) ABSL_LOCKS_EXCLUDED(mutex_);

  // Makes cells ready to be handed out: their objects are born marked from
  // BeginMark to StartSweep.
  void Ready(BlockDescriptor& block, CellRun cells);

  // Returns a number for an allocator.
  uint16_t NewHome() {
    return next_home_.fetch_add(1, std::memory_order_relaxed);
  }

  // ---- the cycle, for the heap's owner ----

  // What mark bytes say since the last mark, or the one that runs, began.
  const Marks& marks() const { return marks_; }

  // Which mark that is, of all of this process; 0 before the first. To be asked
  // while one runs.
  uint64_t mark_number() const {
    return mark_number_.load(std::memory_order_relaxed);
  }

  // What the collection is doing. Any thread may ask; a running mutator's
  // answer stays true until its next safepoint, except that kClearing may turn
  // into kIdle, after which references to dead objects are cleared.
  HeapPhase phase() const { return phase_.load(std::memory_order_acquire); }

  // What cells are marked with when they are handed out: marks().born() from
  // BeginMark to StartSweep, else kFreshMark. Any thread may ask.
  MarkByte birth_mark() const {
    return birth_mark_.load(std::memory_order_relaxed);
  }

  // The mark byte of the object that `object` points at or into, and whether it
  // is alive by marks(). Any thread may ask, the latter of an object that was
  // not swept.
  MarkByte MarkOf(const void* object) const {
    const BlockDescriptor* block = Cage::DescriptorOf(object);
    return block->MarkOf(
        block->CellIndex(block->OffsetInRun(Cage::OffsetInBlock(object))));
  }
  bool IsMarked(const void* object) const {
    return marks_.IsAlive(MarkOf(object));
  }
  // Gets what IsMarked looks at into the cache.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void PrefetchMark(const void* object) const {
    const BlockDescriptor* block = Cage::DescriptorOf(object);
    absl::PrefetchToLocalCache(
        block->marks +
        block->CellIndex(block->OffsetInRun(Cage::OffsetInBlock(object))));
  }

  // What is still to be marked, and came from elsewhere than the marker.
  MarkQueue& mark_queue() { return mark_queue_; }

  // Sweeps up to `most` blocks that the last mark left unswept, and gives empty
  // ones back to the cage. Returns whether more are left that may be swept.
  bool SweepSome(size_t most) ABSL_LOCKS_EXCLUDED(mutex_);

  // Abort if a destructor or a Trace calls them: neither may collect, or
  // allocate.
  void CheckMayCollect() const;
  void CheckMayAllocate() const;

  // Sweeps all of them that may be swept, and waits until no other thread
  // sweeps any. Aborts if called by a destructor.
  void SweepAll() ABSL_LOCKS_EXCLUDED(mutex_);

  // The same, and from now on nothing is swept until StartSweep.
  void FinishSweep() ABSL_LOCKS_EXCLUDED(mutex_);

  // Begins a mark, in phase kMarking. A major one is a new epoch: no object is
  // marked any more. In a minor one those are that are old. Drops what is in
  // the mark queue.
  //
  // REQUIRES: FinishSweep was called, every LocalAllocator has retired since,
  // and no mutator is running.
  void BeginMark(CollectionKind kind = CollectionKind::kMajor)
      ABSL_LOCKS_EXCLUDED(mutex_);

  using BlockToRemember = Spaces::BlockToRemember;
  // From now on the mark is to look at the blocks that no allocator has.
  //
  // REQUIRES: phase kMarking. In a minor mark: as BeginMark.
  void BeginRemembering() ABSL_LOCKS_EXCLUDED(mutex_);
  // Puts such blocks into `blocks`, each once, and returns how many; 0 when
  // there are no more. Cells may be handed out in them meanwhile: those are not
  // old. For the thread that drives the mark.
  size_t TakeToRemember(absl::Span<BlockToRemember> blocks)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends the mark, in phase kClearing: what is not alive by marks() is dead.
  //
  // REQUIRES: every LocalAllocator has retired, and no mutator is running.
  void FinishMark() ABSL_LOCKS_EXCLUDED(mutex_);

  // Says that no reference to a dead object is left: phase kIdle.
  void EndClearing() ABSL_LOCKS_EXCLUDED(mutex_);

  // Lets dead objects be swept.
  //
  // REQUIRES: every mutator was at a safepoint since EndClearing.
  void StartSweep() ABSL_LOCKS_EXCLUDED(mutex_);

  // While it exists its thread may not allocate in the heap: it calls Traces.
  class TracingScope {
   public:
    explicit TracingScope(const ObjectHeap& heap);
    TracingScope(const TracingScope&) = delete;
    TracingScope& operator=(const TracingScope&) = delete;
    ~TracingScope();

   private:
    const ObjectHeap* outer_;
  };

  // ---- memory ----

  // Gives the memory of free blocks back to the operating system, `bytes` bytes
  // if there are so many and at most 2 MiB more, and returns how many. Blocks
  // are freed by sweeping.
  size_t ReleaseFreeMemory(size_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);

  // The least that was free and resident since the last call to this: what
  // nobody needed in the meantime.
  size_t TakeIdleBytes() ABSL_LOCKS_EXCLUDED(mutex_);

  // Puts a limit in force below max_bytes, or that.
  void SetLimit(size_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  // Sees to it that blocks may take `bytes` bytes more than they do, or as many
  // as max_bytes allows. Where that is more than the limit or the reserve for
  // external bytes leaves, that gives way by `extra` as well, as far as that
  // goes. Returns false if max_bytes does not allow `least`, or if there was
  // less than `bytes` to give and it was given already; where more than
  // max_bytes is in use that becomes the limit.
  bool RaiseLimit(size_t least, size_t bytes, size_t extra)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Says that objects own `delta` more bytes of memory outside of the heap, or
  // fewer. They count against the limit, but are not refused. Returns whether
  // they exceed one below max_bytes.
  bool AdjustExternalBytes(int64_t delta) ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether blocks and external bytes do.
  bool ExceedsSoftLimit() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Has blocks leave room below the limit for as many external bytes as there
  // were at most since the last call: what has died and is not swept yet counts
  // among them. A reserve that is not needed shrinks by an eighth each time.
  void ReserveForExternalBytes() ABSL_LOCKS_EXCLUDED(mutex_);

  // ---- looking at it ----

  // Whether `address` lies in this heap's address space.
  bool Contains(const void* address) const {
    return UnlockedCage().Contains(address);
  }

  // The object that `word`, any number, points at or into; nothing if it points
  // at no object. Takes the same time however large the heap and the object
  // are. Exact once every LocalAllocator has retired; before, a free cell in a
  // region counts as an object, and its type is that of no object in a mixed
  // block. Any thread may call it while nothing is swept.
  std::optional<ObjectRef> FindObject(uintptr_t word) const;

  // The same at any time, but an object that is dead, or that nothing refers to
  // while a mark has not found that yet, may be found or not; while a mark runs
  // it is found.
  std::optional<ObjectRef> FindLiveObject(uintptr_t word) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Calls `visit` for each object, dead ones that were not yet swept included.
  //
  // REQUIRES: every LocalAllocator has retired, and nobody allocates or sweeps.
  void ForEachObject(absl::FunctionRef<void(ObjectRef)> visit) const;

  // Aborts if an invariant does not hold.
  //
  // REQUIRES: every LocalAllocator has retired, and nobody allocates or sweeps.
  void CheckInvariants() const;

  // ---- figures, which any thread may ask for ----

  // What was allocated since the heap was made, without the regions that
  // allocators are allocating in now.
  AllocationCounts allocated() const {
    return {allocated_objects_.load(std::memory_order_relaxed),
            allocated_bytes_.load(std::memory_order_relaxed)};
  }
  // The objects that were swept so far.
  int64_t freed_objects() const {
    return freed_objects_.load(std::memory_order_relaxed);
  }
  Memory memory() const ABSL_LOCKS_EXCLUDED(mutex_);
  // How allocations and adjustments of external bytes waited for the lock.
  const LockWaits& lock_waits() const { return lock_waits_; }

 private:
  ObjectHeap(std::unique_ptr<Cage> cage, bool generations);

  // The cage for what it says any thread may call.
  const Cage& UnlockedCage() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return *cage_;
  }
  bool IsBeyondSoftLimit() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Whether the space has blocks that may be swept now.
  bool MaySweep(const Space& space) const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return may_sweep_ && space.AnyUnswept() &&
           (!space.for_stores || unswept_objects_ == 0);
  }
  // Returns a swept block of the space that may have room, rather one that
  // `home` had before; null when all are full or nearly, or when `most` that it
  // swept were and no other certainly has room. With kAllBlocks, for a heap
  // that is full, a nearly full one rather than none. Releases the lock while
  // it sweeps.
  BlockDescriptor* TakeWithRoom(Space& space, uint16_t home, size_t most)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Returns a block as TakeWithRoom does, but only if it takes no time.
  BlockDescriptor* TakeReady(Space& space, uint16_t home)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sweeps a block that was taken out of its space's list, without the lock,
  // and returns what was found.
  SweepResult Sweep(const Space& space, BlockDescriptor& block)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sweeps a block without releasing the lock if nothing in it is alive and no
  // destructor has to run; returns whether it did.
  bool SweepDead(const Space& space, BlockDescriptor& block)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Notes what sweeping a block of the space found.
  void NoteSwept(const Space& space, size_t freed_objects)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sweeps up to `most` blocks of the space that may be swept, several without
  // the lock, so that others get it; returns how many.
  size_t SweepBatch(Space& space, size_t most)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Waits until no other thread sweeps a block.
  void AwaitSweepers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Space::TakeSwept, of a block to allocate in.
  BlockDescriptor* TakeSwept(Space& space, size_t kind, uint16_t home)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // SweepAll.
  void SweepAllLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same for any space.
  size_t SweepAny(size_t most) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddCounts(AllocationCounts counts) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Notes that free blocks may have become fewer.
  void NoteFree() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::unique_ptr<Cage> cage_ ABSL_PT_GUARDED_BY(mutex_);
  mutable absl::Mutex mutex_;
  LockWaits lock_waits_;
  Spaces spaces_ ABSL_GUARDED_BY(mutex_);
  // Blocks that some thread is sweeping now.
  int being_swept_ ABSL_GUARDED_BY(mutex_) = 0;
  // Runs of free blocks whose memory some thread is giving back now.
  int being_released_ ABSL_GUARDED_BY(mutex_) = 0;
  // Blocks of objects, not of stores, that are unswept or being swept.
  size_t unswept_objects_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t idle_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // From StartSweep to FinishSweep: whether blocks may be swept.
  bool may_sweep_ ABSL_GUARDED_BY(mutex_) = true;
  // What swept blocks are swept for, but for those that are settled.
  SweepNumber sweep_number_ ABSL_GUARDED_BY(mutex_) = 1;
  CollectionKind kind_ ABSL_GUARDED_BY(mutex_) = CollectionKind::kMajor;
  // Written by BeginMark, when no mutator runs and nobody sweeps; read by those
  // who do, and by markers.
  Marks marks_;
  // Written by BeginMark, when no mutator runs; read by barriers: relaxed.
  std::atomic<uint64_t> mark_number_ = 0;
  // Written by BeginMark and FinishMark, while no mutator runs, and by
  // EndClearing (release). Read by barriers: who finds kIdle after a collection
  // (acquire) finds references to dead objects cleared.
  std::atomic<HeapPhase> phase_ = HeapPhase::kIdle;
  // Written by BeginMark, while no mutator runs, and by StartSweep; read by
  // allocators. What is born marked after StartSweep is alive until the next
  // mark: relaxed.
  std::atomic<MarkByte> birth_mark_ = kFreshMark;
  MarkQueue mark_queue_;
  // Numbers of allocators, which may meet again after 65,536: relaxed.
  std::atomic<uint16_t> next_home_ = 1;
  // Sums. Written under the lock, read by any thread; they order nothing:
  // relaxed.
  std::atomic<int64_t> allocated_objects_ = 0;
  std::atomic<int64_t> allocated_bytes_ = 0;
  std::atomic<int64_t> freed_objects_ = 0;
};

namespace internal {

// Whether this thread is running destructors of the heap that `address` lies
// in.
inline bool IsBeingSwept(const void* address) {
  return sweeping_heap != nullptr && sweeping_heap->Contains(address);
}

}  // namespace internal

}  // namespace bibop

#endif  // BIBOP_HEAP_OBJECT_HEAP_H_
