// WeakMember<T>: a reference from one garbage-collected object to another that
// keeps nothing alive, a field: from an observed object to its observers, from
// a child to its parent, from a cache to what it holds.
//
//   struct Node {
//     Member<Node> child;
//     WeakMember<Node> parent;
//     void Trace(auto& visitor) const { visitor(child, parent); }
//   };
//   ...
//   MaybeHandle<Node> parent = node->parent.Lock(scope);
//
// Once a collection has found its object dead it refers to nothing, before the
// object's destructor runs. Until then Lock brings the object back among the
// living, whether or not anything else refers to it.
//
// Trace has to show it like a Member: one that is forgotten is not cleared, and
// refers to freed memory.
//
// Used by running mutators' threads, and like a Member one atomic word: threads
// may read and write the same one at the same time. Storing into it needs no
// barrier, for it keeps nothing alive that could be lost; the same rule as for
// a Member holds for destroying it. Outside of the heap use a WeakPersistent.

#ifndef BIBOP_MARKER_WEAK_MEMBER_H_
#define BIBOP_MARKER_WEAK_MEMBER_H_

#include <cstddef>
#include <type_traits>

#include "absl/base/attributes.h"
#include "bibop/handles/barriers.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/object_reference.h"
#include "bibop/marker/member.h"
#include "bibop/marker/weak_word.h"

namespace bibop {

template <class T>
class WeakMember {
 public:
  using element_type = T;

  // Refers to nothing.
  WeakMember() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): like a pointer
  WeakMember(std::nullptr_t) {}

  // Refers to what `source`, a Handle, MutableHandle, Member or Persistent,
  // refers to, which may be nothing.
  template <ReferenceTo<T> R>
  // NOLINTNEXTLINE(google-explicit-constructor): like a pointer
  WeakMember(const R& source) : word_(Address(source)) {}

  WeakMember(const WeakMember& other) : word_(other.Read()) {}
  // NOLINTNEXTLINE(bugprone-unhandled-self-assignment): a word is copied
  WeakMember& operator=(const WeakMember& other) {
    word_.Store(other.Read());
    return *this;
  }

  // Makes it refer to what `source` refers to, which may be nothing.
  template <ReferenceTo<T> R>
  WeakMember& operator=(const R& source) {
    word_.Store(Address(source));
    return *this;
  }
  WeakMember& operator=(std::nullptr_t) {
    word_.Store(nullptr);
    return *this;
  }

  // A handle of the object; nothing if it refers to none or that was found
  // dead. `scope` is of the object's heap.
  MaybeHandle<T> Lock(HandleScope& scope ABSL_ATTRIBUTE_LIFETIME_BOUND) const {
    return scope.Local(Member<T>(Read()));
  }

  // Whether it refers to nothing, or to an object that was found dead a moment
  // ago: Lock may find nothing where this says that it is not empty. Unlike
  // Lock it keeps nothing alive. Empty stays empty until something is stored.
  bool IsEmpty() const { return word_.Load() == nullptr; }

  // Called by the Trace of the object that it is part of.
  void Trace(auto& visitor) const { visitor.VisitWeak(word_); }

 private:
  template <class R>
  static T* Address(const R& source) {
    return source.get();
  }

  // The object, alive until the next safepoint, or null.
  T* Read() const {
    return static_cast<T*>(internal::ReadWeak([this] { return word_.Load(); }));
  }

  internal::WeakWord word_;
};
static_assert(sizeof(WeakMember<int>) == sizeof(int*) &&
              std::is_trivially_destructible_v<WeakMember<int>>);

}  // namespace bibop

#endif  // BIBOP_MARKER_WEAK_MEMBER_H_
