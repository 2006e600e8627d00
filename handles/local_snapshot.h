// LocalSnapshot: what a mutator overwrites while its heap is being marked.
//
// A mark finds what could be reached when it began. The mutators change
// references meanwhile, so the barriers save each old value first (I-5), here,
// and the marker gets it from the heap's mark queue: when this is full, when it
// asks all mutators for theirs, and in the pause that ends the mark.
//
// Snapshot-at-the-beginning marking is Yuasa's, "Real-time garbage collection
// on general-purpose machines", Journal of Systems and Software 11, 1990.
//
// Owned by a mutator and used by its thread while that runs, by the collector
// while it is stopped or parked.
//
// Invariants: nothing that was shaded is dropped before it is marked, or the
// mark has finished.

#ifndef BIBOP_HANDLES_LOCAL_SNAPSHOT_H_
#define BIBOP_HANDLES_LOCAL_SNAPSHOT_H_

#include <array>
#include <cstddef>

#include "absl/base/attributes.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"

namespace bibop {

class LocalSnapshot {
 public:
  // `heap` must outlive this.
  explicit LocalSnapshot(ObjectHeap& heap) : heap_(heap) {}
  LocalSnapshot(const LocalSnapshot&) = delete;
  LocalSnapshot& operator=(const LocalSnapshot&) = delete;

  // While the heap is being marked, sees to it that the object which `object`
  // points at or into is marked; else does nothing. May throw std::bad_alloc,
  // having done nothing.
  //
  // REQUIRES: the object is one of the heap, and not yet lost.
  void Shade(const void* object) {
    if (heap_.phase() != HeapPhase::kMarking) return;
    if (count_ == shaded_.size()) [[unlikely]]
      MakeRoom();
    shaded_[count_++] = object;
  }

  // While the heap is being marked, has `object` traced like one that was there
  // when the mark began, although it was born marked: for one into which
  // references were copied that nobody may have kept. As Shade otherwise.
  //
  // REQUIRES: the object begins there and is complete, and no other mutator
  // knows of it yet.
  void ShadeNew(const void* object);

  // Gives the heap's mark queue what was shaded and is not marked yet.
  void Flush();

  // The heap that is being marked.
  ObjectHeap& heap() const { return heap_; }

 private:
  // Forgets what is marked by now.
  void DropMarked();
  ABSL_ATTRIBUTE_NOINLINE void MakeRoom();

  ObjectHeap& heap_;
  size_t count_ = 0;
  // The first count_ are in use.
  std::array<const void*, 256> shaded_;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_LOCAL_SNAPSHOT_H_
