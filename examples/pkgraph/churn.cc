#include "bibop/examples/pkgraph/churn.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ios>
#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/base/resident_memory.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {

absl::StatusOr<ChurnReport> Churn(std::istream& text, const std::string& file,
                                  int64_t rebuilds,
                                  absl::FunctionRef<void(int64_t)> on_rebuilt) {
  ChurnReport report;
  HeapOptions options;
  options.on_cycle_end = [&report](const CycleStats& cycle) {
    report.pauses.push_back(cycle.pause);
  };
  absl::StatusOr<std::unique_ptr<Heap>> heap = Heap::Create(options);
  if (!heap.ok()) return heap.status();
  MutatorScope mutator(**heap);

  const absl::Time start = absl::Now();
  for (int64_t done = 1; done <= rebuilds; ++done) {
    HandleScope scope(mutator);  // drops the graph at the end of the round
    text.clear();
    text.seekg(0);
    absl::StatusOr<Handle<Graph>> graph = LoadGraph(mutator, text, file);
    if (!graph.ok()) return graph.status();
    report.resident_bytes.push_back(ResidentBytes());
    on_rebuilt(done);
    if (done < rebuilds) continue;

    report.elapsed = absl::Now() - start;
    report.package_count = (*graph)->package_count;
    (*heap)->Collect();
    report.live_objects = (*heap)->stats().live_objects;
    report.live_bytes = (*heap)->stats().live_bytes;
  }
  (*heap)->Collect();
  const HeapStats stats = (*heap)->stats();
  report.live_objects_after = stats.live_objects;
  report.allocated_objects = stats.allocated_objects;
  report.allocated_bytes = stats.allocated_bytes;
  // The kernel's own peak lags a little behind.
  report.peak_resident_bytes = std::max(
      PeakResidentBytes(), *std::max_element(report.resident_bytes.begin(),
                                             report.resident_bytes.end()));
  return report;
}

absl::Duration Percentile(std::vector<absl::Duration> values, int percent) {
  if (values.empty()) return absl::ZeroDuration();
  const size_t rank =
      (values.size() * static_cast<size_t>(percent) + 99) / 100;  // from 1
  const auto value = values.begin() + static_cast<std::ptrdiff_t>(rank - 1);
  std::nth_element(values.begin(), value, values.end());
  return *value;
}

}  // namespace bibop::pkgraph
