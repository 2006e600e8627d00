// What the program can be asked to do, from an open index to the written
// answer.
//
// One thread at a time. Each function has a heap of its own, gone when it
// returns.

#ifndef BIBOP_EXAMPLES_PKGRAPH_COMMANDS_H_
#define BIBOP_EXAMPLES_PKGRAPH_COMMANDS_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bibop/examples/pkgraph/input.h"
#include "bibop/examples/pkgraph/report.h"

namespace bibop::pkgraph {

// A question about a graph: "closure", "rdeps", "why" or "cycles", then its
// names.
using Query = std::vector<std::string>;

// Whether `query` is one of these, with as many names as it takes.
bool IsQuery(const Query& query);

// Loads the graph and answers `query`.
//
// REQUIRES: IsQuery(query)
absl::Status RunQuery(const Query& query, Input& input,
                      const ReportOptions& options, std::ostream& output);

// Builds the graph `rebuilds` times, tells `progress` how far it is, and then
// what that took.
//
// REQUIRES: rebuilds > 0
absl::Status RunChurn(int64_t rebuilds, Input& input, std::ostream& output,
                      std::ostream& progress);

// A little of everything, about whatever is in the index.
absl::Status RunTour(Input& input, const ReportOptions& options,
                     std::ostream& output, std::ostream& progress);

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_COMMANDS_H_
