// The cage: the one reservation of address space in which a heap lives. From
// any address inside it the block and its descriptor are found by arithmetic.
//
//   offset in the cage        what                               committed
//   0                         block descriptors, 64 B a block    as blocks are
//   kCageSize / 512           side records, see block.h          as blocks are
//   kCageSize / 8             blocks, 32 KiB each                as needed
//
// The cage starts at a multiple of its size. Blocks are numbered from its
// start, so the descriptors of the blocks that the tables occupy are never
// used.
//
// Thread-compatible: callers serialize, but the static functions may be called
// by any thread.
//
// Invariants: a block is in use (its descriptor has a type) or on the free list
// or behind the frontier; bytes_in_use() never exceeds the limit.

#ifndef BIBOP_HEAP_CAGE_H_
#define BIBOP_HEAP_CAGE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "bibop/base/build_config.h"
#include "bibop/base/virtual_memory.h"
#include "bibop/heap/block.h"
#include "bibop/heap/type_info.h"

namespace bibop {

class Cage {
 public:
  static constexpr size_t kSideTableOffset = kCageSize / 512;
  static constexpr size_t kBlocksOffset = kCageSize / 8;
  // The most bytes that the blocks of one heap can take.
  static constexpr size_t kCapacity = kCageSize - kBlocksOffset;

  // Reserves a cage whose blocks take at most `max_bytes` bytes. Returns
  // ResourceExhausted where the system refuses the reservation.
  static absl::StatusOr<std::unique_ptr<Cage>> Create(size_t max_bytes);

  Cage(const Cage&) = delete;
  Cage& operator=(const Cage&) = delete;
  // Gives all memory back, objects and all.
  ~Cage();

  // The descriptor of the block that `address` lies in.
  //
  // REQUIRES: `address` lies in a block that is in use in some cage.
  static BlockDescriptor* DescriptorOf(const void* address) {
    const auto word = reinterpret_cast<uintptr_t>(address);
    const uintptr_t block = (word & (kCageSize - 1)) >> kBlockSizeLog2;
    return reinterpret_cast<BlockDescriptor*>(word & ~(kCageSize - 1)) + block;
  }

  // The first byte of the block that `block` describes.
  static std::byte* StartOf(const BlockDescriptor* block) {
    const auto word = reinterpret_cast<uintptr_t>(block);
    const uintptr_t number = (word & (kCageSize - 1)) / sizeof(BlockDescriptor);
    return reinterpret_cast<std::byte*>((word & ~(kCageSize - 1)) +
                                        (number << kBlockSizeLog2));
  }

  // Whether `address` lies in this cage.
  bool Contains(const void* address) const {
    const auto start = reinterpret_cast<uintptr_t>(range_.start());
    return reinterpret_cast<uintptr_t>(address) - start < kCageSize;
  }

  // The offset of `address` in its block.
  static size_t OffsetInBlock(const void* address) {
    return reinterpret_cast<uintptr_t>(address) & (kBlockSize - 1);
  }

  // Takes a block for objects of `type`: no alloc bit set, its cells poisoned,
  // swept in `epoch`. Returns ResourceExhausted, with nothing changed, when the
  // limit is reached or the system has no memory to give.
  //
  // REQUIRES: type.cell_size <= kBlockSize.
  absl::StatusOr<BlockDescriptor*> AllocateBlock(const TypeInfo& type,
                                                 TypeId id, Epoch epoch);

  // Gives back a block that holds no object.
  void FreeBlock(BlockDescriptor* block);

  // The descriptor of the block in use that `word`, any number, points into;
  // null if it points into none.
  BlockDescriptor* FindBlock(uintptr_t word) const;

  // The bytes of the blocks in use.
  size_t bytes_in_use() const { return bytes_in_use_; }
  // The bytes that were taken from the operating system, tables included.
  size_t bytes_committed() const {
    return descriptors_.committed() + side_table_.committed() +
           blocks_.committed();
  }

 private:
  // Side records are multiples of this, so that no two share a cache line.
  // Their sizes make them start at all residues of a page: equal cells of
  // different blocks do not compete for one cache set.
  static constexpr size_t kSideUnit = 64;
  static constexpr size_t kMaxSideUnits =
      (kMaxCellsPerBlock + kMaxCellsPerBlock / 8) / kSideUnit;

  Cage(VirtualRange range, size_t max_bytes);

  struct SideRecord {
    std::byte* start;
    size_t units;
  };

  static size_t SideUnitsFor(size_t cell_count);
  // Returns a record of `units` or more.
  absl::StatusOr<SideRecord> AllocateSideRecord(size_t units);
  void FreeSideRecord(SideRecord record);
  absl::StatusOr<BlockDescriptor*> TakeUnusedBlock();

  VirtualRange range_;
  CommitFrontier descriptors_;
  CommitFrontier side_table_;
  CommitFrontier blocks_;
  size_t max_bytes_;
  size_t bytes_in_use_ = 0;
  // How far the frontiers have been given out.
  size_t side_table_used_ = 0;
  size_t blocks_used_ = 0;
  // The last block freed is the first to be taken again: it is warm.
  std::vector<BlockDescriptor*> free_blocks_;
  // By size in units.
  std::array<std::vector<std::byte*>, kMaxSideUnits + 1> free_side_records_;
};

}  // namespace bibop

#endif  // BIBOP_HEAP_CAGE_H_
