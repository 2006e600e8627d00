// The card table: which parts of memory references were stored in, for minor
// collections (I-6).
//
// Memory is divided into cards of 512 bytes. Who stores a reference in a field
// dirties the field's card, in one table for the whole process that has a byte
// for each card of the address space: so a field's card is found by a shift,
// whichever heap it is in, and one that is on the stack or in nobody's heap
// needs no test. Only those parts of the table take memory in which something
// was dirtied: 1/512 of the heap at most. (Cards are those of P. Wilson and T.
// Moher, "A card-marking scheme for controlling intergenerational references in
// generation-based garbage collection on stock hardware", SIGPLAN Notices 24,
// 1989.)
//
// A minor collection traces the old objects on dirty cards like roots, and
// cleans these cards.
//
// The process owns the table, from the first heap with generations on. Any
// thread may call any function, as it says.
//
// Invariants: I-6: when a mark begins, the card of every field of an old object
// that refers to a young one is dirty.

#ifndef BIBOP_HEAP_CARD_TABLE_H_
#define BIBOP_HEAP_CARD_TABLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "bibop/heap/block.h"
#include "bibop/heap/heap_phase.h"

namespace bibop {

inline constexpr size_t kCardSizeLog2 = 9;
inline constexpr size_t kCardSize = size_t{1} << kCardSizeLog2;
static_assert(kBlockSize % (8 * kCardSize) == 0,
              "cards of blocks are looked at eight at a time");

// Makes the table, unless there is one: from now on stores dirty cards. Returns
// ResourceExhausted where the system refuses the address space, 256 GiB on
// x86-64; stores then cost what they did.
absl::Status EnableCardTable();

namespace internal {

// The table in a value of barrier_word; null if there is none.
inline uint8_t* CardTableIn(uintptr_t barriers) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): that is what the word holds
  return reinterpret_cast<uint8_t*>(barriers & ~kCollectingHeaps);
}

// Dirties the card of `field`.
//
// A byte of the table is written by running mutators, and by a collection that
// cleans it. Relaxed: a collection finds what was stored before it began, since
// its pause comes between; what is stored while it marks leads to no young
// object.
inline void DirtyCard(uint8_t* table, const void* field) {
  std::atomic_ref(table[reinterpret_cast<uintptr_t>(field) >> kCardSizeLog2])
      .store(1, std::memory_order_relaxed);
}

// The card barrier: notes that a reference was or is about to be stored at
// `field`, before the next safepoint. For running mutators.
inline void NoteStore(const void* field) {
  uint8_t* const table =
      CardTableIn(barrier_word.load(std::memory_order_relaxed));
  if (table != nullptr) [[unlikely]]
    DirtyCard(table, field);
}

}  // namespace internal

// Dirties the cards of [start, start + size). As NoteStore.
void DirtyCards(const void* start, size_t size);

// Cleans the cards of a block's run, and calls `visit` with each cell on one of
// those that were dirty in which an object has the mark of `epoch`, once each,
// in their order.
//
// REQUIRES: `block` is the first of its run and in use; no cells in it are
// handed out meanwhile; there is a table.
void TakeDirty(const BlockDescriptor& block, Epoch epoch,
               absl::FunctionRef<void(size_t index)> visit);

// Cleans the cards of a block's run. As TakeDirty.
void CleanCards(const BlockDescriptor& block);

}  // namespace bibop

#endif  // BIBOP_HEAP_CARD_TABLE_H_
