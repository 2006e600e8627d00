// MarkingVisitor: what a class's Trace is given. It collects the Members that
// it is shown, for the marker to follow.
//
// Owned and used by one marker.

#ifndef BIBOP_MARKER_MARKING_VISITOR_H_
#define BIBOP_MARKER_MARKING_VISITOR_H_

#include <array>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

#include "bibop/handles/object_reference.h"

namespace bibop {

class MarkingVisitor {
 public:
  MarkingVisitor() = default;
  MarkingVisitor(const MarkingVisitor&) = delete;
  MarkingVisitor& operator=(const MarkingVisitor&) = delete;

  // Visits fields of an object: Members, arrays of fields, and parts that have
  // a Trace of their own. A Trace calls this once or more, with every such
  // field.
  template <class... Fields>
  void operator()(const Fields&... fields) {
    (Visit(fields), ...);
  }

  // Visits what `object` points at or into; null is nothing.
  void VisitPointer(const void* object) {
    if (object != nullptr) found_.push_back(object);
  }

  // The pointers that were visited and are still to be followed.
  std::vector<const void*>& found() { return found_; }

 private:
  template <class Field>
  struct IsStdArray : std::false_type {};
  template <class E, size_t n>
  struct IsStdArray<std::array<E, n>> : std::true_type {};

  template <class Field>
  void Visit(const Field& field) {
    if constexpr (ObjectReference<Field>) {
      VisitPointer(field.get());
    } else if constexpr (std::is_array_v<Field> || IsStdArray<Field>::value) {
      for (const auto& element : field) Visit(element);
    } else {
      static_assert(
          requires { field.Trace(*this); },
          "Trace visits Members, arrays of them, and parts that have "
          "a `void Trace(auto& visitor) const`; this field is none");
      field.Trace(*this);
    }
  }

  std::vector<const void*> found_;
};

}  // namespace bibop

#endif  // BIBOP_MARKER_MARKING_VISITOR_H_
