// How handles of WithHandleScope are misused; misuses.bzl says what comes of
// it. Without a macro this is right.

#include <optional>

#include "bibop/gc.h"
#include "bibop/handles/misuses/node.h"

namespace bibop::misuses {

template <class Brand>
int ValueOf(BrandedHandle<Node, Brand> node) {
  return node->value;
}
int ValueOfAny(Handle<Node> node) { return node->value; }

int Right(Mutator& mutator, Handle<Node> outside) {
  return WithHandleScope(mutator, [&](auto& scope) {
    auto node = scope.template New<Node>();
    node->next = outside;
    outside->next = node;
    return ValueOf(node) + ValueOfAny(node.ToHandle());
  });
}

#ifdef RETURNS_A_BRANDED_HANDLE
void Misuse(Mutator& mutator) {
  WithHandleScope(mutator,
                  [](auto& scope) { return scope.template New<Node>(); });
}
#endif

#ifdef RETURNS_A_HANDLE_WITHOUT_ITS_BRAND
void Misuse(Mutator& mutator) {
  WithHandleScope(mutator, [](auto& scope) {
    return std::optional(scope.template New<Node>().ToHandle());
  });
}
#endif

#ifdef STORES_A_BRANDED_HANDLE_OUTSIDE
void Misuse(Mutator& mutator, MaybeHandle<Node> kept) {
  WithHandleScope(mutator,
                  [&](auto& scope) { kept = scope.template New<Node>(); });
}
#endif

#ifdef USES_A_BRANDED_HANDLE_IN_ANOTHER_SCOPE
void Misuse(Mutator& mutator) {
  WithHandleScope(mutator, [&](auto& outer) {
    auto node = outer.template New<Node>();
    WithHandleScope(mutator,
                    [&](auto& inner) { node = inner.template New<Node>(); });
  });
}
#endif

#ifdef TAKES_A_BRANDED_HANDLE_FOR_A_HANDLE
int Misuse(Mutator& mutator) {
  return WithHandleScope(mutator, [](auto& scope) {
    return ValueOfAny(scope.template New<Node>());
  });
}
#endif

#ifdef CAPTURES_A_BRANDED_HANDLE
int Misuse(Mutator& mutator) {
  return WithHandleScope(mutator, [](auto& scope) {
    const auto node = scope.template New<Node>();
    return [node] { return node->value; };
  })();
}
#endif

}  // namespace bibop::misuses
