// NameSearch: the packages whose name contains a text, found a part at a time.
//
// An object of the heap, as ClosureWalk is, and used like it.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_NAME_SEARCH_H_
#define BIBOP_EXAMPLES_PKGRAPHD_NAME_SEARCH_H_

#include <cstddef>
#include <set>
#include <string>
#include <utility>

#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

struct NameSearch {
  // Will find the `limit` names that come first in the alphabet.
  NameSearch(Handle<pkgraph::Graph> graph, std::string text, size_t limit)
      : text(std::move(text)), limit(limit), at(graph->first) {}

  void Trace(auto& visitor) const { visitor(at); }

  const std::string text;
  const size_t limit;
  Member<pkgraph::Package> at;  // to look at next
  // The first names of those found, which are copies; and how many there are.
  std::set<std::string> names;
  size_t found = 0;
};

// Looks at up to `max_packages` more packages. Returns false once all were
// looked at. It allocates nothing in the heap.
bool Advance(NameSearch& search, size_t max_packages);

// What was found, as a JSON object.
std::string ToJson(const NameSearch& search);

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_NAME_SEARCH_H_
