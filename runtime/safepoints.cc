#include "bibop/runtime/safepoints.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bibop/base/must_have_memory.h"
#include "bibop/handles/mutator_base.h"

namespace bibop {
namespace {

// How often a wait looks before it sleeps; some ten microseconds. With one
// processor nobody else would run meanwhile.
int Spins() {
  static const int spins = std::thread::hardware_concurrency() > 1 ? 500 : 0;
  return spins;
}

void Pause() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

}  // namespace

std::string Safepoints::Describe(const Attached& attached) {
  std::ifstream file(
      absl::StrCat("/proc/self/task/", attached.system_id, "/comm"));
  std::string name;
  std::getline(file, name);
  return absl::StrCat("thread ", attached.system_id, " (",
                      name.empty() ? "gone" : name, ")");
}

Safepoints::Attached& Safepoints::Find(const MutatorBase& mutator) {
  const auto at = std::ranges::find(attached_, &mutator, &Attached::mutator);
  ABSL_CHECK(at != attached_.end());
  ABSL_CHECK(at->thread == std::this_thread::get_id())
      << "a mutator is used by another thread than the one it attached";
  return *at;
}

template <class Condition>
bool Safepoints::WaitUntil(const Condition& over, absl::Duration limit) {
  mutex_.unlock();
  for (int i = Spins(); i > 0 && !over(); --i) Pause();
  mutex_.lock();
  return mutex_.AwaitWithTimeout(absl::Condition(&over), limit);
}

void Safepoints::WaitForAnswers() {
  const auto start = std::chrono::steady_clock::now();
  const auto over = [this] {
    return pending_.load(std::memory_order_relaxed) == 0;
  };
  if (WaitUntil(over, limit_)) return;
  absl::Duration limit = limit_;
  do {
    std::vector<std::string> late;
    for (const Attached& attached : attached_) {
      if (attached.owes) late.push_back(Describe(attached));
    }
    ABSL_LOG(WARNING)
        << "the collector, and with it every thread that stopped, has waited "
        << limit << " for " << absl::StrJoin(late, ", ")
        << ": a thread that computes for long without allocating calls "
           "Mutator::Safepoint now and then, and one that waits for something, "
           "a lock for example, does so in a ParkedScope (or the system lets "
           "it wait for a processor)";
    // Again, but ever more rarely.
    limit *= 10;
  } while (!WaitUntil(over, limit * 9 / 10));
  ABSL_LOG(WARNING) << "they came to a safepoint after "
                    << absl::FromChrono(std::chrono::steady_clock::now() -
                                        start);
}

void Safepoints::GiveAnswer(Attached& self) {
  if (!self.owes) return;
  self.owes = false;
  if (answer_ != nullptr) {
    const Answer& answer = *answer_;
    MustHaveMemory([&] { answer(*self.mutator); });
    self.state->Clear(MutatorState::kRequested);
  }
  pending_.store(pending_.load(std::memory_order_relaxed) - 1,
                 std::memory_order_relaxed);
}

bool Safepoints::Attach(MutatorBase& mutator, MutatorState& state) {
  absl::MutexLock lock(mutex_);
  const std::thread::id here = std::this_thread::get_id();
  if (std::ranges::find(attached_, here, &Attached::thread) !=
      attached_.end()) {
    return false;
  }
  const auto going_on = [this] {
    return !stopping_.load(std::memory_order_relaxed);
  };
  WaitUntil(going_on, absl::InfiniteDuration());
  attached_.push_back({.thread = here,
                       .system_id = static_cast<int>(syscall(SYS_gettid)),
                       .mutator = &mutator,
                       .state = &state});
  return true;
}

void Safepoints::Detach(MutatorBase& mutator) {
  absl::MutexLock lock(mutex_);
  Attached& self = Find(mutator);
  ABSL_CHECK(!self.state->Has(MutatorState::kParked))
      << "a thread leaves its heap while it is parked: end its ParkedScope "
         "before its MutatorScope";
  GiveAnswer(self);
  self = attached_.back();
  attached_.pop_back();
}

std::string Safepoints::DescribeAttached() const {
  absl::MutexLock lock(mutex_);
  return absl::StrJoin(attached_, ", ",
                       [](std::string* out, const Attached& attached) {
                         out->append(Describe(attached));
                       });
}

void Safepoints::StopHere(MutatorBase& mutator) {
  absl::MutexLock lock(mutex_);
  mutator.CheckMayCollect();
  mutator.object_heap().CheckMayCollect();
  Attached& self = Find(mutator);
  ABSL_CHECK(!mutator.parked())
      << "a safepoint is for a running mutator, on its thread";
  GiveAnswer(self);
  MutatorState& state = *self.state;
  if (!state.Has(MutatorState::kRequested)) return;
  state.Set(MutatorState::kParked);
  const auto over = [&state] { return !state.Has(MutatorState::kRequested); };
  WaitUntil(over, absl::InfiniteDuration());
  state.Clear(MutatorState::kParked);
}

void Safepoints::ParkSlow(MutatorBase& mutator) {
  absl::MutexLock lock(mutex_);
  Attached& self = Find(mutator);
  ABSL_CHECK(!self.state->Has(MutatorState::kParked))
      << "a ParkedScope is for a running mutator, on its thread";
  // In this order: the collector finds the mutator parked.
  self.state->Set(MutatorState::kParked);
  GiveAnswer(self);
}

void Safepoints::UnparkSlow(MutatorBase& mutator) {
  absl::MutexLock lock(mutex_);
  MutatorState& state = *Find(mutator).state;
  const auto over = [&state] { return !state.Has(MutatorState::kRequested); };
  WaitUntil(over, absl::InfiniteDuration());
  state.Clear(MutatorState::kParked);
}

std::vector<MutatorBase*> Safepoints::StopTheWorld() {
  absl::MutexLock lock(mutex_);
  stopping_.store(true, std::memory_order_relaxed);
  int pending = 0;
  for (Attached& attached : attached_) {
    const uint32_t before = attached.state->Set(MutatorState::kRequested);
    attached.owes = (before & MutatorState::kParked) == 0 &&
                    attached.thread != std::this_thread::get_id();
    if (attached.owes) ++pending;
  }
  pending_.store(pending, std::memory_order_relaxed);
  WaitForAnswers();
  // Not before: some have left instead of stopping.
  std::vector<MutatorBase*> mutators;
  mutators.reserve(attached_.size());
  for (const Attached& attached : attached_) {
    mutators.push_back(attached.mutator);
  }
  return mutators;
}

void Safepoints::ResumeTheWorld() {
  absl::MutexLock lock(mutex_);
  stopping_.store(false, std::memory_order_relaxed);
  for (const Attached& attached : attached_) {
    attached.state->Clear(MutatorState::kRequested);
  }
}

void Safepoints::Handshake(absl::FunctionRef<void(MutatorBase&)> answer) {
  absl::MutexLock lock(mutex_);
  int pending = 0;
  for (Attached& attached : attached_) {
    const uint32_t before = attached.state->Set(MutatorState::kRequested);
    attached.owes = (before & MutatorState::kParked) == 0 &&
                    attached.thread != std::this_thread::get_id();
    if (attached.owes) {
      ++pending;
    } else {
      answer(*attached.mutator);
      attached.state->Clear(MutatorState::kRequested);
    }
  }
  pending_.store(pending, std::memory_order_relaxed);
  answer_ = &answer;
  WaitForAnswers();
  answer_ = nullptr;
}

}  // namespace bibop
