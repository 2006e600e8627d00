// SpawnWithGc: gives an executor a task that refers to garbage-collected
// objects.
//
//   SpawnWithGc(pool, Capture(index, std::string("name")),
//               [](AsyncHandle<Index> index, std::string name) {
//                 AsyncHandleGuard guard(TaskMutator());
//                 guard.Get(index)->Find(name);
//               });
//
// The callable is a lambda without captures, or another class without state,
// and its arguments are explicit: what the task refers to is in sight, and
// rooted before the executor has heard of it. The roots are the task's own, and
// go with it: after it has run, when it throws, when it is cancelled, when the
// executor drops it.

#ifndef BIBOP_ASYNC_SPAWN_H_
#define BIBOP_ASYNC_SPAWN_H_

#include <type_traits>
#include <utility>

#include "bibop/async/gc_task.h"

namespace bibop {

// Gives `executor` a task that calls F with what was captured, and returns what
// its adapter returns: a future, an awaitable, nothing. `options` are what the
// adapter takes besides, if anything. Any thread may call it.
template <class Executor, class... Ts, class F, class... Options>
decltype(auto) SpawnWithGc(Executor&& executor, Capture<Ts...> captured,
                           F /*callable*/, Options&&... options) {
  using Plain = std::remove_cvref_t<Executor>;
  static_assert(
      HasSpawnTraits<Plain>,
      "there is no adapter for this executor here: include the header "
      "of one, or specialize bibop::SpawnTraits");
  return SpawnTraits<Plain>::Spawn(std::forward<Executor>(executor),
                                   GcTask<F, Ts...>(std::move(captured)),
                                   std::forward<Options>(options)...);
}

}  // namespace bibop

#endif  // BIBOP_ASYNC_SPAWN_H_
