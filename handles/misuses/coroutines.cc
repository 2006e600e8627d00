// Handles and scopes in coroutines; misuses.bzl says what comes of it. Without
// a macro this is right.

#include <coroutine>
#include <functional>
#include <optional>
#include <vector>

#include "bibop/gc.h"
#include "bibop/handles/misuses/node.h"

namespace bibop::misuses {

// A coroutine that nobody waits for.
struct Task {
  struct promise_type {
    Task get_return_object() { return {}; }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
};

// One whose library says what its promise is.
template <class T>
struct ForeignTask {};

// One that results in a T.
template <class T>
struct Future {
  struct promise_type {
    Future get_return_object() { return {}; }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_value(T /*value*/) {}
    void unhandled_exception() {}
  };
};

}  // namespace bibop::misuses

template <class T, class... Args>
struct std::coroutine_traits<bibop::misuses::ForeignTask<T>, Args...> {
  struct promise_type : bibop::misuses::Task::promise_type {
    bibop::misuses::ForeignTask<T> get_return_object() { return {}; }
  };
};

namespace bibop::misuses {

Task Right(Mutator& mutator, std::function<void(Handle<Node>)> visit) {
  co_await std::suspend_always{};
  {
    HandleScope scope(mutator);
    visit(scope.New<Node>());
  }
  co_await std::suspend_always{};
}
ForeignTask<int> AlsoRight(int /*value*/) { co_return; }
Future<int> RightToo(int value) { co_return value; }

#ifdef TAKES_A_HANDLE_INTO_A_COROUTINE
Task Misuse(Handle<Node> /*node*/) { co_return; }
#endif

#ifdef TAKES_A_MAYBE_HANDLE_INTO_A_COROUTINE
Task Misuse(MaybeHandle<Node> /*node*/) { co_return; }
#endif

#ifdef TAKES_A_MUTABLE_HANDLE_INTO_A_COROUTINE
Task Misuse(MutableHandle<Node>& /*node*/) { co_return; }
#endif

#ifdef TAKES_A_SCOPE_INTO_A_COROUTINE
Task Misuse(HandleScope& /*scope*/) { co_return; }
#endif

#ifdef TAKES_A_VECTOR_OF_HANDLES_INTO_A_COROUTINE
Task Misuse(const std::vector<Handle<Node>>& /*nodes*/) { co_return; }
#endif

#ifdef TAKES_AN_OPTIONAL_HANDLE_INTO_A_COROUTINE
Task Misuse(std::optional<Handle<Node>> /*node*/) { co_return; }
#endif

#ifdef TAKES_A_HANDLE_INTO_A_LAMBDA_COROUTINE
auto misuse = [](Handle<Node> /*node*/) -> Task { co_return; };
#endif

#ifdef TAKES_A_HANDLE_INTO_A_FOREIGN_COROUTINE
ForeignTask<int> Misuse(Handle<Node> /*node*/) { co_return; }
#endif

#ifdef RETURNS_A_HANDLE_FROM_A_COROUTINE
Future<Handle<Node>> Misuse(Mutator& mutator) {
  HandleScope scope(mutator);
  Handle<Node> node = scope.New<Node>();
  co_return node;
}
#endif

#ifdef HIDES_A_HANDLE_IN_A_COROUTINES_PARAMETER
struct Request {
  Handle<Node> node;
};
Task Misuse(Request /*request*/) { co_return; }
#endif

#ifdef CAPTURES_A_HANDLE_IN_A_COROUTINE
void Misuse(Handle<Node> node) {
  auto task = [node]() -> Task {
    node->value = 1;
    co_return;
  };
  task();
}
#endif

#ifdef SUSPENDS_WITH_A_SCOPE
Task Misuse(Mutator& mutator) {
  HandleScope scope(mutator);
  co_await std::suspend_always{};
}
#endif

#ifdef SUSPENDS_WHILE_ATTACHED
Task Misuse(Heap& heap) {
  MutatorScope mutator(heap);
  co_await std::suspend_always{};
}
#endif

#ifdef SUSPENDS_WITHOUT_GC
Task Misuse(Mutator& mutator) {
  NoGcScope no_gc(mutator);
  co_await std::suspend_always{};
}
#endif

#ifdef SUSPENDS_WHILE_PARKED
Task Misuse(Mutator& mutator) {
  ParkedScope parked(mutator);
  co_await std::suspend_always{};
}
#endif

}  // namespace bibop::misuses
