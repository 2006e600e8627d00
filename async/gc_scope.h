// GcScope: roots for a task, collected one by one where their number or types
// are not known before.
//
//   GcScope roots(heap);
//   roots.Track(session);
//   roots.TrackRange(session->pages);
//   roots.Spawn(pool, [](std::vector<AsyncAnyHandle> tracked) { ... });
//
// What is tracked is rooted from then on, first by the GcScope and then by the
// task, without a moment in between. Any thread may make, move and destroy one;
// tracking takes a running mutator, and one thread at a time.

#ifndef BIBOP_ASYNC_GC_SCOPE_H_
#define BIBOP_ASYNC_GC_SCOPE_H_

#include <cstddef>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

#include "bibop/async/async_any_handle.h"
#include "bibop/async/async_handle_guard.h"
#include "bibop/async/async_handle_scope.h"
#include "bibop/async/gc_task.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/object_reference.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/mutator.h"

namespace bibop {

class GcScope {
 public:
  // Tracks nothing. `place` is what messages call the place where it was made.
  explicit GcScope(Heap& heap,
                   std::source_location place = std::source_location::current())
      : heap_(&heap), place_(place), scope_(heap, place) {}

  // Moving leaves `other` without a scope: to track there aborts.
  GcScope(GcScope&& other) noexcept = default;
  GcScope& operator=(GcScope&& other) noexcept = default;
  GcScope(const GcScope&) = delete;
  GcScope& operator=(const GcScope&) = delete;
  ~GcScope() = default;

  // Roots an object.
  template <class T>
  void Track(Handle<T> handle) {
    handles_.push_back(scope_.Add(handle));
  }

  // Roots what the elements of a range refer to: Handles, Members, Persistents.
  // Those that refer to nothing are left out. On the thread of the mutator,
  // which runs.
  template <class Range>
  void TrackRange(Mutator& mutator, const Range& references) {
    for (const ObjectReference auto& reference : references) {
      HandleScope scope(mutator);
      const auto handle = scope.Local(reference);
      if (!handle.IsEmpty()) Track(handle.ToHandleChecked());
    }
  }

  // Roots what `other` has tracked, as the same types.
  void TrackFrom(AsyncHandleGuard& guard, const GcScope& other) {
    for (const AsyncAnyHandle& handle : other.handles_) {
      handles_.push_back(handle.AddTo(scope_, guard));
    }
  }

  // How many objects are tracked.
  size_t size() const { return handles_.size(); }

  // Gives `executor` a task that calls a stateless F with handles of what was
  // tracked, in its order, and returns what the executor's adapter returns.
  // `options` are what that takes besides, if anything. Nothing is tracked here
  // afterwards. Any thread may call it.
  template <class Executor, class F, class... Options>
  decltype(auto) Spawn(Executor&& executor, F /*callable*/,
                       Options&&... options) {
    using Plain = std::remove_cvref_t<Executor>;
    static_assert(HasSpawnTraits<Plain>,
                  "there is no adapter for this executor here: include the "
                  "header of one, or specialize bibop::SpawnTraits");
    Task<F> task(std::exchange(scope_, AsyncHandleScope(*heap_, place_)),
                 std::exchange(handles_, {}), place_);
    return SpawnTraits<Plain>::Spawn(std::forward<Executor>(executor),
                                     std::move(task),
                                     std::forward<Options>(options)...);
  }

 private:
  // As GcTask.
  template <class F>
  class Task {
   public:
    static_assert(std::is_empty_v<F> && std::is_default_constructible_v<F>,
                  "the callable of a task captures nothing, for what a lambda "
                  "captures is no root: track it");
    using result_type = std::invoke_result_t<F, std::vector<AsyncAnyHandle>>;

    Task(AsyncHandleScope scope, std::vector<AsyncAnyHandle> handles,
         std::source_location place)
        : scope_(std::move(scope)),
          handles_(std::move(handles)),
          place_(place) {}

    result_type operator()() && { return F{}(std::move(handles_)); }
    std::source_location place() const { return place_; }

   private:
    AsyncHandleScope scope_;
    std::vector<AsyncAnyHandle> handles_;
    std::source_location place_;
  };

  Heap* heap_;
  std::source_location place_;
  AsyncHandleScope scope_;
  std::vector<AsyncAnyHandle> handles_;
};

}  // namespace bibop

#endif  // BIBOP_ASYNC_GC_SCOPE_H_
