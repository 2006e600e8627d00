// What the heap knows of a class: one TypeInfo per type, made at compile time
// from the type alone, and a small number, its TypeId, given out when the
// program is loaded.
//
// Objects carry no header: a block of cells names the type of all of them.
// TypeInfos live as long as the program; any thread may read them.

#ifndef BIBOP_HEAP_TYPE_INFO_H_
#define BIBOP_HEAP_TYPE_INFO_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "absl/strings/string_view.h"
#include "bibop/base/poison.h"
#include "bibop/heap/size_classes.h"

namespace bibop {

// Defined in marker/. The heap hands it through and does not look inside.
class MarkingVisitor;

// A type's number in this process. 0 is no type: what a TypeId reads as before
// the program has been loaded completely.
using TypeId = uint16_t;

// Describes the objects of one type.
struct TypeInfo {
  using TraceFn = void (*)(const void* object,
                           MarkingVisitor& visitor) noexcept;
  using DestroyFn = void (*)(void* object) noexcept;

  // The type's name as the compiler writes it.
  absl::string_view name;
  // sizeof and alignof, in bytes. An object may be larger than this by extra
  // bytes that its allocation asked for.
  size_t size;
  size_t alignment;
  // The bytes that an object without extra bytes takes in a block of its type.
  size_t cell_size;
  // Its size class in mixed blocks; kNumSizeClasses if it needs a span.
  size_t size_class;
  // Visits the object's Members; null for a leaf, which has none.
  TraceFn trace;
  // Runs the destructor; null if it is trivial.
  DestroyFn destroy;
  // Whether the objects are memory of containers, which their owners'
  // destructors still look at: they are swept when all others have been. Such a
  // type has no destructor.
  bool is_store = false;
};

// The bytes that an object of such a size and alignment takes: a multiple of
// the alignment, so that every cell of an aligned block is aligned.
constexpr size_t CellSizeFor(size_t size, size_t alignment) {
  const size_t unit = std::max(alignment, kPoisonGranularity);
  return (std::max(size, kMinCellSize) + unit - 1) / unit * unit;
}

namespace internal {

template <class T>
concept Traceable = requires(const T& object, MarkingVisitor& visitor) {
  object.Trace(visitor);
};

// Whether T has a Trace that may only lack the const.
template <class T>
concept MutablyTraceable =
    requires(T& object, MarkingVisitor& visitor) { object.Trace(visitor); };

// Whether T has any member called Trace, accessible or not: the name is then
// ambiguous in a class that inherits another one.
struct NamesTrace {
  int Trace;
};
template <class T>
struct AlsoNamesTrace : T, NamesTrace {};
template <class T>
concept HasMemberTrace = std::is_class_v<T> && !std::is_final_v<T> &&
                         !requires { &AlsoNamesTrace<T>::Trace; };

// A container whose elements are in the heap: its allocator says so.
template <class C>
concept HeapContainer = requires {
  typename C::allocator_type;
  requires C::allocator_type::kAllocatesInHeap;
};

template <class T>
constexpr absl::string_view TypeName() {
  absl::string_view name = __PRETTY_FUNCTION__;
  name.remove_prefix(name.find("T = ") + 4);
  return name.substr(0, name.find_first_of(";]"));
}

template <class T>
void TraceObject(const void* object, MarkingVisitor& visitor) noexcept {
  static_cast<const T*>(object)->Trace(visitor);
}

// The same for an object that is a container. The visitor's class is not known
// here.
template <class T, class Visitor = MarkingVisitor>
void TraceContainer(const void* object, Visitor& visitor) noexcept {
  visitor(*static_cast<const T*>(object));
}

// Says on the log that a destructor of a T threw.
void ReportThrowingDestructor(absl::string_view type) noexcept;

// An exception ends here: it has nowhere to go, and the sweeper goes on.
template <class T>
void DestroyObject(void* object) noexcept {
  if constexpr (std::is_nothrow_destructible_v<T>) {
    static_cast<T*>(object)->~T();
  } else {
    try {
      static_cast<T*>(object)->~T();
    } catch (...) {
      ReportThrowingDestructor(TypeName<T>());
    }
  }
}

template <class T>
constexpr TypeInfo MakeTypeInfo() {
  static_assert(std::is_object_v<T> && !std::is_array_v<T> &&
                    std::is_same_v<T, std::remove_cv_t<T>>,
                "a garbage-collected type is a class or a scalar, neither "
                "const nor volatile");
  static_assert(std::is_destructible_v<T>,
                "the destructor of a garbage-collected type must be public: "
                "the collector runs it");
  static_assert(alignof(T) <= kMaxAlignment,
                "a garbage-collected type is aligned to 4,096 bytes at most");
  static_assert(Traceable<T> || !(HasMemberTrace<T> || MutablyTraceable<T>),
                "the collector cannot call this type's Trace: write "
                "`void Trace(auto& visitor) const` and make it public");
  TypeInfo info = {
      .name = TypeName<T>(),
      .size = sizeof(T),
      .alignment = alignof(T),
      .cell_size = CellSizeFor(sizeof(T), alignof(T)),
      .size_class = FindSizeClass(sizeof(T), std::max(alignof(T), size_t{8})),
      .trace = nullptr,
      .destroy = nullptr,
  };
  if constexpr (Traceable<T>) {
    info.trace = &TraceObject<T>;
  } else if constexpr (HeapContainer<T>) {
    info.trace = &TraceContainer<T>;
  }
  if constexpr (!std::is_trivially_destructible_v<T>) {
    info.destroy = &DestroyObject<T>;
  }
  return info;
}

}  // namespace internal

// The description of T. T's Members are found through its
// `void Trace(auto& visitor) const`; a type without one is a leaf. A Trace that
// cannot be called, because it is private or not const, is an error, except
// that a private one of a final class cannot be seen. Trace must not throw. A
// destructor may; the exception is logged and goes no further.
template <class T>
inline constexpr TypeInfo kTypeInfo = internal::MakeTypeInfo<T>();

// Gives `info` a number, the same at each call. Any thread may call it. Aborts
// if the program has more than 65,535 garbage-collected types.
TypeId RegisterType(const TypeInfo& info);

namespace internal {

// By TypeId. Written once for each type, by RegisterType (release); read by
// whoever got the id from an object or from RegisterType, which happened after.
extern std::array<std::atomic<const TypeInfo*>, 65536> type_table;

}  // namespace internal

// The type with the number `id`, which RegisterType returned.
inline const TypeInfo* TypeOf(TypeId id) {
  return internal::type_table[id].load(std::memory_order_acquire);
}

// T's number. It is known once the program is loaded, so that an allocation
// reads it from memory instead of looking it up; an allocation by a static
// initializer that runs earlier reads 0 and takes the slow path.
template <class T>
inline const TypeId kTypeId = RegisterType(kTypeInfo<T>);

}  // namespace bibop

#endif  // BIBOP_HEAP_TYPE_INFO_H_
