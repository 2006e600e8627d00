// What handles and scopes must not compile to: without a macro this compiles,
// with any of them it must not, for the reason that the BUILD file names.

#include <memory>

#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/mutator_base.h"

namespace bibop {

struct Base {
  int number = 0;
};
struct Derived : Base {};
struct ForgetsConst {
  void Trace(auto& visitor) { visitor(); }
};

int Use(MutatorBase& mutator) {
  HandleScope scope(mutator);
  const Handle<Derived> derived = scope.New<Derived>();
  const Handle<Base> base = derived;
  MutableHandle<Base> at = scope.Mutable(base);

#ifdef COPIES_A_SCOPE
  HandleScope copy = scope;
#endif
#ifdef ALLOCATES_A_SCOPE
  auto* on_heap = new HandleScope(mutator);
#endif
#ifdef MAKES_A_SCOPE_UNIQUE
  auto unique = std::make_unique<HandleScope>(mutator);
#endif
#ifdef ASKS_A_TEMPORARY_SCOPE
  const Handle<Base> dangling = HandleScope(mutator).New<Base>();
#endif
#ifdef TESTS_A_HANDLE
  if (base) return 1;
#endif
#ifdef MAKES_A_NULL_HANDLE
  const Handle<Base> null;
#endif
#ifdef MAKES_A_HANDLE_OF_A_POINTER
  const Handle<Base> unrooted(new Base);
#endif
#ifdef MAKES_AN_ARRAY_THAT_CANNOT_BE_TRACED
  scope.NewArray<ForgetsConst>(1);
#endif
#ifdef CASTS_DOWN
  const Handle<Derived> down = base;
#endif
#ifdef COPIES_A_MUTABLE_HANDLE
  MutableHandle<Base> copied = at;
#endif
#ifdef ASSIGNS_A_SHARED_POINTER
  at = std::make_shared<Base>();
#endif

  return at->number;
}

}  // namespace bibop
