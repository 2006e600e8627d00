#include "bibop/handles/root_slots.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "absl/synchronization/mutex.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/root_origin.h"
#include "bibop/handles/root_visitor.h"

namespace bibop {

namespace internal {
constinit thread_local LocalRootSlots* thread_root_slots = nullptr;
}  // namespace internal

RootSlotPool::~RootSlotPool() {
  Block* block = blocks_.load(std::memory_order_relaxed);
  while (block != nullptr) {
    Block* next = block->next;
    delete block;
    block = next;
  }
}

RootSlotPool::FreeList RootSlotPool::Acquire() {
  const absl::MutexLock lock(mutex_);
  if (returned_ == nullptr) {
    returned_ = shared_.exchange(nullptr, std::memory_order_acquire);
  }
  if (returned_ == nullptr) {
    Block* block =
        new Block{this, blocks_.load(std::memory_order_relaxed), {}, {}};
    for (size_t i = 0; i + 1 < Block::kSlots; ++i) {
      LocalRootSlots::Link(block->slots[i], &block->slots[i + 1]);
    }
    LocalRootSlots::Link(block->slots.back(), nullptr);
    capacity_ += Block::kSlots;
    blocks_.store(block, std::memory_order_release);
    return {&block->slots.front(), &block->slots.back(), Block::kSlots};
  }
  // The walk also counts what other threads pushed.
  FreeList list = {returned_, returned_, 1};
  RootSlot* next = LocalRootSlots::NextOf(*list.last);
  while (next != nullptr && list.count < LocalRootSlots::kBatch) {
    list.last = next;
    ++list.count;
    next = LocalRootSlots::NextOf(*next);
  }
  LocalRootSlots::Link(*list.last, nullptr);
  returned_ = next;
  return list;
}

void RootSlotPool::Push(FreeList list) {
  RootSlot* head = shared_.load(std::memory_order_relaxed);
  do {
    if (head == Abandoned()) {
      AddRemaining(-static_cast<int64_t>(list.count));
      return;
    }
    LocalRootSlots::Link(*list.last, head);
  } while (!shared_.compare_exchange_weak(
      head, list.first, std::memory_order_release, std::memory_order_relaxed));
}

void RootSlotPool::ReleaseElsewhere(RootSlot& slot) {
  LocalRootSlots* local = LocalRootSlots::OfThisThread(*this);
  if (local != nullptr) {
    local->Put(slot);
  } else {
    Push({&slot, &slot, 1});
  }
}

template <class F>
void RootSlotPool::ForEachSlot(F visit) const {
  for (Block* block = blocks_.load(std::memory_order_acquire); block != nullptr;
       block = block->next) {
    for (RootSlot& slot : block->slots) {
      const uintptr_t word = slot.load(std::memory_order_relaxed);
      if ((word & kFreeRootSlot) == 0) visit(slot, word);
    }
  }
}

void RootSlotPool::VisitStrong(RootVisitor& visitor) const {
  ForEachSlot([&visitor](RootSlot&, uintptr_t word) {
    if ((word & kWeakRootSlot) != 0) return;
    visitor.VisitRoot(RootAddress(word));
  });
}

void RootSlotPool::ClearWeak(
    absl::FunctionRef<bool(const void* object)> is_alive) {
  ForEachSlot([is_alive](RootSlot& slot, uintptr_t word) {
    // It fails where another thread releases the slot or converts its address.
    while ((word & kFreeRootSlot) == 0 && (word & kWeakRootSlot) != 0 &&
           RootAddress(word) != nullptr && !is_alive(RootAddress(word)) &&
           !slot.compare_exchange_weak(word, kWeakRootSlot,
                                       std::memory_order_relaxed)) {
    }
  });
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
  // Before the exchange: what is released after that does not look free.
  if constexpr (kCheckedHandles) ReportRemaining();
  const auto length = [](const RootSlot* slot) {
    int64_t count = 0;
    for (; slot != nullptr; slot = LocalRootSlots::NextOf(*slot)) ++count;
    return count;
  };
  int64_t in_use = 0;
  {
    const absl::MutexLock lock(mutex_);
    in_use = static_cast<int64_t>(capacity_) - length(returned_) -
             length(shared_.exchange(Abandoned(), std::memory_order_acquire));
  }
  ForEachSlot([](RootSlot& slot, uintptr_t word) {
    while ((word & kFreeRootSlot) == 0 && RootAddress(word) != nullptr &&
           !slot.compare_exchange_weak(word, word & kWeakRootSlot,
                                       std::memory_order_relaxed)) {
    }
  });
  AddRemaining(in_use);
}

void RootSlotPool::ReportRemaining() const {
  std::vector<RemainingRoot> remaining;
  ForEachSlot([&remaining](RootSlot& slot, uintptr_t word) {
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

LocalRootSlots::LocalRootSlots(RootSlotPool& pool)
    : pool_(pool), next_of_thread_(internal::thread_root_slots) {
  internal::thread_root_slots = this;
}

void LocalRootSlots::Retire() {
  if (retired_) return;
  retired_ = true;
  if (count_ > 0) Spill(count_);
  LocalRootSlots** at = &internal::thread_root_slots;
  while (*at != nullptr && *at != this) at = &(*at)->next_of_thread_;
  ABSL_CHECK(*at == this)
      << "a mutator is destroyed by another thread than the one it attached";
  *at = next_of_thread_;
}

LocalRootSlots* LocalRootSlots::OfThisThread(const RootSlotPool& pool) {
  LocalRootSlots* local = internal::thread_root_slots;
  while (local != nullptr && &local->pool_ != &pool) {
    local = local->next_of_thread_;
  }
  return local;
}

void LocalRootSlots::CheckMayTake() const {
  ABSL_CHECK(OfThisThread(pool_) == this)
      << "a Persistent or WeakPersistent is made on another thread than the "
         "mutator's that it is made with: pass the mutator of this thread";
  ABSL_CHECK(!parked_) << "a Persistent or WeakPersistent is made by a parked "
                          "thread: end its ParkedScope first";
}

RootSlot* LocalRootSlots::Refill() {
  CheckMayTake();
  const RootSlotPool::FreeList list = pool_.Acquire();
  free_ = list.first;
  count_ = list.count;
  return list.first;
}

void LocalRootSlots::Spill(size_t count) {
  RootSlotPool::FreeList list = {free_, free_, 1};
  while (list.count < count) {
    list.last = NextOf(*list.last);
    ++list.count;
  }
  free_ = NextOf(*list.last);
  count_ -= count;
  pool_.Push(list);
}

}  // namespace bibop
