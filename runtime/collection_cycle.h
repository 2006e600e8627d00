// One collection, as a state machine.
//
//            StartMark       MarkRoots        FinishMark        StartSweep
//   kIdle ------------> kMarkStart -----> kMarking -----> kMarkFinish ----->
//   kSweeping
//     ^ |
//     +--------------------------------------------------------------------------+
//                                  FinishSweep
//
// In this version everything up to kSweeping happens in one pause of the one
// mutator. Sweeping goes on while the mutator runs, block by block as it needs
// room, and what is then left is swept when the next collection begins.
//
// Used by the thread that is attached to the heap, or by any thread when none
// is.

#ifndef BIBOP_RUNTIME_COLLECTION_CYCLE_H_
#define BIBOP_RUNTIME_COLLECTION_CYCLE_H_

#include "absl/time/time.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/marker.h"
#include "bibop/runtime/heap_stats.h"

namespace bibop {

class CollectionCycle {
 public:
  // `objects` must outlive this.
  explicit CollectionCycle(ObjectHeap& objects) : objects_(objects) {}
  CollectionCycle(const CollectionCycle&) = delete;
  CollectionCycle& operator=(const CollectionCycle&) = delete;

  // Collects: whatever is not reachable from the roots of `mutator`, the only
  // one, is dead afterwards; with null, from nowhere. Runs destructors of
  // objects that earlier collections found dead. Aborts if called by such a
  // destructor.
  CycleStats Run(MutatorBase* mutator, CycleCause cause);

  // Sweeps what the last collection left unswept, if anything, so that empty
  // blocks can serve every type.
  void FinishSweep();

 private:
  enum class Phase { kIdle, kMarkStart, kMarking, kMarkFinish, kSweeping };

  // The other arrows, each from one phase to the next.
  void StartMark(MutatorBase* mutator);
  void MarkRoots(MutatorBase* mutator, Marker& marker);
  void FinishMark(Marker& marker);
  void StartSweep();

  // Goes from `from` to `to`; aborts if the cycle is elsewhere.
  void Advance(Phase from, Phase to);

  ObjectHeap& objects_;
  // As after a collection of the empty heap.
  Phase phase_ = Phase::kSweeping;
  int64_t cycles_ = 0;
  AllocationCounts allocated_before_;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_COLLECTION_CYCLE_H_
