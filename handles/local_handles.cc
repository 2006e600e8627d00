#include "bibop/handles/local_handles.h"

#include <cstddef>
#include <memory>
#include <source_location>
#include <string>
#include <utility>

#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "absl/strings/str_cat.h"
#include "bibop/base/build_config.h"
#include "bibop/base/poison.h"
#include "bibop/handles/root_visitor.h"
#include "bibop/handles/scope_ledger.h"

namespace bibop {

LocalHandles::LocalHandles() : first_(NewBlock(nullptr)) {
  next_ = first_->slots.data();
  if constexpr (kCheckedHandles) ledger_ = &internal::ScopeLedger::Acquire();
}

LocalHandles::~LocalHandles() {
  ABSL_CHECK(depth_ == 0 && size() == 0)
      << "a thread leaves its heap inside of a HandleScope, which has to close "
         "first, or after an EscapableHandleScope without a HandleScope";
  // One by one: unique_ptr would destroy a long chain recursively.
  std::unique_ptr<Block> block = std::move(first_->next);
  while (block != nullptr) block = std::move(block->next);
  if constexpr (kCheckedHandles) ledger_->Release();
}

std::unique_ptr<LocalHandles::Block> LocalHandles::NewBlock(Block* previous) {
  auto block = std::make_unique_for_overwrite<Block>();
  block->previous = previous;
  PoisonUnused(block->slots.data(), sizeof(block->slots));
  return block;
}

void LocalHandles::Extend() {
  CheckNotParked();
  if (next_ == nullptr) {
    if (sealed_depth_ == depth_) {
      ABSL_LOG(FATAL)
          << "a handle was created under a SealedHandleScope, or an "
             "EscapableHandleScope whose handle would go there: open a "
             "HandleScope inside of the seal, or create the handle before";
    }
    next_ = sealed_next_;
    if (!IsEndOfBlock(next_)) return;
  }
  Block& block = BlockOf(next_);
  if (block.next == nullptr) block.next = NewBlock(&block);
  next_ = block.next->slots.data();
}

std::string LocalHandles::DescribeTask() const {
  if (task_ == nullptr) return "";
  return absl::StrCat(", in a task that was made at ", task_->file_name(), ":",
                      task_->line());
}

void LocalHandles::AbortParked() const {
  ABSL_LOG(FATAL) << "a handle is created, or a seal begins, by a parked thread"
                  << DescribeTask()
                  << ": open an AsyncHandleGuard, or end the ParkedScope first";
}

void LocalHandles::AbortParked(std::source_location place) const {
  ABSL_LOG(FATAL) << "a HandleScope was opened by a parked thread, at "
                  << internal::PlaceOf(place) << DescribeTask()
                  << ": open it in an AsyncHandleGuard, or after the "
                     "ParkedScope, in which its handles are used";
}

void LocalHandles::AbortClosedWhileParked() {
  ABSL_LOG(FATAL)
      << "a HandleScope or SealedHandleScope was closed while its thread was "
         "parked: it closes before the ParkedScope is opened, or after that "
         "has ended";
}

HandleSlot* LocalHandles::FindRecent(HandleSlot value) const {
  constexpr std::ptrdiff_t kFew = 16;
  HandleSlot* const end = NextSlot();
  HandleSlot* const first = BlockOf(end).slots.data();
  for (HandleSlot* slot = end; slot != first && end - slot < kFew;) {
    if (*--slot == value) return slot;
  }
  return nullptr;
}

void LocalHandles::CheckInScope() const {
  if constexpr (kCountsScopes) {
    ABSL_CHECK(depth_ > 0)
        << "a container grows, or is moved out of an object, where no "
           "HandleScope is open: open one, which roots what is on its way";
  }
}

void LocalHandles::FreeSpares(Block& last) {
  Block* block = &last;
  for (size_t i = 0; i < kMostSpares && block != nullptr; ++i) {
    block = block->next.get();
  }
  if (block == nullptr) return;
  std::unique_ptr<Block> spare = std::move(block->next);
  while (spare != nullptr) spare = std::move(spare->next);
}

template <class M>
void LocalHandles::CloseInLedger(const M& mark, const void* at) {
  if constexpr (kCheckedHandles) ledger_->CloseScope(mark.scope, at);
}

void LocalHandles::CheckAndPoison(const Mark& mark) {
  CloseInLedger(mark, __builtin_return_address(0));
  HandleSlot* start = mark.next != nullptr ? mark.next : sealed_next_;
  HandleSlot* const end = NextSlot();
  const Block* const last = &BlockOf(end);
  for (Block* block = &BlockOf(start);; block = block->next.get()) {
    HandleSlot* const stop = block == last ? end : EndOf(*block);
    PoisonFreed(start, static_cast<size_t>(stop - start) * sizeof(HandleSlot));
    if (block == last) return;
    start = block->next->slots.data();
  }
}

std::string LocalHandles::DescribeInnermost() const {
  if constexpr (kCheckedHandles) return ledger_->DescribeInnermost();
  return "";
}

template <class F>
void LocalHandles::ForEachSlot(F visit) const {
  const HandleSlot* end = NextSlot();
  for (const Block* block = &BlockOf(NextSlot()); block != nullptr;
       block = block->previous) {
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
    if (slot == 0 || slot == kVacant || (slot & kInConstruction) != 0) return;
    visitor.VisitRoot(reinterpret_cast<const void*>(slot));
  });
}

}  // namespace bibop
