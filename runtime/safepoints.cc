#include "bibop/runtime/safepoints.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/log/absl_check.h"
#include "absl/synchronization/mutex.h"
#include "bibop/handles/mutator_base.h"

namespace bibop {

Safepoints::Attached* Safepoints::Find() {
  const auto at = std::ranges::find(attached_, std::this_thread::get_id(),
                                    &Attached::thread);
  return at == attached_.end() ? nullptr : &*at;
}

bool Safepoints::IsRunning() {
  const Attached* self = Find();
  return self != nullptr && !self->parked;
}

void Safepoints::StopWhile(bool running,
                           bool (Safepoints::*condition)() const) {
  if (running) --running_;
  const auto over = [this, condition]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !(this->*condition)() && !StopRequested();
  };
  mutex_.Await(absl::Condition(&over));
  if (running) ++running_;
}

bool Safepoints::Attach(MutatorBase& mutator) {
  absl::MutexLock lock(mutex_);
  StopWhile(/*running=*/false, &Safepoints::IsStopping);
  if (Find() != nullptr) return false;
  attached_.push_back({std::this_thread::get_id(), &mutator, false});
  ++running_;
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
  --running_;
}

bool Safepoints::AnyAttached() const {
  absl::MutexLock lock(mutex_);
  return !attached_.empty();
}

void Safepoints::StopHere() {
  absl::MutexLock lock(mutex_);
  if (StopRequested()) StopWhile(/*running=*/true, &Safepoints::IsStopping);
}

void Safepoints::Park() {
  absl::MutexLock lock(mutex_);
  Attached* self = Find();
  ABSL_CHECK(self != nullptr && !self->parked)
      << "a ParkedScope is for a running mutator, on its thread";
  self->parked = true;
  --running_;
}

void Safepoints::Unpark() {
  absl::MutexLock lock(mutex_);
  StopWhile(/*running=*/false, &Safepoints::IsStopping);
  Find()->parked = false;
  ++running_;
}

bool Safepoints::BeginCycle() {
  absl::MutexLock lock(mutex_);
  if (phase_ == Phase::kIdle) {
    phase_ = Phase::kPreparing;
    collector_ = std::this_thread::get_id();
    return true;
  }
  ABSL_CHECK(collector_ != std::this_thread::get_id())
      << "a collection was asked for during a collection, by a destructor or "
         "by "
         "a Trace: neither may collect; or by HeapOptions::on_cycle_end, which "
         "may neither allocate nor collect";
  StopWhile(IsRunning(), &Safepoints::IsCollecting);
  return false;
}

const std::vector<MutatorBase*>& Safepoints::StopTheWorld() {
  absl::MutexLock lock(mutex_);
  ABSL_CHECK(phase_ == Phase::kPreparing);
  stop_requested_.store(true, std::memory_order_relaxed);
  if (IsRunning()) --running_;
  const auto stopped = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return running_ == 0;
  };
  mutex_.Await(absl::Condition(&stopped));
  phase_ = Phase::kStopped;
  stopped_.clear();
  for (const Attached& attached : attached_) {
    stopped_.push_back(attached.mutator);
  }
  return stopped_;
}

void Safepoints::ResumeTheWorld() {
  absl::MutexLock lock(mutex_);
  ABSL_CHECK(phase_ == Phase::kStopped);
  phase_ = Phase::kEnding;
  if (IsRunning()) ++running_;
  stop_requested_.store(false, std::memory_order_relaxed);
}

void Safepoints::EndCycle() {
  absl::MutexLock lock(mutex_);
  ABSL_CHECK(phase_ == Phase::kEnding);
  phase_ = Phase::kIdle;
  collector_ = {};
}

}  // namespace bibop
