// WeakPersistent<T>: follows a garbage-collected object from outside of the
// heap without keeping it alive: for caches, observers, anything that wants to
// know whether an object still lives.
//
//   WeakPersistent<Page> last(mutator, page);
//   ...
//   MaybeHandle<Page> page = last.Lock(scope);
//   if (!page.IsEmpty()) Show(page.ToHandleChecked());
//
// Once a collection has found the object dead it refers to nothing, before the
// object's destructor runs. Until then Lock brings the object back among the
// living, whether or not anything else refers to it.
//
//   what                               which thread
//   make, Reset to an object, Lock     a running mutator's of the heap
//   move, Reset to nothing, destroy,   any, attached or not, also after the
//   IsEmpty                            heap was destroyed
//
// One thread at a time. There is no copy: lock it and make another. Like a
// Persistent it is one word, becomes empty when its heap is destroyed, and is
// then told of by checked builds; unlike one it may be part of any object.

#ifndef BIBOP_HANDLES_WEAK_PERSISTENT_H_
#define BIBOP_HANDLES_WEAK_PERSISTENT_H_

#include <cstddef>
#include <source_location>
#include <utility>

#include "absl/base/attributes.h"
#include "bibop/handles/barriers.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/object_reference.h"
#include "bibop/handles/owned_root_slot.h"

namespace bibop {

template <class T>
class [[nodiscard]] WeakPersistent {
 public:
  using element_type = T;

  // Refers to nothing.
  WeakPersistent() = default;

  // Refers to what `source`, a Handle, MutableHandle, Member or Persistent,
  // refers to, which may be nothing. `place` and `mutator` as for a Persistent.
  template <ReferenceTo<T> R>
  [[nodiscard]] WeakPersistent(
      MutatorBase& mutator, const R& source,
      std::source_location place = std::source_location::current())
      : slot_(mutator, static_cast<T*>(source.get()), place) {}

  // Moving leaves `other` empty. Any thread may move.
  WeakPersistent(WeakPersistent&& other) noexcept = default;
  WeakPersistent& operator=(WeakPersistent&& other) noexcept = default;

  // The same, of the same object as one of its bases, but not a virtual one.
  template <class U>
    requires(internal::RootMovableTo<U, T>)
  // NOLINTNEXTLINE(google-explicit-constructor): like a pointer
  WeakPersistent(WeakPersistent<U>&& other) noexcept
      : slot_(std::move(other.slot_)) {
    slot_.template Convert<U, T>();
  }

  // Copying takes a mutator and an object that is alive.
  WeakPersistent(const WeakPersistent&) = delete;
  WeakPersistent& operator=(const WeakPersistent&) = delete;

  // Makes it refer to nothing. Any thread may call it.
  WeakPersistent& operator=(std::nullptr_t) {
    slot_.Release();
    return *this;
  }
  void Reset() { slot_.Release(); }

  // Makes it refer to what `source` refers to, as the constructor does.
  template <ReferenceTo<T> R>
  void Reset(MutatorBase& mutator, const R& source,
             std::source_location place = std::source_location::current()) {
    *this = WeakPersistent(mutator, source, place);
  }

  // A handle of the object; nothing if it refers to none or that was found
  // dead. `scope` is of the object's heap, and the thread a running mutator;
  // checked builds abort on another.
  MaybeHandle<T> Lock(HandleScope& scope ABSL_ATTRIBUTE_LIFETIME_BOUND) const {
    return scope.Local(Referent{
        static_cast<T*>(internal::ReadWeak([this] { return slot_.Get(); }))});
  }

  // Whether it refers to nothing, or to an object that was found dead a moment
  // ago: Lock may find nothing where this says that it is not empty. Any thread
  // may ask. Empty stays empty until Reset. Destructors of objects may find one
  // not empty while the heap is destroyed.
  bool IsEmpty() const { return slot_.Peek() == nullptr; }

  friend void swap(WeakPersistent& a, WeakPersistent& b) noexcept {
    std::swap(a.slot_, b.slot_);
  }

 private:
  template <class U>
  friend class WeakPersistent;

  // What HandleScope::Local takes.
  struct Referent {
    using element_type = T;
    static constexpr bool kIsObjectReference = true;
    T* get() const { return object; }
    T* object;
  };

  internal::OwnedRootSlot<internal::RootKind::kWeak> slot_;
};

template <ObjectReference R>
WeakPersistent(MutatorBase&, const R&)
    -> WeakPersistent<typename R::element_type>;

}  // namespace bibop

#endif  // BIBOP_HANDLES_WEAK_PERSISTENT_H_
