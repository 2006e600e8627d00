// The missing-root detector: when a mark has ended, it looks at the stacks and
// registers of the stopped mutators for references to objects that no root
// keeps alive. Such an object is about to be destroyed; if the function still
// uses it, it has no handle where it needs one.
//
// A reference on a stack may also be a left-over: a variable that is not used
// any more, or whose scope has ended. So what it says is worth a look, and no
// proof. It only sees pointers at or into objects, in whole words.

#ifndef BIBOP_RUNTIME_MISSING_ROOTS_H_
#define BIBOP_RUNTIME_MISSING_ROOTS_H_

#include "absl/types/span.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/object_heap.h"
#include "bibop/runtime/stress_options.h"

namespace bibop {

// Tells of each such object in the log, with the functions in whose frames a
// thread refers to it; or aborts at the first. `mutators` are all there are,
// and Mutators.
//
// REQUIRES: the heap is in kClearing; the mutators are stopped, have retired
// their allocators, and have noted their stacks.
void FindMissingRoots(const ObjectHeap& heap,
                      absl::Span<MutatorBase* const> mutators,
                      MissingRoots what_to_do);

}  // namespace bibop

#endif  // BIBOP_RUNTIME_MISSING_ROOTS_H_
