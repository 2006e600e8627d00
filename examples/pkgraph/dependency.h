// The syntax of a relation field (Depends, Provides, Conflicts, ...) of a
// Debian package:
//
//   libc6 (>= 2.34), default-mta | mail-transport-agent, perl:any
//
// Commas separate what all has to hold; bars separate the alternatives of one
// such item.
//
// Functions of their arguments alone: any thread may call them. What they
// return points into the text that it was read from, so it lives no longer than
// that.

#ifndef BIBOP_EXAMPLES_PKGRAPH_DEPENDENCY_H_
#define BIBOP_EXAMPLES_PKGRAPH_DEPENDENCY_H_

#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"

namespace bibop::pkgraph {

// One package that would do, such as `libc6 (>= 2.34)`.
//
// An architecture after the name (`perl:any`) and the restrictions that a
// source package may have behind it (`[amd64]`, `<!nocheck>`) are checked for
// their syntax and left out: the graph of one index does not tell architectures
// apart.
struct ParsedAlternative {
  std::string_view package;
  // `>=`, `=`, `<<` and so on, and the version behind it. Both empty if any
  // version does.
  std::string_view comparison;
  std::string_view version;
};

// One item between commas: at least one alternative.
using ParsedDependency = absl::InlinedVector<ParsedAlternative, 1>;

// Whether `text` can be a package's name.
bool IsPackageName(std::string_view text);

// The items of the value of a relation field. Empty items ("a,, b,") do no harm
// and are left out; anything else that is not as above is an InvalidArgument
// error that quotes it.
absl::StatusOr<std::vector<ParsedDependency>> ParseDependencies(
    std::string_view value);

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_DEPENDENCY_H_
