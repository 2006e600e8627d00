#include "bibop/async/task_stretch.h"

#include <memory>
#include <optional>
#include <source_location>
#include <utility>
#include <vector>

#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/mutator.h"

namespace bibop {
namespace {

// A thread's attachment to a heap until it ends.
class Attachment {
 public:
  explicit Attachment(Heap& heap)
      : attached_(heap), mutator_(attached_), parked_(mutator_) {}
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  Mutator& mutator() const { return mutator_; }

 private:
  MutatorScope attached_;
  Mutator& mutator_;
  ParkedScope parked_;
};

// This thread's.
thread_local std::vector<std::unique_ptr<Attachment>> attachments;

// That of the innermost stretch of this thread.
constinit thread_local Mutator* task_mutator = nullptr;

// The calling thread's mutator on `heap`; null if it has none.
Mutator* FindMutator(const Heap& heap) {
  for (MutatorBase* mutator = MutatorBase::LatestOfThisThread();
       mutator != nullptr; mutator = mutator->next_of_thread()) {
    // All mutators of a Heap are Mutators.
    if (mutator->async_slots().IsOf(heap.async_slots())) {
      return static_cast<Mutator*>(mutator);
    }
  }
  return nullptr;
}

std::optional<ParkedScope> ParkIfRunning(Mutator& mutator) {
  if (mutator.parked()) return std::nullopt;
  return std::optional<ParkedScope>(std::in_place, mutator);
}

}  // namespace

Mutator& AttachThread(Heap& heap) {
  if (Mutator* mutator = FindMutator(heap)) return *mutator;
  attachments.push_back(std::make_unique<Attachment>(heap));
  return attachments.back()->mutator();
}

Mutator& TaskMutator() {
  ABSL_CHECK(task_mutator != nullptr)
      << "TaskMutator is called outside of a task: spawn the task by "
         "SpawnWithGc or GcScope::Spawn, or pass the thread's mutator on";
  return *task_mutator;
}

TaskStretch::TaskStretch(Heap& heap, std::source_location place)
    : mutator_(AttachThread(heap)),
      before_(std::exchange(task_mutator, &mutator_)),
      parked_(ParkIfRunning(mutator_)),
      open_(mutator_.open()),
      place_(place),
      place_before_(mutator_.handles().SetTask(&place_)) {}

TaskStretch::~TaskStretch() {
  ABSL_CHECK(task_mutator == &mutator_)
      << "a TaskStretch ends on another thread than it began on, or before one "
         "that began later";
  task_mutator = before_;
  mutator_.handles().SetTask(place_before_);
  const MutatorBase::Open now = mutator_.open();
  if (now == open_) [[likely]]
    return;
  const bool scopes = now.handles.depth > open_.handles.depth ||
                      now.handles.end != open_.handles.end;
  ABSL_LOG(FATAL)
      << "a task that was made at " << place_.file_name() << ":"
      << place_.line() << " is suspended or ends, and leaves open "
      << (now.running_scopes > open_.running_scopes ? "an AsyncHandleGuard"
          : now.no_gc > open_.no_gc                 ? "a NoGcScope"
          : scopes                                  ? "a HandleScope"
                   : "or ends what it has not begun: a ParkedScope, or a seal")
      << (scopes ? mutator_.handles().DescribeInnermost() : "")
      << ": what belongs to a thread ends before co_await; objects that the "
         "task needs later go to its AsyncHandleScope";
}

}  // namespace bibop
