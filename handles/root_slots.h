// The slots behind Persistents and WeakPersistents: the roots that lie neither
// on a stack nor in the heap. A heap has one pool of them, strong and weak ones
// together; each mutator has a cache of free ones.
//
//   slot, 64 bits   | 63 | 62   | 61       | 60 ... 0                       |
//   in use          | 0  | weak | 0        | address in an object; 0 for none |
//   released        | 0  | 0    | 1        | the same                         |
//   free, shared    | 1  | 0    | 0        | address of the next; 0: none     |
//   free, cached    | all bits are 1                                         |
//
//   block, 2 KiB    | pool | next block | 254 slots |
//
// A block starts at a multiple of its size, so that a slot alone says which
// pool it belongs to. Checked builds note behind each block where its slots in
// use came from. Blocks are kept as long as the pool.
//
// Slots are taken by running mutators and released by any thread, at any time:
// into the cache of the thread's own mutator if it has one on this heap, else,
// and when the cache is full, onto a stack that all threads share, from which
// caches are refilled. No release takes a lock or allocates.
//
// A pool outlives its heap if slots are in use then: from Abandon on they refer
// to nothing, and whoever releases the last one deletes the pool.
//
// Slots are atomic words, which the collector reads while mutators run. A
// strong one roots what it held when the mark began:
//
// - A running mutator that releases it meanwhile shades the object first (I-5).
// - Another thread, which has no place to shade it in, only tags the slot
//   'released' and leaves the address there; the cycle makes it free when it
//   has found what it refers to. (A thread that does not know yet that the mark
//   has ended may tag one afterwards: it becomes free in the next cycle.)
// - Who takes a slot has a handle of the object, so that needs no look.
//
// A weak slot is cleared when its object was found dead, by compare and
// exchange, so that a free one stays free. Taking a slot is a release and the
// collector's look an acquire: what is known of the object comes first. All
// else is relaxed: a word is read in the order that it was written in.
//
// Invariants: a slot is in use, or in one cache, or in one list of the pool.

#ifndef BIBOP_HANDLES_ROOT_SLOTS_H_
#define BIBOP_HANDLES_ROOT_SLOTS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/local_snapshot.h"
#include "bibop/handles/root_origin.h"
#include "bibop/handles/root_visitor.h"
#include "bibop/heap/heap_phase.h"

namespace bibop {

class LocalRootSlots;
class RootSlotPool;

// A word that roots an object, or follows one until it dies.
using RootSlot = std::atomic<uintptr_t>;
static_assert(sizeof(RootSlot) == 8 && RootSlot::is_always_lock_free);

// The tags of a slot. No address of a program has them.
inline constexpr uintptr_t kFreeRootSlot = uintptr_t{1} << 63;
inline constexpr uintptr_t kWeakRootSlot = uintptr_t{1} << 62;
inline constexpr uintptr_t kReleasedRootSlot = uintptr_t{1} << 61;
// What a cached slot holds: a word that one instruction stores.
inline constexpr uintptr_t kCachedRootSlot = ~uintptr_t{0};
static_assert((kCachedRootSlot & kFreeRootSlot) != 0);

// The address in `word`, which a slot in use holds.
inline void* RootAddress(uintptr_t word) {
  return reinterpret_cast<void*>(word & ~(kWeakRootSlot | kReleasedRootSlot));
}

namespace internal {

// Where the slots of a block came from, in checked builds and in others.
template <size_t slots>
class NotedOrigins {
 public:
  void Set(size_t slot, const RootOrigin& origin) { origins_[slot] = origin; }
  RootOrigin Get(size_t slot) const { return origins_[slot]; }

 private:
  std::array<RootOrigin, slots> origins_;
};
class NoOrigins {
 public:
  void Set(size_t, const RootOrigin&) {}
  RootOrigin Get(size_t) const { return {}; }
};

struct alignas(2048) RootSlotBlock {
  static constexpr size_t kBytes = 2048;
  static constexpr size_t kSlots = kBytes / sizeof(RootSlot) - 2;

  // The block that `slot` is in, and the slot's number there.
  static RootSlotBlock& Of(const RootSlot& slot) {
    return *reinterpret_cast<RootSlotBlock*>(
        reinterpret_cast<uintptr_t>(&slot) & ~(kBytes - 1));
  }
  size_t IndexOf(const RootSlot& slot) const { return &slot - slots.data(); }

  RootSlotPool* const pool;
  RootSlotBlock* const next;
  std::array<RootSlot, kSlots> slots;
  // Each written by who takes the slot; read by Abandon, before which all
  // mutators have detached.
  [[no_unique_address]] std::conditional_t<
      kCheckedHandles, NotedOrigins<kSlots>, NoOrigins> origins;
};
static_assert(offsetof(RootSlotBlock, slots) + sizeof(RootSlotBlock::slots) ==
              RootSlotBlock::kBytes);
static_assert(alignof(RootSlotBlock) == RootSlotBlock::kBytes);
static_assert(kCheckedHandles ||
              sizeof(RootSlotBlock) == RootSlotBlock::kBytes);

// The caches of this thread's mutators as a list, the latest first, and the
// pool of that one; null where the thread is not attached. Known to be constant
// at first, so that a look at it is one instruction and no call.
struct ThreadRootSlots {
  RootSlotPool* pool;
  LocalRootSlots* latest;
};
extern constinit thread_local ThreadRootSlots thread_root_slots;

}  // namespace internal

class RootSlotPool {
 public:
  // The owner, a heap, abandons the pool in the end instead of deleting it.
  struct Abandoner {
    void operator()(RootSlotPool* pool) const { pool->Abandon(); }
  };
  using Owner = std::unique_ptr<RootSlotPool, Abandoner>;

  // Makes a pool without slots.
  static Owner Create() { return Owner(new RootSlotPool); }

  RootSlotPool(const RootSlotPool&) = delete;
  RootSlotPool& operator=(const RootSlotPool&) = delete;

  // Makes `slot`, which is in use, a free one. Any thread may call it, attached
  // or not, even if the pool was abandoned.
  static void Release(RootSlot& slot);

  // Makes `slot`, which is in use, refer to `convert` of the address that it
  // holds, in the same object. Any thread may call it: if a collection or the
  // end of the heap clears the slot meanwhile, it stays so.
  template <class F>
  static void Convert(RootSlot& slot, F convert) {
    uintptr_t word = slot.load(std::memory_order_relaxed);
    const void* from = RootAddress(word);
    if (from == nullptr) return;
    const void* to = convert(RootAddress(word));
    if (to == from) return;
    slot.compare_exchange_strong(
        word, reinterpret_cast<uintptr_t>(to) | (word & kWeakRootSlot),
        std::memory_order_relaxed);
  }

  // Whether the calling thread may look at what `slot` refers to: it is a
  // running mutator of this heap.
  static bool IsReadableHere(const RootSlot& slot);

  // From BeginMark to EndMark strong slots that are released are shaded, or
  // tagged.
  //
  // REQUIRES: no mutator is running.
  void BeginMark() { marking_.store(true, std::memory_order_relaxed); }
  void EndMark() { marking_.store(false, std::memory_order_relaxed); }

  // How far a look at all slots has come; at first nothing was seen.
  class Progress {
   private:
    friend class RootSlotPool;
    internal::RootSlotBlock* next = nullptr;
    bool begun = false;
    // Weak slots, or tagged ones.
    bool saw_clearable = false;
  };

  // Shows what strong slots keep alive that were in use at the first call, of
  // about `most` slots. Returns whether all were shown. Other threads may use
  // the pool meanwhile.
  bool VisitStrong(RootVisitor& visitor, Progress& progress, size_t most) const;
  // Shows all.
  void VisitStrong(RootVisitor& visitor) const;

  // Calls `visit` for what weak slots refer to. Other threads may use the pool
  // meanwhile.
  void VisitWeak(absl::FunctionRef<void(const void* object)> visit) const;

  // Whether there is anything for ClearDead: weak slots were seen, or slots
  // were tagged. Of the rest it is known that their objects live.
  //
  // REQUIRES: VisitStrong has shown all.
  bool AnyToClear(const Progress& progress) const {
    return progress.saw_clearable ||
           any_released_.load(std::memory_order_relaxed);
  }
  // Makes weak slots refer to nothing if `is_alive` says no of their objects,
  // and slots that were tagged free. Other threads may use the pool meanwhile.
  void ClearDead(absl::FunctionRef<bool(const void* object)> is_alive);

  // The number of slots, free ones included. Any thread may call it.
  size_t capacity() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  friend class LocalRootSlots;

  using Block = internal::RootSlotBlock;

  RootSlotPool() = default;
  ~RootSlotPool();

  // Puts free slots into `free`, at least one, and returns how many.
  //
  // REQUIRES: free.size() >= Block::kSlots.
  size_t Acquire(absl::Span<RootSlot*> free) ABSL_LOCKS_EXCLUDED(mutex_);
  // Adds slots, at least one, to the stack.
  void Push(absl::Span<RootSlot* const> free);
  // Releases a slot on a thread whose latest cache is of another pool or that
  // has none, or while a heap is being collected.
  ABSL_ATTRIBUTE_NOINLINE void ReleaseSlow(RootSlot& slot);
  // Tags a strong slot 'released'. Returns false if the pool was abandoned, and
  // the slot is still to be released.
  bool TagReleased(RootSlot& slot);

  // Makes every slot in use refer to nothing, tells of them in checked builds,
  // and leaves the pool to those who release them.
  //
  // REQUIRES: every LocalRootSlots has retired; the owner does not use the pool
  // any more.
  void Abandon() ABSL_LOCKS_EXCLUDED(mutex_);
  void ReportRemaining() const;
  // Adds to remaining_, and deletes the pool if nobody remains.
  void AddRemaining(int64_t slots);

  // Calls visit(slot, word) for the slots of a block that are not free.
  template <class F>
  static void ForEachSlotInUse(Block& block, F visit);
  template <class F>
  void ForEachSlotInUse(F visit) const;

  // What is in shared_ of an abandoned pool: the address of no slot.
  static RootSlot* Abandoned() { return reinterpret_cast<RootSlot*>(1); }

  // A stack of free slots. Any thread pushes (release); who holds the mutex
  // takes all of it at once (acquire), so that its links are seen and no slot
  // is back on it before who pushes has noticed that it was gone.
  std::atomic<RootSlot*> shared_ = nullptr;
  // Abandon adds the number of slots in use, each release that finds the pool
  // abandoned takes one away, maybe before that: who makes it 0 is the last to
  // use the pool. Acquire and release, so that all others have used it before.
  std::atomic<int64_t> remaining_ = 0;
  // Written while no mutator runs. Who releases a Persistent has it from a
  // mutator, perhaps by other threads, so it sees what that has seen: relaxed.
  std::atomic<bool> marking_ = false;
  // Whether slots may have been tagged since ClearDead last looked for tags.
  // Set before the tag, for after it the pool may be gone; so ClearDead may
  // miss the tag and forget that it was told: VisitStrong finds it in the next
  // cycle. Orders nothing: relaxed.
  std::atomic<bool> any_released_ = false;
  // The first of a list. Written under the mutex (release), read by the
  // collector (acquire).
  std::atomic<Block*> blocks_ = nullptr;
  mutable absl::Mutex mutex_;
  // What was taken from the stack and is not in a cache yet, as a list.
  RootSlot* returned_ ABSL_GUARDED_BY(mutex_) = nullptr;
  size_t capacity_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A mutator's cache of free slots. Used by the mutator's thread; parked, it may
// only release.
class LocalRootSlots {
 public:
  // The most slots that come from the pool, or go back to it, at once.
  static constexpr size_t kBatch = 256;
  static constexpr size_t kMostCached = 2 * kBatch;

  // An empty cache, of the calling thread until Retire. `pool` and `snapshot`,
  // which gets the objects of slots that are released during a mark, must exist
  // until then.
  LocalRootSlots(RootSlotPool& pool, LocalSnapshot& snapshot);
  LocalRootSlots(const LocalRootSlots&) = delete;
  LocalRootSlots& operator=(const LocalRootSlots&) = delete;
  ~LocalRootSlots() { Retire(); }

  // Gives all slots back; none may be taken any more. Aborts on another thread.
  void Retire();

  // Takes a slot and makes it hold `word`, an address with or without
  // kWeakRootSlot. Where it has to ask the pool it aborts if CheckMayTake does,
  // and throws std::bad_alloc if there is no memory for a block.
  ABSL_ATTRIBUTE_ALWAYS_INLINE RootSlot& Take(uintptr_t word) {
    size_t count = count_;
    if (count == 0) [[unlikely]]
      count = Refill();
    RootSlot& slot = *free_[count - 1];
    count_ = count - 1;
    slot.store(word, std::memory_order_release);
    return slot;
  }

  // Aborts on another thread than the mutator's, or if that is parked.
  void CheckMayTake() const;

  // Notes where `slot`, just taken, comes from, in checked builds.
  static void SetOrigin(RootSlot& slot, const RootOrigin& origin) {
    internal::RootSlotBlock& block = internal::RootSlotBlock::Of(slot);
    block.origins.Set(block.IndexOf(slot), origin);
  }

  // Says whether the mutator is parked.
  void set_parked(bool parked) { parked_ = parked; }

 private:
  friend class RootSlotPool;

  // The calling thread's cache of `pool`; null if it has none.
  static LocalRootSlots* OfThisThread(const RootSlotPool& pool);

  ABSL_ATTRIBUTE_ALWAYS_INLINE void Put(RootSlot& slot) {
    size_t count = count_;
    if (count == kMostCached) [[unlikely]]
      count = Spill(kBatch);
    free_[count] = &slot;
    count_ = count + 1;
    slot.store(kCachedRootSlot, std::memory_order_relaxed);
  }

  // Gets slots into the empty cache. Returns how many there are now.
  ABSL_ATTRIBUTE_NOINLINE size_t Refill();
  // Gives the pool the `count` slots, at least one, that are here longest.
  // Returns how many are left.
  ABSL_ATTRIBUTE_NOINLINE size_t Spill(size_t count);

  size_t count_ = 0;
  // The first count_ are free slots, of which the last is taken next.
  std::array<RootSlot*, kMostCached> free_;
  RootSlotPool& pool_;
  LocalSnapshot& snapshot_;
  LocalRootSlots* next_of_thread_;
  bool parked_ = false;
  bool retired_ = false;
};

ABSL_ATTRIBUTE_ALWAYS_INLINE inline void RootSlotPool::Release(RootSlot& slot) {
  RootSlotPool* pool = internal::RootSlotBlock::Of(slot).pool;
  if (internal::thread_root_slots.pool != pool || internal::BarriersOn())
      [[unlikely]] {
    pool->ReleaseSlow(slot);
    return;
  }
  internal::thread_root_slots.latest->Put(slot);
}

}  // namespace bibop

#endif  // BIBOP_HANDLES_ROOT_SLOTS_H_
