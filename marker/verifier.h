// The verifier: after a mark it finds what can be reached once more, in another
// way, simple and slow, and compares. For stress runs; see stress_options.h.
//
// It shares nothing with the marker but the Traces and the roots: it has a set
// of what it has seen instead of mark bytes, and remembers for each object what
// it was reached from, so that it can say so.
//
// Used by the collector, in the pause in which a mark has finished.

#ifndef BIBOP_MARKER_VERIFIER_H_
#define BIBOP_MARKER_VERIFIER_H_

#include <vector>

#include "absl/types/span.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/weak_word.h"

namespace bibop {

// How a mark came about, and so what has to hold.
struct VerifiedMark {
  // No mutator ran from its beginning to its end.
  bool in_one_pause = false;
  // Nothing may be marked but what can be reached; only for a mark in one
  // pause. An object whose last root was released meanwhile by a thread that
  // is not running is marked all the same.
  bool exact = false;
};

// Aborts, naming the object, its type, and what it was reached from, if an
// object that can be reached from the roots of `mutators`, which are all there
// are, or from `roots`, is not marked or has no alloc bit, if all cards of
// an old object are clean that refers to a young one, no store (I-6), or if an
// invariant of the heap does not hold. Returns the weak references in what can
// be reached.
//
// REQUIRES: the heap is in kClearing, nothing was cleared, the mutators are
// stopped and have retired their allocators.
std::vector<const internal::WeakWord*> VerifyMark(
    const ObjectHeap& heap, absl::Span<MutatorBase* const> mutators,
    const HeapRoots& roots, VerifiedMark mark);

// Aborts if a weak slot, or one of `weak`, which VerifyMark returned, refers to
// an object that is not marked. Mutators may run.
//
// REQUIRES: the heap is in kClearing, and weak references were cleared.
void VerifyCleared(const ObjectHeap& heap, const HeapRoots& roots,
                   absl::Span<const internal::WeakWord* const> weak);

}  // namespace bibop

#endif  // BIBOP_MARKER_VERIFIER_H_
