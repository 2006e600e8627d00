// What SpawnWithGc and GcScope hand to an executor: a task, which owns the
// roots of its arguments. And the seam between them and executors.
//
// A task is moved to where it runs, and called once or never. When it is
// destroyed its roots are free, once, on whichever thread: so it does not
// matter whether it was called, threw, or was cancelled before.
//
// An adapter for an executor specializes SpawnTraits:
//
//   template <>
//   struct bibop::SpawnTraits<MyPool> {
//     template <class Task>
//     static auto Spawn(MyPool& pool, Task task) {
//       return pool.Submit([task = std::move(task)]() mutable {
//         const TaskStretch stretch(...);
//         return std::move(task)();
//       });
//     }
//   };
//
// It sees to it that the task is called, and, if what that returns is a
// coroutine, resumed, within TaskStretches only, and that the task exists until
// the coroutine is done. What Spawn returns SpawnWithGc returns.

#ifndef BIBOP_ASYNC_GC_TASK_H_
#define BIBOP_ASYNC_GC_TASK_H_

#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

#include "bibop/async/async_handle.h"
#include "bibop/async/async_handle_scope.h"
#include "bibop/handles/coroutine_ban.h"
#include "bibop/handles/handle.h"

namespace bibop {

// How an executor runs tasks. Defined by adapters.
template <class Executor>
struct SpawnTraits;

// Whether there is an adapter for an executor.
template <class Executor>
concept HasSpawnTraits = requires { sizeof(SpawnTraits<Executor>); };

namespace internal {

// A scope in the heap of `object`, of which the calling thread, a running
// mutator, has a handle.
AsyncHandleScope MakeScopeFor(const void* object, std::source_location place);

// What becomes of a captured T: an AsyncHandle, or a value as it is.
template <class T>
struct CapturedAs {
  static_assert(!IsScoped<T>,
                "what is captured is bound to a HandleScope and outlives it: "
                "capture Handles, which become AsyncHandles, and values");
  static_assert(!std::is_pointer_v<T>,
                "a pointer is captured, which keeps nothing alive: capture a "
                "Handle, or what it points at by value");
  using type = T;
};
template <class T>
struct CapturedAs<Handle<T>> {
  using type = AsyncHandle<T>;
};

template <class T>
constexpr bool kIsHandle = false;
template <class T>
constexpr bool kIsHandle<Handle<T>> = true;

}  // namespace internal

// Arguments for a task: Handles, which are rooted from now on, and values.
//
//   Capture(node, std::string("name"))   AsyncHandle<Node>, std::string
//
// Made on the thread of the handles, of which there is at least one, all of one
// heap; moved and destroyed by any thread.
template <class... Ts>
class Capture {
 public:
  // `place` is what messages call the place where the task was made.
  // NOLINTNEXTLINE(google-explicit-constructor): it has any number of arguments
  Capture(Ts... values,
          std::source_location place = std::source_location::current())
      : scope_(internal::MakeScopeFor(FirstObject(values...), place)),
        place_(place),
        arguments_(ToArgument(std::move(values))...) {
    static_assert(
        (internal::kIsHandle<Ts> || ...),
        "nothing is captured that has to be rooted: capture a Handle, "
        "or use what the executor has itself");
  }

  // Where it was made.
  std::source_location place() const { return place_; }

  // Calls f(arguments...), which are moved there. The roots stay.
  template <class F>
  decltype(auto) Apply(F f) {
    return std::apply(std::move(f), std::move(arguments_));
  }

 private:
  template <class T, class... Rest>
  static const void* FirstObject(const T& first, const Rest&... rest) {
    if constexpr (internal::kIsHandle<T>) {
      return first.get();
    } else {
      return FirstObject(rest...);
    }
  }
  static const void* FirstObject() { return nullptr; }

  template <class T>
  AsyncHandle<T> ToArgument(Handle<T>&& handle) {
    return scope_.Add(handle);
  }
  template <class T>
  T ToArgument(T&& value) {
    return std::forward<T>(value);
  }

  AsyncHandleScope scope_;
  std::source_location place_;
  std::tuple<typename internal::CapturedAs<Ts>::type...> arguments_;
};

template <class... Ts>
Capture(Ts...) -> Capture<Ts...>;

// It has roots, not the Handles: a coroutine of an adapter may have it as a
// parameter.
template <class... Ts>
constexpr bool kHoldsScoped<Capture<Ts...>> = false;

// A task that calls a stateless F with what was captured.
template <class F, class... Ts>
class GcTask {
 public:
  static_assert(std::is_empty_v<F> && std::is_default_constructible_v<F>,
                "the callable of a task captures nothing, for what a lambda "
                "captures is no root: pass arguments by Capture");
  static_assert(
      std::is_invocable_v<F, typename internal::CapturedAs<Ts>::type...>,
      "the callable of a task takes what was captured: an AsyncHandle<T> for "
      "each Handle<T>, and the values");
  using result_type =
      std::invoke_result_t<F, typename internal::CapturedAs<Ts>::type...>;

  explicit GcTask(Capture<Ts...> captured) : captured_(std::move(captured)) {}
  GcTask(GcTask&&) noexcept = default;
  GcTask& operator=(GcTask&&) noexcept = default;
  GcTask(const GcTask&) = delete;
  GcTask& operator=(const GcTask&) = delete;
  // Frees the roots.
  ~GcTask() = default;

  // Calls it. The roots stay until the task is destroyed.
  result_type operator()() && { return captured_.Apply(F{}); }

  // Where it was made, for a TaskStretch.
  std::source_location place() const { return captured_.place(); }

 private:
  Capture<Ts...> captured_;
};

template <class F, class... Ts>
constexpr bool kHoldsScoped<GcTask<F, Ts...>> = false;

}  // namespace bibop

#endif  // BIBOP_ASYNC_GC_TASK_H_
