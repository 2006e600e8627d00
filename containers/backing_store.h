// BackingStore: the memory that a container with a bibop::Allocator takes for
// its elements, a cell of the heap.
//
// Nothing is known of what is in it: the collector looks at its words, and what
// they point at or into is alive. It has no destructor, for its container
// destroys the elements, and is swept only when everything that may have a
// container has been (TypeInfo::is_store). Stores of elements that can refer to
// nothing, numbers, are not looked at.
//
// Used by running mutators, but ReleaseStore, which destructors call on any
// thread.

#ifndef BIBOP_CONTAINERS_BACKING_STORE_H_
#define BIBOP_CONTAINERS_BACKING_STORE_H_

#include <cstddef>
#include <cstring>

#include "bibop/heap/type_info.h"

namespace bibop {

class MarkingVisitor;

namespace internal {

// The trace of stores.
void TraceStore(const void* store, MarkingVisitor& visitor) noexcept;

// The type of stores of such an alignment: of a leaf, which can refer to
// nothing, or not.
template <size_t alignment, bool is_leaf>
inline constexpr TypeInfo kStoreType = {
    .name = "a container's memory",
    .size = alignment,
    .alignment = alignment,
    .cell_size = CellSizeFor(alignment, alignment),
    .size_class = FindSizeClass(alignment, alignment),
    .trace = is_leaf ? nullptr : &TraceStore,
    .destroy = nullptr,
    .is_store = true,
};
template <size_t alignment, bool is_leaf>
inline const TypeId kStoreTypeId = RegisterType(kStoreType<alignment, is_leaf>);

// Whether a collection may run in an allocation.
enum class MayCollect : bool { kNo, kYes };

// Returns a store of `size` bytes for the container whose allocator is at
// `allocator`, or that has just made a copy of it there: in the heap that it is
// in, or else in the one in which the thread runs. It is alive until
// ReleaseStore, or until the innermost open scope closes; its bytes are 0
// unless it is a leaf's. If there is no room the mutator's OutOfMemory is
// called. Aborts if the thread runs in no heap.
void* AllocateStore(const void* allocator, const TypeInfo& type, TypeId id,
                    size_t size, MayCollect may_collect);

// Keeps the store that `element` is in alive until ReleaseStore, or until the
// innermost open scope closes.
void RootStoreOf(const void* element);

// Says that a container no longer needs a store. Its memory is used again when
// a collection has found that nothing refers to it. In checked builds aborts
// if the store has been swept already.
void ReleaseStore(const void* store);

// Clears what an element was, that it keeps nothing alive any longer.
inline void Clear(void* element, size_t size) {
  std::memset(element, 0, size);
  // So that nobody takes the memory for unused.
  asm volatile("" : : "r"(element) : "memory");
}

[[noreturn]] void ThrowBadArrayNewLength();

}  // namespace internal
}  // namespace bibop

#endif  // BIBOP_CONTAINERS_BACKING_STORE_H_
