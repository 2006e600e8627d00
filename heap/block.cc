#include "bibop/heap/block.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/base/config.h"
#include "bibop/heap/marks.h"

namespace bibop {
namespace {

// Another thread may be clearing bits of cells in the word: what it did to the
// cells has happened before.
uint64_t Load(uint64_t& word) {
  return std::atomic_ref(word).load(std::memory_order_acquire);
}

// The first cell at or after `from` whose alloc bit differs from all bits of
// `skipped`; the block's cell count if there is none.
size_t FindBit(const BlockDescriptor& block, size_t from, uint64_t skipped) {
  const size_t words = block.alloc_words();
  size_t word = from / 64;
  uint64_t mask = ~uint64_t{0} << (from % 64);
  for (; word < words; ++word, mask = ~uint64_t{0}) {
    const uint64_t found = (Load(block.alloc_bits[word]) ^ skipped) & mask;
    if (found != 0) {
      return std::min<size_t>(word * 64 + std::countr_zero(found),
                              block.cell_count);
    }
  }
  return block.cell_count;
}

// Calls change(word, mask) for each word of alloc bits that `run` touches.
template <class F>
void ForEachWord(BlockDescriptor& block, CellRun run, F change) {
  for (size_t index = run.first; index < run.last;) {
    const size_t end = std::min(run.last, (index / 64 + 1) * 64);
    const uint64_t ones = ~uint64_t{0} >> (64 - (end - index));
    change(block.alloc_bits[index / 64], ones << (index % 64));
    index = end;
  }
}

// The bits of a word that is not part of a run as a whole may be somebody
// else's.
constexpr uint64_t kWholeWord = ~uint64_t{0};

// Fills mark bytes, eight a step where they are aligned: a marker that has an
// address of what was in such a cell may be reading one.
void SetMarks(uint8_t* marks, size_t count, MarkByte mark) {
  constexpr uint64_t kEachByte = 0x0101010101010101;
  uint8_t* const end = marks + count;
  const auto store = [mark](uint8_t* at) {
    std::atomic_ref(*at).store(mark, std::memory_order_relaxed);
  };
  for (; marks != end && reinterpret_cast<uintptr_t>(marks) % 8 != 0; ++marks) {
    store(marks);
  }
  for (; end - marks >= 8; marks += 8) {
    std::atomic_ref(*reinterpret_cast<uint64_t*>(marks))
        .store(mark * kEachByte, std::memory_order_relaxed);
  }
  for (; marks != end; ++marks) store(marks);
}

}  // namespace

void BlockDescriptor::Publish(const BlockDescriptor& description) {
  std::memcpy(this, &description, offsetof(BlockDescriptor, kind));
  std::atomic_ref(kind).store(description.kind, std::memory_order_release);
}

CellRun NextFreeRun(const BlockDescriptor& block, size_t from) {
  if (from >= block.cell_count) return {from, from};
  const size_t first = FindBit(block, from, ~uint64_t{0});
  if (first == block.cell_count) return {first, first};
  return {first, FindBit(block, first, 0)};
}

void ReadyCells(BlockDescriptor& block, CellRun run, MarkByte mark) {
  SetMarks(block.marks + run.first, run.last - run.first, mark);
  if (EpochOf(mark) != 0) block.NoteMarked(EpochOf(mark));
  ForEachWord(block, run, [](uint64_t& word, uint64_t mask) {
    std::atomic_ref bits(word);
    if (mask == kWholeWord) {
      bits.store(mask, std::memory_order_release);
    } else {
      bits.fetch_or(mask, std::memory_order_release);
    }
  });
  // ThreadSanitizer knows no fences. It sees no race without it, for all these
  // words are atomic.
#ifndef ABSL_HAVE_THREAD_SANITIZER
  std::atomic_thread_fence(std::memory_order_release);
#endif
}

void ClearAllocBits(BlockDescriptor& block, CellRun run) {
  ForEachWord(block, run, [](uint64_t& word, uint64_t mask) {
    std::atomic_ref(word).fetch_and(~mask, std::memory_order_release);
  });
}

}  // namespace bibop
