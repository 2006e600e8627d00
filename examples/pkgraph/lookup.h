// Finding the package that a person means.
//
// The graph is only read: any number of threads may ask at once, each with its
// own mutator.

#ifndef BIBOP_EXAMPLES_PKGRAPH_LOOKUP_H_
#define BIBOP_EXAMPLES_PKGRAPH_LOOKUP_H_

#include <cstddef>
#include <string_view>

#include "absl/status/statusor.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {

// The package called `name`, in whatever state. NotFound if the graph has none;
// the message then names the one whose name comes closest, if any comes close.
// The handle is one of the caller's innermost scope.
absl::StatusOr<Handle<Package>> LookUp(Mutator& mutator, Handle<Graph> graph,
                                       std::string_view name);

// The fewest bytes to insert, remove or replace to make one text of the other.
size_t EditDistance(std::string_view a, std::string_view b);

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_LOOKUP_H_
