// The answers to queries, as a person reads them.
//
// Not synchronized: one thread at a time.

#ifndef BIBOP_EXAMPLES_PKGRAPH_REPORT_H_
#define BIBOP_EXAMPLES_PKGRAPH_REPORT_H_

#include <cstddef>
#include <limits>
#include <ostream>
#include <string_view>

#include "absl/status/status.h"
#include "bibop/examples/pkgraph/churn.h"
#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {

// How to answer.
struct ReportOptions {
  Follow follow = Follow::kDepends;
  // The longest list to write in full, of names or of cycles.
  size_t max_items = std::numeric_limits<size_t>::max();
};

// Each of these writes one answer to `output`. Those that take names return
// NotFound, and write nothing, if the graph lacks one of them.

// How much there is in the graph.
void ReportSize(const Graph& graph, std::ostream& output);

// What `name` needs.
absl::Status ReportClosure(Mutator& mutator, Handle<Graph> graph,
                           std::string_view name, const ReportOptions& options,
                           std::ostream& output);

// What names `name`.
absl::Status ReportReverseDependencies(Mutator& mutator, Handle<Graph> graph,
                                       std::string_view name,
                                       const ReportOptions& options,
                                       std::ostream& output);

// How `from` comes to need `to`.
absl::Status ReportWhy(Mutator& mutator, Handle<Graph> graph,
                       std::string_view from, std::string_view to,
                       const ReportOptions& options, std::ostream& output);

// Which packages need each other.
void ReportCycles(Mutator& mutator, Handle<Graph> graph,
                  const ReportOptions& options, std::ostream& output);

// What a run of Churn measured.
void ReportChurn(const ChurnReport& report, std::ostream& output);

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_REPORT_H_
