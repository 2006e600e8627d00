#include "bibop/handles/root_slots.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/local_snapshot.h"
#include "bibop/handles/root_origin.h"
#include "bibop/handles/root_visitor.h"

namespace bibop {

namespace internal {

constinit thread_local ThreadRootSlots thread_root_slots = {nullptr, nullptr};

}  // namespace internal

namespace {

// The links of lists of free slots.
void Link(RootSlot& slot, RootSlot* next) {
  slot.store(reinterpret_cast<uintptr_t>(next) | kFreeRootSlot,
             std::memory_order_relaxed);
}
RootSlot* NextOf(const RootSlot& slot) {
  return reinterpret_cast<RootSlot*>(slot.load(std::memory_order_relaxed) &
                                     ~kFreeRootSlot);
}
int64_t LengthOf(const RootSlot* first) {
  int64_t length = 0;
  for (; first != nullptr; first = NextOf(*first)) ++length;
  return length;
}

}  // namespace

RootSlotPool::~RootSlotPool() {
  Block* block = blocks_.load(std::memory_order_relaxed);
  while (block != nullptr) {
    Block* next = block->next;
    delete block;
    block = next;
  }
}

size_t RootSlotPool::Acquire(absl::Span<RootSlot*> free) {
  const absl::MutexLock lock(mutex_);
  size_t count = 0;
  const auto add = [&count, free](RootSlot& slot) {
    slot.store(kCachedRootSlot, std::memory_order_relaxed);
    free[count++] = &slot;
  };
  if (returned_ == nullptr) {
    returned_ = shared_.exchange(nullptr, std::memory_order_acquire);
  }
  if (returned_ == nullptr) {
    auto* block =
        new Block{this, blocks_.load(std::memory_order_relaxed), {}, {}};
    for (RootSlot& slot : block->slots) add(slot);
    capacity_ += Block::kSlots;
    blocks_.store(block, std::memory_order_release);
  }
  while (returned_ != nullptr && count < free.size()) {
    RootSlot& slot = *returned_;
    returned_ = NextOf(slot);
    add(slot);
  }
  return count;
}

void RootSlotPool::Push(absl::Span<RootSlot* const> free) {
  for (size_t i = 0; i + 1 < free.size(); ++i) Link(*free[i], free[i + 1]);
  RootSlot* head = shared_.load(std::memory_order_relaxed);
  do {
    if (head == Abandoned()) {
      AddRemaining(-static_cast<int64_t>(free.size()));
      return;
    }
    Link(*free.back(), head);
  } while (!shared_.compare_exchange_weak(head, free.front(),
                                          std::memory_order_release,
                                          std::memory_order_relaxed));
}

bool RootSlotPool::TagReleased(RootSlot& slot) {
  // First, for with the tag the slot no longer keeps an abandoned pool.
  any_released_.store(true, std::memory_order_relaxed);
  const uintptr_t before =
      slot.fetch_or(kReleasedRootSlot, std::memory_order_release);
  return RootAddress(before) != nullptr;
}

void RootSlotPool::ReleaseSlow(RootSlot& slot) {
  LocalRootSlots* local = LocalRootSlots::OfThisThread(*this);
  if (marking_.load(std::memory_order_relaxed)) {
    const uintptr_t word = slot.load(std::memory_order_relaxed);
    if ((word & kWeakRootSlot) == 0) {
      if (local == nullptr || local->parked_) {
        if (TagReleased(slot)) return;
      } else {
        local->snapshot_.Shade(RootAddress(word));
      }
    }
  }
  if (local != nullptr) {
    local->Put(slot);
  } else {
    RootSlot* const free = &slot;
    Push({&free, 1});
  }
}

template <class F>
void RootSlotPool::ForEachSlotInUse(Block& block, F visit) {
  for (RootSlot& slot : block.slots) {
    const uintptr_t word = slot.load(std::memory_order_acquire);
    if ((word & kFreeRootSlot) == 0) visit(slot, word);
  }
}

template <class F>
void RootSlotPool::ForEachSlotInUse(F visit) const {
  for (Block* block = blocks_.load(std::memory_order_acquire); block != nullptr;
       block = block->next) {
    ForEachSlotInUse(*block, visit);
  }
}

bool RootSlotPool::VisitStrong(RootVisitor& visitor, Progress& progress,
                               size_t most) const {
  if (!progress.begun) {
    progress.begun = true;
    progress.next = blocks_.load(std::memory_order_acquire);
  }
  for (size_t seen = 0; progress.next != nullptr; seen += Block::kSlots) {
    if (seen >= most) return false;
    ForEachSlotInUse(*progress.next, [&](RootSlot&, uintptr_t word) {
      if ((word & (kWeakRootSlot | kReleasedRootSlot)) != 0) {
        progress.saw_clearable = true;
      }
      if ((word & kWeakRootSlot) == 0 && RootAddress(word) != nullptr) {
        visitor.VisitRoot(RootAddress(word));
      }
    });
    progress.next = progress.next->next;
  }
  return true;
}

void RootSlotPool::VisitStrong(RootVisitor& visitor) const {
  Progress progress;
  VisitStrong(visitor, progress, capacity());
}

void RootSlotPool::VisitWeak(
    absl::FunctionRef<void(const void* object)> visit) const {
  ForEachSlotInUse([visit](RootSlot&, uintptr_t word) {
    if ((word & kWeakRootSlot) == 0 || RootAddress(word) == nullptr) return;
    visit(RootAddress(word));
  });
}

void RootSlotPool::ClearDead(
    absl::FunctionRef<bool(const void* object)> is_alive) {
  any_released_.store(false, std::memory_order_relaxed);
  std::vector<RootSlot*> released;
  ForEachSlotInUse([&](RootSlot& slot, uintptr_t word) {
    // Its owner does not know it any more.
    if ((word & kReleasedRootSlot) != 0) {
      released.push_back(&slot);
      return;
    }
    // Again where another thread converted the address, until the slot is
    // cleared or another thread has released it.
    while ((word & (kFreeRootSlot | kWeakRootSlot)) == kWeakRootSlot &&
           RootAddress(word) != nullptr && !is_alive(RootAddress(word)) &&
           !slot.compare_exchange_weak(word, kWeakRootSlot,
                                       std::memory_order_relaxed)) {
    }
  });
  if (!released.empty()) Push(released);
}

bool RootSlotPool::IsReadableHere(const RootSlot& slot) {
  const LocalRootSlots* local =
      LocalRootSlots::OfThisThread(*internal::RootSlotBlock::Of(slot).pool);
  return local != nullptr && !local->parked_;
}

size_t RootSlotPool::capacity() const {
  const absl::MutexLock lock(mutex_);
  return capacity_;
}

void RootSlotPool::Abandon() {
  // First, for what is released after the exchange does not become free.
  if constexpr (kCheckedHandles) ReportRemaining();
  int64_t in_use = 0;
  {
    const absl::MutexLock lock(mutex_);
    in_use = static_cast<int64_t>(capacity_) - LengthOf(returned_) -
             LengthOf(shared_.exchange(Abandoned(), std::memory_order_acquire));
  }
  ForEachSlotInUse([&in_use](RootSlot& slot, uintptr_t word) {
    while ((word & kFreeRootSlot) == 0 && RootAddress(word) != nullptr &&
           !slot.compare_exchange_weak(word, word & kWeakRootSlot,
                                       std::memory_order_relaxed)) {
    }
    // Nobody will release it again.
    if ((word & kFreeRootSlot) == 0 && (word & kReleasedRootSlot) != 0) {
      --in_use;
    }
  });
  AddRemaining(in_use);
}

void RootSlotPool::ReportRemaining() const {
  std::vector<RemainingRoot> remaining;
  ForEachSlotInUse([&remaining](RootSlot& slot, uintptr_t word) {
    if ((word & kReleasedRootSlot) != 0) return;
    const Block& block = Block::Of(slot);
    remaining.push_back(
        {(word & kWeakRootSlot) != 0, block.origins.Get(block.IndexOf(slot))});
  });
  if (remaining.empty()) return;
  ABSL_LOG(WARNING) << DescribeRemainingRoots(remaining);
}

void RootSlotPool::AddRemaining(int64_t slots) {
  const int64_t before = remaining_.fetch_add(slots, std::memory_order_acq_rel);
  if (before + slots == 0) delete this;
}

LocalRootSlots::LocalRootSlots(RootSlotPool& pool, LocalSnapshot& snapshot)
    : pool_(pool),
      snapshot_(snapshot),
      next_of_thread_(internal::thread_root_slots.latest) {
  internal::thread_root_slots = {&pool, this};
}

void LocalRootSlots::Retire() {
  if (retired_) return;
  retired_ = true;
  if (count_ > 0) Spill(count_);
  LocalRootSlots*& latest = internal::thread_root_slots.latest;
  LocalRootSlots** at = &latest;
  while (*at != nullptr && *at != this) at = &(*at)->next_of_thread_;
  ABSL_CHECK(*at == this)
      << "a mutator is destroyed by another thread than the one it attached";
  *at = next_of_thread_;
  internal::thread_root_slots.pool =
      latest == nullptr ? nullptr : &latest->pool_;
}

LocalRootSlots* LocalRootSlots::OfThisThread(const RootSlotPool& pool) {
  LocalRootSlots* local = internal::thread_root_slots.latest;
  while (local != nullptr && &local->pool_ != &pool) {
    local = local->next_of_thread_;
  }
  return local;
}

void LocalRootSlots::CheckMayTake() const {
  ABSL_CHECK(OfThisThread(pool_) == this)
      << "a Persistent or WeakPersistent is made with the mutator of another "
         "thread: pass this thread's";
  ABSL_CHECK(!parked_)
      << "a Persistent or WeakPersistent is made by a parked thread: end its "
         "ParkedScope first";
}

size_t LocalRootSlots::Refill() {
  CheckMayTake();
  return count_ = pool_.Acquire(absl::MakeSpan(free_).first(kBatch));
}

size_t LocalRootSlots::Spill(size_t count) {
  pool_.Push(absl::MakeSpan(free_).first(count));
  count_ -= count;
  std::copy_n(free_.begin() + count, count_, free_.begin());
  return count_;
}

}  // namespace bibop
