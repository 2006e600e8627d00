// Metrics: what the service tells about itself, in two forms.
//
// Values, copied.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_METRICS_H_
#define BIBOP_EXAMPLES_PKGRAPHD_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/http_server_stats.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

struct Metrics {
  absl::Duration uptime = absl::ZeroDuration();
  HeapStats heap;
  size_t async_scopes = 0;
  std::vector<CycleStats> cycles;  // the last ones
  int64_t resident_bytes = 0;      // of the process
  HttpServerStats http;
  int64_t loads = 0;          // of an index, the first one too
  int64_t load_failures = 0;  // of these
  int64_t graphs_alive = 0;   // and those that were not swept yet
};

// In the text format of Prometheus, version 0.0.4.
std::string PrometheusText(const Metrics& metrics);

// As a JSON object, for the page /gcz: bytes, counts, and durations in
// microseconds.
std::string ToJson(const Metrics& metrics);

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_METRICS_H_
