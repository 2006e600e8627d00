#include "bibop/examples/pkgraphd/metrics.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bibop/base/json_writer.h"
#include "bibop/examples/pkgraphd/cycle_log.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {
namespace {

constexpr double kQuantiles[] = {0.5, 0.9, 0.99, 1};

// The text of one metric after the other.
class PrometheusWriter {
 public:
  void Gauge(std::string_view name, std::string_view help, double value) {
    Head(name, help, "gauge");
    Sample(name, "", value);
  }
  void Counter(std::string_view name, std::string_view help, double value) {
    Head(name, help, "counter");
    Sample(name, "", value);
  }

  // What comes before the samples of a metric that has several.
  void Head(std::string_view name, std::string_view help,
            std::string_view type) {
    absl::StrAppend(&text_, "# HELP ", name, " ", help, "\n# TYPE ", name, " ",
                    type, "\n");
  }
  // `labels` is empty or has its braces.
  void Sample(std::string_view name, std::string_view labels, double value) {
    absl::StrAppend(&text_, name, labels, " ");
    // As JSON has it: every digit that counts.
    absl::StrAppend(&text_, JsonWriter().Number(value).text(), "\n");
  }

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

double D(int64_t n) { return static_cast<double>(n); }
int64_t Microseconds(absl::Duration duration) {
  return absl::ToInt64Microseconds(duration);
}

void AddHeap(const Metrics& metrics, PrometheusWriter& out) {
  const HeapStats& heap = metrics.heap;
  out.Gauge("bibop_heap_live_bytes",
            "What the last collection found alive, in bytes.",
            D(heap.live_bytes));
  out.Gauge("bibop_heap_live_objects",
            "What the last collection found alive, in objects.",
            D(heap.live_objects));
  out.Gauge("bibop_heap_block_bytes",
            "The blocks in use, free cells included, in bytes.",
            D(heap.block_bytes));
  out.Gauge("bibop_heap_free_resident_bytes",
            "Free blocks that were not given back, in bytes.",
            D(heap.free_resident_bytes));
  out.Counter("bibop_heap_allocated_bytes_total", "What was allocated.",
              D(heap.allocated_bytes));
  out.Counter("bibop_heap_lock_waits_total",
              "How often a thread waited for the heap's lock.",
              D(heap.lock_waits));
  out.Counter("bibop_heap_lock_wait_seconds_total",
              "How long that was, of all threads.",
              absl::ToDoubleSeconds(heap.lock_wait_time));
  out.Counter("bibop_gc_cycles_total", "Collections.", D(heap.cycles));
  out.Gauge("bibop_gc_max_pause_seconds", "The longest pause so far.",
            absl::ToDoubleSeconds(heap.max_pause));
  constexpr std::string_view kPause = "bibop_gc_recent_pause_seconds";
  out.Head(kPause, "The pauses of the last collections: quantiles.", "gauge");
  const std::vector<absl::Duration> pauses = SortedPauses(metrics.cycles);
  for (const double quantile : kQuantiles) {
    out.Sample(kPause, absl::StrCat("{quantile=\"", quantile, "\"}"),
               absl::ToDoubleSeconds(Quantile(pauses, quantile)));
  }
  out.Counter("bibop_gc_pause_seconds_total", "The sum of all pauses.",
              absl::ToDoubleSeconds(heap.total_pause));
  out.Gauge("bibop_async_scopes", "AsyncHandleScopes: tasks that hold objects.",
            D(static_cast<int64_t>(metrics.async_scopes)));
}

void AddService(const Metrics& metrics, PrometheusWriter& out) {
  const HttpServerStats& http = metrics.http;
  out.Gauge("pkgraphd_open_connections", "Connections.",
            D(http.open_connections));
  out.Gauge("pkgraphd_requests_in_flight", "Requests that are being answered.",
            D(http.requests_in_flight));
  out.Counter("pkgraphd_connections_total",
              "Connections, the refused ones too.",
              D(http.connections_accepted));
  out.Counter("pkgraphd_connections_refused_total",
              "Connections beyond the limit.", D(http.connections_refused));
  out.Counter("pkgraphd_requests_malformed_total",
              "Requests that were no HTTP.", D(http.requests_malformed));
  out.Counter("pkgraphd_requests_timed_out_total",
              "Requests that were sent too slowly.",
              D(http.requests_timed_out));
  out.Counter("pkgraphd_answers_timed_out_total",
              "Answers that the client did not take.",
              D(http.answers_timed_out));
  out.Counter("pkgraphd_handler_failures_total",
              "Answers that failed or were cut short.",
              D(http.handler_failures));
  constexpr std::string_view kResponses = "pkgraphd_responses_total";
  out.Head(kResponses, "Answers, by the class of their status.", "counter");
  for (size_t i = 1; i < http.responses_by_class.size(); ++i) {
    out.Sample(kResponses, absl::StrCat("{code=\"", i, "xx\"}"),
               D(http.responses_by_class[i]));
  }
  out.Counter("pkgraphd_loads_total", "How often an index was read.",
              D(metrics.loads));
  out.Counter("pkgraphd_load_failures_total",
              "How often that failed, and the old index stayed.",
              D(metrics.load_failures));
  out.Gauge("pkgraphd_graphs_alive",
            "Graphs that are alive, or were not swept yet.",
            D(metrics.graphs_alive));
  out.Gauge("process_resident_memory_bytes", "Resident memory, in bytes.",
            D(metrics.resident_bytes));
  out.Gauge("pkgraphd_uptime_seconds", "Since the start.",
            absl::ToDoubleSeconds(metrics.uptime));
}

}  // namespace

std::string PrometheusText(const Metrics& metrics) {
  PrometheusWriter out;
  AddHeap(metrics, out);
  AddService(metrics, out);
  return out.text();
}

std::string ToJson(const Metrics& metrics) {
  const HeapStats& heap = metrics.heap;
  JsonWriter json;
  json.BeginObject();
  json.Key("uptime_us").Integer(Microseconds(metrics.uptime));
  json.Key("live_bytes").Integer(heap.live_bytes);
  json.Key("block_bytes").Integer(heap.block_bytes);
  json.Key("resident_bytes").Integer(metrics.resident_bytes);
  json.Key("allocated_bytes").Integer(heap.allocated_bytes);
  json.Key("live_objects").Integer(heap.live_objects);
  json.Key("collections").Integer(heap.cycles);
  json.Key("max_pause_us").Integer(Microseconds(heap.max_pause));
  json.Key("async_scopes").Integer(static_cast<int64_t>(metrics.async_scopes));
  json.Key("connections").Integer(metrics.http.open_connections);
  json.Key("in_flight").Integer(metrics.http.requests_in_flight);
  int64_t responses = 0;
  for (const int64_t n : metrics.http.responses_by_class) responses += n;
  json.Key("responses").Integer(responses);
  json.Key("loads").Integer(metrics.loads);
  json.Key("graphs_alive").Integer(metrics.graphs_alive);
  json.Key("cycles").BeginArray();
  for (const CycleStats& cycle : metrics.cycles) {
    json.BeginObject().Key("cycle").Integer(cycle.cycle);
    json.Key("initial_pause_us").Integer(Microseconds(cycle.initial_pause));
    json.Key("final_pause_us").Integer(Microseconds(cycle.final_pause));
    json.Key("mark_us").Integer(Microseconds(cycle.mark_time));
    json.Key("live_bytes").Integer(cycle.live_bytes).EndObject();
  }
  json.EndArray().EndObject();
  return json.text() + "\n";
}

}  // namespace bibop::pkgraphd
