// AsyncHandleGuard: a stretch of a task, without a suspension, in which its
// AsyncHandles are used.
//
//   AsyncHandleGuard guard(mutator);
//   Handle<Page> page = guard.Get(async_page);
//   page->next = guard.New<Page>("next");
//
// It makes the thread a running mutator if it is parked, and parks it again in
// the end, with one atomic operation each; if it runs already that is two
// comparisons. It is a HandleScope of its own, so that whatever it roots goes
// with it.
//
// A guard may not be open across a suspension: while the task sleeps its thread
// does something else, and it may wake up on another. As a parameter of a
// coroutine it does not compile; one that ends on another thread aborts.

#ifndef BIBOP_ASYNC_ASYNC_HANDLE_GUARD_H_
#define BIBOP_ASYNC_ASYNC_HANDLE_GUARD_H_

#include <cstddef>
#include <source_location>

#include "absl/base/attributes.h"
#include "bibop/async/async_handle.h"
#include "bibop/handles/capabilities.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/persistent.h"
#include "bibop/runtime/mutator.h"

namespace bibop {

// Stack only, used by the mutator's thread. They nest.
class ABSL_LOCKABLE AsyncHandleGuard : private RunningScope,
                                       public HandleScope {
 public:
  static constexpr bool kIsScoped = true;

  // Opens a stretch and a scope on the mutator's thread. Waits for the end of
  // the pause if the thread is parked and a collection has the mutators
  // stopped. Aborts on another thread.
  [[nodiscard]] explicit AsyncHandleGuard(
      Mutator& mutator ABSL_ATTRIBUTE_LIFETIME_BOUND,
      std::source_location place = std::source_location::current())
      : RunningScope(mutator), HandleScope(mutator, place) {}

  AsyncHandleGuard(const AsyncHandleGuard&) = delete;
  AsyncHandleGuard& operator=(const AsyncHandleGuard&) = delete;
  static void* operator new(size_t) = delete;
  static void* operator new[](size_t) = delete;

  // Ends both. Aborts on another thread.
  //
  // Inlined, so that checked builds know where it is called.
  ABSL_ATTRIBUTE_ALWAYS_INLINE ~AsyncHandleGuard() { CheckThread(); }

  // The mutator, which runs.
  Mutator& mutator() const { return RunningScope::mutator(); }

  // A handle of the object, which this scope roots. Aborts if the AsyncHandle
  // is empty or its scope is gone, whichever thread has destroyed that: the
  // message names the scope by its number, in checked builds also by where it
  // was made. Checked builds abort if this is not the innermost scope, or if
  // the object is of another heap.
  //
  // By reference: compilers copy both words at once, which waits for the stores
  // of each.
  template <class T>
  Handle<T> Get(const AsyncHandle<T>& handle) & BIBOP_CREATES_HANDLES {
    return Root(static_cast<T*>(
        internal::AsyncHandleAccess::RefOf(handle).Load(mutator())));
  }

  // The same where the handle's scope is known to exist, because it is a local
  // variable of the same coroutine, say: nothing is compared. Otherwise this is
  // undefined; checked builds abort.
  template <class T>
  Handle<T> GetUnchecked(const AsyncHandle<T>& handle) & BIBOP_CREATES_HANDLES {
    return Root(static_cast<T*>(
        internal::AsyncHandleAccess::RefOf(handle).LoadUnchecked(mutator())));
  }

  // A Persistent of the object, which outlives the AsyncHandle's scope. Aborts
  // as Get does.
  template <class T>
  Persistent<T> ToPersistent(
      AsyncHandle<T> handle,
      std::source_location place = std::source_location::current()) & {
    const Loaded<T> loaded = {static_cast<T*>(
        internal::AsyncHandleAccess::RefOf(handle).Load(mutator()))};
    return Persistent<T>(mutator(), loaded, place);
  }

  // The handles of a temporary guard would be of no use.
  template <class T>
  Handle<T> Get(const AsyncHandle<T>& handle) && = delete;
  template <class T>
  Handle<T> GetUnchecked(const AsyncHandle<T>& handle) && = delete;

 private:
  friend struct internal::AsyncHandleAccess;

  // An object on its way from a slot to a Persistent.
  template <class T>
  struct Loaded {
    using element_type = T;
    static constexpr bool kIsObjectReference = true;
    T* get() const { return object; }
    T* object;
  };
};

}  // namespace bibop

#endif  // BIBOP_ASYNC_ASYNC_HANDLE_GUARD_H_
