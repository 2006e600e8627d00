#include "bibop/runtime/collection_cycle.h"

#include <chrono>
#include <utility>

#include "absl/log/absl_check.h"
#include "absl/time/time.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/marker.h"
#include "bibop/runtime/heap_stats.h"

namespace bibop {

void CollectionCycle::Advance(Phase from, Phase to) {
  ABSL_CHECK(phase_ == from)
      << "a collection was asked for during a collection: neither a destructor "
         "nor a Trace nor HeapOptions::on_cycle_end may collect";
  phase_ = to;
}

// Afterwards every block's alloc bits are those of the objects that the last
// mark found alive or that were allocated since.
void CollectionCycle::FinishSweep() {
  if (phase_ == Phase::kIdle) return;
  Advance(Phase::kSweeping, Phase::kIdle);
  objects_.FinishSweep();
}

// Afterwards no region is handed out and no object is marked.
void CollectionCycle::StartMark(MutatorBase* mutator) {
  Advance(Phase::kIdle, Phase::kMarkStart);
  if (mutator != nullptr) mutator->allocator().Retire();
  objects_.BeginMark();
}

// Afterwards every root was shown to the marker.
void CollectionCycle::MarkRoots(MutatorBase* mutator, Marker& marker) {
  Advance(Phase::kMarkStart, Phase::kMarking);
  if (mutator == nullptr) return;
  mutator->handles().VisitRootsInConstruction(marker);
  mutator->handles().VisitRoots(marker);
}

// Afterwards an object is marked if and only if it is reachable.
void CollectionCycle::FinishMark(Marker& marker) {
  Advance(Phase::kMarking, Phase::kMarkFinish);
  marker.Drain();
}

// Afterwards every block waits to be swept.
void CollectionCycle::StartSweep() {
  Advance(Phase::kMarkFinish, Phase::kSweeping);
  objects_.FinishMark();
}

CycleStats CollectionCycle::Run(MutatorBase* mutator, CycleCause cause) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  FinishSweep();
  const Clock::time_point mark_start = Clock::now();
  StartMark(mutator);
  Marker marker(objects_);
  MarkRoots(mutator, marker);
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
      .pause = absl::FromChrono(end - start),
      .sweep_time = absl::FromChrono(mark_start - start),
      .mark_time = absl::FromChrono(end - mark_start),
  };
}

}  // namespace bibop
