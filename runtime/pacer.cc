#include "bibop/runtime/pacer.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/time/time.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/runtime/heap_options.h"

namespace bibop {
namespace {

// What a cycle takes besides tracing, as if so much more were traced.
constexpr int64_t kBytesTracedBeside = int64_t{256} << 10;
// Of the budget what becomes old takes so much until a major cycle comes.
constexpr double kOldOfBudget = 2.0 / 3;
// Minor cycles that are not worth it are tried again after so many major ones,
// at most.
constexpr int kMostMajors = 32;
// A mark of less says nothing of rates.
constexpr int64_t kLeastForRates = Pacer::kSmallBytes;
// What is expected to be allocated beside a mark takes this share of the budget
// at most: or a program that allocates faster than objects are marked would be
// collected all the time.
constexpr double kMostBeside = 0.75;
// While a cycle runs mutators go on until they have allocated so many times the
// budget beyond it: to wait for its end takes longer than any pause, so only
// who allocates several times as fast as objects are marked has to. A small
// heap is marked in some milliseconds, and is to stay small.
constexpr double kBudgetsBeforeWait = 3;
constexpr double kBudgetsBeforeWaitIfSmall = 0.25;

}  // namespace

int64_t Pacer::MinBudget(int64_t mutators) const {
  const auto small = static_cast<int64_t>(options_.small_heap_bytes);
  const auto for_one = static_cast<int64_t>(options_.min_budget_bytes);
  return std::max(for_one, std::min(mutators * for_one, small));
}

double Pacer::Growth(int64_t live_bytes) const {
  const auto live = static_cast<double>(live_bytes);
  if (options_.pacing == Pacing::kGrowthFactor || trace_rate_.mean() == 0 ||
      allocation_rate_.mean() == 0) {
    return live * (options_.growth_factor - 1.0);
  }
  // With a budget of b bytes, marking takes rate/b * live/trace_rate
  // processors, and the budget is worth b * price: the sum is least where the
  // two are equal.
  constexpr double kGiB = 1 << 30;
  const double price = options_.processors_per_gib / kGiB;
  return std::sqrt(live * allocation_rate_.mean() /
                   (trace_rate_.mean() * price));
}

int64_t Pacer::MajorBudget(const Cycle& cycle) const {
  const int64_t live_bytes = cycle.live_bytes;
  const double most = static_cast<double>(options_.max_bytes);
  const auto grown = static_cast<int64_t>(std::min(Growth(live_bytes), most));
  const auto small = static_cast<int64_t>(options_.small_heap_bytes);
  return std::max({grown, MinBudget(cycle.mutators),
                   std::min(8 * live_bytes, small - live_bytes)});
}

bool Pacer::BeginsEarlier(const Cycle& cycle) const {
  return cycle.live_bytes - cycle.born_bytes >=
         static_cast<int64_t>(options_.small_heap_bytes) / 2;
}

int64_t Pacer::Beside(const Cycle& cycle, int64_t left) const {
  if (!BeginsEarlier(cycle)) return 0;
  const auto traced = static_cast<double>(cycle.live_bytes - cycle.born_bytes);
  return static_cast<int64_t>(
      std::min(born_for_traced_.mean() * traced,
               kMostBeside * static_cast<double>(left)));
}

void Pacer::NoteRates(const Cycle& cycle) {
  // What a minor one takes besides tracing would count for a major one's.
  if (cycle.kind == CollectionKind::kMinor ||
      cycle.traced_bytes < kLeastForRates) {
    return;
  }
  const auto traced = static_cast<double>(cycle.traced_bytes);
  const double marking = absl::ToDoubleSeconds(cycle.mark_time);
  const double since = absl::ToDoubleSeconds(cycle.since_before);
  born_for_traced_.Add(static_cast<double>(cycle.born_bytes) / traced);
  if (marking > 0) trace_rate_.Add(traced / marking);
  if (since > 0 && cycle.allocated_bytes > 0) {
    allocation_rate_.Add(static_cast<double>(cycle.allocated_bytes) / since);
  }
}

// In bytes, not in a time: others may have had the processor. And not by what a
// minor one frees, for the next major one would free that, too.
bool Pacer::IsWorthIt(const Cycle& minor) const {
  const auto allocated =
      static_cast<double>(std::max(minor.allocated_bytes, int64_t{1}));
  const double traced =
      static_cast<double>(minor.traced_bytes + kBytesTracedBeside) / allocated;
  const double made_old =
      static_cast<double>(std::max(minor.old_bytes - old_before_, int64_t{0})) /
      allocated;
  const double by_majors =
      static_cast<double>(found_by_major_) /
      static_cast<double>(std::max(major_budget_, int64_t{1}));
  return traced + by_majors * made_old / kOldOfBudget < by_majors;
}

// The first after a major cycle finds once more what that was the first to
// find, of all that was allocated since the one before; and one that was asked
// for comes when nearly nothing was allocated.
bool Pacer::IsTypical(const Cycle& minor) const {
  return !major_before_ && minor.allocated_bytes >= planned_ / 2;
}

void Pacer::NoteKind(const Cycle& cycle) {
  const bool is_major = cycle.kind == CollectionKind::kMajor;
  if (is_major) {
    found_by_major_ = cycle.live_bytes - cycle.born_bytes;
    external_at_major_ = cycle.external_bytes;
    if (majors_to_try_ > 0) --majors_to_try_;
  } else if (IsWorthIt(cycle)) {
    majors_between_tries_ = 1;
  } else if (IsTypical(cycle)) {
    majors_to_try_ = majors_between_tries_;
    majors_between_tries_ = std::min(2 * majors_between_tries_, kMostMajors);
  }
  old_before_ = cycle.old_bytes;
  major_before_ = is_major;
}

Pacer::Plan Pacer::PlanAfter(const Cycle& cycle) {
  NoteRates(cycle);
  NoteKind(cycle);
  const int64_t live_bytes = cycle.live_bytes;
  const bool was_major = cycle.kind == CollectionKind::kMajor;
  if (was_major) {
    room_ = live_bytes + MajorBudget(cycle);
    int64_t limit = static_cast<int64_t>(options_.soft_limit_bytes) -
                    std::max(cycle.external_bytes, int64_t{0});
    // What is allocated beside the next mark has to have room, too.
    if (!BeginsEarlier(cycle)) limit -= cycle.born_bytes;
    const int64_t least = live_bytes + MinBudget(cycle.mutators);
    room_ = std::max(std::min(room_, limit), least);
    major_budget_ = room_ - live_bytes;
  }
  const int64_t left = std::max(room_ - live_bytes, int64_t{0});
  Plan plan;
  // What is not old may be dead when a minor one comes. Where little is alive a
  // major cycle takes one pause.
  const int64_t least = MinBudget(cycle.mutators);
  const int64_t grown =
      std::max(cycle.external_bytes - external_at_major_, int64_t{0});
  const bool is_old = static_cast<double>(room_ - cycle.old_bytes - grown) <
                      (1 - kOldOfBudget) * static_cast<double>(major_budget_);
  if (options_.generations && live_bytes > kSmallBytes && majors_to_try_ == 0 &&
      (was_major || (left >= least && !is_old))) {
    plan.kind = CollectionKind::kMinor;
    plan.budget = std::min(left, static_cast<int64_t>(options_.young_bytes));
  } else {
    plan.budget = std::max(left - Beside(cycle, left), std::min(left, least));
  }
  planned_ = plan.budget;
  const auto small = static_cast<int64_t>(options_.small_heap_bytes);
  const double budgets =
      live_bytes < small / 2 ? kBudgetsBeforeWaitIfSmall : kBudgetsBeforeWait;
  const int64_t end = plan.kind == CollectionKind::kMajor ? left : plan.budget;
  plan.room = end;
  plan.most = end + static_cast<int64_t>(budgets * static_cast<double>(std::max(
                                                       end, major_budget_)));
  return plan;
}

}  // namespace bibop
