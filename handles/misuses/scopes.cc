// How scopes are misused; misuses.bzl says what comes of it. Without a macro
// this is right.

#include <memory>
#include <utility>

#include "bibop/gc.h"
#include "bibop/handles/misuses/node.h"

namespace bibop::misuses {

Handle<Node> Right(Mutator& mutator, Heap& heap) {
  MutatorScope attached(heap);
  HandleScope inner(attached);
  EscapableHandleScope scope(mutator);
  Handle<Node> node = scope.New<Node>();
  {
    NoGcScope no_gc(mutator);
    node->next = node;
  }
  {
    SealedHandleScope sealed(scope);
    node->next = node;
  }
  node->next = scope.New<Node>();
  return scope.Escape(node);
}

#ifdef COPIES_A_SCOPE
void Misuse(HandleScope& scope) { HandleScope copy = scope; }
#endif

#ifdef MOVES_A_SCOPE
void Misuse(HandleScope& scope) { HandleScope moved = std::move(scope); }
#endif

#ifdef ALLOCATES_A_SCOPE
void Misuse(Mutator& mutator) { auto* scope = new HandleScope(mutator); }
#endif

#ifdef MAKES_A_SCOPE_UNIQUE
void Misuse(Mutator& mutator) {
  auto scope = std::make_unique<HandleScope>(mutator);
}
#endif

#ifdef ASKS_A_TEMPORARY_SCOPE
void Misuse(Mutator& mutator) {
  Handle<Node> node = HandleScope(mutator).New<Node>();
}
#endif

#ifdef TAKES_A_TEMPORARY_MUTATOR
void Misuse(Heap& heap) { HandleScope scope{MutatorScope(heap)}; }
#endif

#ifdef FORGETS_A_SCOPES_NAME
void Misuse(Mutator& mutator) { HandleScope{mutator}; }
#endif

#ifdef FORGETS_A_SEALS_NAME
void Misuse(Mutator& mutator) { SealedHandleScope{mutator}; }
#endif

#ifdef ESCAPES_TWICE
void Misuse(Mutator& mutator) {
  EscapableHandleScope scope(mutator);
  Handle<Node> node = scope.New<Node>();
  scope.Escape(node);
  scope.Escape(node);
}
#endif

#ifdef CREATES_UNDER_A_SEAL
void Misuse(Mutator& mutator) {
  HandleScope scope(mutator);
  SealedHandleScope sealed(scope);
  scope.New<Node>();
}
#endif

#ifdef CREATES_UNDER_A_SEAL_OUT_OF_SIGHT
void Misuse(Mutator& mutator) {
  HandleScope scope(mutator);
  SealedHandleScope sealed(mutator);
  scope.New<Node>();
}
#endif

#ifdef ALLOCATES_WITHOUT_GC
void Misuse(Mutator& mutator) {
  HandleScope scope(mutator);
  NoGcScope no_gc(mutator);
  scope.New<Node>();
}
#endif

#ifdef ALLOCATES_WITHOUT_GC_OUT_OF_SIGHT
void Allocate(HandleScope& scope) { scope.New<Node>(); }
void Misuse(Mutator& mutator) {
  HandleScope scope(mutator);
  NoGcScope no_gc(mutator);
  Allocate(scope);
}
#endif

}  // namespace bibop::misuses
