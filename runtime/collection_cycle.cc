#include "bibop/runtime/collection_cycle.h"

#include <array>
#include <atomic>
#include <cstddef>

#include "absl/log/absl_check.h"
#include "absl/types/span.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/card_table.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/marker.h"
#include "bibop/marker/verifier.h"
#include "bibop/runtime/call_program.h"

namespace bibop {
namespace {

// So many root slots of either kind are shown to the marker at once.
constexpr size_t kSlotsAtOnce = 4096;
// The cards of so many blocks are looked at between two takes of the heap's
// lock, and of so many at once, unless what is on them is as much as this.
constexpr size_t kBlocksAtOnce = 8;
constexpr size_t kMostBlocksAtOnce = 256;
constexpr int64_t kBytesRememberedAtOnce = int64_t{128} << 10;
// So many objects and ephemerons are looked at by one marker alone.
constexpr size_t kObjectsAtOnce = 1 << 16;

}  // namespace

void CollectionCycle::GiveUp() {
  if (phase_ == Phase::kMarking) {
    EndMark();
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
  pool_.BeginMark();
}

// Afterwards no region is handed out whose cells are not born marked.
void CollectionCycle::StartMark(Mutators mutators, CollectionKind kind) {
  Advance(Phase::kIdle, Phase::kMarking);
  Retire(mutators);
  const AllocationCounts total = objects_.allocated();
  allocated_ = {total.objects - at_start_.objects,
                total.bytes - at_start_.bytes};
  at_start_ = total;
  kind_ = kind;
  objects_.BeginMark(kind);
  remembering_ = kind == CollectionKind::kMinor;
  aging_cards_ = false;
  if (remembering_) {
    ABSL_CHECK(generations_) << "a minor cycle in a heap without generations";
    objects_.BeginRemembering();
  }
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

bool CollectionCycle::RememberSome() {
  if (!remembering_ || kind_ == CollectionKind::kMajor) return true;
  const int64_t enough = marker_->traced_bytes() + kBytesRememberedAtOnce;
  for (size_t blocks = 0; blocks < kMostBlocksAtOnce; blocks += kBlocksAtOnce) {
    std::array<ObjectHeap::BlockToRemember, kBlocksAtOnce> some;
    const size_t count = objects_.TakeToRemember(absl::MakeSpan(some));
    for (size_t i = 0; i < count; ++i) marker_->Remember(some[i]);
    remembering_ = count != 0;
    if (!remembering_ || marker_->traced_bytes() >= enough) break;
  }
  return !remembering_;
}

void CollectionCycle::AgeCardsOfSome(size_t blocks) {
  CheckIn(Phase::kMarking);
  if (!generations_ || kind_ == CollectionKind::kMinor) return;
  if (!aging_cards_) {
    objects_.BeginRemembering();
    aging_cards_ = remembering_ = true;
  }
  while (remembering_ && blocks >= kBlocksAtOnce) {
    std::array<ObjectHeap::BlockToRemember, kBlocksAtOnce> some;
    const size_t count = objects_.TakeToRemember(absl::MakeSpan(some));
    for (size_t i = 0; i < count; ++i) AgeCards(*some[i].block);
    remembering_ = count != 0;
    blocks -= kBlocksAtOnce;
  }
}

bool CollectionCycle::Mark(size_t budget) {
  CheckIn(Phase::kMarking);
  for (;;) {
    const bool all_shown = MarkRootSlots(kSlotsAtOnce) && RememberSome();
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
  while (!MarkRootSlots(kSlotsAtOnce) || !RememberSome()) {
    marker_->Drain(kSlotsAtOnce);
  }
  // Where ephemerons lead to much, the helpers help with that, too.
  while (pool_.Drain(*marker_, cancelled)) {
    if (marker_->DrainEphemerons(kObjectsAtOnce)) return true;
  }
  return false;
}

void CollectionCycle::EndMark() {
  roots_.slots->EndMark();
  objects_.FinishMark();
  pool_.EndMark();
}

bool CollectionCycle::FinishMark(Mutators mutators, size_t budget) {
  CheckIn(Phase::kMarking);
  for (MutatorBase* mutator : mutators) TakeSnapshot(*mutator);
  if (!Mark(budget)) return false;
  Advance(Phase::kMarking, Phase::kClearing);
  Retire(mutators);
  EndMark();
  const AllocationCounts total = objects_.allocated();
  if (kind_ == CollectionKind::kMajor) old_ = {};
  const MarkCounts found = marker_->counts();
  const MarkCounts found_old = marker_->old_counts();
  born_bytes_ = total.bytes - at_start_.bytes;
  live_.objects =
      old_.objects + found.objects + total.objects - at_start_.objects;
  live_.bytes = old_.bytes + found.bytes + born_bytes_;
  old_.objects += found_old.objects;
  old_.bytes += found_old.bytes;
  traced_bytes_ = marker_->traced_bytes();
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
