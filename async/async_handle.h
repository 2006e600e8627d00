// AsyncHandle<T>: a reference to a garbage-collected object that belongs to a
// task instead of a thread: it is good as long as its AsyncHandleScope exists,
// across suspensions and on any thread.
//
// Two words, which any thread may copy, pass on, compare and destroy. To get at
// the object takes an AsyncHandleGuard, which makes the thread a running
// mutator and turns it into a Handle. One whose scope is gone aborts there, in
// every build, and names the scope; it is never taken for one of a later scope.

#ifndef BIBOP_ASYNC_ASYNC_HANDLE_H_
#define BIBOP_ASYNC_ASYNC_HANDLE_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "absl/base/attributes.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/async_slot_chain.h"
#include "bibop/handles/async_slots.h"
#include "bibop/handles/object_reference.h"

namespace bibop {

namespace internal {
struct AsyncHandleAccess;

// How far its base T lies behind the start of a U. No object is looked at, so
// any address does, and it is none of an object.
template <class U, class T>
ABSL_ATTRIBUTE_NO_SANITIZE_UNDEFINED inline ptrdiff_t BaseOffset() {
  constexpr uintptr_t kAnywhere = uintptr_t{1} << 30;
  T* base = static_cast<T*>(reinterpret_cast<U*>(kAnywhere));
  return static_cast<ptrdiff_t>(reinterpret_cast<uintptr_t>(base) - kAnywhere);
}

}  // namespace internal

template <class T>
class AsyncHandle {
 public:
  using element_type = T;

  // Refers to nothing: may be assigned to and not be used.
  AsyncHandle() = default;

  // Refers to the same object as one of its bases, but not a virtual one: where
  // that is, is only known where the object may be looked at. Aborts if the
  // base lies more than 32 KiB behind the start of what the scope was given.
  template <class U>
    requires(internal::RootMovableTo<U, T>)
  // NOLINTNEXTLINE(google-explicit-constructor): like a pointer
  AsyncHandle(AsyncHandle<U> other) : ref_(other.ref_) {
    if constexpr (!std::is_same_v<std::remove_cv_t<U>, std::remove_cv_t<T>>) {
      const ptrdiff_t offset = internal::BaseOffset<U, T>();
      if (offset != 0 && !ref_.IsEmpty()) ref_ = ref_.Plus(offset);
    }
  }

  // Whether it was never assigned one that a scope returned. That of a scope
  // that is gone is not empty.
  bool IsEmpty() const { return ref_.IsEmpty(); }

  // The number of its scope, for messages; 0 if it is empty.
  AsyncScopeNumber scope_number() const { return ref_.scope(); }

  // Only a running mutator may look at objects: AsyncHandleGuard::Get.
  T* operator->() const = delete;
  T& operator*() const = delete;
  T* get() const = delete;
  explicit operator bool() const = delete;

  // Whether it is the same handle, or a copy. Two handles of one object are
  // not: whether they refer to the same one is known where they are used.
  template <class U>
  bool operator==(const AsyncHandle<U>& other) const {
    return ref_ == other.ref_;
  }
  template <class H>
  friend H AbslHashValue(H state, const AsyncHandle& handle) {
    return H::combine(std::move(state), handle.ref_.slot(),
                      handle.ref_.scope());
  }

 private:
  friend struct internal::AsyncHandleAccess;
  template <class U>
  friend class AsyncHandle;

  explicit AsyncHandle(internal::AsyncSlotRef ref) : ref_(ref) {}

  internal::AsyncSlotRef ref_;
};

static_assert(std::is_trivially_copyable_v<AsyncHandle<int>>);
static_assert(kCheckedHandles || sizeof(AsyncHandle<int>) == 16);

namespace internal {

// How scopes and guards make and see handles.
struct AsyncHandleAccess {
  // REQUIRES: the slot of `ref` holds the address of a T.
  template <class T>
  static AsyncHandle<T> Make(AsyncSlotRef ref) {
    return AsyncHandle<T>(ref);
  }
  template <class T>
  static const AsyncSlotRef& RefOf(const AsyncHandle<T>& handle) {
    return handle.ref_;
  }
  // A slot of an AsyncHandleScope for an object that was just loaded.
  template <class Scope>
  static AsyncSlotRef Add(Scope& scope, const void* object) {
    return scope.chain_.Add(object);
  }
  // A handle of such an object, in the scope of an AsyncHandleGuard.
  template <class Guard, class T>
  static auto Root(Guard& guard, T* object) {
    return guard.Root(object);
  }
};

}  // namespace internal

}  // namespace bibop

#endif  // BIBOP_ASYNC_ASYNC_HANDLE_H_
