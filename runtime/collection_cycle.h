// One collection, as a state machine.
//
//                    StartMark             FinishMark            StartSweep
//            kIdle ------------> kMarking ------------> kClearing --------->
//            kSweeping
//              ^ |
//              +-----------------------------------------------------------------+
//                                         FinishSweep
//
//   kIdle       every block is swept; nothing is known to be dead
//   kMarking    what was reachable when the mark began is found: Mark
//   kClearing   references to what was not found are cleared: Clear
//   kSweeping   the rest is swept, block by block, by whoever needs room and in
//               the background
//
// A minor cycle goes the same way, but takes what is old for alive, and those
// of it for roots that references were stored in lately (I-6): it marks, sweeps
// and clears what is young. An object is old when two cycles have found it.
//
// StartMark and FinishMark happen while all mutators are stopped, the rest
// while they run, or not: who drives the cycle decides, and so whether it is
// stop-the-world, incremental or concurrent. All share this code.
//
// Used by one thread at a time, the one that drives, but for Assist, AssistWith
// and IsMarkingTogether.

#ifndef BIBOP_RUNTIME_COLLECTION_CYCLE_H_
#define BIBOP_RUNTIME_COLLECTION_CYCLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "bibop/handles/async_slots.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/root_slots.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/marker.h"
#include "bibop/marker/marker_pool.h"
#include "bibop/marker/verifier.h"
#include "bibop/marker/weak_word.h"

namespace bibop {

class CollectionCycle {
 public:
  enum class Phase { kIdle, kMarking, kClearing, kSweeping };
  using Mutators = absl::Span<MutatorBase* const>;

  // No limit for Mark and FinishMark.
  static constexpr size_t kEverything = Marker::kEverything;

  // With so many threads to mark besides the caller's. The others must outlive
  // this.
  // With `generations` cycles may be minor ones.
  //
  // REQUIRES: with `generations`, EnableCardTable returned OK.
  CollectionCycle(ObjectHeap& objects, HeapRoots& roots, int helpers,
                  bool generations)
      : objects_(objects),
        roots_(roots),
        generations_(generations),
        pool_(objects, helpers) {}
  CollectionCycle(const CollectionCycle&) = delete;
  CollectionCycle& operator=(const CollectionCycle&) = delete;
  ~CollectionCycle() { GiveUp(); }

  Phase phase() const { return phase_; }

  // kSweeping to kIdle. Sweeps what the last collection left unswept, if
  // anything: runs destructors of objects that it found dead.
  void FinishSweep();

  // kIdle to kMarking: no object is marked any more, in a minor cycle none that
  // is young, but those that the mutators' handles refer to, which are all
  // mutators there are.
  //
  // REQUIRES: they are stopped; a minor one only with generations.
  void StartMark(Mutators mutators, CollectionKind kind);

  // In kMarking: marks not many more than `budget` objects of those that are
  // reachable from what was marked so far, from strong root slots, in a minor
  // cycle from old objects on dirty cards, and from what mutators have given to
  // the mark queue. Returns whether no other is known.
  bool Mark(size_t budget);

  // In kMarking of a major cycle with generations: ages the cards of about
  // `blocks` blocks, for what they are dirty for is marked anyway. The next
  // minor cycle would find those that are left dirty.
  void AgeCardsOfSome(size_t blocks);

  // As Mark, of everything, with the helpers. Returns false soon after
  // `cancelled` was set.
  bool MarkTogether(const std::atomic<bool>& cancelled);

  // From the FinishSweep of that number on, until FinishMark has returned true:
  // helps with MarkTogether, or while enough others do only waits. Returns at
  // once otherwise. Any thread may call it for which no pause waits.
  void Assist(int64_t number) { pool_.Assist(number); }
  // Whether a MarkTogether is running, or was a moment ago. Any thread may ask.
  bool IsMarkingTogether() const { return pool_.IsDraining(); }
  // Helps with a MarkTogether that is running by marking about `objects`. Any
  // thread may call it for which no pause waits.
  void AssistWith(size_t objects) { pool_.AssistWith(objects); }

  // Gives the mark queue what a mutator has overwritten. The mutator is not
  // running, or it is the thread's own.
  static void TakeSnapshot(MutatorBase& mutator) { mutator.snapshot().Flush(); }

  // Whether something is in the mark queue.
  bool AnyInQueue() const { return !objects_.mark_queue().IsEmpty(); }

  // kMarking to kClearing, if what the mutators have given or overwritten leads
  // to no more than about `budget` objects: returns whether it did. An object
  // is now marked if it was reachable when the mark began or was allocated
  // since, and all others are dead.
  //
  // REQUIRES: `mutators`, which are all there are, are stopped.
  bool FinishMark(Mutators mutators, size_t budget);

  // Aborts if the mark is wrong; see verifier.h.
  //
  // REQUIRES: FinishMark has just returned true; `mutators` are still stopped.
  void Verify(Mutators mutators, VerifiedMark mark);

  // In kClearing: whether Clear has anything to do.
  bool AnyToClear() const {
    return roots_.slots->AnyToClear(roots_progress_) || marker_->AnyWeak();
  }
  // In kClearing: makes weak references to dead objects refer to nothing.
  void Clear();
  // In kClearing: aborts if such a reference is left.
  void VerifyCleared() const;
  // Notifies those who are told of deaths, if Clear has told them of some.
  //
  // REQUIRES: no mutator is stopped.
  void NotifyObservers();
  // In kClearing: says that this is done, if there was anything. Before
  // StartSweep every mutator has to come to a safepoint.
  void EndClearing();

  // kClearing to kSweeping: from now on every block waits to be swept.
  void StartSweep();

  // Ends a cycle that is under way: what it did not mark yet is taken for dead.
  //
  // REQUIRES: no mutator is attached; every object will be destroyed.
  void GiveUp();

  // What the cycle found alive: marked, and allocated while it marked; in a
  // minor one with all that was old.
  //
  // REQUIRES: FinishMark returned true.
  MarkCounts live() const { return live_; }
  // The bytes of what is old now.
  int64_t old_bytes() const { return old_.bytes; }
  // The bytes of the objects that it traced.
  int64_t traced_bytes() const { return traced_bytes_; }
  // The bytes of what is alive that were allocated while it marked.
  int64_t born_bytes() const { return born_bytes_; }
  // What was allocated from one StartMark to the next.
  AllocationCounts allocated() const { return allocated_; }

 private:
  // Goes from `from` to `to`; aborts if the cycle is elsewhere.
  void Advance(Phase from, Phase to);
  void CheckIn(Phase phase) const;
  static void Retire(Mutators mutators);
  // Tells all that were told of the mark that it is over.
  void EndMark();
  // Shows the marker strong root slots and those of tasks, about `most` of
  // each. Returns whether all were shown.
  bool MarkRootSlots(size_t most);

  // In a minor cycle shows the marker what some blocks' cards are dirty for.
  // Returns whether all were looked at.
  bool RememberSome();
  ObjectHeap& objects_;
  HeapRoots& roots_;
  const bool generations_;
  MarkerPool pool_;
  // As after a collection of the empty heap.
  Phase phase_ = Phase::kSweeping;
  // From StartMark on.
  CollectionKind kind_ = CollectionKind::kMajor;
  // Whether cards are still to be looked at.
  bool remembering_ = false;
  // Whether a major cycle has begun to.
  bool aging_cards_ = false;
  std::optional<Marker> marker_;
  RootSlotPool::Progress roots_progress_;
  AsyncSlotPool::Progress async_progress_;
  Marker::Observers observers_;
  // Under verification: what VerifyMark returned.
  std::vector<const internal::WeakWord*> verified_weak_;
  MarkCounts live_;
  // Of that, what is old.
  MarkCounts old_;
  int64_t traced_bytes_ = 0;
  int64_t born_bytes_ = 0;
  // In all, when this mark began, and what was since the one before.
  AllocationCounts at_start_;
  AllocationCounts allocated_;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_COLLECTION_CYCLE_H_
