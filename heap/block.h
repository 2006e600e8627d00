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
// What a mark byte says is in marks.h. An alloc bit says that an object lives
// in the cell, or that the cell is part of a region that was handed out.
//
// The descriptors of all blocks of a run say the same, but for their place in
// it, and for what changes while the run is in use, which only the first says.
//
// The cage owns descriptors and side records. Alloc bits are written by the
// mutator that allocates in the block, by the sweeper, and by a mutator whose
// constructor threw, and read by conservative look-ups at any time; so every
// access is atomic, and where two may write a word its changes are atomic
// operations. Clearing a bit is a release and reading one before its cell is
// used again an acquire: what the last owner did to the cell comes before.
// Setting one is a release, after the cell's mark byte, and looking a word up
// an acquire: an arbitrary word that points into a region which was just handed
// out finds a cell that was born marked, and that nobody traces. What is in a
// cell is published by whatever publishes it.
//
// Mark bytes are written by markers, and by the mutator that is handed the
// cells, before it can publish an object in them: ReadyCells ends with a fence
// for that. They are read by markers and by barriers. Relaxed, but where a mark
// is taken back (LocalSnapshot::ShadeNew): two markers that both find an object
// unmarked both trace it, which does no harm.

#ifndef BIBOP_HEAP_BLOCK_H_
#define BIBOP_HEAP_BLOCK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bibop/heap/marks.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/type_info.h"

namespace bibop {

inline constexpr size_t kMaxCellsPerBlock = kBlockSize / kMinCellSize;

// The number of the last finished mark of either kind, which wraps around.
using SweepNumber = uint8_t;

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
  // Who allocated in the block last: its memory is in that one's cache,
  // perhaps.
  uint16_t home = 0;
  // The size of the side record, in the table's units.
  uint8_t side_units = 0;
  // The number of the mark for whose result the block was last swept. In the
  // first block of the run. Written by the sweeper when it has cleared the bits
  // of what is dead, and by who takes a block to allocate in that needed no
  // sweep (release), and read by who looks for a live object in a block that
  // may be being swept, before the bits (acquire): what is unmarked in a block
  // that was not swept is dead.
  SweepNumber swept_number = 0;
  // The last epoch in which an object in the block was marked; 0 if a sweep has
  // found only young ones and none was marked since. In the first block of the
  // run; others remember that the first was told. Written by markers and by
  // mutators that are handed out cells, and by the sweeper, which nobody else
  // does then; read by the marker that looks at cards, and when the mark has
  // finished. Relaxed: the former needs to know of what was old when the mark
  // began only.
  Epoch marked_epoch = 0;
  // Written by Publish (release) and, when nobody looks, by the cage; read by
  // conservative look-ups (acquire), which look at nothing else of a free
  // block.
  BlockKind kind = BlockKind::kFree;

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
    return (std::atomic_ref(alloc_bits[index / 64])
                    .load(std::memory_order_acquire) >>
                (index % 64) &
            1) != 0;
  }
  // The mark byte of the object in the cell.
  MarkByte MarkOf(size_t index) const {
    return std::atomic_ref(marks[index]).load(std::memory_order_relaxed);
  }
  // The type of the object in the cell. Of a cell in a region that was handed
  // out it may be any, or null: its owner is about to say.
  const TypeInfo* TypeOfCell(size_t index) const {
    return type != nullptr ? type
                           : TypeOf(std::atomic_ref(type_ids[index])
                                        .load(std::memory_order_relaxed));
  }
  // Says that the cell of a mixed block is for an object of that type. For who
  // was handed out the cell. Relaxed: who follows a reference to the object
  // finds it by what publishes that, and others only look whether it is a
  // store.
  void SetTypeOfCell(size_t index, TypeId id) {
    std::atomic_ref(type_ids[index]).store(id, std::memory_order_relaxed);
  }
  SweepNumber SweptNumber() const {
    return std::atomic_ref(const_cast<SweepNumber&>(swept_number))
        .load(std::memory_order_acquire);
  }
  void SetSwept(SweepNumber number) {
    std::atomic_ref(swept_number).store(number, std::memory_order_release);
  }
  // Whether the block is in use. Any thread may ask.
  bool IsInUse() const {
    return std::atomic_ref(const_cast<BlockKind&>(kind))
               .load(std::memory_order_acquire) != BlockKind::kFree;
  }
  // Becomes what `description` says, the kind last: who finds the block in use
  // finds the rest.
  //
  // REQUIRES: kind is kFree.
  void Publish(const BlockDescriptor& description);
  // The descriptor of the run's first block.
  BlockDescriptor* first() { return this - run_index; }
  const BlockDescriptor* first() const { return this - run_index; }
  // Marks the object in the cell.
  void Mark(size_t index, MarkByte mark) {
    std::atomic_ref(marks[index]).store(mark, std::memory_order_relaxed);
    NoteMarked(EpochOf(mark));
  }
  Epoch MarkedEpoch() const {
    return std::atomic_ref(const_cast<Epoch&>(marked_epoch))
        .load(std::memory_order_relaxed);
  }
  // Says that an object in the block was marked in that epoch.
  void NoteMarked(Epoch epoch) {
    std::atomic_ref own(marked_epoch);
    if (own.load(std::memory_order_relaxed) != epoch) [[unlikely]] {
      own.store(epoch, std::memory_order_relaxed);
      std::atomic_ref(first()->marked_epoch)
          .store(epoch, std::memory_order_relaxed);
    }
  }
};
static_assert(sizeof(BlockDescriptor) == 64);
static_assert(offsetof(BlockDescriptor, kind) + 1 == sizeof(BlockDescriptor));

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

// Makes cells ready to be handed out: sets their mark bytes to `mark`, and then
// their alloc bits.
// Both come before whatever the calling thread publishes afterwards.
void ReadyCells(BlockDescriptor& block, CellRun run, MarkByte mark);
// Clears the alloc bits of the cells of `run`.
void ClearAllocBits(BlockDescriptor& block, CellRun run);

}  // namespace bibop

#endif  // BIBOP_HEAP_BLOCK_H_
