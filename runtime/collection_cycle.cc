#include "bibop/runtime/collection_cycle.h"

#include <atomic>
#include <cstddef>

#include "absl/log/absl_check.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/marker.h"
#include "bibop/marker/verifier.h"
#include "bibop/runtime/call_program.h"

namespace bibop {
namespace {

// So many root slots of either kind are shown to the marker at once.
constexpr size_t kSlotsAtOnce = 4096;
// So many objects and ephemerons are looked at by one marker alone.
constexpr size_t kObjectsAtOnce = 1 << 16;

}  // namespace

void CollectionCycle::GiveUp() {
  if (phase_ == Phase::kMarking) {
    roots_.slots->EndMark();
    objects_.FinishMark();
    phase_ = Phase::kClearing;
  }
  if (phase_ == Phase::kClearing) {
    objects_.EndClearing();
    StartSweep();
  }
}

void CollectionCycle::CheckIn(Phase phase) const {
  ABSL_CHECK(phase_ == phase) << "a cycle goes round in one order";
}

void CollectionCycle::Advance(Phase from, Phase to) {
  CheckIn(from);
  phase_ = to;
}

void CollectionCycle::Retire(Mutators mutators) {
  for (MutatorBase* mutator : mutators) mutator->allocator().Retire();
}

// Afterwards every block's alloc bits are those of the objects that the last
// mark found alive or that were allocated since, and no block is swept before
// StartSweep.
void CollectionCycle::FinishSweep() {
  Advance(Phase::kSweeping, Phase::kIdle);
  objects_.FinishSweep();
}

// Afterwards no region is handed out whose cells are not born marked.
void CollectionCycle::StartMark(Mutators mutators) {
  Advance(Phase::kIdle, Phase::kMarking);
  Retire(mutators);
  const AllocationCounts total = objects_.allocated();
  allocated_ = {total.objects - at_start_.objects,
                total.bytes - at_start_.bytes};
  at_start_ = total;
  objects_.BeginMark();
  roots_.slots->BeginMark();
  roots_progress_ = {};
  async_progress_ = {};
  marker_.emplace(objects_);
  for (const MutatorBase* mutator : mutators) {
    mutator->handles().VisitRootsInConstruction(*marker_);
  }
  for (const MutatorBase* mutator : mutators) {
    mutator->handles().VisitRoots(*marker_);
  }
}

bool CollectionCycle::MarkRootSlots(size_t most) {
  return roots_.slots->VisitStrong(*marker_, roots_progress_, most) &&
         roots_.async->VisitRoots(*marker_, async_progress_, most);
}

bool CollectionCycle::Mark(size_t budget) {
  CheckIn(Phase::kMarking);
  for (;;) {
    const bool all_shown = MarkRootSlots(kSlotsAtOnce);
    if (!marker_->Drain(budget)) return false;
    if (all_shown) return marker_->DrainEphemerons(budget);
    if (budget < kEverything) {
      if (budget <= kSlotsAtOnce) return false;
      budget -= kSlotsAtOnce;
    }
  }
}

bool CollectionCycle::MarkTogether(const std::atomic<bool>& cancelled) {
  CheckIn(Phase::kMarking);
  while (!MarkRootSlots(kSlotsAtOnce)) {
    marker_->Drain(kSlotsAtOnce);
  }
  // Where ephemerons lead to much, the helpers help with that, too.
  while (pool_.Drain(*marker_, cancelled)) {
    if (marker_->DrainEphemerons(kObjectsAtOnce)) return true;
  }
  return false;
}

bool CollectionCycle::FinishMark(Mutators mutators, size_t budget) {
  CheckIn(Phase::kMarking);
  for (MutatorBase* mutator : mutators) TakeSnapshot(*mutator);
  if (!Mark(budget)) return false;
  Advance(Phase::kMarking, Phase::kClearing);
  Retire(mutators);
  roots_.slots->EndMark();
  objects_.FinishMark();
  const AllocationCounts total = objects_.allocated();
  live_ = marker_->counts();
  live_.objects += total.objects - at_start_.objects;
  live_.bytes += total.bytes - at_start_.bytes;
  return true;
}

void CollectionCycle::Clear() {
  CheckIn(Phase::kClearing);
  roots_.slots->ClearDead(
      [this](const void* object) { return marker_->IsMarked(object); });
  marker_->ClearWeak(observers_);
}

void CollectionCycle::NotifyObservers() {
  for (const auto& observer : observers_) {
    internal::CallProgram("a FinalizationRegistry's hook",
                          [&observer] { observer->Notify(); });
  }
  observers_.clear();
}

void CollectionCycle::Verify(Mutators mutators, VerifiedMark mark) {
  CheckIn(Phase::kClearing);
  verified_weak_ = VerifyMark(objects_, mutators, roots_, mark);
}

void CollectionCycle::VerifyCleared() const {
  CheckIn(Phase::kClearing);
  bibop::VerifyCleared(objects_, roots_, verified_weak_);
}

void CollectionCycle::EndClearing() {
  CheckIn(Phase::kClearing);
  objects_.EndClearing();
}

void CollectionCycle::StartSweep() {
  Advance(Phase::kClearing, Phase::kSweeping);
  marker_.reset();
  objects_.StartSweep();
}

}  // namespace bibop
