#include "bibop/runtime/collection_cycle.h"

#include <chrono>
#include <utility>
#include <vector>

#include "absl/log/absl_check.h"
#include "absl/time/time.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/root_slots.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/marker.h"
#include "bibop/runtime/heap_stats.h"

namespace bibop {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

void CollectionCycle::Advance(Phase from, Phase to) {
  ABSL_CHECK(phase_ == from)
      << "a collection was asked for during a collection: neither a destructor "
         "nor a Trace nor HeapOptions::on_cycle_end may collect";
  phase_ = to;
}

// Afterwards every block's alloc bits are those of the objects that the last
// mark found alive or that were allocated since.
void CollectionCycle::FinishSweep() {
  const Clock::time_point start = Clock::now();
  Advance(Phase::kSweeping, Phase::kIdle);
  objects_.FinishSweep();
  sweep_time_ = absl::FromChrono(Clock::now() - start);
}

// Afterwards no region is handed out and no object is marked.
void CollectionCycle::StartMark(const std::vector<MutatorBase*>& mutators) {
  Advance(Phase::kIdle, Phase::kMarkStart);
  for (MutatorBase* mutator : mutators) mutator->allocator().Retire();
  objects_.BeginMark();
}

// Afterwards every root was shown to the marker.
void CollectionCycle::MarkRoots(const std::vector<MutatorBase*>& mutators,
                                Marker& marker) {
  Advance(Phase::kMarkStart, Phase::kMarking);
  for (const MutatorBase* mutator : mutators) {
    mutator->handles().VisitRootsInConstruction(marker);
  }
  for (const MutatorBase* mutator : mutators) {
    mutator->handles().VisitRoots(marker);
  }
  roots_.VisitStrong(marker);
}

// Afterwards an object is marked if and only if it is reachable, and no weak
// root refers to one that is not.
void CollectionCycle::FinishMark(Marker& marker) {
  Advance(Phase::kMarking, Phase::kMarkFinish);
  marker.Drain();
  marker.DrainEphemerons();
  roots_.ClearWeak(
      [&marker](const void* object) { return marker.IsMarked(object); });
  marker.ClearWeak();
  marker.NotifyObservers();
}

// Afterwards every block waits to be swept.
void CollectionCycle::StartSweep() {
  Advance(Phase::kMarkFinish, Phase::kSweeping);
  objects_.FinishMark();
  objects_.EndClearing();
  objects_.StartSweep();
}

CycleStats CollectionCycle::Run(const std::vector<MutatorBase*>& mutators,
                                CycleCause cause) {
  const Clock::time_point start = Clock::now();
  StartMark(mutators);
  Marker marker(objects_);
  MarkRoots(mutators, marker);
  FinishMark(marker);
  StartSweep();
  const Clock::time_point end = Clock::now();

  const AllocationCounts allocated = objects_.allocated();
  const AllocationCounts before = std::exchange(allocated_before_, allocated);
  return {
      .cycle = ++cycles_,
      .cause = cause,
      .allocated_objects = allocated.objects - before.objects,
      .allocated_bytes = allocated.bytes - before.bytes,
      .live_objects = marker.counts().objects,
      .live_bytes = marker.counts().bytes,
      .mark_time = absl::FromChrono(end - start),
      .sweep_time = sweep_time_,
  };
}

}  // namespace bibop
