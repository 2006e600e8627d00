// What is told of single packages and of paths, as JSON.
//
// The functions read the graph and allocate nothing in it. Any thread may call
// them that runs in the heap.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_PACKAGE_JSON_H_
#define BIBOP_EXAMPLES_PKGRAPHD_PACKAGE_JSON_H_

#include <optional>
#include <string>
#include <vector>

#include "bibop/examples/pkgraph/package.h"
#include "bibop/examples/pkgraph/queries.h"

namespace bibop::pkgraphd {

// The package's state and its versions, with what each of them says about
// other packages, by field.
std::string PackageJson(const pkgraph::Package& package);

// The hops of a path; "path" is null where there is none.
std::string PathJson(const std::optional<std::vector<pkgraph::Hop>>& path);

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_PACKAGE_JSON_H_
