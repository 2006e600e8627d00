// Space: the blocks of one type or size class in a heap, or its spans, in lists
// that say what is known of them.
//
// Owned by ObjectHeap, whose lock guards it.
//
// Invariants: between FinishSweep and the next FinishMark no block is unswept.

#ifndef BIBOP_HEAP_SPACE_H_
#define BIBOP_HEAP_SPACE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "bibop/heap/block.h"
#include "bibop/heap/heap_phase.h"

namespace bibop {

// Cells of a mixed block that were handed out.
struct MixedCells {
  BlockDescriptor* block = nullptr;  // the first of its run
  CellRun cells = {0, 0};
};

struct Space {
  using List = std::vector<BlockDescriptor*>;

  // What a block is like: whether it has room, and whether it is settled: no
  // cell in it was handed out since it was swept, so that it holds nothing
  // young.
  enum Kind : uint8_t { kSettledFull, kFull, kSettledWithRoom, kWithRoom };
  static constexpr size_t kKinds = 4;
  // By Kind. Some lists rather than one, so that the end of a mark takes the
  // same time however long they are.
  using Lists = std::array<List, kKinds>;

  // Not swept since the last mark: what they were like before.
  Lists unswept;
  // Swept, and nobody's. Those with room may turn out to have none.
  Lists swept;

  // A mixed space's block from which cells are being handed out, also in
  // `swept`, and the first cell that was not yet looked at.
  BlockDescriptor* current = nullptr;
  size_t cursor = 0;
  // Cells that were handed out and returned.
  std::vector<MixedCells> returned;

  // From BeginRemembering on: how much of each swept list is still to be looked
  // at.
  std::array<size_t, kKinds> to_remember = {};

  // Whether it is among the heap's used spaces.
  bool used = false;
  // Whether its cells are for stores: it is swept when the others have been.
  bool for_stores = false;

  bool AnyUnswept() const {
    for (const List& list : unswept) {
      if (!list.empty()) return true;
    }
    return false;
  }
  // The list from which to sweep next: those with room first, and those that
  // were in use last.
  //
  // REQUIRES: AnyUnswept().
  List& NextUnswept() {
    size_t kind = kKinds - 1;
    while (unswept[kind].empty()) --kind;
    return unswept[kind];
  }
  // The list of swept blocks from which to take one with room; an empty one if
  // there is none.
  List& NextWithRoom() {
    return swept[kWithRoom].empty() ? swept[kSettledWithRoom]
                                    : swept[kWithRoom];
  }

  // When a mark has finished: has the blocks wait for the sweep in which
  // something may have died. Returns how many those are.
  size_t EndMark(CollectionKind kind) {
    current = nullptr;
    returned.clear();
    size_t count = 0;
    for (const Kind list : {kSettledFull, kFull, kSettledWithRoom, kWithRoom}) {
      const bool settled = list == kSettledFull || list == kSettledWithRoom;
      if (settled && kind == CollectionKind::kMinor) continue;
      // The last to be listed, so the first to be used again, were used last.
      unswept[list].swap(swept[list]);
      count += unswept[list].size();
    }
    return count;
  }

  // Lists a block that was swept.
  void AddSwept(BlockDescriptor* block, bool has_room) {
    swept[has_room ? kSettledWithRoom : kSettledFull].push_back(block);
  }
};

}  // namespace bibop

#endif  // BIBOP_HEAP_SPACE_H_
