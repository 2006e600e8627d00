// How AsyncHandles are misused; misuses.bzl says what comes of it. Without a
// macro this is right.

#include <coroutine>
#include <utility>

#include "bibop/gc.h"
#include "bibop/handles/misuses/node.h"

namespace bibop::misuses {

// A coroutine that nobody waits for.
struct Job {
  struct promise_type {
    Job get_return_object() { return {}; }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
};

Job Right(Mutator& mutator, AsyncHandleScope scope, AsyncHandle<Node> node) {
  co_await std::suspend_always{};
  const AsyncHandle<Node> next =
      AsyncHandleScope::WithGuard(mutator, [&](AsyncHandleGuard& guard) {
        const Handle<Node> made = guard.New<Node>();
        guard.Get(node)->next = made;
        return scope.Add(made);
      });
  co_await std::suspend_always{};
  AsyncHandleScope::WithGuard(mutator, [&](AsyncHandleGuard& guard) {
    guard.Get(next)->value = guard.Get(node)->value;
  });
}

// Drops its tasks.
auto Dropping(Heap& heap) {
  return CallbackExecutor(heap, [](const auto& /*task*/) {});
}

void AlsoRight(Heap& heap, Handle<Node> node) {
  SpawnWithGc(Dropping(heap), Capture(node, 7),
              [](AsyncHandle<Node> captured, int value) {
                AsyncHandleGuard guard(TaskMutator());
                guard.Get(captured)->value = value;
              });
}

#ifdef SPAWNS_A_LAMBDA_THAT_CAPTURES
void Misuse(Heap& heap, Handle<Node> node) {
  SpawnWithGc(Dropping(heap), Capture(node),
              [&node](AsyncHandle<Node> /*captured*/) { node->value = 1; });
}
#endif

#ifdef CAPTURES_WHAT_IS_SCOPED
void Misuse(MaybeHandle<Node> maybe, Handle<Node> node) {
  (void)Capture(node, maybe);
}
#endif

#ifdef CAPTURES_A_POINTER
void Misuse(Handle<Node> node) { (void)Capture(node, node.get()); }
#endif

#ifdef SPAWNS_WITH_OTHER_ARGUMENTS
void Misuse(Heap& heap, Handle<Node> node) {
  SpawnWithGc(Dropping(heap), Capture(node), [](AsyncHandle<Leaf> /*leaf*/) {});
}
#endif

#ifdef SPAWNS_WITHOUT_AN_ADAPTER
void Misuse(Handle<Node> node, int executor) {
  SpawnWithGc(executor, Capture(node), [](AsyncHandle<Node> /*captured*/) {});
}
#endif

#ifdef USES_AN_ASYNC_HANDLE_WITHOUT_A_GUARD
int Misuse(AsyncHandle<Node> node) { return node->value; }
#endif

#ifdef STORES_AN_ASYNC_HANDLE_IN_A_MEMBER
void Misuse(Handle<Node> node, AsyncHandle<Node> next) { node->next = next; }
#endif

#ifdef TAKES_A_GUARD_INTO_A_COROUTINE
Job Misuse(AsyncHandleGuard& guard, AsyncHandle<Node> node) {
  guard.Get(node)->value = 1;
  co_return;
}
#endif

#ifdef RETURNS_A_HANDLE_FROM_A_GUARD
Handle<Node> Misuse(Mutator& mutator, AsyncHandle<Node> node) {
  return AsyncHandleScope::WithGuard(
      mutator, [&](AsyncHandleGuard& guard) { return guard.Get(node); });
}
#endif

#ifdef ASKS_A_TEMPORARY_GUARD
int Misuse(Mutator& mutator, AsyncHandle<Node> node) {
  return AsyncHandleGuard(mutator).Get(node)->value;
}
#endif

#ifdef SUSPENDS_WITH_A_GUARD
Job Misuse(Mutator& mutator, AsyncHandle<Node> node) {
  AsyncHandleGuard guard(mutator);
  co_await std::suspend_always{};
  guard.Get(node)->value = 1;
}
#endif

#ifdef COPIES_AN_ASYNC_SCOPE
void Misuse(const AsyncHandleScope& scope) { AsyncHandleScope copy = scope; }
#endif

#ifdef ADDS_TO_AN_ASYNC_SCOPE_AFTER_A_MOVE
AsyncHandle<Node> Misuse(AsyncHandleScope scope, Handle<Node> node) {
  const AsyncHandleScope moved = std::move(scope);
  return scope.Add(node);
}
#endif

}  // namespace bibop::misuses
