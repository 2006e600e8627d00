// FreeRuns: which blocks of a heap are free, as runs of neighbours.
//
// A request is served from the shortest run that is long enough, the one with
// the lowest number among equals ("best fit"), so the long runs stay and the
// high ones empty. Runs that touch are one run.
//
// Of each free block it is known whether it may be resident, that is, whether
// the operating system may still keep memory for it. 64 blocks are a huge page
// and a word of that map: whole huge pages are given back first.
//
// Block numbers are any 32-bit numbers; it touches no memory of the blocks.
// Thread-compatible.
//
// Invariants: runs neither overlap nor touch; only free blocks are resident.

#ifndef BIBOP_HEAP_FREE_RUNS_H_
#define BIBOP_HEAP_FREE_RUNS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"

namespace bibop {

// A run of blocks, [first, first + count).
struct BlockRun {
  uint32_t first;
  uint32_t count;
};

class FreeRuns {
 public:
  // Makes the blocks of `run` free, resident or not.
  //
  // REQUIRES: none of them is free; run.count is not 0.
  void Add(BlockRun run, bool resident);

  // Takes `count` neighbouring blocks and returns the number of the first;
  // nothing if no run is so long.
  //
  // REQUIRES: count is not 0.
  std::optional<uint32_t> Take(uint32_t count);

  // Takes resident blocks that are neighbours, at most `most`, which is 64 or
  // more; nothing if no free block is resident. Whole huge pages come first,
  // and among equals those with the highest numbers.
  std::optional<BlockRun> TakeResident(uint32_t most);

  // The length of the free run that ends before block `end`; 0 if that is not
  // free.
  uint32_t LengthBefore(uint32_t end) const;

  // The number of free blocks, and of those that may be resident.
  size_t count() const { return count_; }
  size_t resident() const { return resident_count_; }

  // Aborts if an invariant does not hold.
  void CheckInvariants() const;

 private:
  using ByFirst = absl::btree_map<uint32_t, uint32_t>;

  void Insert(BlockRun run);
  void Erase(ByFirst::iterator at);
  // Takes `run` out of the free run that contains it.
  void Remove(BlockRun run);
  void SetResident(BlockRun run, bool resident);
  std::optional<BlockRun> TopOfWord(size_t word, uint32_t most) const;

  ByFirst by_first_;                                          // -> count
  absl::btree_set<std::pair<uint32_t, uint32_t>> by_length_;  // count, first
  std::vector<uint64_t> resident_;                            // a bit a block
  size_t count_ = 0;
  size_t resident_count_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_HEAP_FREE_RUNS_H_
