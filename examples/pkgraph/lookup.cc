#include "bibop/examples/pkgraph/lookup.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/name_table.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/examples/pkgraph/quoted.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {
namespace {

// What to append to the message that there is no `name`. Looks at every name,
// and comes to a safepoint meanwhile.
std::string Suggestion(Mutator& mutator, Handle<Graph> graph,
                       std::string_view name) {
  constexpr size_t kLongestName = 100;  // the distance takes the square of it
  constexpr size_t kNamesBetweenSafepoints = 256;
  size_t closest = 3;  // more than a slip or two
  std::string suggestion;
  for (const Package* package = graph->first.get(); package != nullptr;
       package = package->next_in_graph.get()) {
    if (package->id % kNamesBetweenSafepoints == 0) mutator.Safepoint();
    const size_t shorter = std::min(name.size(), package->name.size());
    const size_t longer = std::max(name.size(), package->name.size());
    if (longer > kLongestName || longer - shorter >= closest) continue;
    const size_t distance = EditDistance(name, package->name);
    if (distance >= closest) continue;
    closest = distance;
    suggestion = absl::StrCat(": did you mean ", Quoted(package->name), "?");
  }
  return suggestion;
}

}  // namespace

absl::StatusOr<Handle<Package>> LookUp(Mutator& mutator, Handle<Graph> graph,
                                       std::string_view name) {
  EscapableHandleScope scope(mutator);
  Handle<NameTable> names = scope.Local(graph->names).ToHandleChecked();
  MaybeHandle<Package> package = FindPackage(scope, names, name);
  if (package.IsEmpty()) {
    return absl::NotFoundError(absl::StrCat("the index has no package ",
                                            Quoted(name),
                                            Suggestion(mutator, graph, name)));
  }
  return scope.Escape(package.ToHandleChecked());
}

size_t EditDistance(std::string_view a, std::string_view b) {
  // Row by row: row[j] is the distance of a's part so far from b's first j
  // bytes.
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace bibop::pkgraph
