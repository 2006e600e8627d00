// Ephemeron<K, V>: a field that says something about another object: a weak
// reference to a key, and a reference to a value that keeps it alive as long as
// the key is, by whatever else, and the Ephemeron's own object. The value may
// refer to the key: that alone keeps neither alive.
//
//   struct Annotation {
//     Ephemeron<Page, Notes> notes;
//     void Trace(auto& visitor) const { visitor(notes); }
//   };
//
// Once a collection has found the key dead it refers to nothing, before the
// key's destructor runs. For many of them there is WeakMap.
//
// (B. Hayes, "Ephemerons: a new finalization mechanism", OOPSLA 1997.)
//
// Trace has to show it. Used by running mutators' threads; its two words are
// atomic, but are not set together: who reads while another thread sets it may
// get the one's key and the other's value.

#ifndef BIBOP_MARKER_EPHEMERON_H_
#define BIBOP_MARKER_EPHEMERON_H_

#include <type_traits>

#include "absl/base/attributes.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/object_reference.h"
#include "bibop/marker/member.h"
#include "bibop/marker/weak_word.h"

namespace bibop {

template <class K, class V>
class Ephemeron {
 public:
  // Refers to nothing.
  Ephemeron() = default;
  // Refers to the two; see Set.
  template <ReferenceTo<K> RK, ReferenceTo<V> RV>
  Ephemeron(const RK& key, const RV& value) {
    Set(key, value);
  }
  Ephemeron(const Ephemeron&) = delete;
  Ephemeron& operator=(const Ephemeron&) = delete;

  // Makes it refer to what `key` and `value`, each a Handle, MutableHandle,
  // Member or Persistent, refer to. Without a key it refers to nothing; the
  // value may be nothing.
  template <ReferenceTo<K> RK, ReferenceTo<V> RV>
  void Set(const RK& key, const RV& value) {
    K* const k = key.get();
    V* const v = value.get();
    if (k == nullptr) {
      cell_.Erase();
    } else {
      cell_.Set(k, v);
    }
  }

  // Makes it refer to nothing.
  void Reset() { cell_.Erase(); }

  // Handles of the key and of the value; nothing if it refers to none, or if
  // the key was found dead. `scope` is of the objects' heap.
  MaybeHandle<K> LockKey(HandleScope& scope
                         ABSL_ATTRIBUTE_LIFETIME_BOUND) const {
    return scope.Local(Member<K>(static_cast<K*>(cell_.ReadKey())));
  }
  MaybeHandle<V> LockValue(HandleScope& scope
                           ABSL_ATTRIBUTE_LIFETIME_BOUND) const {
    if (cell_.ReadKey() == nullptr) return {};
    return scope.Local(Member<V>(static_cast<V*>(cell_.value().Load())));
  }

  // Whether it refers to nothing, or to a key that was found dead a moment ago:
  // LockKey may find nothing where this says that it is not empty. It keeps
  // nothing alive.
  bool IsEmpty() const {
    return !internal::EphemeronCell::IsObject(cell_.key().Load());
  }

  // Called by the Trace of the object that it is part of.
  void Trace(auto& visitor) const { visitor.VisitEphemeron(cell_); }

 private:
  internal::EphemeronCell cell_;
};
static_assert(sizeof(Ephemeron<int, int>) == 2 * sizeof(int*) &&
              std::is_trivially_destructible_v<Ephemeron<int, int>>);

}  // namespace bibop

#endif  // BIBOP_MARKER_EPHEMERON_H_
