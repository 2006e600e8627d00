// AsyncHandleScope: the roots of a task, wherever that sleeps or runs.
//
//   Task<void> Serve(Server& server, AsyncHandleScope scope,
//                    AsyncHandle<Session> session) {
//     const std::string line = co_await server.ReadLine();
//     const AsyncHandle<Reply> reply =
//         scope.WithGuard(TaskMutator(), [&](AsyncHandleGuard& guard) {
//           const Handle<Session> s = guard.Get(session);
//           return scope.Add(guard.New<Reply>(s, line));
//         });
//     co_await server.Flush();
//     ...
//   }
//
// It belongs to the task and not to a thread: any thread may make, move and
// destroy it, attached or not, parked or running, during a collection. Several
// threads may add to it at once; it is destroyed when nobody uses it any more.
// A scope takes 16 bytes and a block of 64, in which there is room for six
// handles, and grows by a block for each six more. A collection looks at it
// while the program runs: no pause depends on how many there are.
//
// When its heap is destroyed its handles refer to nothing, and to use them
// would take a mutator of that heap. Checked builds say which scopes are left.
// They also abort if a scope is part of an object of the heap that it refers
// into: that would keep cycles alive for ever, so use a Member there.

#ifndef BIBOP_ASYNC_ASYNC_HANDLE_SCOPE_H_
#define BIBOP_ASYNC_ASYNC_HANDLE_SCOPE_H_

#include <cstddef>
#include <source_location>
#include <utility>

#include "bibop/async/async_handle.h"
#include "bibop/async/async_handle_guard.h"
#include "bibop/handles/async_slot_chain.h"
#include "bibop/handles/async_slots.h"
#include "bibop/handles/coroutine_ban.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/mutator.h"

namespace bibop {

class AsyncHandleScope {
 public:
  // Makes a scope without handles. Throws std::bad_alloc if there is no memory.
  // Checked builds name its `place` in their messages.
  explicit AsyncHandleScope(
      Heap& heap, std::source_location place = std::source_location::current())
      : chain_(heap.async_slots(), place) {}

  // Moving leaves `other` without a block: to add to it aborts. Its handles are
  // those of this scope; what this scope had before is gone.
  AsyncHandleScope(AsyncHandleScope&& other) noexcept = default;
  AsyncHandleScope& operator=(AsyncHandleScope&& other) noexcept = default;
  AsyncHandleScope(const AsyncHandleScope&) = delete;
  AsyncHandleScope& operator=(const AsyncHandleScope&) = delete;

  // The handles of the scope may no longer be used: who does aborts.
  ~AsyncHandleScope() = default;

  // A handle of the same object, which this scope roots from now on. On the
  // thread of the Handle. Throws std::bad_alloc if there is no memory for a
  // block.
  template <class T>
  AsyncHandle<T> Add(Handle<T> handle) {
    return internal::AsyncHandleAccess::Make<T>(chain_.Add(handle.get()));
  }

  // The same of the object that a handle of another scope refers to.
  template <class T>
  AsyncHandle<T> Add(AsyncHandleGuard& guard, AsyncHandle<T> handle) {
    return Add(guard.Get(handle));
  }

  // Makes a T, as HandleScope::New does, and returns a handle of it. On the
  // thread of the mutator, which runs.
  template <class T, class... Args>
  AsyncHandle<T> New(Mutator& mutator, Args&&... args) {
    HandleScope scope(mutator);
    return Add(scope.New<T>(std::forward<Args>(args)...));
  }

  // Calls f(guard), where `guard` is an AsyncHandleGuard that is open
  // meanwhile, and returns what it returns, which may not be bound to the
  // guard.
  template <class F>
  static decltype(auto) WithGuard(
      Mutator& mutator, F&& f,
      std::source_location place = std::source_location::current()) {
    AsyncHandleGuard guard(mutator, place);
    static_assert(!IsScoped<decltype(std::forward<F>(f)(guard))>,
                  "what WithGuard returns outlives its guard: return an "
                  "AsyncHandle, which AsyncHandleScope::Add makes of a Handle");
    return std::forward<F>(f)(guard);
  }

  // How many handles were added. Any thread may ask that may add.
  size_t size() const { return chain_.size(); }

  // What tells it from all other scopes of the heap, and what messages call it;
  // 0 if it was moved from.
  AsyncScopeNumber number() const { return chain_.number(); }

 private:
  friend struct internal::AsyncHandleAccess;

  internal::AsyncSlotChain chain_;
};

}  // namespace bibop

#endif  // BIBOP_ASYNC_ASYNC_HANDLE_SCOPE_H_
