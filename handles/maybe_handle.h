// MaybeHandle<T>: a Handle<T> or nothing, for what may be absent or may have
// failed. It has to be asked before the handle can be used.

#ifndef BIBOP_HANDLES_MAYBE_HANDLE_H_
#define BIBOP_HANDLES_MAYBE_HANDLE_H_

#include <concepts>

#include "absl/log/absl_check.h"
#include "bibop/base/attributes.h"
#include "bibop/handles/coroutine_ban.h"  // IWYU pragma: export
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_tag.h"

namespace bibop {

// Like a Handle, it lives on the stack, is used by the thread that made it, and
// is good until its scope closes.
template <class T>
class BIBOP_GSL_POINTER [[nodiscard]] MaybeHandle {
 public:
  using element_type = T;
  static constexpr bool kIsScoped = true;

  // Nothing.
  MaybeHandle() = default;

  // The handle.
  template <class U>
    requires(std::convertible_to<U*, T*>)
  // NOLINTNEXTLINE(google-explicit-constructor): a handle is one that may be
  MaybeHandle(Handle<U> handle)
      : object_(handle.get()), tag_(internal::HandleAccess::TagOf(handle)) {}

  template <class U>
    requires(std::convertible_to<U*, T*>)
  // NOLINTNEXTLINE(google-explicit-constructor): like a pointer
  MaybeHandle(MaybeHandle<U> other)
      : object_(other.object_), tag_(other.tag_) {}

  // Whether there is no handle.
  bool IsEmpty() const { return object_ == nullptr; }

  // The handle. Aborts if there is none.
  Handle<T> ToHandleChecked() const {
    ABSL_CHECK(!IsEmpty()) << "ToHandleChecked of an empty MaybeHandle: ask "
                              "IsEmpty first";
    tag_.CheckUsable();
    return internal::HandleAccess::Make(object_, tag_);
  }

 private:
  template <class U>
  friend class MaybeHandle;

  T* object_ = nullptr;
  [[no_unique_address]] internal::HandleTag tag_;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_MAYBE_HANDLE_H_
