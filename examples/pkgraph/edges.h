// The edges along which queries walk: what a package needs.
//
// An available package leads to every alternative of every dependency of its
// versions: to whatever may be needed, not to one choice that would do. A
// virtual package leads to the packages that provide it. A missing one leads
// nowhere.
//
// The graph is only read: any number of threads may ask at once, each with its
// own mutator.

#ifndef BIBOP_EXAMPLES_PKGRAPH_EDGES_H_
#define BIBOP_EXAMPLES_PKGRAPH_EDGES_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {

// Which fields name what a package needs.
enum class Follow : uint8_t {
  kDepends,               // Pre-Depends and Depends
  kDependsAndRecommends,  // these and Recommends
};

// Calls `visit` with each package that `from` leads to, and with the
// alternative that leads there: for a virtual package that is the provider's
// Provides. A package that is named twice is visited twice. `visit` may
// allocate. Its handles are of a scope that ends with the call.
void ForEachEdge(
    Mutator& mutator, Handle<Package> from, Follow follow,
    absl::FunctionRef<void(Handle<Package> to, Handle<Alternative> via)> visit);

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_EDGES_H_
