#include "bibop/examples/pkgraph/report.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraph/churn.h"
#include "bibop/examples/pkgraph/cycles.h"
#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/lookup.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/examples/pkgraph/queries.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {
namespace {

// "1 package", "2 packages"
std::string Count(size_t count, std::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

// Writes `  title: name, name, ...`, in lines of at most 80 characters.
void WriteNames(std::string_view title, const std::vector<std::string>& names,
                size_t max_items, std::ostream& output) {
  constexpr size_t kWidth = 80;
  std::string line = absl::StrCat("  ", title, ":");
  const size_t shown = std::min(names.size(), max_items);
  for (size_t i = 0; i < shown; ++i) {
    const std::string word =
        absl::StrCat(" ", names[i], i + 1 < names.size() ? "," : "");
    if (line.size() + word.size() > kWidth) {
      output << line << "\n";
      line = "   ";
    }
    line += word;
  }
  output << line;
  if (shown < names.size())
    output << " and " << names.size() - shown << " more";
  output << "\n";
}

std::string Suffix(PackageState state) {
  if (state == PackageState::kAvailable) return "";
  return absl::StrCat(" (", ToString(state), ")");
}

std::string_view FollowedFields(Follow follow) {
  return follow == Follow::kDepends ? "Pre-Depends and Depends"
                                    : "Pre-Depends, Depends and Recommends";
}

std::string Megabytes(int64_t bytes) {
  return absl::StrFormat("%.1f MB", static_cast<double>(bytes) / 1e6);
}

}  // namespace

void ReportSize(const Graph& graph, std::ostream& output) {
  output << Count(graph.package_count, "name") << ", "
         << Count(graph.version_count, "package version") << ", "
         << graph.dependency_count << " relations with "
         << Count(graph.alternative_count, "alternative") << "\n";
}

absl::Status ReportClosure(Mutator& mutator, Handle<Graph> graph,
                           std::string_view name, const ReportOptions& options,
                           std::ostream& output) {
  HandleScope scope(mutator);
  const absl::StatusOr<Handle<Package>> start = LookUp(mutator, graph, name);
  if (!start.ok()) return start.status();
  const std::vector<Needed> closure =
      Closure(mutator, graph, *start, options.follow);
  output << name << Suffix(StateOf(**start)) << " needs "
         << Count(closure.size(), "package") << " (by "
         << FollowedFields(options.follow) << ", with every alternative)\n";
  for (auto first = closure.begin(); first != closure.end();) {
    const size_t distance = first->distance;
    std::vector<std::string> names;
    for (; first != closure.end() && first->distance == distance; ++first) {
      names.push_back(absl::StrCat(first->name, Suffix(first->state)));
    }
    WriteNames(absl::StrCat(Count(distance, "step"), " away"), names,
               options.max_items, output);
  }
  return absl::OkStatus();
}

absl::Status ReportReverseDependencies(Mutator& mutator, Handle<Graph> graph,
                                       std::string_view name,
                                       const ReportOptions& options,
                                       std::ostream& output) {
  HandleScope scope(mutator);
  const absl::StatusOr<Handle<Package>> package = LookUp(mutator, graph, name);
  if (!package.ok()) return package.status();
  const std::vector<Mention> mentions = ReverseDependencies(**package);
  output << (mentions.empty() ? "no package names " : "packages that name ")
         << name << Suffix(StateOf(**package)) << "\n";
  for (RelationKind kind : kRelationKinds) {
    std::vector<std::string> names;
    for (const Mention& mention : mentions) {
      if (mention.kind == kind) names.push_back(mention.package);
    }
    if (names.empty()) continue;
    WriteNames(absl::StrCat(ToString(kind), " (", names.size(), ")"), names,
               options.max_items, output);
  }
  return absl::OkStatus();
}

absl::Status ReportWhy(Mutator& mutator, Handle<Graph> graph,
                       std::string_view from, std::string_view to,
                       const ReportOptions& options, std::ostream& output) {
  HandleScope scope(mutator);
  const absl::StatusOr<Handle<Package>> start = LookUp(mutator, graph, from);
  if (!start.ok()) return start.status();
  const absl::StatusOr<Handle<Package>> goal = LookUp(mutator, graph, to);
  if (!goal.ok()) return goal.status();
  const std::optional<std::vector<Hop>> path =
      Why(mutator, graph, *start, *goal, options.follow);
  if (!path) {
    output << from << " does not need " << to << " (by "
           << FollowedFields(options.follow) << ")\n";
    return absl::OkStatus();
  }
  output << "from " << from << " to " << to << " in "
         << Count(path->size(), "step") << "\n";
  for (const Hop& hop : *path) {
    output << "  " << hop.from;
    if (hop.kind == RelationKind::kProvides) {
      output << " is provided by " << hop.to << "\n";
    } else {
      output << " " << ToString(hop.kind) << ": " << hop.item << "\n";
    }
  }
  output << "  " << to << "\n";
  return absl::OkStatus();
}

void ReportCycles(Mutator& mutator, Handle<Graph> graph,
                  const ReportOptions& options, std::ostream& output) {
  const std::vector<std::vector<std::string>> cycles =
      FindCycles(mutator, graph, options.follow);
  output << Count(cycles.size(), "group") << " of packages that need each other"
         << " (by " << FollowedFields(options.follow) << ")\n";
  const size_t shown = std::min(cycles.size(), options.max_items);
  for (size_t i = 0; i < shown; ++i) {
    WriteNames(Count(cycles[i].size(), "package"), cycles[i], options.max_items,
               output);
  }
  if (shown < cycles.size()) {
    output << "  and " << cycles.size() - shown << " more\n";
  }
}

void ReportChurn(const ChurnReport& report, std::ostream& output) {
  const size_t rebuilds = report.resident_bytes.size();
  output << "rebuilt the graph of " << report.package_count << " names "
         << Count(rebuilds, "time") << " in "
         << absl::FormatDuration(
                absl::Trunc(report.elapsed, absl::Milliseconds(1)))
         << "\n";
  output << "  allocated    " << report.allocated_objects << " objects, "
         << Megabytes(report.allocated_bytes) << "\n";
  output << "  one graph    " << report.live_objects << " live objects, "
         << Megabytes(report.live_bytes) << "; once dropped "
         << report.live_objects_after << " live objects\n";
  output << "  collections  " << report.pauses.size()
         << ", two of them to count live objects\n";
  const auto pause = [&](int percent) {
    return absl::FormatDuration(
        absl::Trunc(Percentile(report.pauses, percent), absl::Microseconds(1)));
  };
  output << "  pauses       median " << pause(50) << ", p99 " << pause(99)
         << ", max " << pause(100) << "\n";
  output << "  RSS          ";
  constexpr size_t kSamples = 5;
  size_t last_shown = 0;
  for (size_t i = 0; i < kSamples; ++i) {
    const size_t rebuild = 1 + (rebuilds - 1) * i / (kSamples - 1);
    if (rebuild == last_shown) continue;
    output << (last_shown == 0 ? "" : ", ") << "#" << rebuild << " "
           << Megabytes(report.resident_bytes[rebuild - 1]);
    last_shown = rebuild;
  }
  output << "\n  peak RSS     " << Megabytes(report.peak_resident_bytes)
         << "\n";
}

}  // namespace bibop::pkgraph
