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

absl::StatusOr<Cage::SideRecord> Cage::AllocateSideRecord(size_t units) {
  const auto take_free = [this](size_t size) {
    std::byte* record = free_side_records_[size].back();
    free_side_records_[size].pop_back();
    return SideRecord{record, size};
  };
  if (!free_side_records_[units].empty()) return take_free(units);
  const size_t end = side_table_used_ + units * kSideUnit;
  absl::Status grown = side_table_.EnsureCommitted(end);
  if (grown.ok()) {
    std::byte* start =
        side_table_.start() + std::exchange(side_table_used_, end);
    return SideRecord{start, units};
  }
  for (size_t larger = units + 1; larger <= kMaxSideUnits; ++larger) {
    if (!free_side_records_[larger].empty()) return take_free(larger);
  }
  return grown;
}

void Cage::FreeSideRecord(SideRecord record) {
  free_side_records_[record.units].push_back(record.start);
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
  absl::StatusOr<SideRecord> side =
      AllocateSideRecord(SideUnitsFor(cell_count));
  if (!side.ok()) return side.status();
  absl::StatusOr<BlockDescriptor*> taken = TakeUnusedBlock();
  if (!taken.ok()) {
    FreeSideRecord(*side);
    return taken;
  }
  const size_t mark_bytes = RoundUp(cell_count, 64);
  std::memset(side->start + mark_bytes, 0, mark_bytes / 8);
  BlockDescriptor* block = *taken;
  *block = BlockDescriptor{
      .marks = reinterpret_cast<uint8_t*>(side->start),
      .alloc_bits = reinterpret_cast<uint64_t*>(side->start + mark_bytes),
      .type = &type,
      .reciprocal = ReciprocalOf(type.cell_size),
      .cell_size = static_cast<uint32_t>(type.cell_size),
      .cell_count = static_cast<uint16_t>(cell_count),
      .type_id = id,
      .swept_epoch = epoch,
      .side_units = static_cast<uint8_t>(side->units),
  };
  PoisonFreed(StartOf(block), kBlockSize);
  bytes_in_use_ += kBlockSize;
  return block;
}

void Cage::FreeBlock(BlockDescriptor* block) {
  ABSL_DCHECK(block->type != nullptr);
  FreeSideRecord(
      {reinterpret_cast<std::byte*>(block->marks), block->side_units});
  *block = BlockDescriptor{};
  free_blocks_.push_back(block);
  bytes_in_use_ -= kBlockSize;
  if (bytes_in_use_ == 0) {
    // A chance to forget which sizes of records were needed so far.
    for (auto& records : free_side_records_) records.clear();
    side_table_used_ = 0;
  }
}

BlockDescriptor* Cage::FindBlock(uintptr_t word) const {
  const auto first = reinterpret_cast<uintptr_t>(blocks_.start());
  if (word - first >= blocks_used_) return nullptr;
  BlockDescriptor* block = DescriptorOf(reinterpret_cast<void*>(word));
  return block->type == nullptr ? nullptr : block;
}

}  // namespace bibop
