// What a heap's collection is doing, as far as barriers have to know.
//
//   kIdle       neither of the others
//   kMarking    objects are being marked while mutators run: what those
//               overwrite is saved first (I-5), and what they allocate is born
//               marked
//   kClearing   the mark is finished, and references to unmarked objects are
//               being cleared: who reads a weak one looks at the mark
//
// A heap goes round in this order.

#ifndef BIBOP_HEAP_HEAP_PHASE_H_
#define BIBOP_HEAP_HEAP_PHASE_H_

#include <atomic>
#include <cstdint>

namespace bibop {

enum class HeapPhase : uint8_t { kIdle, kMarking, kClearing };

// What a collection takes for alive without a look.
//
//   kMajor   nothing: every object that no root reaches dies
//   kMinor   what is old, which two collections have found alive: its marks
//            are kept (sticky mark bits: A. Demers et al., "Combining
//            generational and conservative garbage collection", POPL 1990)
enum class CollectionKind : uint8_t { kMajor, kMinor };

namespace internal {

// The one word that every barrier reads:
//
//   bits    what
//   0..15   how many heaps of this process are not in kIdle
//   16..63  the address of the card table's byte for address 0, over 2^16; 0
//           while no heap has generations (card_table.h)
//
// The number is counted up while the mutators of the heap are stopped, which
// orders it before whatever they do next; counted down when nothing is left to
// clear (release), which comes before what a weak read that finds 0 (acquire)
// reads next. Deletion barriers read it relaxed: they only need the former. The
// table is written once, before its heap is made, and holds what is needed in
// itself: relaxed.
inline constinit std::atomic<uintptr_t> barrier_word = 0;
inline constexpr uintptr_t kCollectingHeaps = 0xffff;
static_assert(sizeof(barrier_word) == 8);

// Whether a store has anything to do besides, perhaps.
inline bool AnyBarriers() {
  return barrier_word.load(std::memory_order_relaxed) != 0;
}

// Whether a deletion barrier has anything to do, perhaps.
inline bool BarriersOn() {
  return (barrier_word.load(std::memory_order_relaxed) & kCollectingHeaps) != 0;
}

}  // namespace internal
}  // namespace bibop

#endif  // BIBOP_HEAP_HEAP_PHASE_H_
