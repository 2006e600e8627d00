// A load test: builds the graph of an index again and again, and drops it each
// time.
//
// Each graph is garbage as soon as the scope that its handle is in has closed,
// and the collector has to keep up: what it takes is measured here.
//
// One thread at a time; a run has a heap of its own, which it attaches the
// calling thread to.

#ifndef BIBOP_EXAMPLES_PKGRAPH_CHURN_H_
#define BIBOP_EXAMPLES_PKGRAPH_CHURN_H_

#include <cstddef>
#include <cstdint>
#include <istream>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace bibop::pkgraph {

// What a run measured.
struct ChurnReport {
  size_t package_count = 0;  // of one graph

  // What was alive with the last graph, and after it was dropped.
  int64_t live_objects = 0;
  int64_t live_bytes = 0;
  int64_t live_objects_after = 0;

  // In all rebuilds together.
  int64_t allocated_objects = 0;
  int64_t allocated_bytes = 0;
  absl::Duration elapsed;

  // Of every collection, in order; the last two are those that counted live
  // objects.
  std::vector<absl::Duration> pauses;

  // After each rebuild, the graph still alive.
  std::vector<int64_t> resident_bytes;
  int64_t peak_resident_bytes = 0;  // of the whole process
};

// Builds the graph `rebuilds` times from `text`, which is read from its start
// each time, and which errors call `file`. Calls `on_rebuilt` with the number
// of rebuilds done.
//
// REQUIRES: rebuilds > 0, `text` can seek.
absl::StatusOr<ChurnReport> Churn(std::istream& text, const std::string& file,
                                  int64_t rebuilds,
                                  absl::FunctionRef<void(int64_t)> on_rebuilt);

// The smallest value that at least `percent` per cent of `values` do not
// exceed; zero if there are none.
//
// REQUIRES: 0 < percent <= 100
absl::Duration Percentile(std::vector<absl::Duration> values, int percent);

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_CHURN_H_
