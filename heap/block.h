// Blocks: 32 KiB of cells. Usually a block stands for itself; larger cells are
// cut from a run of neighbouring blocks, and an object that is larger than any
// size class has a run of its own, a span, with one cell.
//
//   uniform   cells of one type, as large as its objects
//   mixed     cells of one size class; each cell has a type of its own
//   span      one object
//
// A block is nothing but its cells. What is known about it lies elsewhere:
//
//   BlockDescriptor   64 bytes in a table indexed by the block's number
//   side record       one mark byte and one alloc bit for each cell, and in
//                     mixed blocks a type id
//
//   side record       | n mark bytes | n alloc bits | n type ids |
//   each part starts at a multiple of 64 bytes
//
// A mark byte holds the epoch in which the object was last marked, or 0 for an
// object that no mark has seen yet. An alloc bit says that an object lives in
// the cell, or that the cell is part of a region that was handed out.
//
// The descriptors of all blocks of a run say the same, but for their place in
// it, and for what changes while the run is in use, which only the first says.
//
// The cage owns descriptors and side records. Alloc bits are written by the
// mutator that allocates in the block, by the sweeper, and by a mutator whose
// constructor threw; words that two of them may write are changed by atomic
// operations. Clearing a bit is a release and reading one before its cell is
// used again an acquire: what the last owner did to the cell comes before. Bits
// are set relaxed: what is in a cell is published by whatever publishes it.

#ifndef BIBOP_HEAP_BLOCK_H_
#define BIBOP_HEAP_BLOCK_H_

#include <cstddef>
#include <cstdint>

#include "bibop/heap/size_classes.h"
#include "bibop/heap/type_info.h"

namespace bibop {

inline constexpr size_t kMaxCellsPerBlock = kBlockSize / kMinCellSize;

// The number of the last mark, 1 to 255; 0 is 'never'. It may wrap around: when
// a mark begins every object carries 0 or the epoch before it, because blocks
// are swept in between and cells are handed out with 0.
using Epoch = uint8_t;

// The epoch after `epoch`.
constexpr Epoch NextEpoch(Epoch epoch) {
  return epoch == 255 ? Epoch{1} : static_cast<Epoch>(epoch + 1);
}

// What a block's cells are for.
enum class BlockKind : uint8_t { kFree, kUniform, kMixed, kSpan };

// Invariants, while the block is in use (kind is not kFree):
// - cell_size * cell_count <= run_blocks * kBlockSize;
// - alloc bits at and after cell_count are clear.
struct alignas(64) BlockDescriptor {
  // The parts of the side record.
  uint8_t* marks = nullptr;
  uint64_t* alloc_bits = nullptr;
  TypeId* type_ids = nullptr;  // null unless mixed
  // The type of all objects in the block; null if it is mixed.
  const TypeInfo* type = nullptr;
  // ceil(2^40 / cell_size): offset * reciprocal >> 40 is offset / cell_size,
  // exactly, for every offset in a run. 0 in a span, which has cell 0 only.
  uint64_t reciprocal = 0;
  uint64_t cell_size = 0;
  // This block's number in its run, and the run's length.
  uint32_t run_index = 0;
  uint32_t run_blocks = 0;
  uint16_t cell_count = 0;
  // The size of the side record, in the table's units.
  uint8_t side_units = 0;
  BlockKind kind = BlockKind::kFree;
  // Who allocated in the block last: its memory is in that one's cache,
  // perhaps.
  uint16_t home = 0;
  // The epoch in whose mark's result the block was last swept. In the first
  // block of the run.
  Epoch swept_epoch = 0;
  // The last epoch in which an object in the block was marked. In the first
  // block of the run; others remember that the first was told.
  Epoch marked_epoch = 0;

  // The offset from the run's start of the byte at `offset` from this block's.
  size_t OffsetInRun(size_t offset) const {
    return (size_t{run_index} << kBlockSizeLog2) + offset;
  }
  // The number of the cell that holds the byte at `offset` from the run's
  // start; cell_count or more in the unused tail.
  size_t CellIndex(size_t offset) const {
    return static_cast<size_t>((offset * reciprocal) >> 40);
  }
  // The bytes of the run.
  size_t run_bytes() const { return size_t{run_blocks} << kBlockSizeLog2; }
  // The number of 64-bit words of alloc bits.
  size_t alloc_words() const { return (size_t{cell_count} + 63) / 64; }
  // Whether an object lives in the cell or the cell was handed out.
  bool IsAllocated(size_t index) const {
    return (alloc_bits[index / 64] >> (index % 64) & 1) != 0;
  }
  // The type of the object in the cell.
  const TypeInfo* TypeOfCell(size_t index) const {
    return type != nullptr ? type : TypeOf(type_ids[index]);
  }
  // The descriptor of the run's first block.
  BlockDescriptor* first() { return this - run_index; }
  const BlockDescriptor* first() const { return this - run_index; }
  // Marks the object whose mark byte that is.
  void Mark(uint8_t& mark, Epoch epoch) {
    mark = epoch;
    if (marked_epoch != epoch) [[unlikely]] {
      marked_epoch = epoch;
      first()->marked_epoch = epoch;
    }
  }
  void Mark(size_t index, Epoch epoch) { Mark(marks[index], epoch); }
};
static_assert(sizeof(BlockDescriptor) == 64);

// The reciprocal of a cell size as BlockDescriptor keeps it.
constexpr uint64_t ReciprocalOf(size_t cell_size) {
  return ((uint64_t{1} << 40) + cell_size - 1) / cell_size;
}

// A run of cells, [first, last).
struct CellRun {
  size_t first;
  size_t last;
};

// Returns the first run of cells at or after `from` whose alloc bits are clear;
// an empty one if there is none.
CellRun NextFreeRun(const BlockDescriptor& block, size_t from);

// Sets or clears the alloc bits of the cells of `run`.
void SetAllocBits(BlockDescriptor& block, CellRun run);
void ClearAllocBits(BlockDescriptor& block, CellRun run);

}  // namespace bibop

#endif  // BIBOP_HEAP_BLOCK_H_
