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
// A minor collection traces the old objects on dirty cards like roots. What was
// stored may refer to an object that stays young for two marks more: it was
// born during one, found by the next, and is old after the one after that. So a
// card is dirty until three marks have looked at it since the last store.
//
//   card   what
//   0      clean
//   1      a reference was stored since a mark looked at it
//   2, 3   looked at by one mark, by two, since
//
// The process owns the table, from the first heap with generations on. Any
// thread may call any function, as it says.
//
// Invariants: I-6: when a mark begins, the card of every field of an old object
// that refers to a young one is not clean.

#ifndef BIBOP_HEAP_CARD_TABLE_H_
#define BIBOP_HEAP_CARD_TABLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "bibop/heap/block.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/marks.h"

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
// A byte of the table is written by running mutators, and by a mark that looks
// at it, by compare and exchange, so that no mutator's is lost. Relaxed: a mark
// finds what was stored before it began, since its pause comes between; what is
// stored while it marks the next one looks at, too, whichever of the two came
// first.
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

// Notes that a mark looks at the cards of a block's run, and calls `visit` with
// each cell on one of those that were not clean in which there is an old
// object, by `epoch`, once each, in their order.
//
// REQUIRES: `block` is the first of its run and in use; nothing is swept; there
// is a table.
void TakeDirty(const BlockDescriptor& block, Epoch epoch,
               absl::FunctionRef<void(size_t index)> visit);

// Whether the cards of [start, start + size) are clean.
bool AreClean(const void* start, size_t size);

// Notes that a mark looks at the cards of a block's run. As TakeDirty.
void AgeCards(const BlockDescriptor& block);

}  // namespace bibop

#endif  // BIBOP_HEAP_CARD_TABLE_H_
