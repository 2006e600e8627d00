#include "bibop/handles/local_handles.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "bibop/base/build_config.h"
#include "bibop/base/poison.h"
#include "bibop/handles/root_visitor.h"
#include "bibop/handles/scope_ledger.h"

namespace bibop {

LocalHandles::LocalHandles() : block_(NewBlock()) {
  next_ = block_->slots.data();
  limit_ = EndOf(*block_);
  if constexpr (kCheckedHandles) ledger_ = &internal::ScopeLedger::Acquire();
}

bool LocalHandles::Holds(Block& block, const HandleSlot* next) {
  return std::less_equal<>()(block.slots.data(), next) &&
         std::less_equal<>()(next, EndOf(block));
}

LocalHandles::~LocalHandles() {
  ABSL_CHECK(depth_ == 0 && size() == 0)
      << "a thread leaves its heap inside of a HandleScope, which has to close "
         "first, or after an EscapableHandleScope without a HandleScope";
  // One by one: unique_ptr would destroy a long chain recursively.
  while (spare_ != nullptr) spare_ = std::move(spare_->previous);
  while (block_ != nullptr) block_ = std::move(block_->previous);
  if constexpr (kCheckedHandles) ledger_->Release();
}

std::unique_ptr<LocalHandles::Block> LocalHandles::NewBlock() {
  auto block = std::make_unique_for_overwrite<Block>();
  PoisonUnused(block->slots.data(), sizeof(block->slots));
  return block;
}

void LocalHandles::Extend() {
  if (sealed_depth_ == depth_) {
    ABSL_LOG(FATAL) << "a handle was created under a SealedHandleScope: open a "
                       "HandleScope inside of it, or create the handle before";
  }
  // A seal around the scopes that were opened since may have lowered the limit.
  HandleSlot* end = EndOf(*block_);
  if (next_ != end) {
    limit_ = end;
    return;
  }
  std::unique_ptr<Block> block = std::move(spare_);
  if (block != nullptr) {
    spare_ = std::move(block->previous);
    --spares_;
  } else {
    block = NewBlock();
  }
  block->previous = std::move(block_);
  block_ = std::move(block);
  next_ = block_->slots.data();
  limit_ = EndOf(*block_);
}

template <class M>
void LocalHandles::CloseInLedger(const M& mark, const void* at) {
  if constexpr (kCheckedHandles) ledger_->CloseScope(mark.scope, at);
}

void LocalHandles::CheckAndPoison(const Mark& mark) {
  CloseInLedger(mark, __builtin_return_address(0));
  HandleSlot* end = next_;
  for (Block* block = block_.get();; block = block->previous.get()) {
    HandleSlot* const start = block->slots.data();
    const bool is_last = Holds(*block, mark.next);
    HandleSlot* const first = is_last ? mark.next : start;
    PoisonFreed(first, static_cast<size_t>(end - first) * sizeof(HandleSlot));
    if (is_last) return;
    end = EndOf(*block->previous);
  }
}

void LocalHandles::DropBlocksAfter(const HandleSlot* next) {
  while (!Holds(*block_, next)) {
    std::unique_ptr<Block> block = std::move(block_);
    block_ = std::move(block->previous);
    if (spares_ == kMostSpares) continue;
    block->previous = std::move(spare_);
    spare_ = std::move(block);
    ++spares_;
  }
  limit_ = EndOf(*block_);
}

template <class F>
void LocalHandles::ForEachSlot(F visit) const {
  const HandleSlot* end = next_;
  for (const Block* block = block_.get(); block != nullptr;
       block = block->previous.get()) {
    for (const HandleSlot* slot = block->slots.data(); slot != end; ++slot) {
      visit(*slot);
    }
    if (block->previous != nullptr) end = EndOf(*block->previous);
  }
}

size_t LocalHandles::size() const {
  size_t size = 0;
  ForEachSlot([&size](HandleSlot) { ++size; });
  return size;
}

void LocalHandles::VisitRootsInConstruction(RootVisitor& visitor) const {
  ForEachSlot([&visitor](HandleSlot slot) {
    if ((slot & kInConstruction) == 0) return;
    visitor.VisitRootInConstruction(
        reinterpret_cast<const void*>(slot & ~kInConstruction));
  });
}

void LocalHandles::VisitRoots(RootVisitor& visitor) const {
  ForEachSlot([&visitor](HandleSlot slot) {
    if (slot == 0 || (slot & kInConstruction) != 0) return;
    visitor.VisitRoot(reinterpret_cast<const void*>(slot));
  });
}

}  // namespace bibop
