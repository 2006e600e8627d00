// TaskStretch: what an adapter has around each stretch of a task: around each
// callback that it calls, each resumption of a coroutine.
//
//   void RunOne(Heap& heap, Callback& callback) {
//     const TaskStretch stretch(heap);
//     callback();
//   }
//
// It attaches the thread if that is not attached, lets the task find its
// mutator by TaskMutator, and aborts in every build if the task leaves
// something open across a suspension: an AsyncHandleGuard, a RunningScope, a
// NoGcScope, or what is within one. The message says where the task was made,
// in checked builds also where the scope was opened.
//
// A thread is parked for the length of the stretch, but while a guard is open.
// So a task opens a HandleScope and creates a handle within a guard only: every
// build aborts where it does so outside of one. And a guard that is open at the
// end of the stretch is told, with the scopes in it.
//
// A thread that was not attached is from then on, until it ends: before the
// heap is destroyed, or that aborts. One that was running, because it was left
// so or because a guard of another stretch is open, runs again when this one
// ends; what the guards around it root stays. In a NoGcScope, where no thread
// parks, a stretch aborts.

#ifndef BIBOP_ASYNC_TASK_STRETCH_H_
#define BIBOP_ASYNC_TASK_STRETCH_H_

#include <cstddef>
#include <optional>
#include <source_location>

#include "absl/base/attributes.h"
#include "bibop/handles/coroutine_ban.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/mutator.h"

namespace bibop {

// The calling thread's mutator on `heap`. A thread that is not attached is
// attached, parked, until it ends. Aborts if that is refused. To be called by
// threads of an executor, by its initializer if it has one.
Mutator& AttachThread(Heap& heap);

// The mutator of the thread that runs the calling task, for an
// AsyncHandleGuard. Aborts outside of a task that an adapter runs.
Mutator& TaskMutator();

// Stack only, used by the thread that runs the task. They nest, as tasks that
// run others do.
class TaskStretch {
 public:
  static constexpr bool kIsScoped = true;

  // `place` is what messages call the place where the task was made. Aborts in
  // a NoGcScope.
  explicit TaskStretch(
      Heap& heap ABSL_ATTRIBUTE_LIFETIME_BOUND,
      std::source_location place = std::source_location::current());
  TaskStretch(const TaskStretch&) = delete;
  TaskStretch& operator=(const TaskStretch&) = delete;
  static void* operator new(size_t) = delete;
  static void* operator new[](size_t) = delete;
  // Aborts if something is open that was not at first, or the reverse. Waits
  // for the end of the pause if the thread was running at first and a
  // collection has the mutators stopped.
  ~TaskStretch();

 private:
  Mutator& mutator_;
  // That of the stretch around this one, or null.
  Mutator* const before_;
  // If the thread was running.
  const std::optional<ParkedScope> parked_;
  const MutatorBase::Open open_;
  const std::source_location place_;
  // That of the stretch around this one on the same heap, or null.
  const std::source_location* const place_before_;
};

}  // namespace bibop

#endif  // BIBOP_ASYNC_TASK_STRETCH_H_
