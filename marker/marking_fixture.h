// MarkingTest: what tests of references in the heap have in common: a heap with
// a mutator, and a collection in steps, so that a test can do something as a
// mutator in the middle of it.
//
//   HandleScope scope(mutator_);
//   BeginMark();             // what handles refer to now, will live
//   ...                      // a mutator runs while objects are marked
//   FinishMark();
//   ...                      // and while references to dead ones are cleared
//   EndCycle();
//
// Collect is all of it.

#ifndef BIBOP_MARKER_MARKING_FIXTURE_H_
#define BIBOP_MARKER_MARKING_FIXTURE_H_

#include <memory>
#include <optional>

#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/marker.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {

// An object whose life is watched, and that may refer to another.
struct WatchedNode {
  explicit WatchedNode(testing::Lifetimes& lifetimes, int n = 0)
      : tracked(lifetimes), number(n) {}
  testing::Tracked tracked;
  int number;
  Member<WatchedNode> next;
  void Trace(auto& visitor) const { visitor(next); }
};

class MarkingTest : public ::testing::Test {
 protected:
  Handle<WatchedNode> New(HandleScope& scope, int n = 0) {
    return scope.New<WatchedNode>(lifetimes_, n);
  }

  // Begins a mark, of which the roots are those of now.
  void BeginMark() {
    heap_->FinishSweep();
    mutator_.allocator().Retire();
    heap_->BeginMark();
    marker_.emplace(*heap_);
    mutator_.handles().VisitRootsInConstruction(*marker_);
    mutator_.handles().VisitRoots(*marker_);
    roots_.slots->VisitStrong(*marker_);
  }
  // Marks what is known to be reachable.
  void Mark() { marker_->DrainEphemerons(); }
  // Marks what the mutator overwrote, too, and ends the mark.
  void FinishMark() {
    mutator_.snapshot().Flush();
    Mark();
    mutator_.allocator().Retire();
    heap_->FinishMark();
  }
  // Clears weak references, ends the cycle, and destroys what is dead.
  void EndCycle() {
    ClearWeak();
    heap_->EndClearing();
    heap_->StartSweep();
    heap_->FinishSweep();
  }
  void ClearWeak() {
    Marker::Observers observers;
    marker_->ClearWeak(observers);
    for (const auto& observer : observers) observer->Notify();
  }
  void Collect() {
    BeginMark();
    FinishMark();
    EndCycle();
  }

  void TearDown() override {
    // A test that has failed may have left one.
    if (heap_->phase() == HeapPhase::kMarking) heap_->FinishMark();
    if (heap_->phase() == HeapPhase::kClearing) heap_->EndClearing();
  }

  // Told by destructors that the heap runs when it is destroyed.
  testing::Lifetimes lifetimes_;
  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  HeapRoots roots_;
  TestMutator mutator_{*heap_, roots_};
  std::optional<Marker> marker_;
};

}  // namespace bibop

#endif  // BIBOP_MARKER_MARKING_FIXTURE_H_
