#include "bibop/async/gc_task.h"

#include <source_location>

#include "absl/log/absl_check.h"
#include "bibop/async/async_handle_scope.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/runtime/mutator.h"

namespace bibop::internal {

AsyncHandleScope MakeScopeFor(const void* object, std::source_location place) {
  MutatorBase* mutator = MutatorBase::LatestOfThisThread();
  while (mutator != nullptr && !mutator->object_heap().Contains(object)) {
    mutator = mutator->next_of_thread();
  }
  ABSL_CHECK(mutator != nullptr)
      << "a handle is captured for a task on a thread that is not attached to "
         "its heap";
  // All mutators of a Heap are Mutators.
  return AsyncHandleScope(static_cast<Mutator*>(mutator)->heap(), place);
}

}  // namespace bibop::internal
