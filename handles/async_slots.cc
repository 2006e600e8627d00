#include "bibop/handles/async_slots.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <source_location>
#include <string>
#include <utility>

#include "absl/log/absl_log.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/root_visitor.h"

namespace bibop {
namespace {

int64_t LengthOf(const AsyncSlotBlock* first) {
  int64_t length = 0;
  for (; first != nullptr; first = first->NextFree()) ++length;
  return length;
}

// Takes the first `most` blocks, or all, off the list that begins at `from`,
// which is not empty.
AsyncSlotPool::List TakeFrom(AsyncSlotBlock*& from, size_t most) {
  AsyncSlotPool::List list = {from, from, 1};
  for (; list.size < most && list.last->NextFree() != nullptr; ++list.size) {
    list.last = list.last->NextFree();
  }
  from = list.last->NextFree();
  list.last->SetNextFree(nullptr);
  return list;
}

}  // namespace

AsyncSlotPool::~AsyncSlotPool() {
  Chunk* chunk = chunks_.load(std::memory_order_relaxed);
  while (chunk != nullptr) {
    Chunk* next = chunk->next;
    delete chunk;
    chunk = next;
  }
}

AsyncSlotPool::List AsyncSlotPool::Acquire(size_t most) {
  const absl::MutexLock lock(mutex_);
  if (returned_ == nullptr) {
    returned_ = shared_.exchange(nullptr, std::memory_order_acquire);
  }
  if (returned_ == nullptr) {
    auto* chunk =
        new Chunk{this, chunks_.load(std::memory_order_relaxed), {}, {}};
    for (size_t i = Chunk::kBlocks; i-- > 0;) {
      chunk->blocks[i].SetNextFree(returned_);
      returned_ = &chunk->blocks[i];
    }
    capacity_ += Chunk::kBlocks;
    chunks_.store(chunk, std::memory_order_release);
  }
  return TakeFrom(returned_, most);
}

void AsyncSlotPool::Release(List blocks) {
  AsyncSlotBlock* head = shared_.load(std::memory_order_relaxed);
  do {
    if (head == Abandoned()) {
      AddRemaining(-static_cast<int64_t>(blocks.size));
      return;
    }
    blocks.last->SetNextFree(head);
  } while (!shared_.compare_exchange_weak(head, blocks.first,
                                          std::memory_order_release,
                                          std::memory_order_relaxed));
}

AsyncScopeNumber AsyncSlotPool::TakeNumbers(uint64_t count) {
  for (;;) {
    constexpr AsyncScopeNumber kMost =
        (AsyncScopeNumber{1} << kAsyncScopeNumberBits) - 1;
    const AsyncScopeNumber first =
        next_number_.fetch_add(count, std::memory_order_relaxed) & kMost;
    // Neither 0 nor one that a handle has no room for.
    if (first != 0 && first <= kMost - count) return first;
  }
}

template <class F>
void AsyncSlotPool::ForEachBlockInUse(F visit) const {
  for (Chunk* chunk = chunks_.load(std::memory_order_acquire); chunk != nullptr;
       chunk = chunk->next) {
    for (AsyncSlotBlock& block : chunk->blocks) {
      const AsyncScopeNumber number =
          block.number.load(std::memory_order_relaxed);
      if (number != 0) visit(block, number);
    }
  }
}

bool AsyncSlotPool::VisitRoots(RootVisitor& visitor, Progress& progress,
                               size_t most) const {
  if (!progress.begun) {
    progress.begun = true;
    progress.next = chunks_.load(std::memory_order_acquire);
  }
  for (size_t seen = 0; progress.next != nullptr;
       seen += Chunk::kBlocks * AsyncSlotBlock::kSlots) {
    if (seen >= most) return false;
    for (const AsyncSlotBlock& block : progress.next->blocks) {
      const size_t count =
          AsyncSlotBlock::CountIn(block.link.load(std::memory_order_acquire));
      for (size_t i = 0; i < count; ++i) {
        const uintptr_t word = block.slots[i].load(std::memory_order_acquire);
        if (word != 0) visitor.VisitRoot(reinterpret_cast<const void*>(word));
      }
    }
    progress.next = progress.next->next;
  }
  return true;
}

void AsyncSlotPool::VisitRoots(RootVisitor& visitor) const {
  Progress progress;
  VisitRoots(visitor, progress, SIZE_MAX);
}

size_t AsyncSlotPool::capacity() const {
  const absl::MutexLock lock(mutex_);
  return capacity_;
}

void AsyncSlotPool::Abandon() {
  // First, for what is freed after the exchange does not become free.
  if constexpr (kCheckedHandles) ReportRemaining();
  ForEachBlockInUse([](AsyncSlotBlock& block, AsyncScopeNumber) {
    for (AsyncSlot& slot : block.slots) {
      slot.store(0, std::memory_order_release);
    }
  });
  int64_t in_use = 0;
  {
    const absl::MutexLock lock(mutex_);
    in_use = static_cast<int64_t>(capacity_) - LengthOf(returned_) -
             LengthOf(shared_.exchange(Abandoned(), std::memory_order_acquire));
  }
  AddRemaining(in_use);
}

size_t AsyncSlotPool::CountScopes() const {
  size_t count = 0;
  ForEachBlockInUse([&count](const AsyncSlotBlock& block, AsyncScopeNumber) {
    const uintptr_t link = block.link.load(std::memory_order_relaxed);
    const bool is_last = AsyncSlotBlock::NextIn(link) == nullptr;
    count += is_last ? 1 : 0;
  });
  return count;
}

void AsyncSlotPool::ReportRemaining() const {
  std::set<AsyncScopeNumber> seen;
  std::map<std::pair<absl::string_view, uint32_t>, size_t> places;
  ForEachBlockInUse([&](const AsyncSlotBlock& block, AsyncScopeNumber number) {
    if (!seen.insert(number).second) return;
    const Chunk& chunk = Chunk::Of(block);
    const std::source_location place = chunk.places.Get(chunk.IndexOf(block));
    ++places[{place.file_name(), place.line()}];
  });
  if (seen.empty()) return;
  constexpr size_t kMostLines = 20;
  std::string text = absl::StrCat(
      "a heap is destroyed before ", seen.size(), " AsyncHandleScope",
      seen.size() == 1 ? "" : "s",
      ", whose handles refer to nothing from now on: end the tasks first");
  size_t lines = 0;
  for (const auto& [place, count] : places) {
    if (lines++ == kMostLines) {
      absl::StrAppend(&text, "\n  and others");
      break;
    }
    absl::StrAppend(&text, "\n  ", count, " made at ", place.first, ":",
                    place.second);
  }
  ABSL_LOG(WARNING) << text;
}

void AsyncSlotPool::AddRemaining(int64_t blocks) {
  const int64_t before =
      remaining_.fetch_add(blocks, std::memory_order_acq_rel);
  if (before + blocks == 0) delete this;
}

void LocalAsyncSlots::Retire() {
  if (pool_ == nullptr) return;
  AsyncSlotPool& pool = *std::exchange(pool_, nullptr);
  count_ = 0;
  if (free_ != nullptr) pool.Release(TakeFrom(free_, SIZE_MAX));
}

void LocalAsyncSlots::Put(AsyncSlotPool::List blocks) {
  blocks.last->SetNextFree(free_);
  free_ = blocks.first;
  count_ += blocks.size;
  if (count_ > kMostCached) Spill();
}

void LocalAsyncSlots::Refill() {
  const AsyncSlotPool::List list = pool_->Acquire(kBatch);
  free_ = list.first;
  count_ = list.size;
}

void LocalAsyncSlots::TakeNumbers() {
  next_number_ = pool_->TakeNumbers(AsyncSlotPool::kNumberBatch);
  end_of_numbers_ = next_number_ + AsyncSlotPool::kNumberBatch;
}

void LocalAsyncSlots::Spill() {
  const size_t spilled = count_ - kBatch;
  count_ = kBatch;
  pool_->Release(TakeFrom(free_, spilled));
}

}  // namespace bibop
