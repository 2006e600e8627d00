// What clang's thread-safety analysis (-Wthread-safety) is told of scopes that
// forbid something. It was made for locks: a scope that forbids holds a
// capability, and functions that it forbids exclude that.

#ifndef BIBOP_HANDLES_CAPABILITIES_H_
#define BIBOP_HANDLES_CAPABILITIES_H_

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"

// A function of a HandleScope that creates a handle: the scope is not sealed,
// and outlives the handle.
#define BIBOP_CREATES_HANDLES \
  ABSL_ATTRIBUTE_LIFETIME_BOUND ABSL_LOCKS_EXCLUDED(this)
// One that also allocates: no NoGcScope is open.
#define BIBOP_ALLOCATES                                   \
  ABSL_ATTRIBUTE_LIFETIME_BOUND ABSL_LOCKS_EXCLUDED(this, \
                                                    ::bibop::internal::no_gc)

namespace bibop::internal {

class ABSL_LOCKABLE NoGcCapability{};

// Held by a NoGcScope, excluded by allocations.
inline constexpr NoGcCapability no_gc;

}  // namespace bibop::internal

#endif  // BIBOP_HANDLES_CAPABILITIES_H_
