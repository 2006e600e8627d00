// Size classes: the cell sizes of the blocks that several types share, and how
// long a run of 32 KiB blocks each is cut from.
//
//   object            lives in
//   up to 4 KiB       small class: cells of one block
//   up to 224 KiB     medium class: cells of a run of 1 to 16 blocks
//   larger            a span: a run of blocks of its own, one cell
//
// Classes are chosen so that an object fills at least 7/8 of its share of the
// run, the run's unused tail included: at most 12.5 % are lost to internal
// fragmentation. Below 64 bytes classes are multiples of 8, and that holds for
// sizes that are.
//
// Constants; any thread may read them.

#ifndef BIBOP_HEAP_SIZE_CLASSES_H_
#define BIBOP_HEAP_SIZE_CLASSES_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace bibop {

inline constexpr int kBlockSizeLog2 = 15;
inline constexpr size_t kBlockSize = size_t{1} << kBlockSizeLog2;

// Cells are no smaller than this, so that the side records stay small.
inline constexpr size_t kMinCellSize = 16;
// Objects up to this size are allocated by bumping a pointer in a region; a
// block has room for eight of the largest.
inline constexpr size_t kMaxSmallSize = kBlockSize / 8;
// The most blocks in a run that is cut into cells.
inline constexpr size_t kMaxRunBlocks = 16;
// Larger objects have a span of their own.
inline constexpr size_t kMaxMediumSize = 7 * kBlockSize;
// The largest alignment of an object.
inline constexpr size_t kMaxAlignment = 4096;

// One size class.
struct SizeClass {
  // The bytes of a cell.
  uint32_t cell_size;
  // The blocks of a run and the cells in it.
  uint16_t blocks;
  uint16_t cells;
};

namespace internal {

inline constexpr size_t kMaxSizeClasses = 96;

struct SizeClassTable {
  std::array<SizeClass, kMaxSizeClasses> classes = {};
  size_t count = 0;
};

// The shortest run whose tail is at most 1/32 of it; else the one with the
// smallest tail. Small classes take one block.
constexpr SizeClass MakeSizeClass(size_t cell_size) {
  const size_t most = cell_size <= kMaxSmallSize ? 1 : kMaxRunBlocks;
  size_t best = 0;
  size_t best_used = 0;  // in 1/1024 of the run
  for (size_t blocks = 1; blocks <= most; ++blocks) {
    const size_t used = blocks * kBlockSize / cell_size * cell_size * 1024 /
                        blocks / kBlockSize;
    if (used > best_used) {
      best = blocks;
      best_used = used;
    }
    if (used >= 1024 - 1024 / 32) break;
  }
  return {.cell_size = static_cast<uint32_t>(cell_size),
          .blocks = static_cast<uint16_t>(best),
          .cells = static_cast<uint16_t>(best * kBlockSize / cell_size)};
}

// Whether an object of `size` bytes fills 7/8 of its share of the class's run.
constexpr bool Fills(size_t size, const SizeClass& size_class) {
  return 8 * size * size_class.cells >= 7 * kBlockSize * size_class.blocks;
}

// Each class is the largest that the smallest object above the class before
// fills.
constexpr SizeClassTable MakeSizeClasses() {
  SizeClassTable table;
  table.classes[table.count++] = MakeSizeClass(kMinCellSize);
  size_t last = kMinCellSize;
  while (last < kMaxMediumSize) {
    size_t step = 512;
    if (last < kMaxSmallSize) step = 64;
    if (last < 1024) step = 8;
    const size_t smallest = last < 64 ? last + 8 : last + 1;
    size_t next = 0;
    for (size_t size = (last / step + 1) * step; size <= last + last / 5 + step;
         size += step) {
      if (Fills(smallest, MakeSizeClass(size))) next = size;
    }
    table.classes[table.count++] = MakeSizeClass(next);
    last = next;
  }
  return table;
}

inline constexpr SizeClassTable kSizeClassTable = MakeSizeClasses();

}  // namespace internal

// The number of size classes; they are numbered from 0, by size.
inline constexpr size_t kNumSizeClasses = internal::kSizeClassTable.count;

// The size class of a number below kNumSizeClasses.
constexpr const SizeClass& SizeClassOf(size_t number) {
  return internal::kSizeClassTable.classes[number];
}
static_assert(SizeClassOf(kNumSizeClasses - 1).cell_size == kMaxMediumSize);

// The smallest class for an object of such a size and alignment;
// kNumSizeClasses if it needs a span. Every span is aligned to a block.
constexpr size_t FindSizeClass(size_t size, size_t alignment) {
  size_t low = 0;
  size_t high = kNumSizeClasses;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (SizeClassOf(middle).cell_size < size) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  while (low < kNumSizeClasses && SizeClassOf(low).cell_size % alignment != 0) {
    ++low;
  }
  return low;
}

// The number of small classes.
inline constexpr size_t kNumSmallClasses = FindSizeClass(kMaxSmallSize, 8) + 1;
static_assert(SizeClassOf(kNumSmallClasses - 1).cell_size == kMaxSmallSize);

}  // namespace bibop

#endif  // BIBOP_HEAP_SIZE_CLASSES_H_
