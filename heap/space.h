// Space: the blocks of one type or size class in a heap, or its spans, in lists
// that say what is known of them; and which of them is allocated in next.
//
// Objects do not move, so a block goes back only when the last object in it has
// died. Where there is a choice, cells are handed out in the blocks that would
// be the last to empty: those that were allocated in since the last mark, and
// of the others those in which most is alive. What a smaller heap does not need
// is then what has few objects, and these die. A block with a hole here and
// there is left alone till more of it is free: its regions would be of a few
// cells, and a slow path each. With generations blocks with young objects come
// before the fullest: they are swept in each cycle anyway, and in the cache.
//
// Owned by ObjectHeap, whose lock guards it.
//
// Invariants: between FinishSweep and the next FinishMark no block is unswept.

#ifndef BIBOP_HEAP_SPACE_H_
#define BIBOP_HEAP_SPACE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bibop/heap/block.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/sweep.h"

namespace bibop {

// Cells of a mixed block that were handed out.
struct MixedCells {
  BlockDescriptor* block = nullptr;  // the first of its run
  CellRun cells = {0, 0};
};

struct Space {
  using List = std::vector<BlockDescriptor*>;

  // What a block is like. It is settled if nothing in it is young and no cell
  // was handed out since it was swept; then how much of it is alive is known.
  enum Kind : uint8_t {
    kSettledFull,
    // Small cells, of which less than 1/kTight are free: nobody gets it unless
    // the heap is full otherwise.
    kSettledTight,
    // At least half of the cells are alive; at least a quarter; and so on. The
    // last are those with less than 1/64.
    kSettledHalf,
    kSettledSparse = kSettledHalf + 6,
    // Not settled. With young objects, and as far as is known without room;
    // nearly full, as above; with room.
    kYoungFull,
    kYoungTight,
    kYoungWithRoom,
    // Allocated in; perhaps with free cells that nobody has had.
    kFull,
    kWithRoom,
  };
  static constexpr size_t kKinds = kWithRoom + 1;
  static constexpr size_t kTight = 8;
  // By Kind. Some lists rather than one, so that the end of a mark takes the
  // same time however long they are.
  using Lists = std::array<List, kKinds>;

  static constexpr bool IsSettled(size_t kind) {
    return kind <= kSettledSparse;
  }
  // What a block is like that was swept, with what that found.
  static Kind KindOf(const BlockDescriptor& block, const SweepResult& found);
  // Whether that is one to allocate in.
  static constexpr bool IsOffered(Kind kind) {
    return (kind > kSettledTight && kind < kYoungFull) ||
           kind == kYoungWithRoom;
  }

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

  // From BeginRemembering on: how many blocks of each swept list, the first
  // ones, a mark still has to look at; and those of them that were taken.
  std::array<size_t, kKinds> to_remember = {};
  List to_remember_taken;

  // Whether it is among the heap's used spaces.
  bool used = false;
  // Whether its cells are for stores: it is swept when the others have been.
  bool for_stores = false;

  bool AnyUnswept() const;
  // The list from which to sweep next for who needs room: those that were
  // allocated in since the last mark first, for their garbage is young and they
  // are in the cache; then others with young objects.
  //
  // REQUIRES: AnyUnswept().
  List& NextUnswept();
  // The list from which to sweep next where nobody waits: those that were
  // allocated in last, for of equals the last to be listed is used first.
  //
  // REQUIRES: AnyUnswept().
  List& LastUnswept();
  // The list of unswept blocks that certainly have room, since they had some
  // before the mark; null if there is none.
  List* NextUnsweptWithRoom();
  // The list of swept blocks, by its kind, from which to take one with room;
  // kKinds if there is none. The other one is of those that are nearly full.
  size_t NextWithRoom() const;
  size_t NextTight() const;

  // Takes a block out of the swept list of that kind: the last that had `home`
  // before, if it is among the last few; else the last.
  //
  // REQUIRES: the list is not empty.
  BlockDescriptor* TakeSwept(size_t kind, uint16_t home);
  // The same out of an unswept list.
  static BlockDescriptor* TakeUnswept(List& list, uint16_t home);

  // When a mark has finished: has the blocks wait for the sweep in which
  // something may have died. Returns how many those are.
  size_t EndMark(CollectionKind kind);

  // Lists a block that was swept, with what that found.
  void AddSwept(BlockDescriptor* block, const SweepResult& found);
};

}  // namespace bibop

#endif  // BIBOP_HEAP_SPACE_H_
