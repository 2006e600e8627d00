#include "bibop/runtime/mutator.h"

#include <memory>
#include <thread>
#include <utility>

#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/type_info.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_stats.h"

namespace bibop {

Mutator::Mutator(Heap& heap, LocalAllocator allocator)
    : MutatorBase(std::move(allocator)),
      heap_(heap),
      thread_(std::this_thread::get_id()) {}

Mutator::~Mutator() {
  ABSL_CHECK(thread_ == std::this_thread::get_id())
      << "a Mutator is destroyed by another thread than the one it attached";
  // Before another thread may attach.
  allocator().Retire();
  heap_.Detach();
}

absl::StatusOr<void*> Mutator::AllocateSlow(const TypeInfo& type) {
  ABSL_CHECK(thread_ == std::this_thread::get_id())
      << "an allocation by another thread than the attached one: mutators, "
         "scopes and handles belong to one thread";
  if (heap_.BudgetSpent()) heap_.Collect(CycleCause::kBudgetSpent);
  absl::StatusOr<void*> cell = allocator().AllocateSlow(type);
  if (!absl::IsResourceExhausted(cell.status())) [[likely]] {
    return cell;
  }
  heap_.Collect(CycleCause::kHeapFull);
  cell = allocator().AllocateSlow(type);
  if (!absl::IsResourceExhausted(cell.status())) return cell;
  // The garbage may be in blocks of other types: sweeping frees those.
  heap_.FinishSweep();
  return allocator().AllocateSlow(type);
}

namespace {

std::unique_ptr<Mutator> AttachOrDie(Heap& heap) {
  absl::StatusOr<std::unique_ptr<Mutator>> mutator = heap.Attach();
  ABSL_CHECK(mutator.ok()) << "MutatorScope: " << mutator.status().message();
  return *std::move(mutator);
}

}  // namespace

MutatorScope::MutatorScope(Heap& heap) : mutator_(AttachOrDie(heap)) {}

}  // namespace bibop
