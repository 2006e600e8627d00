// Pacer: how much may be allocated until the next collection is due, and which
// kind that is, from what the last ones found and took.
//
// After a major collection the heap has *room* for what is alive and a budget,
// by one of two rules (HeapOptions::pacing):
//
//   kGrowthFactor   the budget grows as what is alive does
//   kSquareRoot     and as the root of what is alive, times how fast it is
//                   allocated in, over how fast it is marked: MemBalancer (M.
//                   Kirisame, P. Shenoy, P. Panchekha: "Optimal heap limits for
//                   reducing browser memory use", OOPSLA 2022)
//
// In a large heap a major collection that runs beside mutators is due before
// the room is used up: by as much as will be allocated while it marks, if that
// goes as in the collections before (as Go's collector does, R. Hudson 2015).
// Which kind comes next is chosen by how much each traces for what is
// allocated.
//
// Knows no threads and no clock. Used by the thread that drives collections.
//
// Invariants: a plan's budget is never negative, and after a major collection
// not less than the least one, whatever the limit.

#ifndef BIBOP_RUNTIME_PACER_H_
#define BIBOP_RUNTIME_PACER_H_

#include <cstdint>

#include "absl/time/time.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/runtime/heap_options.h"

namespace bibop {

class Pacer {
 public:
  // A heap with less alive is marked in one pause, or nearly.
  static constexpr int64_t kSmallBytes = int64_t{1} << 20;

  // What a collection found whose mark has finished. Bytes are those of cells.
  struct Cycle {
    CollectionKind kind = CollectionKind::kMajor;
    // As CycleStats says.
    int64_t live_bytes = 0;
    int64_t born_bytes = 0;
    int64_t allocated_bytes = 0;
    // Of what is alive, what is old.
    int64_t old_bytes = 0;
    // Of the objects that were traced.
    int64_t traced_bytes = 0;
    // Of the mark, and from the beginning of the mark before, or of the heap,
    // to that of this one, in which allocated_bytes were allocated.
    absl::Duration mark_time = absl::ZeroDuration();
    absl::Duration since_before = absl::ZeroDuration();
    // What there is now.
    int64_t external_bytes = 0;
    int64_t mutators = 1;
  };

  struct Plan {
    CollectionKind kind = CollectionKind::kMajor;
    // So many bytes may be allocated, external ones included, until the next
    // collection is due; so many until it should be over, and who allocates
    // more helps with it; and so many until mutators wait for its end.
    int64_t budget = 0;
    int64_t room = 0;
    int64_t most = 0;
  };

  // `options` must outlive this.
  explicit Pacer(const HeapOptions& options) : options_(options) {}

  Pacer(const Pacer&) = delete;
  Pacer& operator=(const Pacer&) = delete;

  // What comes after `cycle`; a default Cycle is the time before the first.
  Plan PlanAfter(const Cycle& cycle);

 private:
  // The mean of numbers, of which the last count most; 0 before the first.
  class Average {
   public:
    void Add(double number) {
      mean_ = mean_ == 0 ? number : (mean_ + number) / 2;
    }
    double mean() const { return mean_; }

   private:
    double mean_ = 0;
  };

  // How much may be allocated between two cycles, at least, and after a major
  // one where no limit is near.
  int64_t MinBudget(int64_t mutators) const;
  int64_t MajorBudget(const Cycle& cycle) const;
  // By which what `live_bytes` is alive may grow, by the rule.
  double Growth(int64_t live_bytes) const;
  // Whether the next cycle begins before the room is used up. In a small heap
  // it does not: that is marked in some milliseconds, and beginning earlier
  // only leaves more of what was born meanwhile, which is found dead a cycle
  // later.
  bool BeginsEarlier(const Cycle& cycle) const;
  // How much is expected to be allocated beside the next mark, of what is left
  // of the room: 0 if it does not begin earlier.
  int64_t Beside(const Cycle& cycle, int64_t left) const;
  void NoteRates(const Cycle& cycle);
  // Whether minor cycles as this one, and the major ones that have to come for
  // what they make old, trace less for each byte that is allocated than major
  // ones alone would.
  bool IsWorthIt(const Cycle& minor) const;
  // Whether the cycle says anything of that, if it was not.
  bool IsTypical(const Cycle& minor) const;
  void NoteKind(const Cycle& cycle);

  const HeapOptions& options_;
  // Bytes a second, allocated and traced, and those that were allocated beside
  // a mark for each that it traced.
  Average allocation_rate_;
  Average trace_rate_;
  Average born_for_traced_;
  // What the last major cycle leaves room for: that many bytes alive and
  // allocated together, of which so many were free.
  int64_t room_ = 0;
  int64_t major_budget_ = 0;
  // What the last major cycle found alive, without what was born meanwhile. A
  // minor one does not know what has died since of what is old.
  int64_t found_by_major_ = 0;
  // External bytes then.
  int64_t external_at_major_ = 0;
  // What was old after the cycle before, and whether that was a major one.
  int64_t old_before_ = 0;
  bool major_before_ = false;
  // The budget of the last plan.
  int64_t planned_ = 0;
  // After so many more major cycles a minor one is tried although the last was
  // not worth it; if it is not again, after twice as many.
  int majors_to_try_ = 0;
  int majors_between_tries_ = 1;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_PACER_H_
