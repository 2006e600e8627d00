// The slots behind AsyncHandles: the roots that belong to a task instead of a
// thread. A heap has one pool of them; each mutator has a cache of free blocks.
//
//   block, 64 bytes | number | link | 6 slots |
//
//   number          of the scope; 0 in a free block
//   link            63 ... 6: next block, 5 ... 0: how many slots are taken
//   slot            address in an object; 0 if it is not taken
//
//   chunk, 32 KiB   | pool | next chunk | 511 blocks |
//
// A scope is a chain of blocks, at least one, that all have its number; no two
// scopes of a heap have the same one (it comes again after 2^48 scopes). Chunks
// stay until the pool goes, and a block is never anything else, so that whoever
// has the address of a slot may look, however old that is, and sees by the
// number whether the slot is still his.
//
// Any thread takes and frees blocks, attached or not, parked or running, during
// a collection, and frees them even when the heap is gone: by way of the cache
// of the thread's own mutator if it has one on this heap, else of a stack that
// all threads share. No freeing takes a lock or allocates. Handles are added to
// a scope by running mutators, several at once if they like.
//
// Slots are atomic words, which the collector reads while mutators run. A slot
// that exists when a mark begins roots what it holds: it is written once, and
// cleared when its scope goes. One that is taken later needs no look: who takes
// it has a handle of the object.
//
// A scope may go at any time without a word to the collector, before that has
// looked at its slots (I-5 does not ask for its objects to be shaded). Instead
// whoever reads a slot shades what he finds, while the heap is being marked:
//
// - Who had a handle of the object, or could reach it in the heap or through a
//   Persistent, when the mark began, or gets it in one of these ways, is served
//   by their rules.
// - Who gets it from a slot during the mark has shaded it: then it is marked,
//   whatever becomes of the slot.
// - Whom else does the object reach? Nobody: then it may be missed.
//
// This is a load barrier, as of a weak reference. It is one because who
// destroys a scope may not run, and so has neither a place to shade in nor any
// order with the beginning of the mark; and because tasks end more often than
// their handles are read while a heap is being marked.
//
// A slot that is read is one of the scope that the reader means: its block's
// number is looked at after it was read (acquire). Who frees a block clears the
// number first and then the slots (release); so who finds a slot cleared, or
// taken again, finds another number.
//
// A free block never shows the collector a dead address: an object dies only in
// a cycle that has found its slot cleared, or not taken, and what the collector
// reads of a word later is not older. It looks at the link (acquire) and then
// at the slots that are taken; who takes one (release) knows that they were
// cleared.
//
// A pool outlives its heap if scopes exist then: from Abandon on their slots
// hold nothing, and whoever frees the last block deletes the pool.
//
// Invariants: a block is in one chain, or in one cache, or in one list of the
// pool; all slots of a free one are 0.

#ifndef BIBOP_HANDLES_ASYNC_SLOTS_H_
#define BIBOP_HANDLES_ASYNC_SLOTS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <type_traits>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/root_visitor.h"

namespace bibop {

class AsyncSlotPool;

// A word that roots an object. Written by a running mutator that takes it
// (release), cleared by whoever frees its block (release); read by running
// mutators and the collector (acquire).
using AsyncSlot = std::atomic<uintptr_t>;
static_assert(sizeof(AsyncSlot) == 8 && AsyncSlot::is_always_lock_free);

// The number of a scope; 0 is none.
using AsyncScopeNumber = uint64_t;
// How many bits it takes.
inline constexpr int kAsyncScopeNumberBits = 48;

struct alignas(64) AsyncSlotBlock {
  static constexpr size_t kSlots = 6;
  // A link's bits.
  static constexpr uintptr_t kCountMask = 63;

  static size_t CountIn(uintptr_t link) { return link & kCountMask; }
  static AsyncSlotBlock* NextIn(uintptr_t link) {
    return reinterpret_cast<AsyncSlotBlock*>(link & ~kCountMask);
  }

  // The block that `slot` is in.
  static const AsyncSlotBlock& Of(const AsyncSlot& slot) {
    return *reinterpret_cast<const AsyncSlotBlock*>(
        reinterpret_cast<uintptr_t>(&slot) & ~(sizeof(AsyncSlotBlock) - 1));
  }

  // In a list of free blocks: the next one.
  void SetNextFree(AsyncSlotBlock* next) {
    link.store(reinterpret_cast<uintptr_t>(next), std::memory_order_relaxed);
  }
  AsyncSlotBlock* NextFree() const {
    return NextIn(link.load(std::memory_order_relaxed));
  }

  // Makes it one of a scope, without slots taken.
  //
  // REQUIRES: it is free, and the caller's.
  void Open(AsyncScopeNumber scope) {
    link.store(0, std::memory_order_relaxed);
    number.store(scope, std::memory_order_relaxed);
  }
  // Makes it free, but for its link: whoever finds a slot cleared finds that
  // the number was.
  void Close() {
    number.store(0, std::memory_order_relaxed);
    for (AsyncSlot& slot : slots) slot.store(0, std::memory_order_release);
  }

  // Written by who takes and who frees the block; read by whoever has the
  // address of a slot, and by who counts scopes. Relaxed: the slots' stores and
  // loads order, and a count orders nothing.
  std::atomic<AsyncScopeNumber> number;
  // In a chain: counted up, and given a next block once when all slots are
  // taken, by running mutators (compare and exchange, release); read by them,
  // by the collector, and by who frees the chain (acquire); by who counts
  // scopes, who only looks whether there is a next one (relaxed). In a list of
  // free blocks: written by who has the block or the mutex, passed on with the
  // list.
  std::atomic<uintptr_t> link;
  std::array<AsyncSlot, kSlots> slots;
};
static_assert(sizeof(AsyncSlotBlock) == 64);

namespace internal {

// Where the scopes of a chunk's blocks were made, in checked builds and in
// others.
template <size_t blocks>
class NotedPlaces {
 public:
  void Set(size_t block, std::source_location place) { places_[block] = place; }
  std::source_location Get(size_t block) const { return places_[block]; }

 private:
  std::array<std::source_location, blocks> places_;
};
class NoPlaces {
 public:
  void Set(size_t, std::source_location) {}
  std::source_location Get(size_t) const { return {}; }
};

struct alignas(32768) AsyncSlotChunk {
  static constexpr size_t kBytes = 32768;
  static constexpr size_t kBlocks = kBytes / sizeof(AsyncSlotBlock) - 1;

  // The chunk that `block` is in, and the block's number there.
  static AsyncSlotChunk& Of(const AsyncSlotBlock& block) {
    return *reinterpret_cast<AsyncSlotChunk*>(
        reinterpret_cast<uintptr_t>(&block) & ~(kBytes - 1));
  }
  size_t IndexOf(const AsyncSlotBlock& block) const {
    return &block - blocks.data();
  }

  AsyncSlotPool* const pool;
  AsyncSlotChunk* const next;
  std::array<AsyncSlotBlock, kBlocks> blocks;
  // Each written by who takes the block; read by Abandon, when nobody does.
  [[no_unique_address]] std::conditional_t<
      kCheckedHandles, NotedPlaces<kBlocks>, NoPlaces> places;
};
static_assert(offsetof(AsyncSlotChunk, blocks) +
                  sizeof(AsyncSlotChunk::blocks) ==
              AsyncSlotChunk::kBytes);
static_assert(alignof(AsyncSlotChunk) == AsyncSlotChunk::kBytes);
static_assert(kCheckedHandles ||
              sizeof(AsyncSlotChunk) == AsyncSlotChunk::kBytes);

}  // namespace internal

class AsyncSlotPool {
 public:
  // The owner, a heap, abandons the pool in the end instead of deleting it.
  struct Abandoner {
    void operator()(AsyncSlotPool* pool) const { pool->Abandon(); }
  };
  using Owner = std::unique_ptr<AsyncSlotPool, Abandoner>;

  // Makes a pool without blocks.
  static Owner Create() { return Owner(new AsyncSlotPool); }

  AsyncSlotPool(const AsyncSlotPool&) = delete;
  AsyncSlotPool& operator=(const AsyncSlotPool&) = delete;

  // The pool that `block` belongs to.
  static AsyncSlotPool& Of(const AsyncSlotBlock& block) {
    return *Chunk::Of(block).pool;
  }

  // Blocks that are linked by their `next`, from `first` to `last`.
  struct List {
    AsyncSlotBlock* first = nullptr;
    AsyncSlotBlock* last = nullptr;
    size_t size = 0;
  };

  // Takes free blocks, at least one and `most` at most. Any thread may call it.
  // Throws std::bad_alloc if there is no memory for a chunk.
  List Acquire(size_t most) ABSL_LOCKS_EXCLUDED(mutex_);

  // Makes blocks free ones again. Any thread may call it, even if the pool was
  // abandoned; it may be gone afterwards.
  //
  // REQUIRES: they were closed; the list is not empty.
  void Release(List blocks);

  // Returns the first of `count` numbers that follow each other, at most
  // kMostBatch, for as many scopes. Any thread may call it.
  static constexpr uint64_t kNumberBatch = 1024;
  AsyncScopeNumber TakeNumbers(uint64_t count);

  // Notes where the scope of `block`, just taken, was made, in checked builds.
  static void SetPlace(AsyncSlotBlock& block, std::source_location place) {
    Chunk& chunk = Chunk::Of(block);
    chunk.places.Set(chunk.IndexOf(block), place);
  }

  // How far a look at all slots has come; at first nothing was seen.
  class Progress {
   private:
    friend class AsyncSlotPool;
    const internal::AsyncSlotChunk* next = nullptr;
    bool begun = false;
  };

  // Shows what slots keep alive that were taken at the first call, of about
  // `most` slots. Returns whether all were shown. Other threads may use the
  // pool meanwhile.
  bool VisitRoots(RootVisitor& visitor, Progress& progress, size_t most) const;
  // Shows all.
  void VisitRoots(RootVisitor& visitor) const;

  // The number of scopes; those that are made or destroyed meanwhile may be
  // counted or not. Looks at each block, free ones too: some nanoseconds each.
  // Any thread may call it.
  size_t CountScopes() const;

  // The number of blocks, free ones included. Any thread may call it.
  size_t capacity() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Chunk = internal::AsyncSlotChunk;

  AsyncSlotPool() = default;
  ~AsyncSlotPool();

  // Makes every slot hold nothing, tells of the scopes that are left in checked
  // builds, and leaves the pool to those who free their blocks.
  //
  // REQUIRES: every LocalAsyncSlots has retired; nobody takes blocks any more.
  void Abandon() ABSL_LOCKS_EXCLUDED(mutex_);
  void ReportRemaining() const;
  // Adds to remaining_, and deletes the pool if nobody remains.
  void AddRemaining(int64_t blocks);

  // Calls visit(block, number) for the blocks in use.
  template <class F>
  void ForEachBlockInUse(F visit) const;

  // What is in shared_ of an abandoned pool: the address of no block.
  static AsyncSlotBlock* Abandoned() {
    return reinterpret_cast<AsyncSlotBlock*>(1);
  }

  // A stack of free blocks. Any thread pushes (release); who holds the mutex
  // takes all of it at once (acquire), so that no block is back on it before
  // who pushes has noticed that it was gone.
  std::atomic<AsyncSlotBlock*> shared_ = nullptr;
  // As RootSlotPool's, in blocks: Abandon adds those in use, each release that
  // finds the pool abandoned takes its own away, maybe before that: who makes
  // it 0 is the last to use the pool. Acquire and release, so that all others
  // have used it before.
  std::atomic<int64_t> remaining_ = 0;
  // The next number that was never given out. Orders nothing: relaxed.
  std::atomic<AsyncScopeNumber> next_number_ = 1;
  // The first of a list. Written under the mutex (release), read by the
  // collector (acquire).
  std::atomic<Chunk*> chunks_ = nullptr;
  mutable absl::Mutex mutex_;
  // What was taken from the stack, or comes from a new chunk, and is not in use
  // yet.
  AsyncSlotBlock* returned_ ABSL_GUARDED_BY(mutex_) = nullptr;
  size_t capacity_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A mutator's cache of free blocks and unused numbers. Used by the mutator's
// thread, parked or not.
class LocalAsyncSlots {
 public:
  // The most blocks that come from the pool, or go back to it, at once.
  static constexpr size_t kBatch = 32;
  static constexpr size_t kMostCached = 2 * kBatch;

  // An empty cache of `pool`, which must exist until Retire.
  explicit LocalAsyncSlots(AsyncSlotPool& pool) : pool_(&pool) {}
  LocalAsyncSlots(const LocalAsyncSlots&) = delete;
  LocalAsyncSlots& operator=(const LocalAsyncSlots&) = delete;
  ~LocalAsyncSlots() { Retire(); }

  // Gives all blocks back; from now on this is the cache of no pool.
  void Retire();

  // Whether it is a cache of this pool.
  bool IsOf(const AsyncSlotPool& pool) const { return pool_ == &pool; }

  // Takes a free block. Throws std::bad_alloc if there is no memory for a
  // chunk.
  AsyncSlotBlock& Take() {
    if (free_ == nullptr) [[unlikely]]
      Refill();
    AsyncSlotBlock* block = free_;
    free_ = block->NextFree();
    --count_;
    return *block;
  }

  // Take a block, or several, as AsyncSlotPool::Release does.
  void Put(AsyncSlotBlock& block) {
    block.SetNextFree(free_);
    free_ = &block;
    if (++count_ > kMostCached) [[unlikely]]
      Spill();
  }
  void Put(AsyncSlotPool::List blocks);

  // A number for a scope.
  AsyncScopeNumber NewNumber() {
    if (next_number_ == end_of_numbers_) [[unlikely]]
      TakeNumbers();
    return next_number_++;
  }

 private:
  ABSL_ATTRIBUTE_NOINLINE void Refill();
  ABSL_ATTRIBUTE_NOINLINE void TakeNumbers();
  // Gives the pool all blocks but kBatch.
  ABSL_ATTRIBUTE_NOINLINE void Spill();

  AsyncSlotPool* pool_;
  AsyncSlotBlock* free_ = nullptr;
  size_t count_ = 0;
  AsyncScopeNumber next_number_ = 0;
  AsyncScopeNumber end_of_numbers_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_ASYNC_SLOTS_H_
