#include "bibop/runtime/mutator.h"

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/type_info.h"
#include "bibop/runtime/collector.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/safepoints.h"
#include "bibop/runtime/stress_options.h"

namespace bibop {
namespace {

// How often a full heap is collected for an allocation, and how often it is
// tried to find room where others take what was made.
constexpr int kMostCollections = 3;
constexpr int kMostTries = 64;

// Has the calling thread abort if it ends while attached. A process that exits
// meanwhile is no such case, so that is not for a thread_local's destructor.
void CheckWhenThreadEnds() {
  static const pthread_key_t key = [] {
    pthread_key_t made = 0;
    const int error = pthread_key_create(&made, [](void*) {
      ABSL_CHECK(MutatorBase::LatestOfThisThread() == nullptr)
          << "a thread ends while it is attached to a heap: end its "
             "MutatorScope, or destroy its Mutator, before";
    });
    ABSL_CHECK_EQ(error, 0) << "pthread_key_create";
    return made;
  }();
  // Any value but null.
  pthread_setspecific(key, &key);
}

}  // namespace

Mutator::Mutator(Heap& heap, LocalAllocator allocator)
    : MutatorBase(std::move(allocator), heap.roots_),
      heap_(heap),
      thread_(std::this_thread::get_id()),
      attached_(heap.safepoints_.Attach(*this, state_)) {
  handles().set_max_handles_per_scope(heap.options_.max_handles_per_scope);
  const StressOptions& stress = heap.options_.stress;
  if (stress.every_nth_allocation != 0)
    this->allocator().LimitRegionsToOneCell();
  if (stress.every_safepoint || stress.phase != StressPhase::kNone) {
    state_.SetAlwaysSlow();
  }
  CheckWhenThreadEnds();
}

Mutator::~Mutator() {
  ABSL_CHECK(thread_ == std::this_thread::get_id())
      << "a Mutator is destroyed by another thread than the one it attached";
  if (!attached_) return;
  heap_.fork_check_.CheckSameProcess();
  CheckMayCollect();
  // While the heap is sure to exist.
  allocator().Retire();
  root_slots().Retire();
  async_slots().Retire();
  snapshot().Flush();
  heap_.safepoints_.Detach(*this);
}

void Mutator::CheckMayAllocate() const {
  heap_.fork_check_.CheckSameProcess();
  object_heap().CheckMayAllocate();
  CheckMayCollect();
  ABSL_CHECK(thread_ == std::this_thread::get_id())
      << "an allocation by another thread than the attached one: mutators, "
         "scopes and handles belong to one thread";
  ABSL_CHECK(!parked()) << "an allocation by a parked thread: end its "
                           "ParkedScope first";
}

void Mutator::AdjustExternalBytes(int64_t delta) {
  CheckMayAllocate();
  const bool exceeds = heap_.objects_->AdjustExternalBytes(delta);
  if (delta <= 0) return;
  heap_.collector_->CountExternal(delta);
  heap_.collector_->CollectIfDue(*this);
  if (exceeds) [[unlikely]]
    MakeRoomForExternal();
}

void Mutator::MakeRoomForExternal() {
  if (MakeRoom([this] { return !heap_.objects_->ExceedsSoftLimit(); })) return;
  // They are there already.
  heap_.collector_->ExceedSoftLimit(0);
}

bool Mutator::MakeRoom(absl::FunctionRef<bool()> there_is) {
  // Room may be in blocks of other types that were not swept.
  heap_.objects_->SweepAll();
  if (there_is()) return true;
  // A cycle that is under way costs nothing more, but does not free what died
  // since it began.
  if (heap_.collector_->AwaitUnderWay(*this)) {
    heap_.objects_->SweepAll();
    if (there_is()) return true;
  }
  for (int i = 0; i < kMostCollections; ++i) {
    heap_.Collect(CycleCause::kHeapFull, CollectionKind::kMajor);
    heap_.objects_->SweepAll();
    heap_.collector_->EaseSoftLimit();
    if (there_is()) return true;
    // Nothing can be swept while the next one ends.
    if (!heap_.collector_->AwaitUnderWay(*this)) return false;
    heap_.objects_->SweepAll();
    if (there_is()) return true;
  }
  return false;
}

absl::StatusOr<void*> Mutator::AllocateSlow(const TypeInfo& type, TypeId id,
                                            size_t size) {
  CheckMayAllocate();
  handles().FreeSpares();
  Safepoint();
  heap_.collector_->CountAllocation(*this);
  heap_.collector_->CollectIfDue(*this);
  absl::StatusOr<void*> cell = allocator().AllocateSlow(type, id, size);
  // No collection makes room for what is larger than the heap may be.
  if (cell.ok() || size > heap_.options_.max_bytes) [[likely]]
    return cell;
  const auto find = [&] {
    cell = allocator().AllocateSlow(type, id, size);
    return cell.ok();
  };
  if (MakeRoom(find)) return cell;
  for (int i = 0; i < kMostTries && !cell.ok(); ++i) {
    if (!GrowWithoutCollecting(size)) break;
    find();
  }
  return cell;
}

bool Mutator::GrowWithoutCollecting(size_t size) {
  return heap_.collector_->ExceedSoftLimit(size);
}

void Mutator::SafepointSlow() {
  heap_.fork_check_.CheckSameProcess();
  NoteStack();
  heap_.safepoints_.StopHere(*this);
  heap_.collector_->CountSafepoint(*this);
}

void Mutator::NoteStack() {
  if (heap_.options_.stress.missing_roots != MissingRoots::kIgnore) {
    stack_.Take();
  }
}

void Mutator::BeginWait() {
  if (state_.TryPark()) return;
  heap_.fork_check_.CheckSameProcess();
  heap_.safepoints_.ParkSlow(*this);
}

void Mutator::EndWait() {
  if (state_.TryUnpark()) return;
  heap_.fork_check_.CheckSameProcess();
  heap_.safepoints_.UnparkSlow(*this);
}

void Mutator::Park() {
  CheckMayCollect();
  ABSL_CHECK(thread_ == std::this_thread::get_id() && !parked())
      << "a ParkedScope is for a running mutator, on its thread";
  handles().FreeSpares();
  NoteStack();
  set_parked(true);
  handles().Park();
  BeginWait();
}

void Mutator::Unpark() {
  if (!state_.TryUnpark()) [[unlikely]]
    return UnparkSlow();
  NoteRunning();
}

void Mutator::UnparkSlow() {
  EndWait();
  NoteRunning();
}

void Mutator::OutOfMemory(const absl::Status& status) {
  if (heap_.options_.on_out_of_memory) heap_.options_.on_out_of_memory(status);
  ABSL_LOG(FATAL) << "allocation failed: " << status.message()
                  << " (the Try functions return this as a status)";
}

namespace {

std::unique_ptr<Mutator> AttachOrDie(Heap& heap) {
  absl::StatusOr<std::unique_ptr<Mutator>> mutator = heap.Attach();
  ABSL_CHECK(mutator.ok()) << "MutatorScope: " << mutator.status().message();
  return *std::move(mutator);
}

}  // namespace

MutatorScope::MutatorScope(Heap& heap) : mutator_(AttachOrDie(heap)) {}

ParkedScope::ParkedScope(Mutator& mutator) : mutator_(mutator) {
  mutator_.Park();
}

ParkedScope::~ParkedScope() { mutator_.Unpark(); }

void RunningScope::CheckThreadSlow() const {
  const MutatorBase* mutator = MutatorBase::LatestOfThisThread();
  while (mutator != nullptr && mutator != &mutator_) {
    mutator = mutator->next_of_thread();
  }
  ABSL_CHECK(mutator == &mutator_)
      << "an AsyncHandleGuard or RunningScope begins or ends on another thread "
         "than its mutator's: pass the mutator of the thread that runs the "
         "task, and end the guard before the task is suspended";
}

}  // namespace bibop
