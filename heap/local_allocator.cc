#include "bibop/heap/local_allocator.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bibop/base/poison.h"
#include "bibop/base/virtual_memory.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"

namespace bibop {
namespace {

constexpr size_t kPageSize = 4096;
constexpr size_t kMaxTypes = size_t{std::numeric_limits<TypeId>::max()} + 1;

}  // namespace

absl::StatusOr<LocalAllocator> LocalAllocator::Create(ObjectHeap& heap) {
  constexpr size_t kTableSize = kMaxTypes * sizeof(Region);
  absl::StatusOr<VirtualRange> table =
      VirtualRange::Reserve(kTableSize, kPageSize);
  if (!table.ok()) return table.status();
  CommitFrontier frontier(table->start(), kTableSize, kTableSize);
  if (absl::Status s = frontier.EnsureCommitted(kTableSize); !s.ok()) return s;
  return LocalAllocator(heap, *std::move(table));
}

LocalAllocator::LocalAllocator(ObjectHeap& heap, VirtualRange table)
    : heap_(heap),
      table_(std::move(table)),
      regions_(reinterpret_cast<Region*>(table_.start())) {}

LocalAllocator::~LocalAllocator() { Retire(); }

absl::StatusOr<void*> LocalAllocator::AllocateSlow(const TypeInfo& type) {
  if (type.cell_size > kBlockSize) {
    return absl::InvalidArgumentError(
        absl::StrCat("an object of ", type.size, " bytes (", type.name,
                     ") does not fit into a block: ", kBlockSize,
                     " bytes are the most for now"));
  }
  const TypeId id = RegisterType(type);
  if (id >= sources_.size()) sources_.resize(size_t{id} + 1);
  Source& source = sources_[id];
  for (;;) {
    if (source.block != nullptr) {
      const CellRun run = NextFreeRun(*source.block, source.next_cell);
      if (run.first < run.last) {
        source.next_cell = run.last;
        HandOut(*source.block, run);
        break;
      }
      source.block = nullptr;
    }
    absl::StatusOr<BlockDescriptor*> block = heap_.AcquireBlock(type, id);
    if (!block.ok()) return block.status();
    source = {*block, 0};
  }
  Region& region = regions_[id];
  void* cell = reinterpret_cast<void*>(region.next);
  region.next += type.cell_size;
  Unpoison(cell, type.size);
  return cell;
}

void LocalAllocator::HandOut(BlockDescriptor& block, CellRun run) {
  ABSL_DCHECK_EQ(block.swept_epoch, heap_.epoch());  // I-3
  SetAllocBits(block, run);
  std::memset(block.marks + run.first, 0, run.last - run.first);
  const auto start = reinterpret_cast<uintptr_t>(Cage::StartOf(&block));
  const uintptr_t next = start + run.first * block.cell_size;
  const uintptr_t limit = start + run.last * block.cell_size;
  regions_[block.type_id] = {next, limit};
  heap_.Count({.objects = static_cast<int64_t>(run.last - run.first),
               .bytes = static_cast<int64_t>(limit - next)});
}

void LocalAllocator::Abandon(void* cell, const TypeInfo& type) {
  BlockDescriptor& block = *Cage::DescriptorOf(cell);
  const size_t index = block.CellIndex(Cage::OffsetInBlock(cell));
  ClearAllocBits(block, {index, index + 1});
  PoisonFreed(cell, type.cell_size);
  heap_.Count({.objects = -1, .bytes = -static_cast<int64_t>(type.cell_size)});
}

void LocalAllocator::Retire() {
  for (size_t id = 0; id < sources_.size(); ++id) {
    Source& source = sources_[id];
    if (source.block == nullptr) continue;
    Region& region = regions_[id];
    BlockDescriptor& block = *source.block;
    // The region is the last run that was handed out: it ends at next_cell.
    const size_t left = (region.limit - region.next) / block.cell_size;
    if (left > 0) {
      ClearAllocBits(block, {source.next_cell - left, source.next_cell});
      heap_.Count({.objects = -static_cast<int64_t>(left),
                   .bytes = -static_cast<int64_t>(left * block.cell_size)});
    }
    region = {0, 0};
    heap_.ReturnBlock(&block);
    source = {};
  }
}

}  // namespace bibop
