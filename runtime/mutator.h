// Mutator: a thread's attachment to a heap. It is passed to whatever opens a
// HandleScope; nothing looks it up.
//
// Created, used and destroyed by one thread; a thread that ends while it has
// one aborts.

#ifndef BIBOP_RUNTIME_MUTATOR_H_
#define BIBOP_RUNTIME_MUTATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/base/build_config.h"
#include "bibop/base/stack_snapshot.h"
#include "bibop/handles/capabilities.h"
#include "bibop/handles/coroutine_ban.h"  // IWYU pragma: export
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/type_info.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/safepoints.h"

namespace bibop {

class Mutator final : public MutatorBase {
 public:
  // Detaches the thread. Aborts on another thread, or if a HandleScope with
  // handles is open; checked builds also if an empty one is.
  ~Mutator();

  // The heap that the thread is attached to.
  Heap& heap() const { return heap_; }

  // The attached thread.
  std::thread::id thread() const { return thread_; }

  // Lets a collection that waits for this thread have it stopped, and waits for
  // the end of the pause; otherwise takes a nanosecond. To be called now and
  // then by a thread that computes for long without allocating.
  void Safepoint() ABSL_LOCKS_EXCLUDED(internal::no_gc) {
    if constexpr (kCheckedHandles) CheckMayCollect();
    if (state_.IsRequested()) [[unlikely]]
      SafepointSlow();
  }

  // As Heap::AdjustExternalBytes, but collects if so many bytes were allocated
  // that a collection is due, or if the heap exceeds its soft limit with them.
  // To be called by the attached thread, where an allocation could be: not by a
  // destructor or a Trace.
  void AdjustExternalBytes(int64_t delta) ABSL_LOCKS_EXCLUDED(internal::no_gc);

  // Where the thread was when it last let a collection run, if the heap looks
  // for missing roots. For the collector, while it is not running.
  const StackSnapshot& stack() const { return stack_; }

  absl::StatusOr<void*> AllocateSlow(const TypeInfo& type, TypeId id,
                                     size_t size) override;
  bool GrowWithoutCollecting(size_t size) override;
  // Calls HeapOptions::on_out_of_memory; aborts if that does not throw.
  [[noreturn]] void OutOfMemory(const absl::Status& status) override;

 private:
  friend class Collector;
  friend class Heap;
  friend class ParkedScope;
  friend class RunningScope;

  Mutator(Heap& heap, LocalAllocator allocator);

  void SafepointSlow();
  void Park();
  void Unpark();
  ABSL_ATTRIBUTE_NOINLINE void UnparkSlow();
  // Lets the thread use its handles, once it runs.
  void NoteRunning() {
    handles().Unpark();
    set_parked(false);
  }
  // Notes where the thread is, if the heap looks for missing roots: to be
  // called by what then waits, or lets a collection run.
  void NoteStack();
  // Begin and end a stretch in which the thread waits for the collector, and
  // nobody for it.
  void BeginWait();
  void EndWait();
  // Aborts on another thread, or if parked.
  void CheckMayAllocate() const;
  // Sweeps, and collects, until there is room, as `there_is` says. Returns
  // whether there is.
  bool MakeRoom(absl::FunctionRef<bool()> there_is);
  ABSL_ATTRIBUTE_NOINLINE void MakeRoomForExternal();

  Heap& heap_;
  const std::thread::id thread_;
  MutatorState state_;
  // Where the thread was when it last let a collection run. Written by it, read
  // by the collector while it is not running.
  StackSnapshot stack_;
  // False if the thread had a mutator already; then this one is destroyed.
  const bool attached_;
};

// Attaches the calling thread to a heap while it exists, on the stack.
class MutatorScope {
 public:
  static constexpr bool kIsScoped = true;

  // Aborts where Heap::Attach would return an error.
  [[nodiscard]] explicit MutatorScope(Heap& heap ABSL_ATTRIBUTE_LIFETIME_BOUND);
  MutatorScope(const MutatorScope&) = delete;
  MutatorScope& operator=(const MutatorScope&) = delete;
  static void* operator new(size_t) = delete;
  static void* operator new[](size_t) = delete;

  // The mutator, which is what functions take.
  // NOLINTNEXTLINE(google-explicit-constructor): a scope stands for its mutator
  operator Mutator&() & ABSL_ATTRIBUTE_LIFETIME_BOUND { return *mutator_; }
  // To call its functions.
  Mutator* operator->() & ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return mutator_.get();
  }

 private:
  std::unique_ptr<Mutator> mutator_;
};

// Parks a mutator while it exists, on the stack: the thread may not touch the
// heap, nor open scopes, and no collection waits for it. For what may take long
// and does not need the heap: to wait for a lock, a socket, another thread.
class ParkedScope {
 public:
  static constexpr bool kIsScoped = true;

  // Aborts on another thread than the mutator's, or if it is parked already.
  [[nodiscard]] explicit ParkedScope(Mutator& mutator
                                     ABSL_ATTRIBUTE_LIFETIME_BOUND)
      ABSL_LOCKS_EXCLUDED(internal::no_gc);
  ParkedScope(const ParkedScope&) = delete;
  ParkedScope& operator=(const ParkedScope&) = delete;
  static void* operator new(size_t) = delete;
  static void* operator new[](size_t) = delete;
  // Waits for the end of the pause, if a collection has the mutators stopped.
  ~ParkedScope();

 private:
  Mutator& mutator_;
};

// Makes a mutator run while it exists, on the stack, wherever the thread is:
// parks it again in the end if it was parked at first. For code that is called
// by threads of either kind, such as a task.
class RunningScope {
 public:
  static constexpr bool kIsScoped = true;

  // Waits for the end of the pause if the mutator is parked and a collection
  // has the mutators stopped. Aborts on another thread than the mutator's.
  [[nodiscard]] explicit RunningScope(Mutator& mutator
                                      ABSL_ATTRIBUTE_LIFETIME_BOUND)
      : mutator_(mutator) {
    CheckThread();
    was_parked_ = mutator.parked();
    if (was_parked_) mutator.Unpark();
    mutator.EnterRunning();
  }
  RunningScope(const RunningScope&) = delete;
  RunningScope& operator=(const RunningScope&) = delete;
  static void* operator new(size_t) = delete;
  static void* operator new[](size_t) = delete;
  // Aborts on another thread than the mutator's.
  ~RunningScope() {
    CheckThread();
    mutator_.LeaveRunning();
    if (was_parked_) mutator_.Park();
  }

  // The mutator, which runs.
  Mutator& mutator() const { return mutator_; }

 protected:
  // Aborts on another thread than the mutator's.
  void CheckThread() const {
    if (MutatorBase::LatestOfThisThread() != &mutator_) [[unlikely]]
      CheckThreadSlow();
  }

 private:
  // The mutator may be one of several of the thread.
  ABSL_ATTRIBUTE_NOINLINE void CheckThreadSlow() const;

  Mutator& mutator_;
  bool was_parked_;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_MUTATOR_H_
