#include "bibop/handles/scope_ledger.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <source_location>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/no_destructor.h"
#include "absl/base/thread_annotations.h"
#include "absl/debugging/symbolize.h"
#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"

namespace bibop::internal {
namespace {

// Ledgers that no mutator uses, with room for all there are: a thread that
// leaves its heap needs no memory for it.
struct Idle {
  absl::Mutex mutex;
  std::vector<ScopeLedger*> ledgers ABSL_GUARDED_BY(mutex);
  size_t all ABSL_GUARDED_BY(mutex) = 0;
};

Idle& GetIdle() {
  static absl::NoDestructor<Idle> idle;
  return *idle;
}

std::string FunctionAt(const void* instruction) {
  std::array<char, 512> name;
  // A return address may already be that of the next function.
  const void* within = static_cast<const char*>(instruction) - 1;
  if (absl::Symbolize(within, name.data(), static_cast<int>(name.size()))) {
    return name.data();
  }
  return absl::StrFormat("the function at %p", instruction);
}

}  // namespace

std::string PlaceOf(const std::source_location& place) {
  return absl::StrCat(place.file_name(), ":", place.line(), " in ",
                      place.function_name());
}

ScopeLedger& ScopeLedger::Acquire() {
  ScopeLedger* ledger = nullptr;
  {
    Idle& idle = GetIdle();
    absl::MutexLock lock(idle.mutex);
    if (idle.ledgers.empty()) {
      idle.ledgers.reserve(idle.all + 1);
      ledger = new ScopeLedger();
      ++idle.all;
    } else {
      ledger = idle.ledgers.back();
      idle.ledgers.pop_back();
    }
  }
  ledger->max_handles_ = 0;
  ledger->thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  return *ledger;
}

void ScopeLedger::Release() {
  thread_.store(std::thread::id(), std::memory_order_relaxed);
  absl::MutexLock lock(GetIdle().mutex);
  GetIdle().ledgers.push_back(this);
}

void ScopeLedger::CheckThread(const ScopeId& scope, const char* what) const {
  const std::thread::id thread = thread_.load(std::memory_order_relaxed);
  if (thread == std::this_thread::get_id()) return;
  if (thread == std::thread::id()) {
    ABSL_LOG(FATAL)
        << what << " was used after its thread had left the heap. Its scope "
        << "was opened at " << PlaceOf(scope.opened)
        << ", and ended before that. What is to live longer is kept by a "
           "Persistent.";
  }
  ABSL_LOG(FATAL)
      << what << " was used by another thread than the one that it belongs to, "
      << "or after that one had left the heap. Its scope was opened at "
      << PlaceOf(scope.opened)
      << ". Scopes and handles belong to one thread: hand a Persistent over, "
         "or something that both threads can reach.";
}

void ScopeLedger::CheckRunning(const ScopeId& scope, const char* what) const {
  if (!parked_) return;
  ABSL_LOG(FATAL) << what << " was used by a parked thread, which a "
                  << "collection does not wait for. Its scope was opened at "
                  << PlaceOf(scope.opened) << ". End the ParkedScope first.";
}

ScopeId ScopeLedger::OpenScope(std::source_location opened) {
  if (thread_.load(std::memory_order_relaxed) != std::this_thread::get_id()) {
    ABSL_LOG(FATAL)
        << "a HandleScope was opened by another thread than its mutator's, at "
        << PlaceOf(opened)
        << ". Each thread attaches to the heap, and has a mutator of its own.";
  }
  const ScopeId scope = {++last_serial_, open_.size(), opened};
  open_.push_back({scope, 0});
  return scope;
}

void ScopeLedger::CloseScope(const ScopeId& scope, const void* closed_at) {
  CheckThread(scope, "a HandleScope");
  CheckRunning(scope, "a HandleScope");
  if (!IsInnermost(scope)) {
    ABSL_CHECK(IsOpen(scope));
    ABSL_LOG(FATAL) << "a HandleScope was closed while one inside of it is "
                       "open: it was opened at "
                    << PlaceOf(scope.opened) << ", the inner one at "
                    << PlaceOf(open_.back().id.opened)
                    << ". Scopes close in reverse order, as variables of "
                       "blocks do.";
  }
  open_.pop_back();
  closed_[scope.serial % kRemembered] = {scope.serial, closed_at};
}

void ScopeLedger::CountHandle() {
  if (open_.empty()) return;
  OpenedScope& scope = open_.back();
  ++scope.handles;
  if (max_handles_ == 0 || scope.handles <= max_handles_) return;
  ABSL_LOG(FATAL) << "a HandleScope has " << scope.handles
                  << " handles, and HeapOptions::max_handles_per_scope is "
                  << max_handles_ << ". It was opened at "
                  << PlaceOf(scope.id.opened)
                  << ", and is open still. If there is a loop inside of it, "
                     "give the loop's body a scope of its own, or use a "
                     "MutableHandle.";
}

void ScopeLedger::UncountHandle() {
  if (!open_.empty()) --open_.back().handles;
}

void ScopeLedger::CheckRunningHere(const char* what) const {
  if (thread_.load(std::memory_order_relaxed) != std::this_thread::get_id()) {
    ABSL_LOG(FATAL) << what << " was opened by another thread than its "
                    << "mutator's. Each thread attaches to the heap, and has a "
                       "mutator of its own.";
  }
  if (parked_) {
    ABSL_LOG(FATAL) << what << " was opened by a parked thread. End the "
                    << "ParkedScope first.";
  }
}

void ScopeLedger::CheckMayCreate(const ScopeId& scope) const {
  CheckThread(scope, "a HandleScope");
  CheckRunning(scope, "a HandleScope");
  if (IsInnermost(scope)) return;
  ABSL_CHECK(IsOpen(scope))
      << "a HandleScope that was opened at " << PlaceOf(scope.opened) << " and "
      << EndOf(scope) << " was asked for a handle";
  ABSL_LOG(FATAL) << "a HandleScope inside of which another one is open was "
                     "asked for a handle, which would be good only until the "
                     "inner one closes. It was opened at "
                  << PlaceOf(scope.opened) << ", the inner one at "
                  << PlaceOf(open_.back().id.opened)
                  << ". Ask the inner one, or close it before.";
}

void ScopeLedger::CheckUsable(const ScopeId& scope) const {
  CheckThread(scope, "a handle");
  CheckRunning(scope, "a handle");
  if (IsOpen(scope)) return;
  ABSL_LOG(FATAL) << "a handle was used after its scope. The scope was opened "
                     "at "
                  << PlaceOf(scope.opened) << ", and " << EndOf(scope)
                  << ". What the handle referred to may be gone. Let it "
                     "escape from the scope, create it in a scope further "
                     "out, or keep the object by a Member or a Persistent.";
}

std::string ScopeLedger::DescribeInnermost() const {
  if (open_.empty()) return "";
  return absl::StrCat(", of which the innermost was opened at ",
                      PlaceOf(open_.back().id.opened));
}

ScopeId ScopeLedger::Parent(const ScopeId& scope) const {
  return scope.depth == 0 ? ScopeId() : open_[scope.depth - 1].id;
}

std::string ScopeLedger::EndOf(const ScopeId& scope) const {
  const ClosedScope& closed = closed_[scope.serial % kRemembered];
  if (closed.serial != scope.serial) {
    return absl::StrCat("closed more than ", kRemembered, " scopes ago");
  }
  return absl::StrCat("closed in ", FunctionAt(closed.at));
}

}  // namespace bibop::internal
