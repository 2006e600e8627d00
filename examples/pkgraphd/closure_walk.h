// ClosureWalk: the closure of a package, found a part at a time.
//
// A walk is an object of the heap, which keeps its queue and what it has seen
// in containers of the heap. So a request holds a reference to it, across
// suspensions, and nothing else of the graph: the walk keeps the rest.
//
// One thread at a time may advance a walk; walks of different requests share
// nothing but the graph, which they read.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_CLOSURE_WALK_H_
#define BIBOP_EXAMPLES_PKGRAPHD_CLOSURE_WALK_H_

#include <cstddef>
#include <string>

#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

struct ClosureWalk {
  explicit ClosureWalk(pkgraph::Follow follow) : follow(follow) {}

  void Trace(auto& visitor) const { visitor(queue, seen); }

  const pkgraph::Follow follow;
  // Every package found so far, nearest first; those from `next` on have not
  // been looked at.
  Vector<Member<pkgraph::Package>> queue;
  FlatHashSet<size_t> seen;  // by Package::id
  size_t next = 0;
  // How far the package at `next` is from the start, and where in the queue
  // those begin that are one edge farther.
  size_t distance = 0;
  size_t level_end = 1;
};

// A walk to whatever `start` may need. The handle is one of the caller's
// innermost scope.
Handle<ClosureWalk> NewClosureWalk(Mutator& mutator,
                                   Handle<pkgraph::Package> start,
                                   pkgraph::Follow follow);

// Looks at up to `max_packages` more packages, and appends to `lines` a JSON
// object, on a line of its own, for each but the start: its name, its state and
// its distance. Returns false once all were looked at.
bool Advance(Mutator& mutator, Handle<ClosureWalk> walk, size_t max_packages,
             std::string& lines);

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_CLOSURE_WALK_H_
