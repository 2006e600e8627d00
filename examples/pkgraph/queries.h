// What one can ask about a package: what it needs, what needs it, and why.
//
// Answers are plain values: they own copies of the names, and outlive scope and
// heap.
//
// The graph is only read: any number of threads may ask at once, each with its
// own mutator.

#ifndef BIBOP_EXAMPLES_PKGRAPH_QUERIES_H_
#define BIBOP_EXAMPLES_PKGRAPH_QUERIES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {

// A package that another one needs, at once or through others.
struct Needed {
  std::string name;
  PackageState state;
  size_t distance;  // the number of edges to it, at least 1
};

// Everything that `start` may need, itself left out, by distance and then by
// name.
std::vector<Needed> Closure(Mutator& mutator, Handle<Graph> graph,
                            Handle<Package> start, Follow follow);

// One edge of a path.
struct Hop {
  std::string from;
  RelationKind kind;  // kProvides: `to` provides the virtual package `from`
  std::string item;   // of the field: "default-mta | mail-transport-agent"
  std::string to;
};

// A shortest path from one package to another: empty if they are the same,
// nullopt if there is none.
std::optional<std::vector<Hop>> Why(Mutator& mutator, Handle<Graph> graph,
                                    Handle<Package> from, Handle<Package> to,
                                    Follow follow);

// A package that names another one, in a field of this kind.
struct Mention {
  RelationKind kind;
  std::string package;

  friend auto operator<=>(const Mention&, const Mention&) = default;
};

// The packages that name `package` directly, by kind and then by name, each
// once per kind. Those that need it through a virtual package name the virtual
// one.
std::vector<Mention> ReverseDependencies(const Package& package);

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_QUERIES_H_
