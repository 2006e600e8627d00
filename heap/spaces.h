// Spaces: all blocks of a heap that no allocator has, as one Space for each
// type and size class, and in which of them something is still to be swept or
// to be remembered.
//
// Owned by ObjectHeap, whose lock guards it. It only keeps lists: it takes no
// blocks, sweeps none and gives none back.
//
// Invariants: each space that has or had a block is in one of the two lists of
// used ones; those of stores in the second.

#ifndef BIBOP_HEAP_SPACES_H_
#define BIBOP_HEAP_SPACES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "bibop/heap/block.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/space.h"
#include "bibop/heap/type_info.h"

namespace bibop {

// What cells of a size class are for.
enum class CellsFor : uint8_t { kObjects, kStores };

class Spaces {
 public:
  // A block whose cards a mark has to look at.
  struct BlockToRemember {
    BlockDescriptor* block = nullptr;
    // Whether what is young in it is alive all the same: stores of containers,
    // which refer to each other without a barrier.
    bool young_live = false;
  };

  Spaces();
  Spaces(const Spaces&) = delete;
  Spaces& operator=(const Spaces&) = delete;

  // The space of a type, of a size class, and of spans: a used one from now on.
  // It stays where it is.
  Space& Uniform(TypeId id);
  Space& Mixed(CellsFor what, size_t size_class);
  Space& Spans(CellsFor what);

  // Those that have or had a block: of thousands of types and classes most
  // programs use a few.
  const std::vector<Space*>& used(CellsFor what) const {
    return used_[static_cast<size_t>(what)];
  }
  // Calls `visit` with each used space, those of stores last.
  void ForEach(absl::FunctionRef<void(const Space&)> visit) const;
  // Calls `visit` with each list of blocks, those of stores last.
  void ForEachList(absl::FunctionRef<void(const Space::List&)> visit) const;

  // Whether a block is unswept.
  bool AnyUnswept() const;
  // Space::EndMark of all. Returns how many blocks of objects, not of stores,
  // wait for the sweep.
  size_t EndMark(CollectionKind kind);
  // The first used space that has unswept blocks, as long as none gets any but
  // by EndMark; null if there is none.
  Space* NextUnswept(CellsFor what);

  // From now on until TakeToRemember returns 0, or EndMark, the blocks that
  // are there now are to be looked at by a mark.
  void BeginRemembering();
  // Puts blocks that nobody had at BeginRemembering into `blocks`, each once,
  // though somebody may have taken it meanwhile, and returns how many; 0 when
  // there are no more.
  size_t TakeToRemember(absl::Span<BlockToRemember> blocks);

 private:
  static constexpr std::array<CellsFor, 2> kBoth = {CellsFor::kObjects,
                                                    CellsFor::kStores};

  // Notes that the space has a block.
  Space& Use(Space& space);

  // By TypeId; a deque, for spaces are referred to while the lock is released.
  std::deque<Space> uniform_;
  // These and the following by CellsFor.
  std::array<std::array<Space, kNumSizeClasses>, 2> mixed_;
  std::array<Space, 2> spans_;
  std::array<std::vector<Space*>, 2> used_;
  // Used spaces before these have no unswept block.
  std::array<size_t, 2> sweep_cursors_ = {};
  // From BeginRemembering on: the spaces before the cursor were looked at, of
  // those of objects and then those of stores.
  size_t remember_cursor_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_HEAP_SPACES_H_
