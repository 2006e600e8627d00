// Persistent<T>: a reference to a garbage-collected object from anywhere but
// the stack and the heap: from a global, a container, an object that is not
// garbage-collected, the capture of a lambda that is kept.
//
//   class Session {                                  // an ordinary C++ object
//     explicit Session(Mutator& mutator, Handle<User> user)
//         : user_(mutator, user) {}
//     Persistent<User> user_;                        // keeps the User alive
//   };
//
// It is a root: its object lives as long as it refers to it. It is one word,
// the address of a slot that its heap knows; making one and destroying it takes
// nanoseconds.
//
//   what                             which thread
//   make, copy, Reset to an object   a running mutator's of the heap
//   get, *, ->, compare two, hash    a running mutator's of the heap
//   move, Reset to nothing, destroy, any, attached or not, also after the heap
//   test                             was destroyed
//
// One thread at a time, as for any other object. Copying takes a mutator:
// `Persistent<T> copy(mutator, original)`. Making one may throw std::bad_alloc.
//
// When its heap is destroyed a Persistent becomes empty. Checked builds then
// say which are left, of which types and made where. They also abort where a
// Persistent is used by another thread than it may be, and where it is part of
// an object of the heap that it refers into: that would keep cycles alive for
// ever, so use a Member. In an object of another heap it is in its place.

#ifndef BIBOP_HANDLES_PERSISTENT_H_
#define BIBOP_HANDLES_PERSISTENT_H_

#include <cstddef>
#include <source_location>
#include <utility>

#include "bibop/handles/mutator_base.h"
#include "bibop/handles/object_reference.h"  // IWYU pragma: export
#include "bibop/handles/owned_root_slot.h"

namespace bibop {

template <class T>
class [[nodiscard]] Persistent {
 public:
  using element_type = T;
  static constexpr bool kIsObjectReference = true;
  // Finds its own way to the collector: no Trace visits it.
  static constexpr bool kIsRoot = true;

  // Refers to nothing.
  Persistent() = default;

  // Refers to what `source`, a Handle, MutableHandle, Member or Persistent,
  // refers to, which may be nothing. `place` is what checked builds call the
  // place where it was made; pass one on from a function that makes them for
  // others. `mutator` is a running one, of the thread, and of the object's
  // heap: the next collection aborts if it is of another.
  template <ReferenceTo<T> R>
  [[nodiscard]] Persistent(
      MutatorBase& mutator, const R& source,
      std::source_location place = std::source_location::current())
      : slot_(mutator, static_cast<T*>(source.get()), place) {}

  // Moving leaves `other` empty. Any thread may move.
  Persistent(Persistent&& other) noexcept = default;
  Persistent& operator=(Persistent&& other) noexcept = default;

  // The same, of the same object as one of its bases; not a virtual one, which
  // takes a mutator: `Persistent<Base> base(mutator, derived)`.
  template <class U>
    requires(internal::RootMovableTo<U, T>)
  // NOLINTNEXTLINE(google-explicit-constructor): like a pointer
  Persistent(Persistent<U>&& other) noexcept : slot_(std::move(other.slot_)) {
    slot_.template Convert<U, T>();
  }

  // Copying takes a mutator.
  Persistent(const Persistent&) = delete;
  Persistent& operator=(const Persistent&) = delete;

  // Makes it refer to nothing. Any thread may call it.
  Persistent& operator=(std::nullptr_t) {
    slot_.Release();
    return *this;
  }
  void Reset() { slot_.Release(); }

  // Makes it refer to what `source` refers to, as the constructor does.
  template <ReferenceTo<T> R>
  void Reset(MutatorBase& mutator, const R& source,
             std::source_location place = std::source_location::current()) {
    *this = Persistent(mutator, source, place);
  }

  // Whether it refers to an object. Any thread may ask.
  explicit operator bool() const { return slot_.Peek() != nullptr; }
  bool operator==(std::nullptr_t) const { return slot_.Peek() == nullptr; }

  // The object, or null. The pointer itself keeps nothing alive. On a running
  // mutator's thread; checked builds abort on another.
  T* get() const { return static_cast<T*>(slot_.Get()); }
  // The object. If there is none, the program reads at an address near 0 and
  // faults; checked builds abort with a sentence.
  T* operator->() const { return static_cast<T*>(slot_.GetNotEmpty()); }
  T& operator*() const { return *static_cast<T*>(slot_.GetNotEmpty()); }

  friend void swap(Persistent& a, Persistent& b) noexcept {
    std::swap(a.slot_, b.slot_);
  }

  // By the object's address. On a running mutator's thread.
  template <class H>
  friend H AbslHashValue(H state, const Persistent& persistent) {
    return H::combine(std::move(state), persistent.get());
  }

 private:
  template <class U>
  friend class Persistent;

  internal::OwnedRootSlot<internal::RootKind::kStrong> slot_;
};

template <ObjectReference R>
Persistent(MutatorBase&, const R&) -> Persistent<typename R::element_type>;

}  // namespace bibop

#endif  // BIBOP_HANDLES_PERSISTENT_H_
