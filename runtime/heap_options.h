// HeapOptions: what a heap is told when it is made.

#ifndef BIBOP_RUNTIME_HEAP_OPTIONS_H_
#define BIBOP_RUNTIME_HEAP_OPTIONS_H_

#include <cstddef>
#include <functional>

#include "absl/status/status.h"
#include "bibop/heap/cage.h"
#include "bibop/runtime/heap_stats.h"

namespace bibop {

struct HeapOptions {
  // The most bytes that the blocks of the heap may take: 1 MiB (2^20) to
  // Cage::kCapacity, which is 7/8 of what --//:cage_size says. An allocation
  // that would need more runs a collection, and fails if that did not help.
  size_t max_bytes = Cage::kCapacity;

  // The fewest bytes that are allocated between two collections, not counting
  // the at most 32 KiB in each type's current block: 64 KiB to
  // Cage::kCapacity. Smaller means a smaller heap and more collections. If it
  // is more than the heap has room for, a collection runs when the heap is
  // full.
  size_t min_budget_bytes = size_t{32} << 20;

  // How far the heap may grow between two collections, as a multiple of what
  // was alive after the last: 1.1 to 16. With 2, as many bytes as were alive
  // are allocated before the next collection, but at least min_budget_bytes.
  double growth_factor = 2.0;

  // Called after each collection, where set, on the thread that ran it. It may
  // neither allocate in the heap nor collect: a collection that it causes
  // aborts.
  std::function<void(const CycleStats&)> on_cycle_end = nullptr;
};

// Returns InvalidArgument, with the option's name and the accepted range, if an
// option is out of its range.
absl::Status Validate(const HeapOptions& options);

}  // namespace bibop

#endif  // BIBOP_RUNTIME_HEAP_OPTIONS_H_
