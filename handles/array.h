// Array<T>: an array in the heap, whose length is set when it is made.
//
//   Handle<Array<double>> samples = scope.NewArray<double>(1000);
//   (*samples)[0] = 1.5;
//
// The elements are part of the object: Members among them are traced, and they
// are destroyed with it. A Member may point at an element, and keeps the whole
// array alive.
//
// Used like any other object of the heap.

#ifndef BIBOP_HANDLES_ARRAY_H_
#define BIBOP_HANDLES_ARRAY_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <type_traits>

#include "absl/log/absl_check.h"
#include "bibop/handles/object_reference.h"
#include "bibop/heap/type_info.h"

namespace bibop {

class HandleScope;
template <class T>
class Array;

namespace internal {

// What an Array's constructor is given, which only a HandleScope can make.
class ArraySize {
 private:
  friend class ::bibop::HandleScope;
  template <class T>
  friend class ::bibop::Array;
  explicit ArraySize(size_t size) : value(size) {}
  size_t value;
};

template <class T>
struct HoldsReferences : std::bool_constant<ObjectReference<T> ||
                                            Traceable<T> || HeapContainer<T>> {
  static_assert(ObjectReference<T> || Traceable<T> ||
                    !(HasMemberTrace<T> || MutablyTraceable<T>),
                "the collector cannot call the Trace of this array's elements: "
                "write `void Trace(auto& visitor) const` and make it public");
};
template <class T, size_t n>
struct HoldsReferences<T[n]> : HoldsReferences<T> {};
template <class T, size_t n>
struct HoldsReferences<std::array<T, n>> : HoldsReferences<T> {};

}  // namespace internal

template <class T>
class Array final {
 public:
  static_assert(std::is_nothrow_destructible_v<T>,
                "an array's elements have destructors that do not throw");

  // Value-initializes the elements. For HandleScope::NewArray, which has room
  // for them behind the object.
  explicit Array(internal::ArraySize size) : size_(size.value) {
    std::uninitialized_value_construct_n(data(), size_);
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array()
    requires(std::is_trivially_destructible_v<T>)
  = default;
  ~Array() { std::destroy_n(data(), size_); }

  // The number of elements.
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // The elements, one after the other.
  T* data() { return reinterpret_cast<T*>(this + 1); }
  const T* data() const { return reinterpret_cast<const T*>(this + 1); }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }

  // An element. Aborts if there is none with that index.
  T& operator[](size_t index) {
    CheckIndex(index);
    return data()[index];
  }
  const T& operator[](size_t index) const {
    CheckIndex(index);
    return data()[index];
  }

  // The elements as a span; good as long as the array is kept alive.
  std::span<T> span() { return {data(), size_}; }
  std::span<const T> span() const { return {data(), size_}; }

  void Trace(auto& visitor) const
    requires(internal::HoldsReferences<T>::value)
  {
    visitor.VisitElements(span());
  }

 private:
  friend class HandleScope;

  // The bytes that `count` elements take; SIZE_MAX if that is more than a
  // size_t can say.
  static constexpr size_t ExtraBytes(size_t count) {
    constexpr size_t kMost = std::numeric_limits<size_t>::max();
    return count > kMost / sizeof(T) ? kMost : count * sizeof(T);
  }

  void CheckIndex(size_t index) const {
    ABSL_CHECK_LT(index, size_) << "an index beyond the end of an Array";
  }

  // Aligned so that the elements, which follow, are.
  alignas(std::max(alignof(size_t), alignof(T))) size_t size_;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_ARRAY_H_
