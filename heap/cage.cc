#include "bibop/heap/cage.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/optimization.h"
#include "absl/log/absl_check.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bibop/base/build_config.h"
#include "bibop/base/poison.h"
#include "bibop/base/virtual_memory.h"
#include "bibop/heap/block.h"
#include "bibop/heap/type_info.h"

namespace bibop {
namespace {

// Few system calls for a growing heap; memory that is committed and not touched
// costs nothing.
constexpr size_t kBlocksStep = size_t{4} << 20;
constexpr size_t kTableStep = size_t{64} << 10;

constexpr size_t RoundUp(size_t n, size_t unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Cage>> Cage::Create(size_t max_bytes) {
  absl::StatusOr<VirtualRange> range =
      VirtualRange::Reserve(kCageSize, kCageSize);
  if (!range.ok()) return range.status();
  return absl::WrapUnique(new Cage(*std::move(range), max_bytes));
}

Cage::Cage(VirtualRange range, size_t max_bytes)
    : range_(std::move(range)),
      descriptors_(
          range_.start() + kBlocksOffset / kBlockSize * sizeof(BlockDescriptor),
          kCapacity / kBlockSize * sizeof(BlockDescriptor), kTableStep),
      side_table_(range_.start() + kSideTableOffset,
                  kBlocksOffset - kSideTableOffset, kTableStep),
      blocks_(range_.start() + kBlocksOffset, kCapacity, kBlocksStep,
              CommitFrontier::Pages::kHuge),
      max_bytes_(max_bytes) {}

// The addresses will be somebody else's.
Cage::~Cage() { Unpoison(blocks_.start(), blocks_used_); }

size_t Cage::SideUnitsFor(size_t cell_count) {
  const size_t marks = RoundUp(cell_count, 64);
  return (marks + RoundUp(marks / 8, kSideUnit)) / kSideUnit;
}

absl::StatusOr<std::byte*> Cage::AllocateSideRecord(size_t units) {
  std::vector<std::byte*>& free = free_side_records_[units];
  if (!free.empty()) {
    std::byte* record = free.back();
    free.pop_back();
    return record;
  }
  const size_t end = side_table_used_ + units * kSideUnit;
  if (absl::Status s = side_table_.EnsureCommitted(end); !s.ok()) return s;
  return side_table_.start() + std::exchange(side_table_used_, end);
}

absl::StatusOr<BlockDescriptor*> Cage::TakeUnusedBlock() {
  if (!free_blocks_.empty()) {
    BlockDescriptor* block = free_blocks_.back();
    free_blocks_.pop_back();
    return block;
  }
  const size_t end = blocks_used_ + kBlockSize;
  if (absl::Status s = blocks_.EnsureCommitted(end); !s.ok()) return s;
  if (absl::Status s = descriptors_.EnsureCommitted(end / kBlockSize *
                                                    sizeof(BlockDescriptor));
      !s.ok()) {
    return s;
  }
  return DescriptorOf(blocks_.start() + std::exchange(blocks_used_, end));
}

absl::StatusOr<BlockDescriptor*> Cage::AllocateBlock(const TypeInfo& type,
                                                     TypeId id, Epoch epoch) {
  ABSL_DCHECK_LE(type.cell_size, kBlockSize);
  if (bytes_in_use_ + kBlockSize > max_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the heap is full: HeapOptions::max_bytes is ", max_bytes_));
  }
  const size_t cell_count = kBlockSize / type.cell_size;
  const size_t units = SideUnitsFor(cell_count);
  absl::StatusOr<std::byte*> side = AllocateSideRecord(units);
  if (!side.ok()) return side.status();
  absl::StatusOr<BlockDescriptor*> taken = TakeUnusedBlock();
  if (!taken.ok()) {
    free_side_records_[units].push_back(*side);
    return taken;
  }
  const size_t mark_bytes = RoundUp(cell_count, 64);
  std::memset(*side + mark_bytes, 0, units * kSideUnit - mark_bytes);
  BlockDescriptor* block = *taken;
  *block = BlockDescriptor{
      .marks = reinterpret_cast<uint8_t*>(*side),
      .alloc_bits = reinterpret_cast<uint64_t*>(*side + mark_bytes),
      .type = &type,
      .reciprocal = ReciprocalOf(type.cell_size),
      .cell_size = static_cast<uint32_t>(type.cell_size),
      .cell_count = static_cast<uint16_t>(cell_count),
      .type_id = id,
      .swept_epoch = epoch,
  };
  PoisonFreed(StartOf(block), kBlockSize);
  bytes_in_use_ += kBlockSize;
  return block;
}

void Cage::FreeBlock(BlockDescriptor* block) {
  ABSL_DCHECK(block->type != nullptr);
  free_side_records_[SideUnitsFor(block->cell_count)].push_back(
      reinterpret_cast<std::byte*>(block->marks));
  *block = BlockDescriptor{};
  free_blocks_.push_back(block);
  bytes_in_use_ -= kBlockSize;
}

BlockDescriptor* Cage::FindBlock(uintptr_t word) const {
  const auto first = reinterpret_cast<uintptr_t>(blocks_.start());
  if (word - first >= blocks_used_) return nullptr;
  BlockDescriptor* block = DescriptorOf(reinterpret_cast<void*>(word));
  return block->type == nullptr ? nullptr : block;
}

}  // namespace bibop
