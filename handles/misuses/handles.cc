// How handles and other references are misused; misuses.bzl says what comes of
// it. Without a macro this is right.

#include <memory>
#include <thread>

#include "bibop/gc.h"
#include "bibop/handles/misuses/node.h"

namespace bibop::misuses {

int Right(Mutator& mutator, Handle<Leaf> leaf) {
  HandleScope scope(mutator);
  Handle<Node> node = leaf;
  Handle<Leaf> down = static_handle_cast<Leaf>(node);
  MaybeHandle<Node> next = scope.Local(down->next);
  MutableHandle<Node> at = scope.Mutable(node);
  at = at->next;
  node->next = leaf;
  return next.IsEmpty() ? node->value : at->value;
}

#ifdef MAKES_A_NULL_HANDLE
Handle<Node> misuse;
#endif

#ifdef MAKES_A_HANDLE_OF_NULLPTR
Handle<Node> misuse = nullptr;
#endif

#ifdef MAKES_A_HANDLE_OF_A_POINTER
void Misuse(Node* node) { Handle<Node> handle(node); }
#endif

#ifdef TESTS_A_HANDLE
bool Misuse(Handle<Node> node) { return node ? true : false; }
#endif

#ifdef COMPARES_A_HANDLE_WITH_NULL
bool Misuse(Handle<Node> node) { return node == nullptr; }
#endif

#ifdef CASTS_DOWN
void Misuse(Handle<Node> node) { Handle<Leaf> leaf = node; }
#endif

#ifdef CASTS_TO_AN_UNRELATED_CLASS
struct Unrelated {};
void Misuse(Handle<Node> node) { static_handle_cast<Unrelated>(node); }
#endif

#ifdef CASTS_WHAT_IS_NOT_POLYMORPHIC
bool Misuse(Handle<Node> node) {
  return dynamic_handle_cast<Leaf>(node).IsEmpty();
}
#endif

#ifdef DEREFERENCES_A_MAYBE_HANDLE
int Misuse(MaybeHandle<Node> node) { return node->value; }
#endif

#ifdef IGNORES_A_MAYBE_HANDLE
MaybeHandle<Node> Find(Handle<Node> node);
void Misuse(Handle<Node> node) { Find(node); }
#endif

#ifdef COPIES_A_MUTABLE_HANDLE
void Misuse(MutableHandle<Node>& at) { MutableHandle<Node> copy = at; }
#endif

#ifdef ALLOCATES_A_MUTABLE_HANDLE
void Misuse(HandleScope& scope, Handle<Node> node) {
  auto* at = new MutableHandle<Node>(scope.Mutable(node));
}
#endif

#ifdef ASSIGNS_A_SHARED_POINTER
void Misuse(MutableHandle<Node>& at) { at = std::make_shared<Node>(); }
#endif

#ifdef MAKES_A_MEMBER_OF_A_SHARED_POINTER
void Misuse(Handle<Node> node) { node->next = std::make_shared<Node>(); }
#endif

#ifdef ASSIGNS_A_POINTER_TO_A_MEMBER
void Misuse(Handle<Node> node) { node->next = new Node; }
#endif

#ifdef GIVES_A_HANDLE_TO_A_THREAD
void Misuse(Handle<Node> node) {
  std::thread([node] { node->value = 1; }).join();
}
#endif

}  // namespace bibop::misuses
