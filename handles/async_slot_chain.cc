#include "bibop/handles/async_slot_chain.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>

#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "absl/strings/str_cat.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/async_slots.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/object_heap.h"

namespace bibop::internal {
namespace {

// This thread's cache of blocks of `pool`; null if it has none.
LocalAsyncSlots* CacheOf(const AsyncSlotPool& pool) {
  for (MutatorBase* mutator = MutatorBase::LatestOfThisThread();
       mutator != nullptr; mutator = mutator->next_of_thread()) {
    if (mutator->async_slots().IsOf(pool)) return &mutator->async_slots();
  }
  return nullptr;
}

AsyncSlotBlock& TakeBlock(AsyncSlotPool& pool, LocalAsyncSlots* cache) {
  return cache != nullptr ? cache->Take() : *pool.Acquire(1).first;
}

void FreeList(AsyncSlotPool& pool, AsyncSlotPool::List blocks) {
  LocalAsyncSlots* cache = CacheOf(pool);
  if (cache != nullptr) {
    cache->Put(blocks);
  } else {
    pool.Release(blocks);
  }
}

}  // namespace

void AsyncSlotChain::BeginSlow(AsyncSlotPool& pool) {
  LocalAsyncSlots* cache = CacheOf(pool);
  AsyncSlotBlock& block = TakeBlock(pool, cache);
  Begin(block, cache != nullptr ? cache->NewNumber() : pool.TakeNumbers(1));
}

AsyncSlotRef AsyncSlotChain::AddSlow(const void* object) {
  AsyncSlotBlock* block = last_.load(std::memory_order_acquire);
  ABSL_CHECK(block != nullptr)
      << "a handle is added to an AsyncHandleScope that was moved from: use "
         "the one that it was moved to";
  for (;;) {
    uintptr_t link = block->link.load(std::memory_order_acquire);
    const size_t count = AsyncSlotBlock::CountIn(link);
    if (count < AsyncSlotBlock::kSlots) {
      if (block->link.compare_exchange_weak(link, link + 1,
                                            std::memory_order_release,
                                            std::memory_order_relaxed)) {
        return Fill(*block, count, object);
      }
      continue;
    }
    AsyncSlotBlock* next = AsyncSlotBlock::NextIn(link);
    if (next == nullptr) {
      AsyncSlotPool& pool = AsyncSlotPool::Of(*block);
      next = &TakeBlock(pool, CacheOf(pool));
      next->Open(number());
      if constexpr (kCheckedHandles) {
        AsyncSlotPool::SetPlace(*next, place_.get());
      }
      if (!block->link.compare_exchange_strong(
              link, reinterpret_cast<uintptr_t>(next) | count,
              std::memory_order_release, std::memory_order_relaxed)) {
        // Another thread was faster.
        next->Close();
        FreeList(pool, {next, next, 1});
        continue;
      }
    }
    // Never back: only from the block that it was read as.
    AsyncSlotBlock* last = block;
    last_.compare_exchange_strong(last, next, std::memory_order_release,
                                  std::memory_order_relaxed);
    block = next;
  }
}

size_t AsyncSlotChain::size() const {
  size_t size = 0;
  for (const AsyncSlotBlock* block = first_; block != nullptr;) {
    const uintptr_t link = block->link.load(std::memory_order_acquire);
    size += AsyncSlotBlock::CountIn(link);
    block = AsyncSlotBlock::NextIn(link);
  }
  return size;
}

void AsyncSlotChain::FreeSlow() {
  AsyncSlotPool::List blocks = {first_, first_, 1};
  for (;; ++blocks.size) {
    AsyncSlotBlock& block = *blocks.last;
    AsyncSlotBlock* next =
        AsyncSlotBlock::NextIn(block.link.load(std::memory_order_acquire));
    block.Close();
    // Without the count, which is that of slots taken.
    block.SetNextFree(next);
    if (next == nullptr) break;
    blocks.last = next;
  }
  FreeList(AsyncSlotPool::Of(*first_), blocks);
}

void AsyncSlotChain::CheckPlace(const void* object) const {
  ABSL_CHECK((reinterpret_cast<uintptr_t>(this) ^
              reinterpret_cast<uintptr_t>(object)) >= kCageSize)
      << "an AsyncHandleScope is part of an object of the heap that its handle "
         "refers into, which keeps cycles alive for ever: use a Member";
}

AsyncSlotRef AsyncSlotRef::Plus(ptrdiff_t bytes) const {
  AsyncSlotRef ref = *this;
  const int64_t wanted = offset() + bytes;
  ref.word_ = scope() | static_cast<uint64_t>(wanted) << kAsyncScopeNumberBits;
  ABSL_CHECK(ref.offset() == wanted)
      << "an AsyncHandle is converted to a base that lies more than 32 KiB "
         "behind the start of its object: make a handle of the base instead";
  return ref;
}

void AsyncSlotRef::CheckHeap(const MutatorBase& mutator, const void* address) {
  ABSL_CHECK(mutator.object_heap().Contains(address))
      << "an AsyncHandle is used with the mutator of another heap";
}

void AsyncSlotRef::AbortUnusable() const {
  ABSL_CHECK(!IsEmpty()) << "an empty AsyncHandle is used: it was never "
                            "assigned one that AsyncHandleScope::Add returned";
  std::string made;
  if constexpr (kCheckedHandles) {
    made = absl::StrCat(" (made at ", place_.get().file_name(), ":",
                        place_.get().line(), ")");
  }
  ABSL_LOG(FATAL)
      << "an AsyncHandle is used whose AsyncHandleScope, number " << scope()
      << made
      << ", was destroyed: a scope belongs to the task and lives as long as "
         "that uses its handles; add the object to a scope that does";
}

}  // namespace bibop::internal
