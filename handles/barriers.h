// What references do besides reading and writing a word, while a heap is being
// collected. As long as none is, each costs a load and a branch.
//
//   deletion barrier   a reference is about to be overwritten or destroyed:
//                      Shade(what it refers to)
//   weak read          a reference that keeps nothing alive is read:
//                      ReadWeak(how to load it)
//   card barrier       a reference was stored, by a constructor, too:
//                      NoteStore(where), in heap/card_table.h. It has to do
//                      with heaps that have generations only
//
// For the implementation of references; called by running mutators, and by
// destructors, on any thread: while a heap runs destructors it is neither being
// marked nor cleared, so for references into that there is nothing to do. Who
// is neither aborts, while any heap of the process is being collected: the
// marker would not find what such a thread overwrites. What a handle or a
// strong reference refers to needs no barrier to be read.

#ifndef BIBOP_HANDLES_BARRIERS_H_
#define BIBOP_HANDLES_BARRIERS_H_

#include <atomic>

#include "absl/base/attributes.h"
#include "absl/base/optimization.h"
#include "absl/functional/function_ref.h"
#include "bibop/heap/card_table.h"  // IWYU pragma: export
#include "bibop/heap/heap_phase.h"  // IWYU pragma: export

namespace bibop::internal {

// Shade, if a heap of the process is being collected.
ABSL_ATTRIBUTE_NOINLINE void ShadeSlow(const void* object);

// The deletion barrier: while the heap of `object` is being marked, sees to it
// that the object is. Null is nothing.
inline void Shade(const void* object) {
  if (ABSL_PREDICT_FALSE(BarriersOn())) ShadeSlow(object);
}

// ReadWeak, if a heap of the process is being collected.
ABSL_ATTRIBUTE_NOINLINE void* ReadWeakSlow(absl::FunctionRef<void*()> load);

// For checked builds: aborts if the thread is attached to the heap of `object`
// and there is no object at that place.
ABSL_ATTRIBUTE_NOINLINE void CheckIsObject(const void* object);

// What `load`, which reads a weak reference, returns; null if that is dead. The
// object lives until the next safepoint.
//
// While its heap is being marked the object is shaded: somebody may keep it
// now. While references to the dead are being cleared the mark says whether
// this one will be.
template <class Load>
void* ReadWeak(Load load) {
  // Acquire: whoever finds that nothing is being cleared finds it cleared.
  if (ABSL_PREDICT_FALSE((barrier_word.load(std::memory_order_acquire) &
                          kCollectingHeaps) != 0)) {
    return ReadWeakSlow(load);
  }
  return load();
}

}  // namespace bibop::internal

#endif  // BIBOP_HANDLES_BARRIERS_H_
