#include "bibop/heap/local_allocator.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bibop/base/poison.h"
#include "bibop/base/virtual_memory.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/type_info.h"

namespace bibop {
namespace {

constexpr size_t kPageSize = 4096;
constexpr size_t kMaxTypes = size_t{std::numeric_limits<TypeId>::max()} + 1;

uintptr_t AddressOfCell(const BlockDescriptor& block, size_t index) {
  return reinterpret_cast<uintptr_t>(Cage::StartOf(&block)) +
         index * block.cell_size;
}

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
      home_(heap.NewHome()),
      table_(std::move(table)),
      regions_(reinterpret_cast<Region*>(table_.start())) {}

LocalAllocator::~LocalAllocator() {
  // Not after a move.
  if (table_.size() != 0) Retire();
}

absl::StatusOr<void*> LocalAllocator::AllocateSlow(const TypeInfo& type,
                                                   TypeId id, size_t size) {
  if (id == 0) id = RegisterType(type);
  size_t size_class = type.size_class;
  if (size != type.size || type.is_store) {
    size_class = FindSizeClass(size, std::max(type.alignment, size_t{8}));
  } else if (type.cell_size <= kMaxSmallSize) {
    if (id >= rare_bytes_.size()) rare_bytes_.resize(size_t{id} + 1);
    uint16_t& rare_bytes = rare_bytes_[id];
    if (rare_bytes >= kRareBytes) return AllocateUniform(type, id);
    rare_bytes = static_cast<uint16_t>(rare_bytes + type.cell_size);
  }
  if (size_class < kNumSizeClasses)
    return AllocateMixed(type, id, size, size_class);
  absl::StatusOr<void*> object = heap_.AllocateSpan(type, size);
  if (object.ok()) UnpoisonForObject(*object, size);
  return object;
}

absl::StatusOr<void*> LocalAllocator::AllocateUniform(const TypeInfo& type,
                                                      TypeId id) {
  Region& region = regions_[id];
  // There is room if TryAllocate did not know the type's number yet.
  if (region.limit == region.next) {
    if (absl::Status s = Refill(type, id); !s.ok()) return s;
  }
  void* cell = reinterpret_cast<void*>(region.next);
  region.next += type.cell_size;
  UnpoisonForObject(cell, type.size);
  return cell;
}

absl::StatusOr<void*> LocalAllocator::AllocateMixed(const TypeInfo& type,
                                                    TypeId id, size_t size,
                                                    size_t size_class) {
  const CellsFor what = type.is_store ? CellsFor::kStores : CellsFor::kObjects;
  const size_t cell_size = SizeClassOf(size_class).cell_size;
  const auto give = [id, size](MixedCells cells, uintptr_t cell, size_t index) {
    cells.block->SetTypeOfCell(index, id);
    UnpoisonForObject(reinterpret_cast<void*>(cell), size);
    return reinterpret_cast<void*>(cell);
  };
  if (size_class >= kNumSmallClasses) {
    absl::StatusOr<MixedCells> cells =
        heap_.AcquireCells(what, size_class, 1, TakeCounts());
    if (!cells.ok()) return cells.status();
    Count(*cells->block, 1);
    const size_t index = cells->cells.first;
    return give(*cells, AddressOfCell(*cells->block, index), index);
  }
  MixedSource& source = (type.is_store ? stores_ : mixed_)[size_class];
  Region& region = source.region;
  if (region.next == region.limit) {
    const CellRun used = source.cells.cells;
    if (used.last != 0) Count(*source.cells.block, used.last - used.first);
    source = {};
    absl::StatusOr<MixedCells> cells = heap_.AcquireCells(
        what, size_class,
        one_cell_ ? 1 : std::max(kMixedRegionBytes / cell_size, size_t{1}),
        TakeCounts());
    if (!cells.ok()) return cells.status();
    source.cells = *cells;
    region = {AddressOfCell(*cells->block, cells->cells.first),
              AddressOfCell(*cells->block, cells->cells.last)};
  }
  const uintptr_t cell = region.next;
  region.next += cell_size;
  const size_t left = (region.limit - cell) / cell_size;
  return give(source.cells, cell, source.cells.cells.last - left);
}

absl::Status LocalAllocator::Refill(const TypeInfo& type, TypeId id) {
  if (id >= sources_.size()) sources_.resize(size_t{id} + 1);
  Source& source = sources_[id];
  if (source.block() != nullptr) {
    Count(*source.block(), source.region.last - source.region.first);
  }
  for (;;) {
    for (; source.current < source.count; ++source.current) {
      source.region = NextFreeRun(*source.block(), source.region.last);
      if (source.region.first < source.region.last) {
        if (one_cell_) source.region.last = source.region.first + 1;
        HandOut(source, id);
        return absl::OkStatus();
      }
      source.region = {0, 0};
    }
    regions_[id] = {0, 0};
    const absl::Span<BlockDescriptor*> blocks = absl::MakeSpan(source.blocks);
    const auto full = std::exchange(source.blocks, {});
    const size_t count = std::exchange(source.count, 0);
    source.current = 0;
    const absl::StatusOr<size_t> taken = heap_.AcquireBlocks(
        type, id, home_, TakeCounts(), absl::MakeConstSpan(full.data(), count),
        blocks.first(source.ask_for));
    if (!taken.ok()) return taken.status();
    source.count = *taken;
    source.ask_for = std::min(2 * source.ask_for, kMostBlocks);
  }
}

void LocalAllocator::Count(const BlockDescriptor& block, size_t objects) {
  counts_.objects += static_cast<int64_t>(objects);
  counts_.bytes += static_cast<int64_t>(objects * block.cell_size);
}

void LocalAllocator::HandOut(const Source& source, TypeId id) {
  BlockDescriptor& block = *source.block();
  const CellRun run = source.region;
  heap_.Ready(block, run);
  regions_[id] = {AddressOfCell(block, run.first),
                  AddressOfCell(block, run.last)};
}

void LocalAllocator::RetireSource(Source& source, TypeId id) {
  Region& region = regions_[id];
  BlockDescriptor& block = *source.block();
  const size_t left = (region.limit - region.next) / block.cell_size;
  const size_t used_end = source.region.last - left;
  ClearAllocBits(block, {used_end, source.region.last});
  Count(block, used_end - source.region.first);
  region = {0, 0};
  const auto blocks = absl::MakeConstSpan(source.blocks.data(), source.count);
  heap_.ReturnBlocks(id, blocks.first(source.current),
                     blocks.subspan(source.current));
  source = {};
}

void LocalAllocator::RetireMixed(
    CellsFor what, std::array<MixedSource, kNumSmallClasses>& sources) {
  for (size_t size_class = 0; size_class < sources.size(); ++size_class) {
    MixedSource& source = sources[size_class];
    if (source.cells.block == nullptr) continue;
    const size_t left = (source.region.limit - source.region.next) /
                        SizeClassOf(size_class).cell_size;
    const CellRun cells = source.cells.cells;
    Count(*source.cells.block, cells.last - left - cells.first);
    heap_.ReturnCells(what, size_class,
                      {source.cells.block, {cells.last - left, cells.last}});
    source = {};
  }
}

void LocalAllocator::Retire() {
  for (size_t id = 0; id < sources_.size(); ++id) {
    Source& source = sources_[id];
    if (source.block() == nullptr) continue;
    RetireSource(source, static_cast<TypeId>(id));
  }
  RetireMixed(CellsFor::kObjects, mixed_);
  RetireMixed(CellsFor::kStores, stores_);
  // Once retired it never refers to the heap again, which may be gone.
  const AllocationCounts counts = TakeCounts();
  if (counts.objects != 0) heap_.Count(counts);
}

}  // namespace bibop
