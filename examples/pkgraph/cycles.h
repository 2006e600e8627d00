// The cycles of a package graph: which packages need each other.
//
// Not synchronized: one thread at a time.

#ifndef BIBOP_EXAMPLES_PKGRAPH_CYCLES_H_
#define BIBOP_EXAMPLES_PKGRAPH_CYCLES_H_

#include <string>
#include <vector>

#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {

// The strongly connected components that have more than one package of the
// index, the largest first; the names of each in alphabetical order. A cycle
// may go through virtual packages, which are not listed: so a package that
// needs what it provides itself is no cycle.
//
// This is Tarjan's algorithm with its stacks in the heap: however long the
// chains of dependencies are, the thread's stack does not grow.
std::vector<std::vector<std::string>> FindCycles(Mutator& mutator,
                                                 Handle<Graph> graph,
                                                 Follow follow);

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_CYCLES_H_
