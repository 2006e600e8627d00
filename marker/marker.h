// The marker: finds the live objects, from the roots on, and marks them.
//
// It goes depth first over an explicit stack, so the depth of a graph does not
// matter, in batches: it takes the pointers that were found last and prefetches
// their mark bytes; then it marks, and prefetches the objects that were not
// marked; then it calls their Traces. So memory answers many questions at once,
// and no branch depends on which objects are marked already. (After Cher,
// Hosking and Vitek, "Software prefetching for mark-sweep garbage collection",
// ASPLOS 2004, where a queue does it.)
//
// A mark has one marker or several, each on its own thread, that hand objects
// to each other through the heap's mark queue, where mutators put what they
// overwrite. Mutators may run meanwhile: what was allocated since the mark
// began is marked from the start, so it is never traced.
//
// One marker serves one mark: construct it, show it the roots, call Drain.
//
// Invariants: no object's Trace is called before its constructor has returned;
// an object is traced at most once by one marker. Several may trace the same
// object, which is marked the same.

#ifndef BIBOP_MARKER_MARKER_H_
#define BIBOP_MARKER_MARKER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/container/flat_hash_set.h"
#include "absl/log/absl_check.h"
#include "bibop/handles/root_visitor.h"
#include "bibop/heap/block.h"
#include "bibop/heap/marks.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/death_watch.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/weak_lists.h"
#include "bibop/marker/weak_word.h"

namespace bibop {

// Objects, and their bytes with their cells' padding.
struct MarkCounts {
  int64_t objects = 0;
  int64_t bytes = 0;
};

class Marker final : public RootVisitor {
 public:
  // REQUIRES: heap.BeginMark was called, and heap.FinishMark is not before the
  // last call to this.
  explicit Marker(ObjectHeap& heap)
      : heap_(heap), marks_(heap.marks()), visitor_(heap) {}

  // Marks what a slot refers to.
  //
  // REQUIRES: VisitRootInConstruction was called for every object in
  // construction.
  //
  // Aborts if that is in another heap: marks there are of other epochs.
  void VisitRoot(const void* object) override {
    CheckInThisHeap(object);
    visitor_.VisitPointer(object);
  }

  // Marks an object whose constructor is running, and what the words in it
  // point at, whether or not they are Members yet (I-4), even if it is old. Its
  // Trace will not be called.
  //
  // REQUIRES: Drain was not called; the world is stopped.
  void VisitRootInConstruction(const void* object) override;

  // Looks at the cards of a block for a minor mark, which takes what is old for
  // alive: visits what old objects refer to that are on cards that are not
  // clean. With `young_live` also marks every other object in it.
  //
  // REQUIRES: the roots in construction were shown.
  void Remember(const ObjectHeap::BlockToRemember& remembered);

  // No limit for Drain.
  static constexpr size_t kEverything = std::numeric_limits<size_t>::max();

  // Marks what the objects found so far refer to, and what is in the heap's
  // mark queue, but not many more than `budget` objects. Returns whether
  // nothing was left. Aborts if a Trace allocates or collects.
  bool Drain(size_t budget = kEverything);

  // Gives what it has left to do to the heap's mark queue, but for large arrays
  // of which it has visited a part, or none.
  void GiveBack();
  // Whether it has such arrays.
  bool AnyArrays() const { return visitor_.AnyElements(); }

  // Adds what `other` has marked and noted, and takes its large arrays over.
  //
  // REQUIRES: `other` has nothing else left to do.
  void Absorb(Marker& other);

  // Whether the object that `object` points at or into was marked.
  //
  // REQUIRES: it was alive when this mark began; Drain was called.
  //
  // Aborts if it is in another heap.
  bool IsMarked(const void* object) const;

  // As Drain, and marks the values of ephemerons whose keys are marked, until
  // there are no more; `budget` counts ephemerons, too. May be called again and
  // again: where it has found ephemerons that wait for their keys Drain does
  // the same from then on, but for keys that other markers mark meanwhile: so
  // when they are done this has to be called once more.
  //
  // (Linear in the number of ephemerons: see weak_lists.h.)
  bool DrainEphemerons(size_t budget = kEverything);

  // Whether weak references were found that ClearWeak has to look at.
  bool AnyWeak() const;

  // Those who are to be notified of deaths.
  using Observers = std::vector<std::shared_ptr<internal::DeathObserver>>;

  // Makes weak references in the heap to objects that were not marked refer to
  // nothing, tells observers of deaths, and adds those that are to be notified
  // to `observers`. Mutators may run.
  //
  // REQUIRES: the heap is in kClearing; the last DrainEphemerons left nothing.
  void ClearWeak(Observers& observers) const;

  // What was marked, and what of it is old now.
  MarkCounts counts() const { return counts_; }
  MarkCounts old_counts() const {
    return marks_.generations() ? old_counts_ : counts_;
  }
  // The bytes of objects that were traced, those that Remember visited too:
  // what the mark was to do.
  int64_t traced_bytes() const { return counts_.bytes + remembered_bytes_; }

 private:
  void CheckInThisHeap(const void* object) const {
    ABSL_CHECK(heap_.Contains(object))
        << "a root or a Member refers to " << object
        << ", which is not in its heap: objects of one heap may not refer to "
           "objects of another, or to objects that no heap made";
  }

  // Where an object is.
  struct Place {
    BlockDescriptor* block;
    size_t index;
    const void* cell;
  };
  ABSL_ATTRIBUTE_ALWAYS_INLINE Place Find(const void* object) const;

  // Objects, each at one index of the three arrays: as structs they would be
  // copied in pieces that processors do not forward from store to load.
  struct Batch;
  // Each step leaves to the next what it is to do.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void TakeTo(Batch& batch);
  ABSL_ATTRIBUTE_ALWAYS_INLINE void Mark(Batch& batch);
  // With `look_up`, also visits the values of ephemerons that waited for one.
  template <bool look_up>
  ABSL_ATTRIBUTE_ALWAYS_INLINE void Trace(const Batch& batch);
  // Counts those that became old.
  ABSL_ATTRIBUTE_NOINLINE void CountOld(const Batch& batch);

  // What Drain does, with or without look-ups.
  template <bool look_up>
  bool DrainPointers(size_t budget);

  // Looks at ephemerons: at those that were visited, and if objects were marked
  // without a look-up also at those that waited before. Visits the values of
  // those whose keys are marked. Counts `budget` down; returns false if it does
  // not suffice.
  bool LookAtEphemerons(size_t& budget);
  void LookAt(internal::PendingEphemerons::Pending ephemeron);
  // Makes the word `after` if it refers to a dead object; returns whether it
  // did.
  bool ClearIfDead(const internal::WeakWord& word, void* after) const;
  // Gives some of what it has to do to the heap's mark queue, if it has much.
  ABSL_ATTRIBUTE_NOINLINE void Share();
  // Gets more pointers to look at, where there are no more. Returns false if
  // there are none.
  bool TakeMore();

  ObjectHeap& heap_;
  const Marks marks_;
  MarkingVisitor visitor_;
  MarkCounts counts_;
  // With generations.
  MarkCounts old_counts_;
  int64_t remembered_bytes_ = 0;
  // The cells of objects in construction.
  absl::flat_hash_set<const void*> in_construction_;
  internal::PendingEphemerons pending_;
  // Of those, [first, second) are to be looked at again.
  std::pair<size_t, size_t> look_again_ = {0, 0};
  // How many objects were marked when DrainEphemerons last returned: if now
  // there are more, they were not looked up.
  int64_t looked_up_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_MARKER_MARKER_H_
