#include "bibop/runtime/safepoints.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/log/absl_check.h"
#include "absl/synchronization/mutex.h"
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

Safepoints::Attached* Safepoints::Find() {
  const auto at = std::ranges::find(attached_, std::this_thread::get_id(),
                                    &Attached::thread);
  return at == attached_.end() ? nullptr : &*at;
}

bool Safepoints::IsRunning() {
  const Attached* self = Find();
  return self != nullptr && !self->parked;
}

void Safepoints::CheckIsNotTracing() {
  ABSL_CHECK(!StopRequested() || collector_ != std::this_thread::get_id())
      << "a Trace allocated, or used the heap in another way: it may only "
         "visit";
}

void Safepoints::AddRunning(int change) {
  running_.store(running_.load(std::memory_order_relaxed) + change,
                 std::memory_order_relaxed);
}

void Safepoints::SetPhase(Phase from, Phase to) {
  ABSL_CHECK(phase_.load(std::memory_order_relaxed) == from);
  phase_.store(to, std::memory_order_relaxed);
}

void Safepoints::WaitWhile(Condition condition) {
  mutex_.unlock();
  for (int i = Spins(); i > 0 && (this->*condition)(); --i) Pause();
  mutex_.lock();
  const auto over = [this, condition] { return !(this->*condition)(); };
  mutex_.Await(absl::Condition(&over));
}

void Safepoints::StopWhile(bool running, Condition condition) {
  if (running) AddRunning(-1);
  while ((this->*condition)() || StopRequested()) {
    WaitWhile(StopRequested() ? &Safepoints::IsStopping : condition);
  }
  if (running) AddRunning(1);
}

bool Safepoints::Attach(MutatorBase& mutator) {
  absl::MutexLock lock(mutex_);
  CheckIsNotTracing();
  if (Find() != nullptr) return false;
  StopWhile(/*running=*/false, &Safepoints::IsStopping);
  attached_.push_back({std::this_thread::get_id(), &mutator, false});
  AddRunning(1);
  return true;
}

void Safepoints::Detach(MutatorBase& mutator) {
  absl::MutexLock lock(mutex_);
  const auto at = std::ranges::find(attached_, &mutator, &Attached::mutator);
  ABSL_CHECK(at != attached_.end());
  ABSL_CHECK(!at->parked)
      << "a thread leaves its heap while it is parked: end its ParkedScope "
         "before its MutatorScope";
  attached_.erase(at);
  AddRunning(-1);
}

bool Safepoints::AnyAttached() const {
  absl::MutexLock lock(mutex_);
  return !attached_.empty();
}

void Safepoints::StopHere() {
  absl::MutexLock lock(mutex_);
  if (!StopRequested()) return;
  CheckIsNotTracing();
  ABSL_CHECK(IsRunning())
      << "a safepoint is for a running mutator, on its thread";
  Find()->mutator->CheckMayCollect();
  StopWhile(/*running=*/true, &Safepoints::IsStopping);
}

void Safepoints::Park() {
  absl::MutexLock lock(mutex_);
  Attached* self = Find();
  ABSL_CHECK(self != nullptr && !self->parked)
      << "a ParkedScope is for a running mutator, on its thread";
  self->parked = true;
  AddRunning(-1);
}

void Safepoints::Unpark() {
  absl::MutexLock lock(mutex_);
  StopWhile(/*running=*/false, &Safepoints::IsStopping);
  Find()->parked = false;
  AddRunning(1);
}

bool Safepoints::BeginCycle(bool wait) {
  absl::MutexLock lock(mutex_);
  if (const Attached* self = Find()) self->mutator->CheckMayCollect();
  if (!IsCollecting()) {
    SetPhase(Phase::kIdle, Phase::kPreparing);
    collector_ = std::this_thread::get_id();
    return true;
  }
  ABSL_CHECK(collector_ != std::this_thread::get_id())
      << "an allocation, or a call of Collect, asked for a collection during a "
         "collection, in a destructor, a Trace or HeapOptions::on_cycle_end: "
         "they may neither allocate nor collect";
  // The collector may be waiting for this thread, in a destructor that wants a
  // lock which this thread holds.
  if (!wait && phase_.load(std::memory_order_relaxed) == Phase::kPreparing) {
    return false;
  }
  StopWhile(IsRunning(), &Safepoints::IsCollecting);
  return false;
}

std::vector<MutatorBase*> Safepoints::StopTheWorld() {
  absl::MutexLock lock(mutex_);
  stop_requested_.store(true, std::memory_order_relaxed);
  if (IsRunning()) AddRunning(-1);
  WaitWhile(&Safepoints::IsAnyRunning);
  SetPhase(Phase::kPreparing, Phase::kStopped);
  std::vector<MutatorBase*> stopped;
  stopped.reserve(attached_.size());
  for (const Attached& attached : attached_) {
    stopped.push_back(attached.mutator);
  }
  return stopped;
}

void Safepoints::ResumeTheWorld() {
  absl::MutexLock lock(mutex_);
  SetPhase(Phase::kStopped, Phase::kEnding);
  if (IsRunning()) AddRunning(1);
  stop_requested_.store(false, std::memory_order_relaxed);
}

void Safepoints::EndCycle() {
  absl::MutexLock lock(mutex_);
  SetPhase(Phase::kEnding, Phase::kIdle);
  collector_ = {};
}

}  // namespace bibop
