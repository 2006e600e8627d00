// Sweeping one block: what the last mark did not reach is destroyed, its alloc
// bits are cleared, and its cells can be handed out again.

#ifndef BIBOP_HEAP_SWEEP_H_
#define BIBOP_HEAP_SWEEP_H_

#include <cstddef>

#include "bibop/heap/block.h"
#include "bibop/heap/marks.h"

namespace bibop {

// What sweeping a block found.
struct SweepResult {
  size_t live_objects = 0;
  size_t freed_objects = 0;
  // Whether one of the live is young.
  bool any_young = false;
};

// Whether nothing in `block` is alive by `marks`, those of the last finished
// mark, and none has to be looked at to be swept: SweepBlock takes some
// nanoseconds then.
bool IsDeadUnseen(const BlockDescriptor& block, const Marks& marks);

// Sweeps `block` for the mark of that number. Each dead object's destructor
// runs exactly once, in no particular order; objects of a type without one are
// not touched, except that checked builds poison them.
//
// REQUIRES: no region in the block is handed out, and no object was allocated
// in it since that mark.
SweepResult SweepBlock(BlockDescriptor& block, const Marks& marks,
                       SweepNumber number);

// Sweeps `block` as if no object in it had been marked.
//
// REQUIRES: no region in the block is handed out.
void DestroyBlock(BlockDescriptor& block);

}  // namespace bibop

#endif  // BIBOP_HEAP_SWEEP_H_
