// NoGcScope: a stretch of code in which no collection starts, so that plain
// pointers and references to objects are good in it.
//
//   NoGcScope no_gc(mutator);
//   for (Entry* entry = table->first.get(); entry != nullptr;
//        entry = entry->next.get()) { ... }
//
// Other threads that want to collect, or whose allocation has to, wait until it
// ends: it is for stretches of microseconds. Nothing may be allocated in it,
// and clang warns where that is in sight (-Wthread-safety).

#ifndef BIBOP_HANDLES_NO_GC_SCOPE_H_
#define BIBOP_HANDLES_NO_GC_SCOPE_H_

#include <cstddef>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "bibop/handles/capabilities.h"
#include "bibop/handles/coroutine_ban.h"  // IWYU pragma: export
#include "bibop/handles/mutator_base.h"

namespace bibop {

// Stack only, used by the mutator's thread. They nest, but clang warns where
// one function opens two.
class ABSL_SCOPED_LOCKABLE NoGcScope {
 public:
  static constexpr bool kIsScoped = true;

  // From here on, until this is destroyed, the thread allocates no object, is
  // at no safepoint, neither parks nor detaches. A safepoint at which it would
  // have to stop, and an allocation that needs more than what the thread has at
  // hand, abort in every build; all of them do in checked builds.
  [[nodiscard]] explicit NoGcScope(MutatorBase& mutator
                                   ABSL_ATTRIBUTE_LIFETIME_BOUND)
      ABSL_EXCLUSIVE_LOCK_FUNCTION(internal::no_gc)
      : mutator_(mutator) {
    mutator_.EnterNoGc();
  }
  ~NoGcScope() ABSL_UNLOCK_FUNCTION() { mutator_.LeaveNoGc(); }

  NoGcScope(const NoGcScope&) = delete;
  NoGcScope& operator=(const NoGcScope&) = delete;
  static void* operator new(size_t) = delete;
  static void* operator new[](size_t) = delete;

 private:
  MutatorBase& mutator_;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_NO_GC_SCOPE_H_
