#include "bibop/handles/handle_scope.h"

#include <cstddef>
#include <limits>

#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bibop/base/stack.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/type_info.h"

namespace bibop::internal {

CellAndSlot AllocateSlow(MutatorBase& mutator, const TypeInfo& type,
                         TypeId id) {
  absl::StatusOr<void*> cell = mutator.AllocateSlow(type, id, type.size);
  if (!cell.ok()) mutator.OutOfMemory(cell.status());
  return {*cell, mutator.handles().next()};
}

absl::StatusOr<void*> AllocateWithExtraBytes(MutatorBase& mutator,
                                             const TypeInfo& type, TypeId id,
                                             size_t extra_bytes) {
  constexpr size_t kMost = std::numeric_limits<ptrdiff_t>::max();
  if (extra_bytes > kMost - type.size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "an object of type ", type.name, " with ", extra_bytes,
        " bytes or more of elements is larger than an object can be"));
  }
  return mutator.AllocateSlow(type, id, type.size + extra_bytes);
}

void CheckScopeOnStack(const void* scope) {
  ABSL_CHECK(MayBeOnStack(scope))
      << "a HandleScope was opened that is not on the stack of this thread, "
         "but in a coroutine, a container or an object that was made with "
         "new. A scope is a variable of a function; a coroutine has scopes "
         "between two suspensions only.";
}

}  // namespace bibop::internal
