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
// A handle is used by the thread that created it, while that runs.
//
// In checked builds a handle also knows its slot and its scope: one that is
// used after its scope, by another or a parked thread, or that is not on the
// stack, aborts with a message that names the scope.
//
// Invariants: a handle is never null; that is MaybeHandle.

#ifndef BIBOP_HANDLES_HANDLE_H_
#define BIBOP_HANDLES_HANDLE_H_

#include <concepts>
#include <type_traits>
#include <utility>

#include "bibop/base/attributes.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/coroutine_ban.h"  // IWYU pragma: export
#include "bibop/handles/handle_tag.h"
#include "bibop/handles/object_reference.h"  // IWYU pragma: export

namespace bibop {

namespace internal {
struct HandleAccess;
}  // namespace internal

template <class T>
class BIBOP_GSL_POINTER Handle {
 public:
  using element_type = T;
  static constexpr bool kIsObjectReference = true;
  static constexpr bool kIsScoped = true;

  // A handle of the same object as one of its bases.
  template <class U>
    requires(std::convertible_to<U*, T*>)
  // NOLINTNEXTLINE(google-explicit-constructor): like a pointer
  Handle(Handle<U> other) : object_(other.get()), tag_(other.tag_) {}

  // A pointer keeps nothing alive, and no slot knows of it: handles are made by
  // scopes.
  explicit Handle(T* object) = delete;

  // The object; never null. The pointer itself keeps nothing alive.
  T* get() const {
    tag_.CheckUsable();
    return object_;
  }
  T* operator->() const { return get(); }
  T& operator*() const { return *get(); }

  // A handle is never null, so there is nothing to test.
  explicit operator bool() const = delete;

  template <class H>
  friend H AbslHashValue(H state, const Handle& handle) {
    return H::combine(std::move(state), handle.get());
  }

 private:
  friend struct internal::HandleAccess;
  template <class U>
  friend class Handle;

  // REQUIRES: `object` is not null and a slot of an open scope roots it.
  Handle(T* object, internal::HandleTag tag) : object_(object), tag_(tag) {}

  T* object_;
  [[no_unique_address]] internal::HandleTag tag_;
};

static_assert(kCheckedHandles || (sizeof(Handle<int>) == sizeof(int*) &&
                                  std::is_trivially_copyable_v<Handle<int>>),
              "a handle is one word");

namespace internal {

// How the rest of Bibop makes handles.
struct HandleAccess {
  // REQUIRES: `object` is not null and a slot of an open scope, that of `tag`,
  // roots it.
  template <class T>
  static Handle<T> Make(T* object, HandleTag tag) {
    return Handle<T>(object, tag);
  }
  template <class T>
  static HandleTag TagOf(const Handle<T>& handle) {
    return handle.tag_;
  }
};

}  // namespace internal

}  // namespace bibop

#endif  // BIBOP_HANDLES_HANDLE_H_
