// The slots behind Persistents and WeakPersistents: the roots that lie neither
// on a stack nor in the heap. A heap has one pool of them, strong and weak ones
// together; each mutator has a cache of free ones.
//
//   slot, 64 bits   | 63   | 62   | 61 ... 0 | in use          | 0    | weak |
//   address in an object; 0 for no object      | free            | 1    | 0 |
//   address of the next free slot; 0 for none  |
//
//   block, 2 KiB    | pool | next block | 254 slots |
//
// A block starts at a multiple of its size, so that a slot alone says which
// pool it belongs to. Checked builds note behind each block where its slots in
// use came from. Blocks are kept as long as the pool.
//
// Slots are taken by running mutators and released by any thread, at any time:
// to the cache of the thread's own mutator if it has one on this heap, else, or
// if the cache is full, onto a stack that all threads share, from which caches
// are refilled. No release takes a lock or allocates.
//
// A pool outlives its heap if slots are in use then: from Abandon on they refer
// to nothing, and whoever releases the last one deletes the pool.
//
// Slots are relaxed atomic words. While the world is stopped the collector
// reads all of them, and clears weak ones whose object died; a thread that is
// parked or not attached may be releasing some at the same time, or converting
// their addresses to others in the same object. For a strong slot either order
// is right: if the collector misses the release, an object lives for one more
// cycle, and the next cannot miss it, for nobody reads an atomic word's past
// after its future. A weak slot is cleared by compare and exchange, so a link
// to a free slot is never overwritten. Slots are taken and their objects read
// by running mutators only, of which there are none while the collector is
// here.
//
// Invariants: a slot is in use or in exactly one list of free slots; a cache
// has at most kMostCached.

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
#include "bibop/base/build_config.h"
#include "bibop/handles/root_origin.h"
#include "bibop/handles/root_visitor.h"

namespace bibop {

class LocalRootSlots;
class RootSlotPool;

// A word that roots an object or follows it until it dies.
using RootSlot = std::atomic<uintptr_t>;
static_assert(sizeof(RootSlot) == 8 && RootSlot::is_always_lock_free);

// The tags of a slot. No address of a program has them.
inline constexpr uintptr_t kFreeRootSlot = uintptr_t{1} << 63;
inline constexpr uintptr_t kWeakRootSlot = uintptr_t{1} << 62;

// The address in `word`, a slot in use's.
inline void* RootAddress(uintptr_t word) {
  return reinterpret_cast<void*>(word & ~kWeakRootSlot);
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

  // The block that `slot` is in.
  static RootSlotBlock& Of(const RootSlot& slot) {
    return *reinterpret_cast<RootSlotBlock*>(
        reinterpret_cast<uintptr_t>(&slot) & ~(kBytes - 1));
  }

  size_t IndexOf(const RootSlot& slot) const { return &slot - slots.data(); }

  RootSlotPool* const pool;
  RootSlotBlock* const next;
  std::array<RootSlot, kSlots> slots;
  // Each written by whoever takes the slot, read by Abandon: a slot in use was
  // taken by a mutator that has detached since.
  [[no_unique_address]] std::conditional_t<
      kCheckedHandles, NotedOrigins<kSlots>, NoOrigins> origins;
};
static_assert(offsetof(RootSlotBlock, slots) + sizeof(RootSlotBlock::slots) ==
              RootSlotBlock::kBytes);
static_assert(alignof(RootSlotBlock) == RootSlotBlock::kBytes);
static_assert(kCheckedHandles ||
              sizeof(RootSlotBlock) == RootSlotBlock::kBytes);

// The caches of this thread's mutators, the latest first, as a list; null where
// the thread is not attached. Known to be a constant at first, so that reading
// it takes one instruction and no call.
extern constinit thread_local LocalRootSlots* thread_root_slots;

}  // namespace internal

class RootSlotPool {
 public:
  // The owner of a pool is who calls Abandon in the end: the heap.
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

  // Shows what strong slots keep alive.
  //
  // REQUIRES: no mutator is running.
  void VisitStrong(RootVisitor& visitor) const;

  // Makes weak slots refer to nothing if `is_alive` says no of their objects.
  //
  // REQUIRES: no mutator is running.
  void ClearWeak(absl::FunctionRef<bool(const void* object)> is_alive);

  // Whether the calling thread may look at what `slot` refers to: it is a
  // running mutator of this heap.
  static bool IsReadableHere(const RootSlot& slot);

  // The number of slots, free ones included. Any thread may call it.
  size_t capacity() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  friend class LocalRootSlots;

  using Block = internal::RootSlotBlock;

  // Free slots that are linked.
  struct FreeList {
    RootSlot* first;
    RootSlot* last;
    size_t count;
  };

  RootSlotPool() = default;
  ~RootSlotPool();

  // Returns free slots, at least one and at most LocalRootSlots::kBatch, the
  // last with no link.
  FreeList Acquire() ABSL_LOCKS_EXCLUDED(mutex_);
  // Adds free slots to the stack.
  void Push(FreeList list);
  // Releases a slot on a thread whose first cache is of another pool or that
  // has none.
  ABSL_ATTRIBUTE_NOINLINE void ReleaseElsewhere(RootSlot& slot);
  // Makes every slot in use refer to nothing, tells of them in checked builds,
  // and leaves the pool to those who release them. No use of the pool by its
  // owner comes after it.
  //
  // REQUIRES: every LocalRootSlots has retired.
  void Abandon() ABSL_LOCKS_EXCLUDED(mutex_);
  void ReportRemaining() const;
  // Adds to remaining_; deletes the pool if nobody remains.
  void AddRemaining(int64_t slots);

  template <class F>
  void ForEachSlot(F visit) const;

  // What is in shared_ of an abandoned pool: the address of no slot.
  static RootSlot* Abandoned() { return reinterpret_cast<RootSlot*>(1); }

  // A stack of free slots. Any thread pushes (release); who holds the mutex
  // takes all of it (acquire), so that their links are seen and no slot comes
  // back in between.
  std::atomic<RootSlot*> shared_ = nullptr;
  // Once the pool is abandoned, slots in use. Before that, minus the releases
  // that came too late for the stack, while Abandon was not done; so 0 means
  // that nobody remains only where it is reached after Abandon added what was
  // in use. Acquire and release: who deletes the pool does so after all others
  // used it.
  std::atomic<int64_t> remaining_ = 0;
  // The first of a list. Written under the mutex (release), read by the
  // collector (acquire).
  std::atomic<Block*> blocks_ = nullptr;
  mutable absl::Mutex mutex_;
  // What is left of what was taken from the stack.
  RootSlot* returned_ ABSL_GUARDED_BY(mutex_) = nullptr;
  size_t capacity_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A mutator's cache of free slots. Used by the mutator's thread, parked or
// running.
class LocalRootSlots {
 public:
  // So many slots come from the pool, and go back to it, at once.
  static constexpr size_t kBatch = 256;
  static constexpr size_t kMostCached = 2 * kBatch;

  // An empty cache, of the calling thread until Retire. `pool` must exist until
  // then.
  explicit LocalRootSlots(RootSlotPool& pool);
  LocalRootSlots(const LocalRootSlots&) = delete;
  LocalRootSlots& operator=(const LocalRootSlots&) = delete;
  ~LocalRootSlots() { Retire(); }

  // Gives all slots back. Nothing may be taken any more.
  void Retire();

  // Takes a slot and makes it hold `word`, an address with or without
  // kWeakRootSlot. Aborts, if it has to ask the pool, where the mutator is not
  // running or is another thread's; throws std::bad_alloc where there is no
  // memory for a block.
  ABSL_ATTRIBUTE_ALWAYS_INLINE RootSlot* Take(uintptr_t word) {
    RootSlot* slot = free_;
    if (slot == nullptr) [[unlikely]]
      slot = Refill();
    free_ = NextOf(*slot);
    --count_;
    slot->store(word, std::memory_order_relaxed);
    return slot;
  }

  // Says where `slot`, just taken, comes from.
  static void SetOrigin(RootSlot& slot, const RootOrigin& origin) {
    internal::RootSlotBlock& block = internal::RootSlotBlock::Of(slot);
    block.origins.Set(block.IndexOf(slot), origin);
  }

  // Aborts where the calling thread may not take a slot.
  void CheckMayTake() const;

  // Whether the mutator is parked: then nothing may be taken.
  void set_parked(bool parked) { parked_ = parked; }

 private:
  friend class RootSlotPool;

  static RootSlot* NextOf(const RootSlot& slot) {
    return reinterpret_cast<RootSlot*>(slot.load(std::memory_order_relaxed) &
                                       ~kFreeRootSlot);
  }
  static void Link(RootSlot& slot, RootSlot* next) {
    slot.store(reinterpret_cast<uintptr_t>(next) | kFreeRootSlot,
               std::memory_order_relaxed);
  }
  // The calling thread's cache of `pool`; null if it has none.
  static LocalRootSlots* OfThisThread(const RootSlotPool& pool);

  ABSL_ATTRIBUTE_ALWAYS_INLINE void Put(RootSlot& slot) {
    if (count_ == kMostCached) [[unlikely]]
      Spill(kBatch);
    Link(slot, free_);
    free_ = &slot;
    ++count_;
  }

  // Gets slots into the empty cache and returns the first.
  ABSL_ATTRIBUTE_NOINLINE RootSlot* Refill();
  // Gives `count` slots, 1 or more, to the pool.
  ABSL_ATTRIBUTE_NOINLINE void Spill(size_t count);

  RootSlot* free_ = nullptr;
  size_t count_ = 0;
  RootSlotPool& pool_;
  LocalRootSlots* next_of_thread_;
  bool parked_ = false;
  bool retired_ = false;
};

ABSL_ATTRIBUTE_ALWAYS_INLINE inline void RootSlotPool::Release(RootSlot& slot) {
  RootSlotPool& pool = *internal::RootSlotBlock::Of(slot).pool;
  LocalRootSlots* local = internal::thread_root_slots;
  if (local == nullptr || &local->pool_ != &pool) [[unlikely]] {
    pool.ReleaseElsewhere(slot);
    return;
  }
  local->Put(slot);
}

}  // namespace bibop

#endif  // BIBOP_HANDLES_ROOT_SLOTS_H_
