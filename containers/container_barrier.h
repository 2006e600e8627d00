// What a container tells the marker, through its allocator, while its heap is
// being marked.
//
// A container's stores refer to each other by plain pointers, which it rewrites
// as it likes, and a marker that reads them meanwhile may miss a store. So the
// first time in a mark that a container is about to change, or has just begun
// to, all its stores are shown to the marker: those that the container's words
// point at, and those that they point at, and so on. From then on it does not
// matter how they are linked: new ones are born marked, and each of the others
// is scanned. What the elements refer to is saved when they are overwritten, by
// Member, or destroyed, by the allocator (I-5).
//
// So an allocator must be told of every change of links before the safepoint
// that follows it. Each container that may be used was looked at for that.
//
// A container that is in no object of the heap needs none of this: what it
// allocates is rooted by a scope, and what is moved to it from one that is.
//
// Used by the threads of running mutators, and by those that run destructors,
// for which nothing is being marked.

#ifndef BIBOP_CONTAINERS_CONTAINER_BARRIER_H_
#define BIBOP_CONTAINERS_CONTAINER_BARRIER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/base/attributes.h"
#include "absl/base/optimization.h"
#include "bibop/base/build_config.h"
#include "bibop/heap/heap_phase.h"

namespace bibop {

class MutatorBase;

namespace internal {

// The part of an allocator that is the same for all types, in the container, or
// a copy elsewhere.
class ContainerBarrier {
 public:
  constexpr ContainerBarrier() = default;
  ContainerBarrier(const ContainerBarrier&) = delete;
  ContainerBarrier& operator=(const ContainerBarrier&) = delete;

  // To be called when the container changes, unless nothing was changed since
  // the last safepoint and nothing will be before the next.
  void Changing() const {
    if (ABSL_PREDICT_FALSE(BarriersOn())) ChangingSlow();
  }

  // The same, when the container may have got stores of another one just now,
  // which had no chance to show them.
  void Taking() const {
    if (ABSL_PREDICT_FALSE(BarriersOn())) TakingSlow();
  }

  // The same, when an element of the container at [element, element + size) is
  // about to be destroyed. It is in a node, whose container may have let it go
  // already, or in an array.
  enum class In : bool { kArray, kNode };
  void Destroying(const void* element, size_t size, In in) const {
    if (ABSL_PREDICT_FALSE(BarriersOn())) DestroyingSlow(element, size, in);
  }

  // The same, when the container is about to give back a store.
  void Releasing(const void* store) const {
    if (ABSL_PREDICT_FALSE(BarriersOn())) ReleasingSlow(store);
  }

  // To be called when this one's container is being made of `other`'s, whose
  // stores are still in that, or has just got its stores, or both each other's:
  // what no longer is in an object of the heap stays alive until the innermost
  // open scope closes. Each store is rooted that is reached by way of stores of
  // at most `largest_link` bytes.
  void MovingFrom(const ContainerBarrier& other, size_t largest_link) const;
  void MovedFrom(const ContainerBarrier& other, size_t largest_link) const;

  // To be called when the container is about to be assigned to: the stores that
  // it refers to directly stay alive until the innermost open scope closes, or
  // until it gives them back, even if it no longer refers to them.
  void KeepStores() const;

  // Say that an element was destroyed whose node the container still has, and
  // that it uses the node again, or not.
  void KeepingNode() const {
    shown_in_.store(shown_in() | kKeepsNode, std::memory_order_relaxed);
  }
  void NotKeepingNode() const {
    if (keeps_node())
      shown_in_.store(shown_in() & ~kKeepsNode, std::memory_order_relaxed);
  }
  bool keeps_node() const { return (shown_in() & kKeepsNode) != 0; }

 private:
  ABSL_ATTRIBUTE_NOINLINE void ChangingSlow() const;
  ABSL_ATTRIBUTE_NOINLINE void TakingSlow() const;
  ABSL_ATTRIBUTE_NOINLINE void DestroyingSlow(const void* element, size_t size,
                                              In in) const;
  ABSL_ATTRIBUTE_NOINLINE void ReleasingSlow(const void* store) const;

  static constexpr uint64_t kKeepsNode = uint64_t{1} << 63;

  uint64_t shown_in() const {
    return shown_in_.load(std::memory_order_relaxed);
  }

  // The last mark in which the container's stores were shown, of all marks of
  // the process, and kKeepsNode. Used by the thread that changes the container,
  // but copying one is no change, and several threads may do that: atomic,
  // relaxed.
  mutable std::atomic<uint64_t> shown_in_ = 0;
};

// How many constructors are running on this thread that copy or move elements.
// Meanwhile a container may have stores that only it knows of, so containers
// inside of elements do not collect when they allocate.
inline constinit thread_local int copying_elements = 0;

// Says that a constructor copies or moves an element. Checked builds abort if
// that allocates an object.
class CopyingScope {
 public:
  CopyingScope() {
    ++copying_elements;
    if constexpr (kCheckedHandles) ForbidCollections();
  }
  CopyingScope(const CopyingScope&) = delete;
  CopyingScope& operator=(const CopyingScope&) = delete;
  ~CopyingScope() {
    --copying_elements;
    if constexpr (kCheckedHandles) AllowCollections();
  }

 private:
  void ForbidCollections();
  void AllowCollections();

  MutatorBase* mutator_ = nullptr;
};

}  // namespace internal
}  // namespace bibop

#endif  // BIBOP_CONTAINERS_CONTAINER_BARRIER_H_
