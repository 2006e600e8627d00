// MutableHandle<T>: one slot that can be assigned to, for loops.
//
// A HandleScope grows by a slot with each handle that is created in it. A
// traversal of a million objects would create a million; with a MutableHandle
// it takes one slot:
//
//   MutableHandle<Node> at = scope.Mutable(list->head);
//   for (; at; at = at->next) { ... }

#ifndef BIBOP_HANDLES_MUTABLE_HANDLE_H_
#define BIBOP_HANDLES_MUTABLE_HANDLE_H_

#include <cstddef>

#include "absl/log/absl_check.h"
#include "bibop/base/attributes.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/coroutine_ban.h"  // IWYU pragma: export
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_tag.h"
#include "bibop/handles/local_handles.h"
#include "bibop/handles/object_reference.h"

namespace bibop {

// A reference to an object, or null, that may be changed. It refers to its
// slot: neither copied nor moved, on the stack, used by the thread that made
// it, and good until its scope closes.
template <class T>
class BIBOP_GSL_POINTER [[nodiscard]] MutableHandle {
 public:
  using element_type = T;
  static constexpr bool kIsObjectReference = true;
  static constexpr bool kIsScoped = true;

  MutableHandle(const MutableHandle&) = delete;
  void* operator new(size_t) = delete;

  // Makes it refer to what `source` refers to, which may be nothing.
  template <ReferenceTo<T> R>
  MutableHandle& operator=(const R& source) {
    Set(source.get());
    return *this;
  }
  // NOLINTNEXTLINE(bugprone-unhandled-self-assignment): a word is copied
  MutableHandle& operator=(const MutableHandle& other) {
    Set(other.get());
    return *this;
  }
  MutableHandle& operator=(std::nullptr_t) {
    Set(nullptr);
    return *this;
  }

  // Whether it refers to an object.
  explicit operator bool() const { return get() != nullptr; }

  // The object, or null. The pointer itself keeps nothing alive.
  T* get() const {
    tag_.CheckUsable();
    return reinterpret_cast<T*>(*slot_);
  }
  // The object. If there is none, the program reads at an address near 0 and
  // faults; checked builds abort with a sentence.
  T* operator->() const { return NotNull(); }
  T& operator*() const { return *NotNull(); }

  // A handle of the object that it refers to now, which keeps that object alive
  // only until this is assigned to: for passing to a function. Use
  // HandleScope::Local for a handle that outlives an assignment. Aborts if it
  // refers to nothing.
  Handle<T> ToHandleChecked() const {
    ABSL_CHECK(get() != nullptr) << "ToHandleChecked of a null MutableHandle: "
                                    "test it first";
    return internal::HandleAccess::Make(get(), tag_.WithSlot(slot_));
  }

 private:
  friend class HandleScope;

  // `tag` is that of a handle that is good until the scope of `slot` closes.
  MutableHandle(HandleSlot* slot, internal::HandleTag tag)
      : slot_(slot), tag_(tag) {}

  T* NotNull() const {
    T* object = get();
    if constexpr (kCheckedHandles) {
      ABSL_CHECK(object != nullptr)
          << "a null MutableHandle is dereferenced: test it first";
    }
    return object;
  }

  void Set(T* object) {
    tag_.CheckUsable();
    *slot_ = SlotValue(object);
  }

  HandleSlot* slot_;
  [[no_unique_address]] internal::HandleTag tag_;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_MUTABLE_HANDLE_H_
