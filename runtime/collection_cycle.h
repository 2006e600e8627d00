// One collection, as a state machine.
//
//            StartMark       MarkRoots        FinishMark        StartSweep
//   kIdle ------------> kMarkStart -----> kMarking -----> kMarkFinish ----->
//   kSweeping
//     ^ |
//     +--------------------------------------------------------------------------+
//                                  FinishSweep
//
// In this version everything from kMarkStart to kSweeping happens in one pause,
// while all mutators are stopped. Sweeping goes on while they run, block by
// block as they need room and in the background, and what is then left is swept
// before the next pause.
//
// Used by one thread at a time, the collector.

#ifndef BIBOP_RUNTIME_COLLECTION_CYCLE_H_
#define BIBOP_RUNTIME_COLLECTION_CYCLE_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/root_slots.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/marker.h"
#include "bibop/runtime/heap_stats.h"

namespace bibop {

class CollectionCycle {
 public:
  // Both must outlive this.
  CollectionCycle(ObjectHeap& objects, RootSlotPool& roots)
      : objects_(objects), roots_(roots) {}
  CollectionCycle(const CollectionCycle&) = delete;
  CollectionCycle& operator=(const CollectionCycle&) = delete;

  // Sweeps what the last collection left unswept, if anything: runs destructors
  // of objects that it found dead. Mutators may run. Comes before Run.
  void FinishSweep();

  // Collects: whatever is not reachable from the roots of `mutators`, which are
  // all there are, and from strong root slots is dead afterwards, and no weak
  // root slot refers to it. Leaves `pause` to the caller.
  //
  // REQUIRES: they are stopped; FinishSweep was called.
  CycleStats Run(const std::vector<MutatorBase*>& mutators, CycleCause cause);

 private:
  enum class Phase { kIdle, kMarkStart, kMarking, kMarkFinish, kSweeping };

  // The other arrows, each from one phase to the next.
  void StartMark(const std::vector<MutatorBase*>& mutators);
  void MarkRoots(const std::vector<MutatorBase*>& mutators, Marker& marker);
  void FinishMark(Marker& marker);
  void StartSweep();

  // Goes from `from` to `to`; aborts if the cycle is elsewhere.
  void Advance(Phase from, Phase to);

  ObjectHeap& objects_;
  RootSlotPool& roots_;
  // As after a collection of the empty heap.
  Phase phase_ = Phase::kSweeping;
  int64_t cycles_ = 0;
  absl::Duration sweep_time_;
  AllocationCounts allocated_before_;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_COLLECTION_CYCLE_H_
