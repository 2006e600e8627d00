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
// Used by running mutators' threads. A Member is one atomic word: threads may
// read and write the same one at the same time. Who reads what another thread
// stored sees the object as it was when it was stored, or later: storing is a
// release, reading an acquire. Nothing is promised about two Members together,
// nor that of two stores at the same time a certain one lasts; and what else an
// object holds is as racy as in any other program.
//
// Before a Member is overwritten its old value is shown to the marker if one is
// at work (I-5). That costs a load and a branch while none is. Where a heap of
// the process has generations a store also dirties the card of the Member
// (I-6), which has to be a part of its object's cell, or of the memory of a
// container with an Allocator: elsewhere a minor collection does not find it.
// Destroying a Member does nothing, so that no dead object is touched: its
// value may only be lost with the object that it is part of, or by being
// overwritten. So an object of the heap does not destroy a Member of its own
// that its Trace has shown, as a std::optional does: make it refer to nothing.
//
// A destructor may not look at its object's Members: what they refer to may be
// gone already.

#ifndef BIBOP_MARKER_MEMBER_H_
#define BIBOP_MARKER_MEMBER_H_

#include <atomic>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "absl/log/absl_check.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/barriers.h"
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
  Member(const R& source) : Member(source.get()) {}

  // Refers to `object`, which is or is part of a garbage-collected object that
  // something else keeps alive: for an object to refer to itself.
  explicit Member(T* object) : object_(object) { internal::NoteStore(this); }

  Member(const Member& other) : Member(other.get()) {}
  Member& operator=(const Member& other) {
    Store(other.get());
    return *this;
  }

  // Makes it refer to what `source` refers to, which may be nothing.
  template <ReferenceTo<T> R>
  Member& operator=(const R& source) {
    Store(source.get());
    return *this;
  }
  Member& operator=(std::nullptr_t) {
    Store(nullptr);
    return *this;
  }

  // Whether it refers to an object.
  explicit operator bool() const { return get() != nullptr; }

  // The object, or null. The pointer itself keeps nothing alive: it is good
  // until the next allocation, or as long as this Member is reachable and
  // unchanged.
  T* get() const { return object_.load(std::memory_order_acquire); }
  // The object. If there is none, the program reads at an address near 0 and
  // faults; checked builds abort with a sentence, also if the object was
  // collected because no Trace visits this Member, and no other has its place.
  T* operator->() const { return NotNull(); }
  T& operator*() const { return *NotNull(); }

  // Whether it refers to nothing.
  bool operator==(std::nullptr_t) const { return get() == nullptr; }

  template <class H>
  friend H AbslHashValue(H state, const Member& member) {
    return H::combine(std::move(state), member.get());
  }

 private:
  void Store(T* object) {
    if (internal::AnyBarriers()) [[unlikely]] {
      ShadeBefore();
      object_.store(object, std::memory_order_release);
      internal::NoteStore(this);
    } else {
      object_.store(object, std::memory_order_release);
    }
  }

  void ShadeBefore() const {
    if (!internal::BarriersOn()) return;
    // Not read for nothing: it may not be in the cache. Acquire: another thread
    // may have stored it a moment ago, and whoever shades it looks at its
    // block's descriptor. Most stores are the first, to a new object's Member.
    const T* before = object_.load(std::memory_order_acquire);
    if (before != nullptr) internal::ShadeSlow(before);
  }

  T* NotNull() const {
    T* object = get();
    if constexpr (kCheckedHandles) {
      ABSL_CHECK(object != nullptr)
          << "a null Member is dereferenced: test it first";
      internal::CheckIsObject(object);
    }
    return object;
  }

  // Written by running mutators (release), read by them and by markers
  // (acquire): what is in the object, its mark byte and its block's descriptor
  // come first. In an object that is not published yet the first write, by the
  // constructor, is none of an atomic word.
  std::atomic<T*> object_ = nullptr;
};
static_assert(sizeof(Member<int>) == sizeof(int*) &&
              std::is_trivially_destructible_v<Member<int>>);

}  // namespace bibop

#endif  // BIBOP_MARKER_MEMBER_H_
