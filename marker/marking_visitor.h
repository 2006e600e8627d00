// MarkingVisitor: what a class's Trace is given. It collects the Members that
// it is shown, for the marker to follow, and the weak references, for the
// marker to look at when it has followed all.
//
// Owned and used by one marker.
//
// Mutators may change the Members meanwhile: each is read once. What else a
// Trace reads does not change once the object's constructor has returned.

#ifndef BIBOP_MARKER_MARKING_VISITOR_H_
#define BIBOP_MARKER_MARKING_VISITOR_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "bibop/base/poison.h"
#include "bibop/handles/coroutine_ban.h"
#include "bibop/handles/object_reference.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"
#include "bibop/marker/death_watch.h"
#include "bibop/marker/mark_stack.h"
#include "bibop/marker/weak_lists.h"
#include "bibop/marker/weak_word.h"

namespace bibop {

namespace internal {

// The most bytes that a container takes itself, without its elements. So what
// is at most so far from its allocator holds the container.
inline constexpr size_t kMostContainerBytes = 128;

// A word of which is not known what it is.
struct alignas(uintptr_t) AnyWord {
  std::byte bytes[sizeof(uintptr_t)];
};

}  // namespace internal

class MarkingVisitor {
 public:
  // What is visited is in `heap`, or refers to what is.
  explicit MarkingVisitor(const ObjectHeap& heap) : heap_(heap) {}
  MarkingVisitor(const MarkingVisitor&) = delete;
  MarkingVisitor& operator=(const MarkingVisitor&) = delete;

  // Visits fields of an object: Members, containers whose elements are in the
  // heap, arrays of fields, and parts that have a Trace of their own. A Trace
  // calls this once or more, with every such field.
  template <class... Fields>
  void operator()(const Fields&... fields) {
    if constexpr (AreFew<Fields...>) {
      const void** top = stack_.Reserve((CountReferences<Fields>() + ... + 0));
      (VisitFew(fields, top), ...);
      stack_.Commit(top);
    } else {
      (Visit(fields), ...);
    }
  }

  // Visits the elements of an array, however many: of a large one it only
  // remembers where they are, until TakeElements.
  template <class T>
  void VisitElements(std::span<const T> elements) {
    if (elements.size() <= kMostAtOnce) {
      for (const T& element : elements) Visit(element);
      return;
    }
    arrays_.push_back({elements.data(), elements.size(), &VisitSome<T>});
  }

  // Visits some elements of a large array. Returns how many; 0 if every array
  // was visited to its end.
  size_t TakeElements();

  // Whether there are such arrays.
  bool AnyElements() const { return !arrays_.empty(); }
  // Takes those of another over.
  void AbsorbElements(MarkingVisitor& other) {
    arrays_.insert(arrays_.end(), other.arrays_.begin(), other.arrays_.end());
    other.arrays_.clear();
  }

  // Visits what each word of [start, start + size) points at or into, if that
  // is an object, whatever the words are. Other threads may be writing them.
  //
  // REQUIRES: `start` is a multiple of 8.
  void VisitWords(const void* start, size_t size) {
    VisitElements(std::span<const internal::AnyWord>(
        static_cast<const internal::AnyWord*>(start),
        size / sizeof(internal::AnyWord)));
  }

  // Visits what `object` points at or into; null is nothing.
  void VisitPointer(const void* object) { stack_.Push(object); }

  // The pointers that were visited, for the marker to take.
  MarkStack& stack() { return stack_; }

  // Visit weak references, for the Trace of the classes that have them: what
  // they refer to is not followed.
  void VisitWeak(const internal::WeakWord& word) {
    if (word.Load() != nullptr) weak_.words.push_back(&word);
  }
  void VisitDeathWatch(const internal::DeathWatch& watch) {
    if (watch.object().Load() != nullptr) weak_.watches.push_back(&watch);
  }
  void VisitEphemeron(const internal::EphemeronCell& cell) {
    weak_.ephemerons.push_back({&cell, 1, nullptr});
  }
  // The cells of a table, of which `in_use` are in use.
  void VisitEphemerons(std::span<const internal::EphemeronCell> cells,
                       std::atomic<size_t>& in_use) {
    weak_.ephemerons.push_back({cells.data(), cells.size(), &in_use});
  }

  // What weak references were visited.
  internal::WeakLists& weak() { return weak_; }
  const internal::WeakLists& weak() const { return weak_; }

 private:
  // So many elements of an array are visited at once.
  static constexpr size_t kMostAtOnce = 512;

  // The elements of a large array that are still to be visited.
  struct Elements {
    const void* first;
    size_t count;
    // Visits so many from there, and returns where the next is.
    const void* (*visit)(const void* first, size_t count,
                         MarkingVisitor& visitor);
  };
  template <class T>
  static const void* VisitSome(const void* first, size_t count,
                               MarkingVisitor& visitor) {
    const std::span<const T> elements(static_cast<const T*>(first), count);
    for (const T& element : elements) visitor.Visit(element);
    return elements.data() + count;
  }

  template <class Field>
  struct IsStdArray : std::false_type {};
  template <class E, size_t n>
  struct IsStdArray<std::array<E, n>> : std::true_type {};

  // How many references a field is made of: 1, or those of an array. 0 if that
  // is not all that it is.
  template <class Field>
  static constexpr size_t CountReferences() {
    if constexpr (RootReference<Field> || IsScoped<Field>) {
      return 0;
    } else if constexpr (ObjectReference<Field>) {
      return 1;
    } else if constexpr (std::is_array_v<Field>) {
      return std::extent_v<Field> *
             CountReferences<std::remove_extent_t<Field>>();
    } else if constexpr (IsStdArray<Field>::value) {
      return std::tuple_size_v<Field> *
             CountReferences<typename Field::value_type>();
    } else {
      return 0;
    }
  }

  // Whether the fields are nothing but references, and so few that room can be
  // reserved for all of them.
  template <class... Fields>
  static constexpr bool AreFew =
      ((CountReferences<Fields>() > 0) && ...) &&
      (CountReferences<Fields>() + ... + 0) <= MarkStack::kMostReserved;

  // Visits a field by pushing on `top`, for which room was reserved.
  template <class Field>
  static void VisitFew(const Field& field, const void**& top) {
    if constexpr (ObjectReference<Field>) {
      MarkStack::PushAt(top, field.get());
    } else {
      for (const auto& element : field) VisitFew(element, top);
    }
  }

  template <class Field>
  void Visit(const Field& field) {
    static_assert(
        !RootReference<Field>,
        "Trace visits Members, and this field is a Persistent, a root "
        "by itself: make it a Member if it refers into the same heap, "
        "else leave it out of Trace");
    static_assert(!IsScoped<Field>,
                  "Trace visits Members, and this field is a handle, which is "
                  "for the stack: make it a Member");
    if constexpr (ObjectReference<Field>) {
      VisitPointer(field.get());
    } else if constexpr (std::is_array_v<Field> || IsStdArray<Field>::value) {
      for (const auto& element : field) Visit(element);
    } else if constexpr (std::is_same_v<Field, internal::AnyWord>) {
      const auto found = heap_.FindObject(ReadAnyWord(&field));
      VisitPointer(found.has_value() ? found->start : nullptr);
    } else if constexpr (internal::HeapContainer<Field>) {
      static_assert(sizeof(Field) <= internal::kMostContainerBytes,
                    "a container takes 128 bytes at most: make its hash or "
                    "comparison function object smaller");
      VisitWords(&field, sizeof(Field));
    } else {
      static_assert(
          !requires { typename Field::allocator_type; },
          "the elements of this container are not in the heap, so the "
          "collector does not find Members among them: make it a "
          "bibop::Vector, a bibop::FlatHashMap or the like");
      static_assert(
          requires { field.Trace(*this); },
          "Trace visits Members, arrays of them, containers whose elements "
          "are in the heap, and parts that have a `void Trace(auto& visitor) "
          "const`; this field is none");
      field.Trace(*this);
    }
  }

  const ObjectHeap& heap_;
  MarkStack stack_;
  internal::WeakLists weak_;
  std::vector<Elements> arrays_;
};

}  // namespace bibop

#endif  // BIBOP_MARKER_MARKING_VISITOR_H_
