#include "bibop/handles/local_handles.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "bibop/handles/root_visitor.h"

namespace bibop {

LocalHandles::LocalHandles() : block_(std::make_unique<Block>()) {
  next_ = block_->slots.data();
  limit_ = EndOf(*block_);
}

LocalHandles::~LocalHandles() {
  ABSL_CHECK(depth_ == 0 && size() == 0)
      << "a thread leaves its heap inside of a HandleScope, which has to close "
         "first, or after an EscapableHandleScope without a HandleScope";
  // One by one: unique_ptr would destroy a long chain recursively.
  while (spare_ != nullptr) spare_ = std::move(spare_->previous);
  while (block_ != nullptr) block_ = std::move(block_->previous);
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
  } else {
    block = std::make_unique<Block>();
  }
  block->previous = std::move(block_);
  block_ = std::move(block);
  next_ = block_->slots.data();
  limit_ = EndOf(*block_);
}

void LocalHandles::DropBlocksAfter(const HandleSlot* next) {
  const auto holds = [next](Block& block) {
    return std::less_equal<>()(block.slots.data(), next) &&
           std::less_equal<>()(next, EndOf(block));
  };
  while (!holds(*block_)) {
    std::unique_ptr<Block> block = std::move(block_);
    block_ = std::move(block->previous);
    block->previous = std::move(spare_);
    spare_ = std::move(block);
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
