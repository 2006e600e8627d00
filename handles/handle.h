// Handle<T>: a reference to a garbage-collected object, good until its
// HandleScope closes.
//
// A handle is one word, the object's address: objects do not move. What keeps
// the object alive is the slot that creating the handle wrote, and the scope
// owns that. So a handle is copied and passed by value like a pointer, costs
// what a pointer costs, and belongs on the stack: not in a global, not in
// another object, not beyond its scope. In a garbage-collected object use a
// Member.
//
// A handle is used by the thread that created it.
//
// Invariants: a handle is never null; that is MaybeHandle.

#ifndef BIBOP_HANDLES_HANDLE_H_
#define BIBOP_HANDLES_HANDLE_H_

#include <concepts>
#include <utility>

#include "bibop/base/attributes.h"
#include "bibop/handles/object_reference.h"  // IWYU pragma: export

namespace bibop {

template <class T>
class BIBOP_GSL_POINTER Handle {
 public:
  using element_type = T;
  static constexpr bool kIsObjectReference = true;

  // A handle of the same object as one of its bases.
  template <class U>
    requires(std::convertible_to<U*, T*>)
  // NOLINTNEXTLINE(google-explicit-constructor): like a pointer
  Handle(Handle<U> other) : object_(other.get()) {}

  // The object; never null. The pointer itself keeps nothing alive.
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

  // A handle is never null, so there is nothing to test.
  explicit operator bool() const = delete;

  template <class H>
  friend H AbslHashValue(H state, const Handle& handle) {
    return H::combine(std::move(state), handle.object_);
  }

 private:
  friend class HandleScope;
  friend class EscapableHandleScope;
  template <class U>
  friend class MaybeHandle;
  template <class U>
  friend class MutableHandle;

  // REQUIRES: `object` is not null and a slot of an open scope roots it.
  explicit Handle(T* object) : object_(object) {}

  T* object_;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_HANDLE_H_
