#include "bibop/heap/card_table.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/base/const_init.h"
#include "absl/functional/function_ref.h"
#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "bibop/base/virtual_memory.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/heap_phase.h"

namespace bibop {
namespace {

// What a program's addresses lie below.
#ifdef __x86_64__
constexpr size_t kAddressBits = 47;
#else
constexpr size_t kAddressBits = 48;
#endif
constexpr size_t kTableSize = size_t{1} << (kAddressBits - kCardSizeLog2);

constinit absl::Mutex enable_mutex(absl::kConstInit);

uint8_t* Table() {
  return internal::CardTableIn(
      internal::barrier_word.load(std::memory_order_relaxed));
}

uint8_t* CardOf(const void* address) {
  return Table() + (reinterpret_cast<uintptr_t>(address) >> kCardSizeLog2);
}

// What eight cards are after a mark has looked at them: 0, 1, 2, 3 become 0, 2,
// 3, 0.
constexpr uint64_t Aged(uint64_t cards) {
  constexpr uint64_t kEachByte = 0x0101010101010101;
  const uint64_t dirty = (cards | cards >> 1) & kEachByte;
  return (cards + dirty) & (3 * kEachByte);
}
static_assert(Aged(0x0001020300010203) == 0x0002030000020300);

// Ages the run's cards, and calls `dirty` with the number of each that was not
// clean.
template <class F>
void AgeEach(const BlockDescriptor& block, F dirty) {
  ABSL_DCHECK_EQ(block.run_index, 0u);
  // Eight at a time: they are aligned, for a block's are 64.
  auto* words = reinterpret_cast<uint64_t*>(CardOf(Cage::StartOf(&block)));
  const size_t count = block.run_bytes() / (8 * kCardSize);
  for (size_t i = 0; i < count; ++i) {
    const std::atomic_ref word(words[i]);
    uint64_t cards = word.load(std::memory_order_relaxed);
    while (cards != 0 && !word.compare_exchange_weak(
                             cards, Aged(cards), std::memory_order_relaxed)) {
    }
    if (cards == 0) continue;
    for (size_t j = 0; j < 8; ++j) {
      if ((cards >> (8 * j) & 0xff) != 0) dirty(8 * i + j);
    }
  }
}

}  // namespace

absl::Status EnableCardTable() {
  const absl::MutexLock lock(enable_mutex);
  if (Table() != nullptr) return absl::OkStatus();
  constexpr uintptr_t kUnit = internal::kCollectingHeaps + 1;
  const absl::StatusOr<std::byte*> mapped = MapSparse(kTableSize + kUnit);
  if (!mapped.ok()) return mapped.status();
  const uintptr_t start =
      (reinterpret_cast<uintptr_t>(*mapped) + kUnit - 1) / kUnit * kUnit;
  // Heaps are being counted beside it.
  internal::barrier_word.fetch_add(start, std::memory_order_relaxed);
  return absl::OkStatus();
}

void DirtyCards(const void* start, size_t size) {
  if (size == 0 || Table() == nullptr) return;
  const uint8_t* const last =
      CardOf(static_cast<const std::byte*>(start) + size - 1);
  for (uint8_t* card = CardOf(start); card <= last; ++card) {
    std::atomic_ref(*card).store(1, std::memory_order_relaxed);
  }
}

void TakeDirty(const BlockDescriptor& block, Epoch epoch,
               absl::FunctionRef<void(size_t index)> visit) {
  size_t next = 0;
  AgeEach(block, [&](size_t card) {
    const size_t offset = card * kCardSize;
    const size_t end = std::min<size_t>(
        block.CellIndex(offset + kCardSize - 1) + 1, block.cell_count);
    for (next = std::max(next, block.CellIndex(offset)); next < end; ++next) {
      if (block.IsAllocated(next) && block.MarkOf(next) == epoch) visit(next);
    }
  });
}

bool AreClean(const void* start, size_t size) {
  const uint8_t* const last =
      CardOf(static_cast<const std::byte*>(start) + size - 1);
  for (uint8_t* card = CardOf(start); card <= last; ++card) {
    if (std::atomic_ref(*card).load(std::memory_order_relaxed) != 0) {
      return false;
    }
  }
  return true;
}

void AgeCards(const BlockDescriptor& block) {
  AgeEach(block, [](size_t /*card*/) {});
}

}  // namespace bibop
