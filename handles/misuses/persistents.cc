// How Persistents are misused; misuses.bzl says what comes of it. Without a
// macro this is right.

#include <memory>
#include <utility>

#include "bibop/gc.h"
#include "bibop/handles/misuses/node.h"

namespace bibop::misuses {

Persistent<Node> Right(Mutator& mutator, Handle<Node> node) {
  Persistent<Node> one(mutator, node);
  Persistent<Node> two(mutator, one);
  Persistent<Node> three = std::move(one);
  WeakPersistent<Node> weak(mutator, three);
  two.Reset(mutator, node);
  return three;
}

#ifdef COPIES_A_PERSISTENT
void Misuse(const Persistent<Node>& node) { Persistent<Node> copy = node; }
#endif

#ifdef MAKES_A_PERSISTENT_WITHOUT_A_MUTATOR
void Misuse(Handle<Node> node) { Persistent<Node> kept = node; }
#endif

#ifdef MAKES_A_PERSISTENT_OF_A_POINTER
void Misuse(Mutator& mutator) { Persistent<Node> kept(mutator, new Node); }
#endif

#ifdef FORGETS_A_PERSISTENTS_NAME
void Misuse(Mutator& mutator, Handle<Node> node) {
  Persistent<Node>(mutator, node);
  node->value = 1;
}
#endif

#ifdef USES_A_PERSISTENT_AFTER_A_MOVE
int Misuse(Persistent<Node> node) {
  Persistent<Node> moved = std::move(node);
  return node->value + moved->value;
}
#endif

#ifdef DEREFERENCES_A_WEAK_PERSISTENT
int Misuse(const WeakPersistent<Node>& node) { return node->value; }
#endif

}  // namespace bibop::misuses
