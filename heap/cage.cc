#include "bibop/heap/cage.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "absl/log/absl_check.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bibop/base/build_config.h"
#include "bibop/base/poison.h"
#include "bibop/base/virtual_memory.h"
#include "bibop/heap/block.h"
#include "bibop/heap/free_runs.h"
#include "bibop/heap/side_table.h"
#include "bibop/heap/type_info.h"

namespace bibop {
namespace {

// Few system calls for a growing heap; memory that is committed and not touched
// costs nothing.
constexpr size_t kBlocksStep = size_t{4} << 20;
constexpr size_t kTableStep = size_t{64} << 10;
// Blocks are given back in pieces of a huge page to so many.
constexpr size_t kFewestDecommitBlocks = 64;
constexpr size_t kMostDecommitBlocks = 256;

constexpr size_t kPartAlignment = 64;

constexpr size_t RoundUp(size_t n, size_t unit) {
  return (n + unit - 1) / unit * unit;
}

// The sizes of a side record's parts.
constexpr size_t MarkBytes(size_t cells) {
  return RoundUp(cells, kPartAlignment);
}
constexpr size_t AllocBytes(size_t cells) {
  return RoundUp(MarkBytes(cells) / 8, kPartAlignment);
}
constexpr size_t SideUnits(size_t cells, bool mixed) {
  return (MarkBytes(cells) + AllocBytes(cells) +
          (mixed ? RoundUp(cells * sizeof(TypeId), kPartAlignment) : 0)) /
         SideTable::kUnit;
}
static_assert(SideUnits(kMaxCellsPerBlock, true) <= SideTable::kMaxUnits);

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
                  kBlocksOffset - kSideTableOffset),
      blocks_(range_.start() + kBlocksOffset, kCapacity, kBlocksStep,
              CommitFrontier::Pages::kHuge),
      max_bytes_(max_bytes) {}

// The addresses will be somebody else's.
Cage::~Cage() {
  UnpoisonForSystem(blocks_.start(), size_t{blocks_used_} * kBlockSize);
}

BlockDescriptor* Cage::DescriptorOfBlock(uint32_t number) const {
  return DescriptorOf(blocks_.start() + size_t{number} * kBlockSize);
}

absl::Status Cage::CheckLimit(size_t bytes) const {
  const size_t external = OwnedElsewhereSoon();
  if (bytes > limit_ || bytes_in_use_ + external > limit_ - bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the heap is full: HeapOptions::",
        limit_ < max_bytes_ ? "soft_limit_bytes" : "max_bytes", " is ", limit_,
        ", ", bytes_in_use_, " bytes are in use",
        external == 0 ? "" : absl::StrCat(" and ", external, " are external"),
        external > OwnedElsewhere() ? ", or were until lately" : "", ", and ",
        bytes, " more were needed"));
  }
  return absl::OkStatus();
}

size_t Cage::OwnedElsewhere() const {
  return static_cast<size_t>(std::max(external_bytes_, int64_t{0}));
}

size_t Cage::OwnedElsewhereSoon() const {
  return std::max(OwnedElsewhere(), external_reserve_);
}

void Cage::KeepResidentBelowLimit() {
  const auto counted = [this] {
    return bytes_in_use_ + OwnedElsewhereSoon() + free_resident_bytes();
  };
  while (free_resident_bytes() > 0 && counted() > limit_) {
    const std::optional<BlockRun> run = TakeResident(counted() - limit_);
    DecommitBlocks(*run);
    ReturnDecommitted(*run);
  }
}

absl::StatusOr<uint32_t> Cage::TakeBlocks(uint32_t count) {
  if (const std::optional<uint32_t> first = free_runs_.Take(count)) {
    return *first;
  }
  // Longer than any free run, so longer than the one at the frontier.
  const uint32_t more = count - free_runs_.LengthBefore(blocks_used_);
  const uint32_t end = blocks_used_ + more;
  if (absl::Status s = blocks_.EnsureCommitted(size_t{end} * kBlockSize);
      !s.ok()) {
    return s;
  }
  if (absl::Status s =
          descriptors_.EnsureCommitted(size_t{end} * sizeof(BlockDescriptor));
      !s.ok()) {
    return s;
  }
  free_runs_.Add({blocks_used_.exchange(end, std::memory_order_release), more},
                 /*resident=*/false);
  return *free_runs_.Take(count);
}

absl::StatusOr<BlockDescriptor*> Cage::Allocate(BlockDescriptor&& descriptor) {
  const bool mixed = descriptor.kind == BlockKind::kMixed;
  const size_t cells = descriptor.cell_count;
  const size_t units = SideUnits(cells, mixed);
  if (absl::Status s = CheckLimit(descriptor.run_bytes()); !s.ok()) return s;
  absl::StatusOr<std::byte*> side = side_table_.Allocate(units);
  if (!side.ok()) return side.status();
  absl::StatusOr<uint32_t> taken = TakeBlocks(descriptor.run_blocks);
  if (!taken.ok()) {
    side_table_.Free(*side);
    return taken.status();
  }
  descriptor.side_units = static_cast<uint8_t>(units);
  descriptor.marks = reinterpret_cast<uint8_t*>(*side);
  std::byte* alloc_bits = *side + MarkBytes(cells);
  std::memset(alloc_bits, 0, AllocBytes(cells));
  descriptor.alloc_bits = reinterpret_cast<uint64_t*>(alloc_bits);
  if (mixed) {
    descriptor.type_ids =
        reinterpret_cast<TypeId*>(alloc_bits + AllocBytes(cells));
  }
  BlockDescriptor* first = DescriptorOfBlock(*taken);
  for (uint32_t i = 0; i < descriptor.run_blocks; ++i) {
    descriptor.run_index = i;
    first[i].Publish(descriptor);
  }
  PoisonUnused(StartOf(first), first->run_bytes());
  bytes_in_use_ += first->run_bytes();
  KeepResidentBelowLimit();
  return first;
}

absl::StatusOr<BlockDescriptor*> Cage::AllocateUniform(const TypeInfo& type,
                                                       SweepNumber number) {
  ABSL_DCHECK_LE(type.cell_size, kMaxSmallSize);
  return Allocate({
      .type = &type,
      .reciprocal = ReciprocalOf(type.cell_size),
      .cell_size = type.cell_size,
      .run_blocks = 1,
      .cell_count = static_cast<uint16_t>(kBlockSize / type.cell_size),
      .swept_number = number,
      .kind = BlockKind::kUniform,
  });
}

absl::StatusOr<BlockDescriptor*> Cage::AllocateMixed(
    const SizeClass& size_class, SweepNumber number) {
  return Allocate({
      .reciprocal = ReciprocalOf(size_class.cell_size),
      .cell_size = size_class.cell_size,
      .run_blocks = size_class.blocks,
      .cell_count = size_class.cells,
      .swept_number = number,
      .kind = BlockKind::kMixed,
  });
}

absl::StatusOr<BlockDescriptor*> Cage::AllocateSpan(const TypeInfo& type,
                                                    size_t size,
                                                    SweepNumber number) {
  if (size > kCapacity) {
    return absl::ResourceExhaustedError(
        absl::StrCat("an object of ", size,
                     " bytes is larger than the heap's address space (",
                     kCapacity >> 20, " MiB; --//:cage_size sets it)"));
  }
  return Allocate({
      .type = &type,
      .reciprocal = 0,
      .cell_size = RoundUp(size, alignof(uint64_t)),
      .run_blocks =
          static_cast<uint32_t>(RoundUp(size, kBlockSize) / kBlockSize),
      .cell_count = 1,
      .swept_number = number,
      .kind = BlockKind::kSpan,
  });
}

void Cage::Free(BlockDescriptor* block) {
  ABSL_DCHECK(block->kind != BlockKind::kFree && block->run_index == 0);
  side_table_.Free(reinterpret_cast<std::byte*>(block->marks));
  const uint32_t count = block->run_blocks;
  std::fill_n(block, count, BlockDescriptor{});
  const auto number = static_cast<uint32_t>(
      (StartOf(block) - blocks_.start()) >> kBlockSizeLog2);
  free_runs_.Add({number, count}, /*resident=*/true);
  bytes_in_use_ -= size_t{count} * kBlockSize;
  KeepResidentBelowLimit();
}

BlockDescriptor* Cage::FindBlock(uintptr_t word) const {
  const auto first = reinterpret_cast<uintptr_t>(blocks_.start());
  const size_t used = blocks_used_.load(std::memory_order_acquire);
  if (word - first >= used * kBlockSize) return nullptr;
  BlockDescriptor* block = DescriptorOf(reinterpret_cast<void*>(word));
  return block->IsInUse() ? block : nullptr;
}

std::optional<BlockRun> Cage::TakeResident(size_t bytes) {
  return free_runs_.TakeResident(static_cast<uint32_t>(std::clamp(
      bytes / kBlockSize, kFewestDecommitBlocks, kMostDecommitBlocks)));
}

void Cage::DecommitBlocks(BlockRun run) const {
  Decommit(blocks_.start() + size_t{run.first} * kBlockSize,
           size_t{run.count} * kBlockSize);
}

void Cage::ReturnDecommitted(BlockRun run) {
  free_runs_.Add(run, /*resident=*/false);
}

void Cage::AdjustExternalBytes(int64_t delta) {
  external_bytes_ += delta;
  if (delta <= 0) return;
  external_peak_ = std::max(external_peak_, OwnedElsewhere());
  KeepResidentBelowLimit();
}

void Cage::ReserveExternal(size_t bytes) {
  external_reserve_ = bytes;
  KeepResidentBelowLimit();
}

size_t Cage::TakeExternalPeak() {
  return std::exchange(external_peak_, OwnedElsewhere());
}

void Cage::SetLimit(size_t bytes) {
  limit_ = std::min(bytes, max_bytes_);
  KeepResidentBelowLimit();
}

void Cage::CheckInvariants() const {
  free_runs_.CheckInvariants();
  side_table_.CheckInvariants();
  size_t used = 0;
  size_t free = 0;
  for (uint32_t number = 0; number < blocks_used_;) {
    const BlockDescriptor* block = DescriptorOfBlock(number);
    if (block->kind == BlockKind::kFree) {
      ++free;
      ++number;
      continue;
    }
    ABSL_CHECK_GT(block->run_blocks, 0u);
    ABSL_CHECK_LE(block->cell_size * block->cell_count, block->run_bytes());
    for (uint32_t i = 0; i < block->run_blocks; ++i) {
      ABSL_CHECK_EQ(block[i].run_index, i);
      ABSL_CHECK_EQ(block[i].marks, block->marks);
      ABSL_CHECK_EQ(block[i].run_blocks, block->run_blocks);
    }
    for (size_t i = block->cell_count; i < block->alloc_words() * 64; ++i) {
      ABSL_CHECK(!block->IsAllocated(i)) << "an alloc bit beyond the cells";
    }
    used += block->run_blocks;
    number += block->run_blocks;
  }
  ABSL_CHECK_EQ(used * kBlockSize, bytes_in_use_);
  ABSL_CHECK_EQ(free, free_runs_.count());
  ABSL_CHECK_LE(bytes_in_use_, max_bytes_);
}

}  // namespace bibop
