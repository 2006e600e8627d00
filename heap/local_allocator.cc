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
  Region& region = regions_[id];
  // There is room if TryAllocate did not know the type's number yet.
  if (region.limit == region.next) {
    if (absl::Status s = Refill(type, id); !s.ok()) return s;
  }
  void* cell = reinterpret_cast<void*>(region.next);
  region.next += type.cell_size;
  Unpoison(cell, type.size);
  return cell;
}

absl::Status LocalAllocator::Refill(const TypeInfo& type, TypeId id) {
  Source& source = sources_[id];
  if (source.block != nullptr) {
    CountRegion(source, source.region.last - source.region.first);
  }
  for (;;) {
    if (source.block != nullptr) {
      source.region = NextFreeRun(*source.block, source.region.last);
      if (source.region.first < source.region.last) break;
      source = {};
      regions_[id] = {0, 0};
    }
    absl::StatusOr<BlockDescriptor*> block = heap_.AcquireBlock(type, id);
    if (!block.ok()) return block.status();
    source.block = *block;
  }
  HandOut(source);
  return absl::OkStatus();
}

void LocalAllocator::CountRegion(const Source& source, size_t objects) {
  const auto count = static_cast<int64_t>(objects);
  heap_.Count({.objects = count, .bytes = count * source.block->cell_size});
}

void LocalAllocator::HandOut(const Source& source) {
  BlockDescriptor& block = *source.block;
  const CellRun run = source.region;
  ABSL_DCHECK_EQ(block.swept_epoch, heap_.epoch());  // I-3
  SetAllocBits(block, run);
  std::memset(block.marks + run.first, 0, run.last - run.first);
  const auto start = reinterpret_cast<uintptr_t>(Cage::StartOf(&block));
  regions_[block.type_id] = {start + run.first * block.cell_size,
                             start + run.last * block.cell_size};
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
    const size_t left = (region.limit - region.next) / block.cell_size;
    const size_t used_end = source.region.last - left;
    ClearAllocBits(block, {used_end, source.region.last});
    CountRegion(source, used_end - source.region.first);
    region = {0, 0};
    heap_.ReturnBlock(&block);
    source = {};
  }
}

}  // namespace bibop
