// Latency: how long operations take that allocate, and change references, while
// collections run.
//
//   bazel run -c opt //benchmarks:op_latency -- --operations=10000000
//
// An operation allocates 1 KiB of small objects, and makes four references of a
// graph of --nodes objects of 48 bytes refer elsewhere (live_graph.h). One
// thread does one after the other; collections run when the heap finds them
// due.
//
//   concurrent, incremental, stop_the_world   the modes of a heap
//   glibc, ...   the same graph and lists with new, and delete where Bibop
//                collects (raw_live_graph.h)
//
// Compares the 99.99th percentile of the time an operation took, in wall time.
// Figures that say `net` leave out the time in which the thread was ready to
// run and the system let others run. It is asked for where an operation took
// longer than 50 microseconds, and each thousand operations, so that it costs
// nothing; what shorter operations among the last thousand waited is so taken
// for the long one's.
//
// The heap grows to the size that it needs in --warm_up operations that are not
// measured. `max_faultless_us` is the longest operation during which, and the
// shorter ones before it, the system provided no memory: a page of 2 MiB takes
// it a tenth of a millisecond, but some milliseconds in a virtual machine whose
// host has to find it first.

#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bibop/base/run_delay.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/benchmarks/heap_flags.h"
#include "bibop/benchmarks/latencies.h"
#include "bibop/benchmarks/live_graph.h"
#include "bibop/benchmarks/raw_live_graph.h"
#include "bibop/gc.h"

ABSL_FLAG(int64_t, operations, 10'000'000, "operations of each run: 1 to 2^40");
ABSL_FLAG(int64_t, warm_up, 2'000'000,
          "operations before those that are measured: 0 to 2^40");
ABSL_FLAG(int64_t, nodes, 4'000'000, "nodes of the graph: 1 to 2^31");

namespace bibop::benchmarks {
namespace {

constexpr char kFigure[] = "p9999_us";

int64_t Now() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Of this thread: how often the system provided memory.
int64_t Faults() {
  rusage usage = {};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_minflt;
}

int64_t Waited() { return absl::ToInt64Nanoseconds(ThreadRunDelay()); }

void AddFigures(const std::string& prefix, const Latencies& latencies,
                std::vector<Figure>& figures) {
  const auto add = [&](const char* name, int64_t time) {
    figures.push_back(
        {absl::StrCat(prefix, name), static_cast<double>(time) / 1000});
  };
  add("p50_us", latencies.Quantile(0.5));
  add("p99_us", latencies.Quantile(0.99));
  add("p999_us", latencies.Quantile(0.999));
  add("p9999_us", latencies.Quantile(0.9999));
  add("max_us", latencies.max());
}

// Times so many calls of `graph.Operate()`, after those to warm up. Calls
// `started` between.
template <class Graph>
RunResult Measure(Graph& graph, int64_t operations, auto started) {
  constexpr int64_t kLong = 50'000;
  constexpr int64_t kBetweenLooks = 1000;
  for (int64_t i = 0; i < absl::GetFlag(FLAGS_warm_up); ++i) graph.Operate();
  started();
  Latencies wall;
  Latencies net;
  int64_t max_faultless = 0;
  int64_t faults = Faults();
  int64_t waited = Waited();
  const int64_t start = Now();
  int64_t before = start;
  for (int64_t i = 0; i < operations; ++i) {
    graph.Operate();
    int64_t now = Now();
    const int64_t took = now - before;
    int64_t others = 0;
    if (took > kLong || i % kBetweenLooks == 0) [[unlikely]] {
      const int64_t waited_before = waited;
      waited = Waited();
      if (took > kLong) others = std::min(waited - waited_before, took);
      const int64_t faults_before = std::exchange(faults, Faults());
      if (faults == faults_before)
        max_faultless = std::max(max_faultless, took - others);
      // What that took is nobody's.
      now = Now();
    }
    wall.Add(took);
    net.Add(took - others);
    before = now;
  }
  RunResult result = {.units = operations};
  AddFigures("", wall, result.figures);
  AddFigures("net_", net, result.figures);
  result.figures.push_back(
      {"max_faultless_us", static_cast<double>(max_faultless) / 1000});
  result.figures.push_back(
      {"operations_s", static_cast<double>(before - start) / 1e9});
  result.figures.push_back({"checksum", static_cast<double>(graph.Checksum())});
  return result;
}

size_t Nodes() { return static_cast<size_t>(absl::GetFlag(FLAGS_nodes)); }

RunResult RunBibop(CollectionMode mode, int64_t operations) {
  HeapOptions options = HeapOptionsFromFlags();
  options.mode = mode;
  const auto heap = Heap::Create(options).value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  LiveGraph graph(mutator, scope, Nodes());
  int64_t cycles = 0;
  RunResult result =
      Measure(graph, operations, [&] { cycles = heap->stats().cycles; });
  const HeapStats stats = heap->stats();
  result.figures.push_back(
      {"cycles", static_cast<double>(stats.cycles - cycles)});
  result.figures.push_back(
      {"minor_cycles", static_cast<double>(stats.minor_cycles)});
  result.figures.push_back(
      {"heap_mib", static_cast<double>(stats.block_bytes) / (1 << 20)});
  result.figures.push_back(
      {"longest_pause_us", absl::ToDoubleMicroseconds(stats.max_pause)});
  return result;
}

RunResult RunNewDelete(int64_t operations) {
  RawLiveGraph graph(Nodes());
  return Measure(graph, operations, [] {});
}

absl::StatusOr<std::vector<Contest>> Contests() {
  const int64_t operations = absl::GetFlag(FLAGS_operations);
  absl::Status status =
      CheckFlag("operations", operations, 1, int64_t{1} << 40);
  status.Update(
      CheckFlag("warm_up", absl::GetFlag(FLAGS_warm_up), 0, int64_t{1} << 40));
  status.Update(
      CheckFlag("nodes", absl::GetFlag(FLAGS_nodes), 1, int64_t{1} << 31));
  status.Update(CheckHeapFlags());
  if (!status.ok()) return status;
  Contest contest = {
      .name = "operations",
      .size = operations,
      .unit = "operations",
      .figure = kFigure,
      .other_figures = {"p50_us", "p99_us", "p999_us", "max_us", "net_p9999_us",
                        "net_max_us", "max_faultless_us", "operations_s",
                        "cycles", "heap_mib"},
      .reference = "stop_the_world",
      .contestants = OnEveryMalloc(RunNewDelete)};
  const auto in_mode = [](const char* name, CollectionMode mode) -> Contestant {
    return {.name = name,
            .run = [mode](int64_t size) { return RunBibop(mode, size); }};
  };
  contest.contestants.insert(
      contest.contestants.begin(),
      {in_mode("concurrent", CollectionMode::kConcurrent),
       in_mode("incremental", CollectionMode::kIncremental),
       in_mode("stop_the_world", CollectionMode::kStopTheWorld)});
  return std::vector<Contest>{contest};
}

std::vector<Derived> DeriveFromMedians(Figures median) {
  return {{"concurrent net p99.99 in us",
           median("operations", "concurrent", "net_p9999_us"), 100}};
}

std::vector<Derived> DeriveFromLargest(Figures largest) {
  return {{"concurrent net max in us, worst run",
           largest("operations", "concurrent", "net_max_us"), 3000},
          {"concurrent max in us without page faults, worst run",
           largest("operations", "concurrent", "max_faultless_us"), 3000}};
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description = "Measures how long operations take while collections "
                      "run.",
       .contests = bibop::benchmarks::Contests,
       .derive = bibop::benchmarks::DeriveFromMedians,
       .derive_from_largest = bibop::benchmarks::DeriveFromLargest});
}
