// Blocks: 32 KiB of cells of one size, all of one type.
//
// A block is nothing but its cells. What is known about it lies elsewhere:
//
//   BlockDescriptor   64 bytes in a table indexed by the block's number
//   side record       one mark byte and one alloc bit for each cell
//
//   side record, in bytes   | cell_count rounded up to 64 | / 8, rounded up to
//   64 |
//                           | mark bytes                  | alloc bits |
//
// A mark byte holds the epoch in which the object was last marked, or 0 for an
// object that no mark has seen yet. An alloc bit says that an object lives in
// the cell, or that the cell is part of a region that was handed out.
//
// The cage owns descriptors and side records. A block belongs to one mutator
// while that one allocates in it; nothing here is synchronized.

#ifndef BIBOP_HEAP_BLOCK_H_
#define BIBOP_HEAP_BLOCK_H_

#include <cstddef>
#include <cstdint>

#include "bibop/heap/type_info.h"

namespace bibop {

inline constexpr int kBlockSizeLog2 = 15;
inline constexpr size_t kBlockSize = size_t{1} << kBlockSizeLog2;
inline constexpr size_t kMaxCellsPerBlock = kBlockSize / kMinCellSize;

// The number of the last mark, 1 to 255; 0 is 'never'. It may wrap around: when
// a mark begins every object carries 0 or the epoch before it, because blocks
// are swept in between and cells are handed out with 0.
using Epoch = uint8_t;

// The epoch after `epoch`.
constexpr Epoch NextEpoch(Epoch epoch) {
  return epoch == 255 ? Epoch{1} : static_cast<Epoch>(epoch + 1);
}

// Invariants, while the block is in use (type is not null):
// - cell_size * cell_count <= kBlockSize;
// - alloc bits at and after cell_count are clear.
struct alignas(64) BlockDescriptor {
  // The mark bytes and alloc bits, in the side record.
  uint8_t* marks;
  uint64_t* alloc_bits;
  // The type of all objects in the block; null if the block is free.
  const TypeInfo* type;
  // ceil(2^32 / cell_size): offset * reciprocal >> 32 is offset / cell_size,
  // exactly, for every offset in a block.
  uint32_t reciprocal;
  uint32_t cell_size;
  uint16_t cell_count;
  TypeId type_id;
  // The epoch in whose mark's result the block was last swept.
  Epoch swept_epoch;
  // The size of the side record, in the cage's units.
  uint8_t side_units;

  // The number of the cell that holds the byte at `offset` from the block's
  // start; cell_count or more in the unused tail.
  size_t CellIndex(size_t offset) const {
    return static_cast<size_t>((uint64_t{offset} * reciprocal) >> 32);
  }
  // The number of 64-bit words of alloc bits.
  size_t alloc_words() const { return (size_t{cell_count} + 63) / 64; }
  // Whether an object lives in the cell or the cell was handed out.
  bool IsAllocated(size_t index) const {
    return (alloc_bits[index / 64] >> (index % 64) & 1) != 0;
  }
};
static_assert(sizeof(BlockDescriptor) == 64);

// The reciprocal of a cell size as BlockDescriptor keeps it.
constexpr uint32_t ReciprocalOf(size_t cell_size) {
  return static_cast<uint32_t>(((uint64_t{1} << 32) + cell_size - 1) /
                               cell_size);
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
