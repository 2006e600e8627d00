#include "bibop/heap/object_heap.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/log/absl_check.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/sweep.h"
#include "bibop/heap/type_info.h"

namespace bibop {

absl::StatusOr<std::unique_ptr<ObjectHeap>> ObjectHeap::Create(
    size_t max_bytes) {
  absl::StatusOr<std::unique_ptr<Cage>> cage = Cage::Create(max_bytes);
  if (!cage.ok()) return cage.status();
  return absl::WrapUnique(new ObjectHeap(*std::move(cage)));
}

ObjectHeap::~ObjectHeap() {
  sweeping_ = true;
  for (TypeSpace& space : spaces_) {
    for (BlockDescriptor* block : space.blocks) DestroyBlock(*block);
  }
}

size_t ObjectHeap::Sweep(BlockDescriptor& block) {
  sweeping_ = true;
  const SweepResult result = SweepBlock(block, epoch_);
  sweeping_ = false;
  freed_objects_ += static_cast<int64_t>(result.freed_objects);
  return result.live_objects;
}

absl::StatusOr<BlockDescriptor*> ObjectHeap::AcquireBlock(const TypeInfo& type,
                                                          TypeId id) {
  ABSL_CHECK(!marking_ && !sweeping_)
      << "an object of type " << type.name
      << " was allocated by a destructor or by a Trace: neither may allocate";
  if (id >= spaces_.size()) spaces_.resize(size_t{id} + 1);
  TypeSpace& space = spaces_[id];
  if (!space.returned.empty()) {
    BlockDescriptor* block = space.returned.back();
    space.returned.pop_back();
    return block;
  }
  while (space.cursor < space.blocks.size()) {
    BlockDescriptor* block = space.blocks[space.cursor++];
    if (Sweep(*block) < block->cell_count) return block;
  }
  absl::StatusOr<BlockDescriptor*> block =
      cage_->AllocateBlock(type, id, epoch_);
  if (!block.ok()) return block;
  space.blocks.push_back(*block);
  ++space.cursor;
  return block;
}

void ObjectHeap::ReturnBlock(BlockDescriptor* block) {
  spaces_[block->type_id].returned.push_back(block);
}

void ObjectHeap::FinishSweep() {
  ABSL_CHECK(!sweeping_ && !marking_)
      << "a collection was asked for by a destructor or by a Trace: neither "
         "may collect";
  for (TypeSpace& space : spaces_) {
    size_t kept = space.cursor;
    for (; space.cursor < space.blocks.size(); ++space.cursor) {
      BlockDescriptor* block = space.blocks[space.cursor];
      if (Sweep(*block) == 0) {
        cage_->FreeBlock(block);
      } else {
        space.blocks[kept++] = block;
        space.returned.push_back(block);
      }
    }
    space.blocks.resize(kept);
    space.cursor = kept;
  }
}

void ObjectHeap::BeginMark() {
  ABSL_CHECK(!sweeping_ && !marking_);
  for (const TypeSpace& space : spaces_) {
    ABSL_CHECK_EQ(space.cursor, space.blocks.size())
        << "a mark begins before the sweep of the last one is finished";
  }
  epoch_ = NextEpoch(epoch_);
  marking_ = true;
}

void ObjectHeap::FinishMark() {
  marking_ = false;
  for (TypeSpace& space : spaces_) {
    space.cursor = 0;
    space.returned.clear();
  }
}

std::optional<ObjectRef> ObjectHeap::FindObject(uintptr_t word) const {
  const BlockDescriptor* block = cage_->FindBlock(word);
  if (block == nullptr) return std::nullopt;
  const size_t index =
      block->CellIndex(Cage::OffsetInBlock(reinterpret_cast<void*>(word)));
  if (index >= block->cell_count || !block->IsAllocated(index)) {
    return std::nullopt;
  }
  return ObjectRef{Cage::StartOf(block) + index * block->cell_size,
                   block->type};
}

void ObjectHeap::ForEachObject(absl::FunctionRef<void(ObjectRef)> visit) const {
  for (const TypeSpace& space : spaces_) {
    for (const BlockDescriptor* block : space.blocks) {
      for (size_t index = 0; index < block->cell_count; ++index) {
        if (!block->IsAllocated(index)) continue;
        visit({Cage::StartOf(block) + index * block->cell_size, block->type});
      }
    }
  }
}

}  // namespace bibop
