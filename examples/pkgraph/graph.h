// The graph of a package index, and how it is built from the index's stanzas.
//
// Packages appear in the graph when something first names them: their own
// stanza, or a dependency on them, which may come long before. So the order of
// stanzas does not matter, and a name that has no stanza at all is in the graph
// too.
//
// Not synchronized: one thread builds a graph; once it is built any number of
// threads may read it.

#ifndef BIBOP_EXAMPLES_PKGRAPH_GRAPH_H_
#define BIBOP_EXAMPLES_PKGRAPH_GRAPH_H_

#include <cstddef>
#include <istream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/examples/pkgraph/control_file.h"
#include "bibop/examples/pkgraph/name_table.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {

// The one object that has to be rooted for the whole graph to live.
struct Graph {
  explicit Graph(Handle<NameTable> names) : names(names) {}

  void Trace(auto& visitor) const { visitor(names, first, last); }

  Member<NameTable> names;
  Member<Package> first;  // the list of all packages, through next_in_graph
  Member<Package> last;

  size_t package_count = 0;  // names, whatever their state
  size_t version_count = 0;
  size_t dependency_count = 0;
  size_t alternative_count = 0;
};

// A graph without packages. The handle is one of the caller's innermost scope.
Handle<Graph> NewGraph(Mutator& mutator);

// Adds a package's version and what it says about other packages.
//
// A stanza needs the fields Package, Version and Architecture. Only the last
// one of a file that was cut lacks any, or one whose Status is 'not-installed':
// that is a name of which dpkg has no version, and it adds a name. Everything
// else is an error, which says file and line, and leaves the graph in need of
// being dropped: part of the stanza may be in it.
absl::Status AddStanza(Mutator& mutator, Handle<Graph> graph,
                       const Stanza& stanza);

// Reads a whole index, which errors call `file`. An index without a package is
// an error, too. The handle is one of the caller's innermost scope.
absl::StatusOr<Handle<Graph>> LoadGraph(Mutator& mutator, std::istream& input,
                                        std::string file);

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_GRAPH_H_
