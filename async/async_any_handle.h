// AsyncAnyHandle: an AsyncHandle that does not say of what, for tasks whose
// roots are not known before they are made. It knows the type it was made of.
//
//   if (const MaybeHandle<User> user = any.TryAs<User>(guard);
//       !user.IsEmpty()) ...
//
// A value, used as an AsyncHandle is.

#ifndef BIBOP_ASYNC_ASYNC_ANY_HANDLE_H_
#define BIBOP_ASYNC_ASYNC_ANY_HANDLE_H_

#include "absl/strings/string_view.h"
#include "bibop/async/async_handle.h"
#include "bibop/async/async_handle_guard.h"
#include "bibop/async/async_handle_scope.h"
#include "bibop/handles/async_slot_chain.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/heap/type_info.h"

namespace bibop {
namespace internal {

// A type that handles are made of. `raise` throws a pointer to an object of it:
// the one thing in the language that finds out at run time whether that
// converts to another pointer, for any classes.
struct AnyType {
  absl::string_view name;
  void (*raise)(void* object);
};
template <class T>
[[noreturn]] void Raise(void* object) {
  throw static_cast<T*>(object);
}
template <class T>
inline constexpr AnyType kAnyType = {TypeName<T>(), &Raise<T>};

}  // namespace internal

class AsyncAnyHandle {
 public:
  // Refers to nothing: may be assigned to and not be used.
  AsyncAnyHandle() = default;

  template <class T>
  // NOLINTNEXTLINE(google-explicit-constructor): like a pointer
  AsyncAnyHandle(AsyncHandle<T> handle)
      : ref_(internal::AsyncHandleAccess::RefOf(handle)),
        type_(handle.IsEmpty() ? nullptr : &internal::kAnyType<T>) {}

  bool IsEmpty() const { return ref_.IsEmpty(); }

  // The type of the handle that it was made of, as the compiler writes it;
  // nothing if it is empty.
  absl::string_view type_name() const {
    return type_ == nullptr ? absl::string_view() : type_->name;
  }

  // A handle of the object as a T, which the guard roots, if the type it was
  // made of is T or has it as a base, public and unambiguous; else nothing.
  // What the object is besides does not count. For a base it takes some
  // microseconds. Aborts if it is empty or its scope is gone.
  template <class T>
  MaybeHandle<T> TryAs(AsyncHandleGuard& guard) const {
    T* object = Convert<T>(ref_.Load(guard.mutator()));
    if (object == nullptr) return {};
    return internal::AsyncHandleAccess::Root(guard, object);
  }

  // One of the same type and object, which `scope` roots as well. Aborts as
  // TryAs does.
  AsyncAnyHandle AddTo(AsyncHandleScope& scope, AsyncHandleGuard& guard) const {
    AsyncAnyHandle added;
    added.ref_ =
        internal::AsyncHandleAccess::Add(scope, ref_.Load(guard.mutator()));
    added.type_ = type_;
    return added;
  }

  // Whether both are the same handle, or copies.
  friend bool operator==(const AsyncAnyHandle& a, const AsyncAnyHandle& b) {
    return a.ref_ == b.ref_;
  }

 private:
  template <class T>
  T* Convert(void* object) const {
    if (type_ == &internal::kAnyType<T>) return static_cast<T*>(object);
    try {
      type_->raise(object);
    } catch (T* as) {
      return as;
    } catch (...) {  // a pointer to something else
    }
    return nullptr;
  }

  internal::AsyncSlotRef ref_;
  const internal::AnyType* type_ = nullptr;
};

}  // namespace bibop

#endif  // BIBOP_ASYNC_ASYNC_ANY_HANDLE_H_
