// What Handle, MutableHandle, Member and Persistent have in common: each refers
// to a garbage-collected object, and each can be stored into, and compared
// with, the others.

#ifndef BIBOP_HANDLES_OBJECT_REFERENCE_H_
#define BIBOP_HANDLES_OBJECT_REFERENCE_H_

#include <concepts>
#include <type_traits>

namespace bibop {

// A type that refers to a garbage-collected object: it says so itself, for a
// smart pointer to something else must not be mistaken for one.
template <class R>
concept ObjectReference = requires(const R& reference) {
  requires R::kIsObjectReference;
  { reference.get() } -> std::convertible_to<typename R::element_type*>;
};

// A type whose referent can be referred to as a T.
template <class R, class T>
concept ReferenceTo =
    ObjectReference<R> && std::convertible_to<typename R::element_type*, T*>;

// One that the collector finds by itself, so that no Trace visits it.
template <class R>
concept RootReference = ObjectReference<R> && requires { requires R::kIsRoot; };

namespace internal {

// Whether a root of a U may become one of a T on any thread: the address of the
// T follows from the U's without a look at the object, which another thread may
// change or which may be dead. A virtual base's does not.
template <class U, class T>
concept RootMovableTo =
    std::convertible_to<U*, T*> && requires(std::remove_cv_t<T>* object) {
      static_cast<std::remove_cv_t<U>*>(object);
    };

}  // namespace internal

// Whether both refer to the same object, or to nothing.
template <ObjectReference A, ObjectReference B>
bool operator==(const A& a, const B& b) {
  return a.get() == b.get();
}

}  // namespace bibop

#endif  // BIBOP_HANDLES_OBJECT_REFERENCE_H_
