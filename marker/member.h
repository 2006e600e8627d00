// Member<T>: a reference from one garbage-collected object to another, a field.
//
// It may be null, and may point at any part of an object: at a base, at a
// field. The collector finds it through the class's Trace:
//
//   struct Node {
//     Member<Node> left, right;
//     void Trace(auto& visitor) const { visitor(left, right); }
//   };
//
// A Member keeps its referent alive only while the object that it is part of is
// alive: it is no root. On the stack use a Handle, elsewhere a Persistent.
//
// Used by the mutator's thread. A destructor may not look at its object's
// Members: what they refer to may be gone already.

#ifndef BIBOP_MARKER_MEMBER_H_
#define BIBOP_MARKER_MEMBER_H_

#include <cstddef>
#include <utility>

#include "absl/log/absl_check.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/object_reference.h"

namespace bibop {

template <class T>
class Member {
 public:
  using element_type = T;
  static constexpr bool kIsObjectReference = true;

  // Refers to nothing.
  Member() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): like a pointer
  Member(std::nullptr_t) {}

  // Refers to what `source`, a Handle, MutableHandle, Member or Persistent,
  // refers to.
  template <ReferenceTo<T> R>
  // NOLINTNEXTLINE(google-explicit-constructor): like a pointer
  Member(const R& source) : object_(source.get()) {}

  // Refers to `object`, which is or is part of a garbage-collected object that
  // something else keeps alive: for an object to refer to itself.
  explicit Member(T* object) : object_(object) {}

  Member(const Member&) = default;
  Member& operator=(const Member&) = default;

  // Makes it refer to what `source` refers to, which may be nothing.
  template <ReferenceTo<T> R>
  Member& operator=(const R& source) {
    object_ = source.get();
    return *this;
  }
  Member& operator=(std::nullptr_t) {
    object_ = nullptr;
    return *this;
  }

  // Whether it refers to an object.
  explicit operator bool() const { return object_ != nullptr; }

  // The object, or null. The pointer itself keeps nothing alive: it is good
  // until the next allocation, or as long as this Member is reachable and
  // unchanged.
  T* get() const { return object_; }
  // The object. If there is none, the program reads at an address near 0 and
  // faults; checked builds abort with a sentence.
  T* operator->() const { return NotNull(); }
  T& operator*() const { return *NotNull(); }

  // Whether it refers to nothing.
  bool operator==(std::nullptr_t) const { return object_ == nullptr; }

  template <class H>
  friend H AbslHashValue(H state, const Member& member) {
    return H::combine(std::move(state), member.object_);
  }

 private:
  T* NotNull() const {
    if constexpr (kCheckedHandles) {
      ABSL_CHECK(object_ != nullptr)
          << "a null Member is dereferenced: test it first";
    }
    return object_;
  }

  T* object_ = nullptr;
};

}  // namespace bibop

#endif  // BIBOP_MARKER_MEMBER_H_
