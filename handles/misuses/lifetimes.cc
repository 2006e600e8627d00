// Handles and references that outlive what keeps their objects alive;
// misuses.bzl says who sees it. Without a macro this is right.

#include <optional>
#include <vector>

#include "bibop/gc.h"
#include "bibop/handles/misuses/node.h"

namespace bibop::misuses {

Handle<Node> Right(Mutator& mutator, HandleScope& outer) {
  HandleScope scope(mutator);
  Handle<Node> first = scope.New<Node>();
  std::optional<Handle<Node>> second;
  {
    EscapableHandleScope inner(mutator);
    second = inner.Escape(inner.New<Node>());
  }
  first->next = *second;
  return outer.New<Node>();
}

#ifdef RETURNS_A_NEW_HANDLE
Handle<Node> Misuse(Mutator& mutator) {
  HandleScope scope(mutator);
  return scope.New<Node>();
}
#endif

#ifdef RETURNS_A_HANDLE_OF_A_MEMBER
MaybeHandle<Node> Misuse(Mutator& mutator, Handle<Node> node) {
  HandleScope scope(mutator);
  return scope.Local(node->next);
}
#endif

#ifdef RETURNS_A_HANDLE_BY_A_VARIABLE
Handle<Node> Misuse(Mutator& mutator) {
  HandleScope scope(mutator);
  Handle<Node> node = scope.New<Node>();
  node->value = 1;
  return node;
}
#endif

#ifdef RETURNS_A_HANDLE_BY_A_FUNCTION
Handle<Node> Same(Handle<Node> node) { return node; }
Handle<Node> Misuse(Mutator& mutator) {
  HandleScope scope(mutator);
  return Same(scope.New<Node>());
}
#endif

#ifdef USES_A_HANDLE_AFTER_AN_INNER_BLOCK
int Misuse(Mutator& mutator, Handle<Node> node) {
  {
    HandleScope scope(mutator);
    node = scope.New<Node>();
  }
  return node->value;
}
#endif

#ifdef RETURNS_A_REFERENCE_TO_AN_OBJECT
Node& Misuse(Mutator& mutator) {
  HandleScope scope(mutator);
  Handle<Node> node = scope.New<Node>();
  return *node;
}
#endif

#ifdef RETURNS_A_LAMBDA_WITH_A_HANDLE
auto Misuse(Mutator& mutator) {
  HandleScope scope(mutator);
  Handle<Node> node = scope.New<Node>();
  return [node] { return node->value; };
}
#endif

#ifdef STORES_A_HANDLE_IN_A_FIELD
class Misuse {
 public:
  void Set(Mutator& mutator) {
    HandleScope scope(mutator);
    node_ = scope.New<Node>();
  }

 private:
  std::optional<Handle<Node>> node_;
};
#endif

#ifdef STORES_A_HANDLE_IN_A_GLOBAL
MaybeHandle<Node> kept;
void Misuse(Mutator& mutator) {
  HandleScope scope(mutator);
  kept = scope.New<Node>();
}
#endif

#ifdef STORES_A_HANDLE_BY_A_PARAMETER
void Misuse(Mutator& mutator, MaybeHandle<Node>& result) {
  HandleScope scope(mutator);
  result = scope.New<Node>();
}
#endif

#ifdef STORES_A_HANDLE_IN_A_VECTOR
void Misuse(Mutator& mutator, std::vector<Handle<Node>>& nodes) {
  HandleScope scope(mutator);
  nodes.push_back(scope.New<Node>());
}
#endif

#ifdef STORES_A_HANDLE_IN_AN_OBJECT
struct Misuse {
  explicit Misuse(Handle<Node> n) : node(n) {}
  Handle<Node> node;
};
void Use(HandleScope& scope, Handle<Node> node) { scope.New<Misuse>(node); }
#endif

#ifdef KEEPS_A_POINTER_OVER_AN_ALLOCATION
int Misuse(HandleScope& scope, Handle<Node> node) {
  Node* next = node->next.get();
  node->next = scope.New<Node>();
  return next->value;
}
#endif

#ifdef USES_A_HANDLE_OF_A_REASSIGNED_SLOT
int Misuse(HandleScope& scope, Handle<Node> node) {
  MutableHandle<Node> at = scope.Mutable(node->next);
  Handle<Node> next = at.ToHandleChecked();
  at = nullptr;
  return next->value;
}
#endif

}  // namespace bibop::misuses
