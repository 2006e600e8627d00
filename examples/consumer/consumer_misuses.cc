// What is not to be done with handles in coroutines. Without a macro this is
// right; BUILD.bazel says who finds what in it with one.

#include <coroutine>

#include "bibop/gc.h"

struct Task {
  struct promise_type {
    Task get_return_object() { return {}; }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
};

struct Counter {
  int count = 0;
};

Task Count(bibop::Mutator& mutator, bibop::Persistent<Counter> counter) {
  {
    bibop::HandleScope scope(mutator);
    bibop::Handle<Counter> one = scope.New<Counter>();
    counter->count += one->count;
  }
  co_await std::suspend_always{};
  ++counter->count;
}

#ifdef TAKES_A_HANDLE
Task Misuse(bibop::Handle<Counter> counter) {
  co_await std::suspend_always{};
  ++counter->count;
}
#endif

#ifdef SUSPENDS_WITH_A_SCOPE
Task Misuse(bibop::Mutator& mutator) {
  bibop::HandleScope scope(mutator);
  co_await std::suspend_always{};
}
#endif
