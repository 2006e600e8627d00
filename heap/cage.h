// The cage: the one reservation of address space in which a heap lives. From
// any address inside it the block and its descriptor are found by arithmetic.
//
//   offset in the cage        what                               committed
//   0                         block descriptors, 64 B a block    as blocks are
//   kCageSize / 512           side records, see block.h          as blocks are
//   kCageSize / 8             blocks, 32 KiB each                as needed
//
// The table of side records has room for all blocks, except that a heap of
// nothing but the smallest arrays, mixed blocks of 16-byte cells, is full at
// 70 % of them.
//
// The cage starts at a multiple of its size. Blocks are numbered from its
// start, so the descriptors of the blocks that the tables occupy are never
// used.
//
// Blocks in use count against the limit, and so do external bytes, which are
// memory outside of the heap that objects own, and may be more soon: blocks
// leave them what the owner reserves. Free blocks keep their memory until
// TakeResident takes it, or until blocks in use, external bytes and free blocks
// together would exceed the limit. The limit in force may be a soft one, below
// the most that the cage was made for, which its owner raises when nothing else
// helps.
//
// Thread-compatible: callers serialize, but the static functions, Contains, and
// DecommitBlocks may be called by any thread, FindBlock as it says.
//
// Invariants: a block is in use or free or behind the frontier; bytes_in_use()
// never exceeds max_bytes().

#ifndef BIBOP_HEAP_CAGE_H_
#define BIBOP_HEAP_CAGE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/base/build_config.h"
#include "bibop/base/virtual_memory.h"
#include "bibop/heap/block.h"
#include "bibop/heap/free_runs.h"
#include "bibop/heap/side_table.h"
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

  // Each takes blocks and returns the descriptor of the first: no alloc bit
  // set, the cells poisoned, swept for the mark of that `number`. Each returns
  // ResourceExhausted, with nothing changed, when the limit is reached or the
  // system has no memory to give.
  //
  // For objects of one type.
  //
  // REQUIRES: type.cell_size <= kMaxSmallSize.
  absl::StatusOr<BlockDescriptor*> AllocateUniform(const TypeInfo& type,
                                                   SweepNumber number);
  // For objects of a size class.
  absl::StatusOr<BlockDescriptor*> AllocateMixed(const SizeClass& size_class,
                                                 SweepNumber number);
  // For one object of `type`, of `size` bytes.
  absl::StatusOr<BlockDescriptor*> AllocateSpan(const TypeInfo& type,
                                                size_t size,
                                                SweepNumber number);

  // Gives back blocks that hold no object.
  //
  // REQUIRES: `block` is the first of its run.
  void Free(BlockDescriptor* block);

  // The descriptor of the block in use that `word`, any number, points into;
  // null if it points into none. Any thread may call it while no block is
  // freed.
  BlockDescriptor* FindBlock(uintptr_t word) const;

  // Free blocks on their way back to the operating system: between the two
  // calls they are neither free nor in use, and the caller, who need not
  // serialize meanwhile, calls DecommitBlocks.
  //
  // Takes free blocks that may have memory, of about `bytes` bytes, but at most
  // 8 MiB and maybe 2 MiB if that is more; nothing if there are none.
  std::optional<BlockRun> TakeResident(size_t bytes);
  void DecommitBlocks(BlockRun run) const;
  void ReturnDecommitted(BlockRun run);
  // Gives back memory of side records that are not used, at most 1 MiB.
  void ReleaseSideRecords() { side_table_.ReleaseEmptyChunks(16); }

  // Says that objects own `delta` more bytes of memory elsewhere.
  void AdjustExternalBytes(int64_t delta);
  // From now on counts external bytes as `bytes` where they are fewer.
  void ReserveExternal(size_t bytes);
  size_t external_reserve() const { return external_reserve_; }
  // The most that external bytes were since the last call to this.
  size_t TakeExternalPeak();

  // Puts a limit in force, at most what the cage was made for. What is in use
  // already may be more.
  void SetLimit(size_t bytes);
  // The limit in force, and the most that it can be.
  size_t limit() const { return limit_; }
  size_t max_bytes() const { return max_bytes_; }

  // The bytes of the blocks in use.
  size_t bytes_in_use() const { return bytes_in_use_; }
  // The bytes of free blocks that may have memory.
  size_t free_resident_bytes() const {
    return free_runs_.resident() * kBlockSize;
  }
  // The bytes that AdjustExternalBytes was told of; negative where more was
  // taken back than said.
  int64_t external_bytes() const { return external_bytes_; }
  // Blocks in use and external bytes.
  size_t counted_bytes() const { return bytes_in_use_ + OwnedElsewhere(); }
  // The bytes that may be read and written, tables included.
  size_t bytes_committed() const {
    return descriptors_.committed() + side_table_.committed() +
           blocks_.committed();
  }

  // Aborts if an invariant does not hold.
  void CheckInvariants() const;

 private:
  Cage(VirtualRange range, size_t max_bytes);

  // Takes blocks and a side record as `descriptor` asks for and fills in the
  // rest of it.
  absl::StatusOr<BlockDescriptor*> Allocate(BlockDescriptor&& descriptor);
  absl::StatusOr<uint32_t> TakeBlocks(uint32_t count);
  // Returns ResourceExhausted if `bytes` more would exceed the limit.
  absl::Status CheckLimit(size_t bytes) const;
  // External bytes, and what is reserved for them.
  size_t OwnedElsewhere() const;
  size_t OwnedElsewhereSoon() const;
  // Gives memory of free blocks back where there is more of it than the limit
  // leaves.
  void KeepResidentBelowLimit();
  BlockDescriptor* DescriptorOfBlock(uint32_t number) const;

  VirtualRange range_;
  CommitFrontier descriptors_;
  SideTable side_table_;
  CommitFrontier blocks_;
  FreeRuns free_runs_;
  const size_t max_bytes_;
  size_t limit_ = max_bytes_;
  size_t bytes_in_use_ = 0;
  int64_t external_bytes_ = 0;
  size_t external_reserve_ = 0;
  size_t external_peak_ = 0;
  // How many blocks are not behind the frontier. Written by who has the cage
  // (release), when their descriptors can be read; read by FindBlock (acquire).
  std::atomic<uint32_t> blocks_used_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_HEAP_CAGE_H_
