#include "bibop/handles/barriers.h"

#include <cstdint>

#include "absl/base/attributes.h"
#include "absl/functional/function_ref.h"
#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
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

[[noreturn]] ABSL_ATTRIBUTE_NOINLINE void MustRun(const MutatorBase* mutator) {
  ABSL_CHECK(mutator != nullptr)
      << "a reference in the heap is used by a thread that is not attached to "
         "that heap: open a MutatorScope first";
  ABSL_LOG(FATAL) << "a reference in the heap is used by a parked thread: end "
                     "its ParkedScope first";
}

// The same if it is running. Null if the thread runs destructors of that heap,
// which is then not being marked; else aborts.
MutatorBase* RunningMutatorOf(const void* object) {
  MutatorBase* mutator = FindMutatorOf(object);
  if (mutator != nullptr && !mutator->parked()) [[likely]]
    return mutator;
  if (!IsBeingSwept(object)) MustRun(mutator);
  return nullptr;
}

}  // namespace

void ShadeSlow(const void* object) {
  if (object == nullptr) return;
  MutatorBase* mutator = RunningMutatorOf(object);
  if (mutator != nullptr) mutator->snapshot().Shade(object);
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
  MutatorBase* mutator = RunningMutatorOf(object);
  if (mutator == nullptr) return load();
  switch (mutator->object_heap().phase()) {
    case HeapPhase::kMarking:
      mutator->snapshot().Shade(object);
      return object;
    case HeapPhase::kClearing:
      // Nothing is swept before this thread's next safepoint, so the mark byte
      // is still the object's.
      return mutator->object_heap().IsMarked(object) ? object : nullptr;
    case HeapPhase::kIdle:
      // It may have been cleared since it was loaded.
      return load();
  }
  return object;
}

}  // namespace bibop::internal
