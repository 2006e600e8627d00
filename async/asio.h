// The adapter for Asio: coroutines of asio::awaitable on an io_context, a
// thread_pool or a strand of either.
//
//   asio::thread_pool pool(4);
//   AsioExecutor executor(heap, pool.get_executor());
//   SpawnWithGc(
//       executor, Capture(session),
//       [](AsyncHandle<Session> session) -> asio::awaitable<void> {
//         asio::steady_timer timer(co_await asio::this_coro::executor);
//         timer.expires_after(std::chrono::milliseconds(1));
//         co_await timer.async_wait(asio::use_awaitable);
//         AsyncHandleScope::WithGuard(TaskMutator(), [&](auto& guard) {
//           guard.Get(session)->Touch();
//         });
//       },
//       asio::use_future);
//
// The last argument is a completion token, asio::detached if there is none, and
// what asio::co_spawn returns for it SpawnWithGc returns. The coroutine is
// cancelled as Asio's are; its roots go with it. One whose io_context is
// destroyed before it ran, or while it sleeps, frees its roots then.
//
// Each stretch of the coroutine, from one suspension to the next, runs within a
// TaskStretch: that attaches the thread and aborts if something is left open.
// So a pool's threads end before the heap is destroyed. A thread that runs an
// io_context and outlives the heap, such as main's, is attached before, by a
// MutatorScope, and parked, by a ParkedScope, around io_context::run.

#ifndef BIBOP_ASYNC_ASIO_H_
#define BIBOP_ASYNC_ASIO_H_

#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

#include "absl/base/attributes.h"
#include "asio/any_io_executor.hpp"
#include "asio/co_spawn.hpp"
#include "asio/detached.hpp"
#include "asio/prefer.hpp"
#include "asio/query.hpp"
#include "asio/require.hpp"
#include "bibop/async/gc_task.h"
#include "bibop/async/task_stretch.h"
#include "bibop/runtime/heap.h"

namespace bibop {

// An executor that runs what it is given on `Inner`, an executor, within a
// TaskStretch. A value, used as executors are.
template <class Inner>
class AsioExecutor {
 public:
  // Tasks use objects of `heap`, which has to exist as long as any is left.
  AsioExecutor(Heap& heap ABSL_ATTRIBUTE_LIFETIME_BOUND, Inner inner,
               std::source_location place = std::source_location::current())
      : state_(std::make_shared<const State>(
            State{&heap, std::move(inner), place})) {}

  // The same for what was made at another place, which messages name.
  AsioExecutor At(std::source_location place) const {
    return AsioExecutor(*state_->heap, state_->inner, place);
  }

  // ---- what Asio asks of an executor ----

  template <class F>
  void execute(F&& f) const {
    state_->inner.execute([heap = state_->heap, place = state_->place,
                           f = std::decay_t<F>(std::forward<F>(f))]() mutable {
      const TaskStretch stretch(*heap, place);
      std::move(f)();
    });
  }
  template <class Property>
    requires(asio::can_query<const Inner&, Property>::value)
  decltype(auto) query(const Property& property) const {
    return asio::query(state_->inner, property);
  }
  template <class Property>
    requires(asio::can_require<const Inner&, Property>::value)
  auto require(const Property& property) const {
    return Wrap(asio::require(state_->inner, property));
  }
  template <class Property>
    requires(asio::can_prefer<const Inner&, Property>::value)
  auto prefer(const Property& property) const {
    return Wrap(asio::prefer(state_->inner, property));
  }
  friend bool operator==(const AsioExecutor& a,
                         const AsioExecutor& b) noexcept {
    return a.state_->heap == b.state_->heap &&
           a.state_->inner == b.state_->inner;
  }

 private:
  template <class Other>
  AsioExecutor<Other> Wrap(Other other) const {
    return AsioExecutor<Other>(*state_->heap, std::move(other), state_->place);
  }

  struct State {
    Heap* heap;
    Inner inner;
    std::source_location place;
  };

  // Shared by copies: two words fit into an asio::any_io_executor.
  std::shared_ptr<const State> state_;
};

template <class Inner>
struct SpawnTraits<AsioExecutor<Inner>> {
  // Calls the task, which returns an asio::awaitable, on the executor, and
  // keeps it until that is done.
  template <class Task, class Token = asio::detached_t>
  static auto Spawn(const AsioExecutor<Inner>& executor, Task task,
                    Token&& token = {}) {
    const asio::any_io_executor at = executor.At(task.place());
    return asio::co_spawn(
        at, [task = std::move(task)]() mutable { return std::move(task)(); },
        std::forward<Token>(token));
  }
};

}  // namespace bibop

#endif  // BIBOP_ASYNC_ASIO_H_
