#include "bibop/examples/pkgraph/commands.h"

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <istream>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_join.h"
#include "bibop/examples/pkgraph/churn.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/input.h"
#include "bibop/examples/pkgraph/lookup.h"
#include "bibop/examples/pkgraph/progress.h"
#include "bibop/examples/pkgraph/queries.h"
#include "bibop/examples/pkgraph/report.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {
namespace {

// Loads a graph into a heap of its own and calls `use` with it.
absl::Status WithGraph(
    std::istream& text, const std::string& file,
    absl::FunctionRef<absl::Status(Mutator&, Handle<Graph>)> use) {
  absl::StatusOr<std::unique_ptr<Heap>> heap = Heap::Create({});
  if (!heap.ok()) return heap.status();
  MutatorScope mutator(**heap);
  HandleScope scope(mutator);
  const absl::StatusOr<Handle<Graph>> graph = LoadGraph(mutator, text, file);
  if (!graph.ok()) return graph.status();
  return use(mutator, *graph);
}

absl::Status Answer(Mutator& mutator, Handle<Graph> graph, const Query& query,
                    const ReportOptions& options, std::ostream& output) {
  if (query[0] == "closure") {
    return ReportClosure(mutator, graph, query[1], options, output);
  }
  if (query[0] == "rdeps") {
    return ReportReverseDependencies(mutator, graph, query[1], options, output);
  }
  if (query[0] == "why") {
    return ReportWhy(mutator, graph, query[1], query[2], options, output);
  }
  ReportCycles(mutator, graph, options, output);
  return absl::OkStatus();
}

// Queries that have something to tell about the graph.
std::vector<Query> TourQueries(Mutator& mutator, Handle<Graph> graph,
                               Follow follow) {
  HandleScope scope(mutator);
  const absl::StatusOr<Handle<Package>> apt = LookUp(mutator, graph, "apt");
  Handle<Package> start =
      apt.ok() ? *apt : scope.Local(graph->first).ToHandleChecked();
  const std::vector<Needed> closure = Closure(mutator, graph, start, follow);
  const std::string& farthest =
      closure.empty() ? start->name : closure.back().name;
  return {{"closure", start->name},
          {"why", start->name, farthest},
          {"rdeps", start->name},
          {"cycles"}};
}

absl::Status ChurnText(int64_t rebuilds, std::istream& text,
                       const std::string& file, std::ostream& output,
                       std::ostream& progress) {
  Progress bar(progress, isatty(STDERR_FILENO) == 1, "rebuilds", rebuilds);
  const absl::StatusOr<ChurnReport> report =
      Churn(text, file, rebuilds, [&](int64_t done) { bar.Update(done); });
  if (!report.ok()) return report.status();
  ReportChurn(*report, output);
  return absl::OkStatus();
}

}  // namespace

bool IsQuery(const Query& query) {
  if (query.empty()) return false;
  const size_t names = query.size() - 1;
  if (query[0] == "closure" || query[0] == "rdeps") return names == 1;
  if (query[0] == "why") return names == 2;
  return query[0] == "cycles" && names == 0;
}

absl::Status RunQuery(const Query& query, Input& input,
                      const ReportOptions& options, std::ostream& output) {
  return WithGraph(input.stream(), input.name(),
                   [&](Mutator& mutator, Handle<Graph> graph) {
                     return Answer(mutator, graph, query, options, output);
                   });
}

absl::Status RunChurn(int64_t rebuilds, Input& input, std::ostream& output,
                      std::ostream& progress) {
  absl::StatusOr<std::string> all = input.ReadAll();
  if (!all.ok()) return all.status();
  std::istringstream text(*std::move(all));
  return ChurnText(rebuilds, text, input.name(), output, progress);
}

absl::Status RunTour(Input& input, const ReportOptions& options,
                     std::ostream& output, std::ostream& progress) {
  constexpr size_t kMaxItems = 8;
  constexpr int64_t kRebuilds = 5;
  ReportOptions brief = options;
  brief.max_items = kMaxItems;

  absl::StatusOr<std::string> all = input.ReadAll();
  if (!all.ok()) return all.status();
  std::istringstream text(*std::move(all));
  const auto answer_all = [&](Mutator& mutator, Handle<Graph> graph) {
    output << input.name() << ": ";
    ReportSize(*graph, output);
    for (const Query& query : TourQueries(mutator, graph, brief.follow)) {
      output << "\n> " << absl::StrJoin(query, " ") << "\n";
      const absl::Status answered =
          Answer(mutator, graph, query, brief, output);
      if (!answered.ok()) return answered;
    }
    return absl::OkStatus();
  };
  const absl::Status answered = WithGraph(text, input.name(), answer_all);
  if (!answered.ok()) return answered;
  output << "\n> churn " << kRebuilds << std::endl;
  return ChurnText(kRebuilds, text, input.name(), output, progress);
}

}  // namespace bibop::pkgraph
