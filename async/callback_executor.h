// The adapter for whatever takes a callback: a thread pool, an event loop, a
// queue of one's own.
//
//   asio::thread_pool pool(4);
//   CallbackExecutor executor(
//       heap, [&pool](auto task) { asio::post(pool, std::move(task)); });
//   SpawnWithGc(executor, Capture(node), [](AsyncHandle<Node> node) { ... });
//
// `post` is given each task as a callback: an object that is moved and not
// copied, called once without arguments or destroyed, and returns what the
// task's callable returns. What `post` returns SpawnWithGc returns: a future of
// the pool's, say.
//
// A thread that runs tasks is attached to the heap with the first one, until it
// ends, and parked between the guards of its tasks. So the pool's threads end
// before the heap is destroyed.

#ifndef BIBOP_ASYNC_CALLBACK_EXECUTOR_H_
#define BIBOP_ASYNC_CALLBACK_EXECUTOR_H_

#include <utility>

#include "absl/base/attributes.h"
#include "bibop/async/gc_task.h"
#include "bibop/async/task_stretch.h"
#include "bibop/runtime/heap.h"

namespace bibop {

// Used as `post` may be.
template <class Post>
class CallbackExecutor {
 public:
  // Tasks use objects of `heap`, which has to exist as long as any is left.
  CallbackExecutor(Heap& heap ABSL_ATTRIBUTE_LIFETIME_BOUND, Post post)
      : heap_(heap), post_(std::move(post)) {}

  // Gives `post` a task, and returns what that returns.
  template <class Task>
  decltype(auto) Run(Task task) const {
    return post_(Callback<Task>(heap_, std::move(task)));
  }

 private:
  template <class Task>
  class Callback {
   public:
    Callback(Heap& heap, Task task) : heap_(&heap), task_(std::move(task)) {}
    typename Task::result_type operator()() {
      const TaskStretch stretch(*heap_, task_.place());
      return std::move(task_)();
    }

   private:
    Heap* heap_;
    Task task_;
  };

  Heap& heap_;
  Post post_;
};

template <class Post>
struct SpawnTraits<CallbackExecutor<Post>> {
  template <class Task>
  static decltype(auto) Spawn(const CallbackExecutor<Post>& executor,
                              Task task) {
    return executor.Run(std::move(task));
  }
};

}  // namespace bibop

#endif  // BIBOP_ASYNC_CALLBACK_EXECUTOR_H_
