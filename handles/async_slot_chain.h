// What AsyncHandleScope and AsyncHandle are made of: a chain of blocks of
// slots, and a reference to one of its slots. async_slots.h says how these
// words are shared.

#ifndef BIBOP_HANDLES_ASYNC_SLOT_CHAIN_H_
#define BIBOP_HANDLES_ASYNC_SLOT_CHAIN_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <type_traits>

#include "absl/base/attributes.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/async_slots.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/heap_phase.h"

namespace bibop::internal {

// Where a scope was made, which checked builds know and say.
class NotedPlace {
 public:
  NotedPlace() = default;
  explicit NotedPlace(std::source_location place) : place_(place) {}
  std::source_location get() const { return place_; }

 private:
  std::source_location place_;
};
class NoPlace {
 public:
  NoPlace() = default;
  explicit NoPlace(std::source_location /*place*/) {}
  std::source_location get() const { return {}; }
};
using ScopePlace = std::conditional_t<kCheckedHandles, NotedPlace, NoPlace>;

// A slot of a scope, as long as that exists, and where in its object a handle
// points at. A value: any thread may copy it. Refers to no slot at first.
class AsyncSlotRef {
 public:
  AsyncSlotRef() = default;

  // Slot `slot` of a scope.
  AsyncSlotRef(const AsyncSlot& slot, AsyncScopeNumber scope, ScopePlace place)
      : slot_(&slot), word_(scope), place_(place) {}

  // What the slot holds; null if the scope is gone or there is no slot. Any
  // thread may ask, to learn whether it is null.
  const void* Peek() const {
    if (slot_ == nullptr) return nullptr;
    const uintptr_t address = slot_->load(std::memory_order_acquire);
    // After the slot.
    const AsyncScopeNumber number =
        AsyncSlotBlock::Of(*slot_).number.load(std::memory_order_relaxed);
    if (number != scope()) return nullptr;
    return reinterpret_cast<const void*>(address);
  }

  // What the slot holds, plus the offset, shaded while its heap is being
  // marked. Aborts if the scope is gone or there is no slot; checked builds
  // also if the object is of another heap than `mutator`, which is this
  // thread's and running.
  void* Load(MutatorBase& mutator) const {
    const void* address = Peek();
    if (address == nullptr) [[unlikely]]
      AbortUnusable();
    return Shaded(mutator, address);
  }

  // The same, where the scope is known to exist. Checked builds check it.
  void* LoadUnchecked(MutatorBase& mutator) const {
    if constexpr (kCheckedHandles) return Load(mutator);
    return Shaded(mutator, reinterpret_cast<const void*>(
                               slot_->load(std::memory_order_acquire)));
  }

  bool IsEmpty() const { return slot_ == nullptr; }
  // The number of the scope; 0 if there is no slot.
  AsyncScopeNumber scope() const {
    return word_ & ((uint64_t{1} << kAsyncScopeNumberBits) - 1);
  }
  const AsyncSlot* slot() const { return slot_; }

  // The same slot, `bytes` further into its object. Aborts if that is out of
  // the range of an offset.
  AsyncSlotRef Plus(ptrdiff_t bytes) const;

  // Whether it is the same slot of the same scope, wherever in its object.
  friend bool operator==(const AsyncSlotRef& a, const AsyncSlotRef& b) {
    return a.slot_ == b.slot_ && a.scope() == b.scope();
  }

 private:
  void* Shaded(MutatorBase& mutator, const void* address) const {
    if (BarriersOn()) [[unlikely]]
      mutator.snapshot().Shade(address);
    if constexpr (kCheckedHandles) CheckHeap(mutator, address);
    return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(address) +
                                   static_cast<intptr_t>(offset()));
  }
  int64_t offset() const {
    return static_cast<int64_t>(word_) >> kAsyncScopeNumberBits;
  }
  static void CheckHeap(const MutatorBase& mutator, const void* address);
  [[noreturn]] void AbortUnusable() const;

  const AsyncSlot* slot_ = nullptr;
  // The scope's number, and above it the offset in bytes: one word, for bit
  // fields would be written byte by byte.
  uint64_t word_ = 0;
  [[no_unique_address]] ScopePlace place_;
};
static_assert(kCheckedHandles || sizeof(AsyncSlotRef) == 16);
static_assert(std::is_trivially_copyable_v<AsyncSlotRef>);

// A scope's blocks. Made, moved and destroyed by any thread, one at a time;
// slots are added by running mutators, several at a time.
class AsyncSlotChain {
 public:
  // With one block of `pool`. Throws std::bad_alloc if there is no memory.
  AsyncSlotChain(AsyncSlotPool& pool, std::source_location place)
      : place_(place) {
    LocalAsyncSlots* cache = LatestCache();
    if (cache != nullptr && cache->IsOf(pool)) [[likely]] {
      AsyncSlotBlock& block = cache->Take();
      Begin(block, cache->NewNumber());
    } else {
      BeginSlow(pool);
    }
  }

  // Moving leaves `other` without blocks.
  AsyncSlotChain(AsyncSlotChain&& other) noexcept
      : first_(other.first_),
        last_(other.last_.load(std::memory_order_relaxed)),
        place_(other.place_) {
    other.Forget();
  }
  AsyncSlotChain& operator=(AsyncSlotChain&& other) noexcept {
    if (this == &other) return *this;
    Free();
    first_ = other.first_;
    last_.store(other.last_.load(std::memory_order_relaxed),
                std::memory_order_relaxed);
    place_ = other.place_;
    other.Forget();
    return *this;
  }
  AsyncSlotChain(const AsyncSlotChain&) = delete;
  AsyncSlotChain& operator=(const AsyncSlotChain&) = delete;

  // Frees the blocks: from now on their slots are those of nobody.
  ~AsyncSlotChain() { Free(); }

  // Takes a slot that holds `object`. On the thread of a running mutator, which
  // has a handle of the object. Aborts if there are no blocks. Throws
  // std::bad_alloc if there is no memory for another block.
  AsyncSlotRef Add(const void* object) {
    AsyncSlotBlock* block = last_.load(std::memory_order_acquire);
    if constexpr (kCheckedHandles) CheckPlace(object);
    if (block != nullptr) [[likely]] {
      uintptr_t link = block->link.load(std::memory_order_relaxed);
      const size_t count = AsyncSlotBlock::CountIn(link);
      if (count < AsyncSlotBlock::kSlots &&
          block->link.compare_exchange_strong(
              link, link + 1, std::memory_order_release,
              std::memory_order_relaxed)) [[likely]] {
        return Fill(*block, count, object);
      }
    }
    return AddSlow(object);
  }

  // Whether there are blocks.
  explicit operator bool() const { return first_ != nullptr; }
  // The scope's number; 0 if there are none.
  AsyncScopeNumber number() const {
    return first_ == nullptr ? 0
                             : first_->number.load(std::memory_order_relaxed);
  }
  // How many slots were added. Any thread may ask that may add.
  size_t size() const;

 private:
  // The cache of the calling thread's latest mutator; null if it has none.
  static LocalAsyncSlots* LatestCache() {
    MutatorBase* mutator = MutatorBase::LatestOfThisThread();
    return mutator == nullptr ? nullptr : &mutator->async_slots();
  }

  void Begin(AsyncSlotBlock& block, AsyncScopeNumber number) {
    block.Open(number);
    if constexpr (kCheckedHandles) AsyncSlotPool::SetPlace(block, place_.get());
    first_ = &block;
    last_.store(&block, std::memory_order_relaxed);
  }
  // Where the thread's latest mutator is of another heap, or there is none.
  ABSL_ATTRIBUTE_NOINLINE void BeginSlow(AsyncSlotPool& pool);

  AsyncSlotRef Fill(AsyncSlotBlock& block, size_t index,
                    const void* object) const {
    block.slots[index].store(reinterpret_cast<uintptr_t>(object),
                             std::memory_order_release);
    return {block.slots[index], block.number.load(std::memory_order_relaxed),
            place_};
  }
  // Where the last block that is known has no slot left.
  ABSL_ATTRIBUTE_NOINLINE AsyncSlotRef AddSlow(const void* object);
  void Forget() {
    first_ = nullptr;
    last_.store(nullptr, std::memory_order_relaxed);
  }
  void Free() {
    if (first_ == nullptr) return;
    LocalAsyncSlots* cache = LatestCache();
    if (cache != nullptr && cache->IsOf(AsyncSlotPool::Of(*first_)) &&
        AsyncSlotBlock::NextIn(first_->link.load(std::memory_order_acquire)) ==
            nullptr) [[likely]] {
      first_->Close();
      cache->Put(*first_);
    } else {
      FreeSlow();
    }
  }
  // Where there are several blocks, or as in BeginSlow.
  ABSL_ATTRIBUTE_NOINLINE void FreeSlow();
  // Aborts if this is part of an object of the heap that `object` is in.
  void CheckPlace(const void* object) const;

  AsyncSlotBlock* first_;
  // The last block, or one before it. Written by who adds a block (release),
  // read by who adds a slot (acquire).
  std::atomic<AsyncSlotBlock*> last_;
  [[no_unique_address]] ScopePlace place_;
};
static_assert(kCheckedHandles || sizeof(AsyncSlotChain) == 16);

}  // namespace bibop::internal

#endif  // BIBOP_HANDLES_ASYNC_SLOT_CHAIN_H_
