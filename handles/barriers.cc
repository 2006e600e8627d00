#include "bibop/handles/barriers.h"

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/log/absl_check.h"
#include "bibop/handles/local_snapshot.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"

namespace bibop::internal {
namespace {

// This thread's mutator on the heap of `object`, or null.
MutatorBase* FindMutatorOf(const void* object) {
  MutatorBase* mutator = MutatorBase::LatestOfThisThread();
  while (mutator != nullptr && !mutator->object_heap().Contains(object)) {
    mutator = mutator->next_of_thread();
  }
  return mutator;
}

// The same, which there has to be, and to be running.
MutatorBase& MutatorOf(const void* object) {
  MutatorBase* mutator = FindMutatorOf(object);
  ABSL_CHECK(mutator != nullptr)
      << "a reference in the heap is used by a thread that is not attached to "
         "that heap: open a MutatorScope first";
  ABSL_CHECK(!mutator->parked())
      << "a reference in the heap is used by a parked thread: end its "
         "ParkedScope first";
  return *mutator;
}

}  // namespace

void ShadeSlow(const void* object) {
  if (object == nullptr || IsBeingSwept(object)) return;
  MutatorOf(object).snapshot().Shade(object);
}

void CheckIsObject(const void* object) {
  const MutatorBase* mutator = FindMutatorOf(object);
  if (mutator == nullptr) return;
  const auto word = reinterpret_cast<uintptr_t>(object);
  ABSL_CHECK(mutator->object_heap().FindObject(word).has_value())
      << "a Member refers to an object that was collected: a Trace does not "
         "visit the Member, or the destructor of its object looks at it";
}

void* ReadWeakSlow(absl::FunctionRef<void*()> load) {
  void* object = load();
  if (object == nullptr) return nullptr;
  if (IsBeingSwept(object)) return load();
  MutatorBase& mutator = MutatorOf(object);
  switch (mutator.object_heap().phase()) {
    case HeapPhase::kMarking:
      mutator.snapshot().Shade(object);
      return object;
    case HeapPhase::kClearing:
      // Nothing is swept before this thread's next safepoint, so the mark byte
      // is still the object's.
      return mutator.object_heap().IsMarked(object) ? object : nullptr;
    case HeapPhase::kIdle:
      // It may have been cleared since it was loaded.
      return load();
  }
  return object;
}

}  // namespace bibop::internal
