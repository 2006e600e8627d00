#include "bibop/runtime/collector.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/functional/function_ref.h"
#include "absl/log/absl_check.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bibop/base/must_have_memory.h"
#include "bibop/base/run_delay.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/block.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"
#include "bibop/runtime/call_program.h"
#include "bibop/runtime/collection_cycle.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/memory_keeper.h"
#include "bibop/runtime/missing_roots.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/pacer.h"
#include "bibop/runtime/safepoints.h"
#include "bibop/runtime/stress.h"
#include "bibop/runtime/stress_options.h"

namespace bibop {
namespace {

using Clock = std::chrono::steady_clock;

// What is marked in a pause, at most: a tenth of a millisecond.
constexpr size_t kMostInPause = 2048;
// What an incremental step marks.
constexpr size_t kStep = 4096;
// After so many minor cycles a major one comes.
constexpr int kMostMinors = 200;
static_assert(kMostMinors < std::numeric_limits<SweepNumber>::max());
// The cards of so many blocks are looked at in an incremental step.
constexpr size_t kBlocksAgedInStep = 256;
constexpr int64_t kMiB = int64_t{1} << 20;
// What a mutator marks at once for what was allocated, at least and at most: a
// tenth of a millisecond.
constexpr int64_t kLeastAssisted = 256;
constexpr int64_t kMostAssisted = 2048;
// Idle time is used where the budget over this is spent, at least.
constexpr int64_t kIdleDivisor = 4;

// How many threads mark besides the one that drives.
int Helpers(const HeapOptions& options) {
  if (options.mode != CollectionMode::kConcurrent) return 0;
  if (options.markers != 0) return options.markers - 1;
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  return std::max(cores / 4, 1) - 1;
}

}  // namespace

// While it exists nobody waits for the calling thread's mutator, if it has one.
class Collector::WaitingScope {
 public:
  explicit WaitingScope(Mutator* self) : self_(self) {
    if (self_ != nullptr) self_->BeginWait();
  }
  WaitingScope(const WaitingScope&) = delete;
  WaitingScope& operator=(const WaitingScope&) = delete;
  ~WaitingScope() {
    if (self_ != nullptr) self_->EndWait();
  }

 private:
  Mutator* self_;
};

absl::StatusOr<std::unique_ptr<Collector>> Collector::Start(
    const HeapOptions& options, ObjectHeap& objects, HeapRoots& roots,
    Safepoints& safepoints, MemoryKeeper& keeper) {
  auto collector = absl::WrapUnique(
      new Collector(options, objects, roots, safepoints, keeper));
  if (options.mode != CollectionMode::kConcurrent) return collector;
  try {
    collector->thread_ = std::thread([c = collector.get()] { c->Run(); });
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the system refuses a thread for the heap: ", error.what()));
  }
  return collector;
}

Collector::Collector(const HeapOptions& options, ObjectHeap& objects,
                     HeapRoots& roots, Safepoints& safepoints,
                     MemoryKeeper& keeper)
    : options_(options),
      stress_(options.stress),
      objects_(objects),
      safepoints_(safepoints),
      keeper_(keeper),
      cycle_(objects, roots, Helpers(options), options.generations),
      mark_start_(Clock::now()),
      pacer_(options) {
  objects_.SetLimit(options_.soft_limit_bytes);
  SetBudget(/*mutators=*/1);
}

void Collector::Stop() {
  ending_.store(true, std::memory_order_relaxed);
  {
    // Who waits for the mutex looks again.
    absl::MutexLock lock(mutex_);
  }
  if (thread_.joinable()) thread_.join();
  cycle_.GiveUp();
}

void Collector::SetBudget(int64_t mutators) {
  const Pacer::Plan plan =
      pacer_.PlanAfter({.kind = current_.kind,
                        .live_bytes = current_.live_bytes,
                        .born_bytes = current_.born_bytes,
                        .allocated_bytes = current_.allocated_bytes,
                        .old_bytes = cycle_.old_bytes(),
                        .traced_bytes = cycle_.traced_bytes(),
                        .mark_time = current_.mark_time,
                        .since_before = since_mark_before_,
                        .external_bytes = objects_.memory().external,
                        .mutators = mutators});
  next_kind_ = plan.kind;
  const int64_t now = AllocatedBytes();
  idle_at_bytes_.store(now + plan.budget / kIdleDivisor,
                       std::memory_order_relaxed);
  wait_at_bytes_.store(now + plan.most, std::memory_order_relaxed);
  assisted_to_bytes_.store(now + plan.room, std::memory_order_relaxed);
  // By then all is marked, if that is as much as was alive now.
  // A minor one marks little, and is over soon.
  const int64_t debt = std::max(plan.most - plan.room, int64_t{1});
  assist_for_mib_.store(plan.kind == CollectionKind::kMinor
                            ? 0
                            : current_.live_objects * kMiB / debt,
                        std::memory_order_relaxed);
  // A heap with little alive is collected by the thread that finds it due: to
  // wake another up would take longer.
  is_small_.store(current_.live_bytes <= Pacer::kSmallBytes &&
                      !(stress_.Schedules() && stress_.Toss()),
                  std::memory_order_relaxed);
  absl::MutexLock lock(mutex_);
  due_at_bytes_.store(asked_ ? 0 : now + plan.budget,
                      std::memory_order_relaxed);
}

bool Collector::ExceedSoftLimit(size_t size) {
  const absl::MutexLock lock(stats_mutex_);
  exceeded_ = true;
  // The blocks that its cell is cut from, with what is in no cell.
  constexpr size_t kMostInRun = 17 * kBlockSize;
  return objects_.RaiseLimit(size, size + kMostInRun, grant_);
}

void Collector::EaseSoftLimit() {
  const absl::MutexLock lock(stats_mutex_);
  const ObjectHeap::Memory memory = objects_.memory();
  const int64_t alive =
      stats_.live_bytes + std::max(memory.external, int64_t{0});
  const auto little = static_cast<int64_t>(options_.soft_limit_bytes / 16);
  if (!busy_ || alive + little <= static_cast<int64_t>(memory.limit)) return;
  exceeded_ = true;
  objects_.RaiseLimit(/*least=*/0, grant_, /*extra=*/0);
}

// Collections that follow each other at the soft limit may not take more than
// two thirds of the time, unless they leave a sixteenth of it free: they let
// the heap grow by more.
void Collector::AdjustSoftLimit() {
  const size_t limit = options_.soft_limit_bytes;
  const size_t least = limit / 128;
  grant_ = busy_ && exceeded_ ? std::min(2 * grant_, limit / 8) : least;
  exceeded_ = false;
  // What is not swept yet counts.
  const ObjectHeap::Memory memory = objects_.memory();
  const size_t used = memory.in_use + static_cast<size_t>(std::max(
                                          memory.external, int64_t{0}));
  if (used <= limit) objects_.SetLimit(limit);
  objects_.ReserveForExternalBytes();
}

// ---- who drives ----

bool Collector::TryDrive() {
  if (driver_ != std::thread::id()) return false;
  driver_ = std::this_thread::get_id();
  return true;
}

void Collector::StopDriving() {
  absl::MutexLock lock(mutex_);
  driver_ = {};
}

void Collector::CheckDoesNotDrive() const {
  ABSL_CHECK(driver_ != std::this_thread::get_id())
      << "an allocation, or a call of Collect, asked for a collection during a "
         "collection, in a destructor, a Trace or HeapOptions::on_cycle_end: "
         "they may neither allocate nor collect";
}

void Collector::AwaitNoDriver() {
  const auto marks_or_is_over = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return driver_ == std::thread::id() || begun_ != cleared_;
  };
  mutex_.Await(absl::Condition(&marks_or_is_over));
  if (driver_ == std::thread::id()) return;
  // In other modes nobody may drive a mark to its end.
  if (options_.mode == CollectionMode::kConcurrent) {
    const int64_t under_way = begun_;
    mutex_.unlock();
    cycle_.Assist(under_way);
    mutex_.lock();
  }
  const auto nobody_drives = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return driver_ == std::thread::id();
  };
  mutex_.Await(absl::Condition(&nobody_drives));
}

void Collector::Collect(CycleCause cause, CollectionKind kind, Mutator* self) {
  if (self != nullptr) self->NoteStack();
  if (!options_.generations) kind = CollectionKind::kMajor;
  int64_t wanted = 0;
  {
    absl::MutexLock lock(mutex_);
    CheckDoesNotDrive();
    wanted = begun_ + 1;
  }
  for (;;) {
    {
      // For the waiting; who drives is no longer parked.
      const WaitingScope waiting(self);
      absl::MutexLock lock(mutex_);
      AwaitNoDriver();
      const bool major = kind == CollectionKind::kMajor;
      if ((major ? major_ended_ : ended_) >= wanted) return;
      TryDrive();
    }
    const absl::Cleanup stop = [this] { StopDriving(); };
    DriveToEnd(cause, kind);
  }
}

void Collector::Request(CollectionKind kind) {
  if (!options_.generations) kind = CollectionKind::kMajor;
  absl::MutexLock lock(mutex_);
  if (asked_ && asked_->kind == CollectionKind::kMajor) return;
  Ask({.kind = kind, .cause = CycleCause::kRequested});
}

void Collector::Ask(Asked asked) {
  asked_ = asked;
  due_at_bytes_.store(0, std::memory_order_relaxed);
  if (options_.mode == CollectionMode::kConcurrent) requested_ = true;
}

bool Collector::CollectWhenIdle(Mutator* self) {
  if (self != nullptr) self->NoteStack();
  {
    absl::MutexLock lock(mutex_);
    CheckDoesNotDrive();
    const bool under_way = begun_ != ended_;
    if (!under_way && !asked_ &&
        AllocatedBytes() < idle_at_bytes_.load(std::memory_order_relaxed)) {
      return false;
    }
    if (options_.mode == CollectionMode::kConcurrent) {
      // While no cycle is under way nobody writes the next one's kind.
      if (!under_way && !asked_) {
        Ask({.kind = next_kind_, .cause = CycleCause::kIdle});
      }
      return false;
    }
    if (!TryDrive()) return false;
  }
  const absl::Cleanup stop = [this] { StopDriving(); };
  return !Step(CycleCause::kIdle, next_kind_, kStep);
}

void Collector::CollectForStress(Mutator& self) {
  if (!stress_.TakeTurn()) return;
  const auto any_kind = [this] {
    return options_.generations && stress_.Toss() ? CollectionKind::kMinor
                                                  : CollectionKind::kMajor;
  };
  Collect(CycleCause::kStress, any_kind(), &self);
  if (options_.mode == CollectionMode::kStopTheWorld || !stress_.Toss()) return;
  {
    absl::MutexLock lock(mutex_);
    if (!TryDrive()) return;
    // It goes on with what is begun here.
    if (options_.mode == CollectionMode::kConcurrent) requested_ = true;
  }
  const absl::Cleanup stop = [this] { StopDriving(); };
  // Little of it: it begins, or goes a bit on.
  Step(CycleCause::kStress, any_kind(), 1);
}

void Collector::CollectDue(Mutator& self) {
  self.NoteStack();
  const bool incremental = options_.mode == CollectionMode::kIncremental;
  const int64_t allocated = AllocatedBytes();
  const bool behind =
      allocated >= wait_at_bytes_.load(std::memory_order_relaxed);
  bool drives = false;
  int64_t awaited = 0;
  {
    absl::MutexLock lock(mutex_);
    CheckDoesNotDrive();
    const bool in_thread = options_.mode == CollectionMode::kConcurrent &&
                           !is_small_.load(std::memory_order_relaxed);
    if (in_thread && begun_ == ended_) requested_ = true;
    drives = !in_thread && TryDrive();
    // Not before the cycle marks: until then it may be in a destructor that
    // wants a lock which this thread holds. And not for one that nobody may
    // drive to its end.
    if (behind && !drives && !incremental && begun_ != cleared_) {
      awaited = begun_;
    }
  }
  if (awaited != 0) {
    WaitUntilCleared(awaited, self);
  } else if (!drives &&
             allocated > assisted_to_bytes_.load(std::memory_order_relaxed)) {
    Assist(allocated, self);
  }
  if (!drives) return;
  const absl::Cleanup stop = [this] { StopDriving(); };
  if (incremental && !behind) {
    Step(CycleCause::kBudgetSpent, next_kind_, kStep);
  } else {
    DriveToEnd(CycleCause::kBudgetSpent, next_kind_);
  }
}

void Collector::Assist(int64_t allocated, Mutator& self) {
  int64_t paid = assisted_to_bytes_.load(std::memory_order_relaxed);
  const int64_t for_mib = assist_for_mib_.load(std::memory_order_relaxed);
  if (for_mib == 0 || !cycle_.IsMarkingTogether()) return;
  const int64_t pays =
      std::min(allocated - paid, kMostAssisted * kMiB / for_mib + 1);
  const int64_t objects = pays * for_mib / kMiB;
  // Less is not worth it: the rest of the debt is the next one's.
  if (objects < kLeastAssisted) return;
  if (!assisted_to_bytes_.compare_exchange_strong(paid, paid + pays,
                                                  std::memory_order_relaxed)) {
    return;
  }
  const WaitingScope waiting(&self);
  cycle_.AssistWith(static_cast<size_t>(objects));
}

bool Collector::AwaitUnderWay(Mutator& self) {
  self.NoteStack();
  int64_t awaited = 0;
  {
    absl::MutexLock lock(mutex_);
    CheckDoesNotDrive();
    // One that nobody drives would not end.
    if (options_.mode != CollectionMode::kConcurrent || begun_ == cleared_) {
      return false;
    }
    awaited = begun_;
  }
  WaitUntilCleared(awaited, self);
  return true;
}

void Collector::WaitUntilCleared(int64_t cycle, Mutator& self) {
  const WaitingScope waiting(&self);
  cycle_.Assist(cycle);
  absl::MutexLock lock(mutex_);
  const auto cleared = [this, cycle]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return cleared_ >= cycle;
  };
  mutex_.Await(absl::Condition(&cleared));
}

void Collector::Run() {
  for (;;) {
    {
      absl::MutexLock lock(mutex_);
      const auto wanted = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return ending_.load(std::memory_order_relaxed) ||
               (requested_ && driver_ == std::thread::id());
      };
      mutex_.Await(absl::Condition(&wanted));
      if (ending_.load(std::memory_order_relaxed)) return;
      TryDrive();
      // Whoever asks from now on means another.
      requested_ = false;
    }
    // Another thread may have collected meanwhile; or begun to, under stress.
    if (cycle_.phase() != CollectionCycle::Phase::kSweeping ||
        AllocatedBytes() >= due_at_bytes_.load(std::memory_order_relaxed)) {
      DriveToEnd(CycleCause::kBudgetSpent, next_kind_);
    }
    StopDriving();
  }
}

// ---- a cycle ----

void Collector::DriveToEnd(CycleCause cause, CollectionKind kind) {
  while (!Step(cause, kind, CollectionCycle::kEverything)) {
    if (ending_.load(std::memory_order_relaxed)) return;
  }
}

// What the program throws does not come here, and there is no way back from the
// middle of a pause or a mark.
bool Collector::Step(CycleCause cause, CollectionKind kind, size_t budget) {
  step_start_ = Clock::now();
  step_start_delay_ = ThreadRunDelay();
  const bool over =
      MustHaveMemory([&] { return TakeStep(cause, kind, budget); });
  worked_ += WorkOfStep();
  delayed_ += DelayOfStep();
  return over;
}

absl::Duration Collector::DelayOfStep() const {
  return ThreadRunDelay() - step_start_delay_;
}

absl::Duration Collector::WorkOfStep() const {
  return absl::FromChrono(Clock::now() - step_start_) - DelayOfStep();
}

bool Collector::TakeStep(CycleCause cause, CollectionKind kind, size_t budget) {
  if (cycle_.phase() == CollectionCycle::Phase::kSweeping) {
    Begin(cause, kind);
  } else {
    stress_.Reach(StressPhase::kMarking);
    cycle_.AgeCardsOfSome(budget == CollectionCycle::kEverything
                              ? CollectionCycle::kEverything
                              : kBlocksAgedInStep);
    const bool all_marked = budget == CollectionCycle::kEverything
                                ? cycle_.MarkTogether(ending_)
                                : cycle_.Mark(budget);
    if (!all_marked) return false;
    // What they have is marked while they run, not in the pause.
    safepoints_.Handshake(&CollectionCycle::TakeSnapshot);
    if (cycle_.AnyInQueue()) return false;
    TryFinish();
  }
  if (cycle_.phase() == CollectionCycle::Phase::kMarking) return false;
  if (cycle_.phase() == CollectionCycle::Phase::kClearing) Clear();
  End();
  return true;
}

Collector::PauseTimes Collector::Pause(
    absl::FunctionRef<void(CollectionCycle::Mutators)> work) {
  const absl::Duration waited = ThreadRunDelay();
  const Clock::time_point start = Clock::now();
  const std::vector<MutatorBase*> mutators = safepoints_.StopTheWorld();
  const absl::Duration to_safepoint = absl::FromChrono(Clock::now() - start);
  work(mutators);
  safepoints_.ResumeTheWorld();
  const PauseTimes times = {absl::FromChrono(Clock::now() - start),
                            ThreadRunDelay() - waited};
  current_.time_to_safepoint =
      std::max(current_.time_to_safepoint, to_safepoint);
  current_.pause += times.wall;
  return times;
}

size_t Collector::MostInFirstPause() const {
  if (options_.mode == CollectionMode::kStopTheWorld) {
    return CollectionCycle::kEverything;
  }
  // How much there is to remember depends on the heap.
  if (current_.kind == CollectionKind::kMinor) return 0;
  // Or small heaps would never be marked while mutators run.
  if (stress_.Schedules() && stress_.Toss()) return 0;
  // What will not be finished in the pause is not begun in it: how long even a
  // little takes depends on whether the heap fits into the caches.
  return stats().live_objects > static_cast<int64_t>(kMostInPause)
             ? 0
             : kMostInPause;
}

void Collector::Begin(CycleCause cause, CollectionKind kind) {
  current_ = {};
  current_.cause = cause;
  {
    absl::MutexLock lock(mutex_);
    if (asked_) {
      if (asked_->kind == CollectionKind::kMajor) kind = CollectionKind::kMajor;
      if (cause == CycleCause::kBudgetSpent || cause == CycleCause::kIdle) {
        current_.cause = asked_->cause;
      }
      asked_.reset();
    }
  }
  // A block that minor ones leave alone is not taken for one that was swept for
  // the last mark, whose numbers come again.
  if (minors_since_major_ == kMostMinors) kind = CollectionKind::kMajor;
  minors_since_major_ =
      kind == CollectionKind::kMinor ? minors_since_major_ + 1 : 0;
  current_.kind = kind;
  worked_ = absl::ZeroDuration();
  delayed_ = absl::ZeroDuration();
  const Clock::time_point start = Clock::now();
  // Before the world is stopped: destructors run.
  cycle_.FinishSweep();
  current_.sweep_time = absl::FromChrono(Clock::now() - start);
  stress_.Reach(StressPhase::kMarkStart);
  // Who does not come to a safepoint soon, or is about to wake up after it
  // waited for the sweep, keeps nobody waiting here, as it would in the pause.
  const Clock::time_point asked = Clock::now();
  safepoints_.Handshake([](MutatorBase&) {});
  current_.time_to_safepoint = absl::FromChrono(Clock::now() - asked);
  const size_t most = MostInFirstPause();
  const bool all_stopped = options_.mode == CollectionMode::kStopTheWorld;
  const PauseTimes times = Pause([&](CollectionCycle::Mutators mutators) {
    {
      absl::MutexLock lock(mutex_);
      ++begun_;
    }
    const Clock::time_point now = Clock::now();
    since_mark_before_ = absl::FromChrono(now - mark_start_);
    mark_start_ = now;
    cycle_.StartMark(mutators, kind);
    if (all_stopped) cycle_.AgeCardsOfSome(CollectionCycle::kEverything);
    if (most == 0 || !cycle_.Mark(most) || !cycle_.FinishMark(mutators, most)) {
      return;
    }
    NoteMarked(mutators);
    CheckMarked(mutators, /*in_one_pause=*/true);
    if (cycle_.AnyToClear() && !all_stopped) {
      return;
    }
    ClearReferences();
    cycle_.EndClearing();
    cycle_.StartSweep();
  });
  current_.initial_pause = times.wall;
  current_.initial_pause_descheduled = times.descheduled;
}

void Collector::TryFinish() {
  stress_.Reach(StressPhase::kMarkFinish);
  const PauseTimes times = Pause([&](CollectionCycle::Mutators mutators) {
    if (!cycle_.FinishMark(mutators, kMostInPause)) return;
    NoteMarked(mutators);
    CheckMarked(mutators, /*in_one_pause=*/false);
  });
  ++current_.finish_attempts;
  current_.final_pause = std::max(current_.final_pause, times.wall);
  current_.final_pause_descheduled =
      std::max(current_.final_pause_descheduled, times.descheduled);
}

void Collector::NoteMarked(CollectionCycle::Mutators mutators) {
  current_.mark_time = absl::FromChrono(Clock::now() - mark_start_);
  const MarkCounts live = cycle_.live();
  const AllocationCounts allocated = cycle_.allocated();
  current_.live_objects = live.objects;
  current_.live_bytes = live.bytes;
  stress_.NoteAlive(live.objects);
  current_.allocated_objects = allocated.objects;
  current_.allocated_bytes = allocated.bytes;
  current_.born_bytes = cycle_.born_bytes();
  SetBudget(static_cast<int64_t>(mutators.size()));
}

void Collector::CheckMarked(CollectionCycle::Mutators mutators,
                            bool in_one_pause) {
  const StressOptions& stress = stress_.options();
  if (stress.verify != VerifyLevel::kNothing) {
    const bool exact = stress.verify == VerifyLevel::kExact;
    cycle_.Verify(mutators, {.in_one_pause = in_one_pause,
                             .exact = exact && in_one_pause &&
                                      current_.kind == CollectionKind::kMajor});
  }
  if (stress.missing_roots != MissingRoots::kIgnore) {
    FindMissingRoots(objects_, mutators, stress.missing_roots);
  }
}

void Collector::ClearReferences() {
  if (cycle_.AnyToClear()) cycle_.Clear();
  if (stress_.options().verify != VerifyLevel::kNothing) {
    cycle_.VerifyCleared();
  }
}

void Collector::Clear() {
  stress_.Reach(StressPhase::kClearing);
  ClearReferences();
  cycle_.EndClearing();
  // A mutator may be in a weak read that began before.
  safepoints_.Handshake([](MutatorBase&) {});
  cycle_.StartSweep();
}

void Collector::End() {
  stress_.Reach(StressPhase::kSweeping);
  {
    absl::MutexLock lock(mutex_);
    current_.cycle = ++cleared_;
  }
  keeper_.Wake();
  cycle_.NotifyObservers();
  {
    absl::MutexLock lock(stats_mutex_);
    stats_.cycles = current_.cycle;
    if (current_.kind == CollectionKind::kMajor) {
      const Clock::time_point now = Clock::now();
      // Without the time in which others had the processor, or the heap would
      // grow, or be collected all the time, because the machine is busy.
      const absl::Duration since =
          absl::FromChrono(now - major_end_) - (delayed_ + DelayOfStep());
      busy_ = since < 1.5 * (worked_ + WorkOfStep());
      major_end_ = now;
      AdjustSoftLimit();
    }
    if (current_.kind == CollectionKind::kMinor) ++stats_.minor_cycles;
    stats_.live_objects = current_.live_objects;
    stats_.live_bytes = current_.live_bytes;
    stats_.total_pause += current_.pause;
    stats_.max_pause = std::max(
        {stats_.max_pause, current_.initial_pause, current_.final_pause});
  }
  if (options_.on_cycle_end) {
    internal::CallProgram("HeapOptions::on_cycle_end",
                          [this] { options_.on_cycle_end(current_); });
  }
  absl::MutexLock lock(mutex_);
  ++ended_;
  if (current_.kind == CollectionKind::kMajor) major_ended_ = ended_;
}

HeapStats Collector::stats() const {
  absl::MutexLock lock(stats_mutex_);
  return stats_;
}

}  // namespace bibop
