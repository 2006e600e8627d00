// Pauses: how long a collection stops the mutators, and that it makes no
// difference how much is alive.
//
//   bazel run -c opt //benchmarks:pauses -- --nodes=4000000
//
// A thread asks for one collection after the other, with a short rest between
// them, while a mutator works on a graph of 48-byte objects (live_graph.h):
// it allocates, changes references, and polls. A run goes on until there were
// so many collections. The heaps' budgets are so large that other collections
// are rare, and that no mutator has to wait for the end of one. With --threads
// there are other mutators, each of which works on a small graph of its own.
//
//   graph        `large`, with all nodes, beside `small`, with one in a hundred
//   persistents  `many`, with the small graph and a Persistent for each of
//                --persistents nodes, beside `none`
//   tasks        `many`, with the small graph and --tasks AsyncHandleScopes of
//                four handles each, beside `few`, with one in a thousand
//
// Each collection has an initial and a final pause. Both are figures: in wall
// time, from the request to stop to the release of the mutators, and `net` of
// the time that the pausing thread was ready to run and the system let others
// run. What is compared is the median of the net initial pauses. What a mutator
// took to stop is part of both, even where it was not let run.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/benchmarks/heap_flags.h"
#include "bibop/benchmarks/latencies.h"
#include "bibop/benchmarks/live_graph.h"
#include "bibop/gc.h"

ABSL_FLAG(int64_t, nodes, 4'000'000, "nodes of the large graph: 100 to 2^31");
ABSL_FLAG(int64_t, persistents, 1'000'000, "how many: 1 to 2^31");
ABSL_FLAG(int64_t, tasks, 1'000'000, "how many: 1000 to 2^28");
ABSL_FLAG(int, cycles, 40, "collections of each run: 1 to 100000");
ABSL_FLAG(int, threads, 1, "mutators of each run: 1 to 1000");

namespace bibop::benchmarks {
namespace {

constexpr char kFigure[] = "initial_net_median_us";
constexpr absl::Duration kRest = absl::Milliseconds(20);
// What the other mutators work on.
constexpr size_t kOtherNodes = 100;

// One kind of pause, in wall time and net.
struct Pauses {
  void Add(absl::Duration pause, absl::Duration descheduled) {
    wall.Add(absl::ToInt64Nanoseconds(pause));
    net.Add(absl::ToInt64Nanoseconds(
        std::max(pause - descheduled, absl::ZeroDuration())));
  }

  Latencies wall;
  Latencies net;
};

void AddFigures(const std::string& name, const Latencies& times,
                std::vector<Figure>& figures) {
  const auto microseconds = [](int64_t time) {
    return static_cast<double>(time) / 1000;
  };
  figures.push_back({name + "_median_us", microseconds(times.Quantile(0.5))});
  figures.push_back({name + "_p99_us", microseconds(times.Quantile(0.99))});
  figures.push_back({name + "_max_us", microseconds(times.max())});
}

void AddFigures(const std::string& name, const Pauses& pauses,
                std::vector<Figure>& figures) {
  AddFigures(name, pauses.wall, figures);
  AddFigures(name + "_net", pauses.net, figures);
}

// A collection's statistics, from the thread that ran it: one at a time.
struct Seen {
  void Add(const CycleStats& cycle) {
    // Not while the graph is being built.
    if (cycle.cause != CycleCause::kRequested) return;
    initial.Add(cycle.initial_pause, cycle.initial_pause_descheduled);
    if (cycle.finish_attempts > 0) {
      final.Add(cycle.final_pause, cycle.final_pause_descheduled);
    }
    to_safepoint.Add(absl::ToInt64Nanoseconds(cycle.time_to_safepoint));
    mark_time.Add(absl::ToInt64Nanoseconds(cycle.mark_time));
    attempts += cycle.finish_attempts;
  }

  Pauses initial;
  Pauses final;
  Latencies to_safepoint;
  Latencies mark_time;
  int64_t attempts = 0;
};

// Works on `graph` as a mutator until `done`.
void Operate(LiveGraph& graph, Mutator& mutator,
             const std::atomic<bool>& done) {
  while (!done.load(std::memory_order_relaxed)) {
    graph.Operate();
    mutator.Safepoint();
  }
}

RunResult Run(int64_t nodes, int64_t persistents, int64_t tasks, int cycles) {
  Seen seen;
  HeapOptions options = HeapOptionsFromFlags();
  options.min_budget_bytes = size_t{256} << 20;
  options.on_cycle_end = [&seen](const CycleStats& cycle) { seen.Add(cycle); };
  const auto heap = Heap::Create(options).value();
  {
    MutatorScope mutator(*heap);
    Mutator& attached = mutator;
    HandleScope scope(mutator);
    LiveGraph graph(mutator, scope, static_cast<size_t>(nodes));
    std::vector<Persistent<LiveGraph::Node>> roots;
    roots.reserve(static_cast<size_t>(persistents));
    for (int64_t i = 0; i < persistents; ++i) {
      roots.emplace_back(attached, graph.AnyNode());
      attached.Safepoint();
    }
    std::vector<AsyncHandleScope> scopes;
    scopes.reserve(static_cast<size_t>(tasks));
    for (int64_t i = 0; i < tasks; ++i) {
      HandleScope one(mutator);
      AsyncHandleScope& task = scopes.emplace_back(*heap);
      for (int k = 0; k < 4; ++k) {
        task.Add(one.Local(graph.AnyNode()).ToHandleChecked());
      }
      attached.Safepoint();
    }
    std::atomic<bool> done = false;
    std::vector<std::thread> others;
    for (int i = 1; i < absl::GetFlag(FLAGS_threads); ++i) {
      others.emplace_back([&heap, &done] {
        MutatorScope other(*heap);
        HandleScope its_scope(other);
        LiveGraph its_graph(other, its_scope, kOtherNodes);
        Operate(its_graph, other, done);
      });
    }
    std::thread collector([&] {
      for (int i = 0; i < cycles; ++i) {
        heap->Collect();
        absl::SleepFor(kRest);
      }
      done.store(true, std::memory_order_relaxed);
    });
    Operate(graph, mutator, done);
    {
      const ParkedScope parked(mutator);
      collector.join();
      for (std::thread& other : others) other.join();
    }
  }
  RunResult result = {.units = cycles};
  AddFigures("initial", seen.initial, result.figures);
  AddFigures("final", seen.final, result.figures);
  AddFigures("to_safepoint", seen.to_safepoint, result.figures);
  AddFigures("mark", seen.mark_time, result.figures);
  result.figures.push_back(
      {"finish_attempts",
       static_cast<double>(seen.attempts) / static_cast<double>(cycles)});
  return result;
}

// Which contestants there are, the one with more first.
struct Row {
  const char* name;
  const char* more;
  const char* less;
};
constexpr Row kRows[] = {{"graph", "large", "small"},
                         {"persistents", "many", "none"},
                         {"tasks", "many", "few"}};

absl::StatusOr<std::vector<Contest>> Contests() {
  const int64_t nodes = absl::GetFlag(FLAGS_nodes);
  const int64_t persistents = absl::GetFlag(FLAGS_persistents);
  const int64_t tasks = absl::GetFlag(FLAGS_tasks);
  const int cycles = absl::GetFlag(FLAGS_cycles);
  absl::Status status = CheckFlag("nodes", nodes, 100, int64_t{1} << 31);
  status.Update(CheckFlag("persistents", persistents, 1, int64_t{1} << 31));
  status.Update(CheckFlag("tasks", tasks, 1000, int64_t{1} << 28));
  status.Update(CheckFlag("cycles", cycles, 1, 100'000));
  status.Update(CheckFlag("threads", absl::GetFlag(FLAGS_threads), 1, 1000));
  status.Update(CheckHeapFlags());
  if (!status.ok()) return status;
  const auto contestant = [cycles](const char* name, int64_t graph,
                                   int64_t roots,
                                   int64_t scopes) -> Contestant {
    return {.name = name, .run = [=](int64_t /*size*/) {
              return Run(graph, roots, scopes, cycles);
            }};
  };
  const auto contest = [](const Row& row, int64_t size,
                          std::vector<Contestant> contestants) -> Contest {
    return {
        .name = row.name,
        .size = size,
        .unit = "collections",
        .figure = kFigure,
        .other_figures = {"initial_net_p99_us", "initial_net_max_us",
                          "final_net_median_us", "final_net_p99_us",
                          "final_net_max_us", "initial_max_us", "final_max_us"},
        .reference = row.less,
        .contestants = std::move(contestants)};
  };
  return std::vector<Contest>{
      contest(kRows[0], nodes,
              {contestant("large", nodes, 0, 0),
               contestant("small", nodes / 100, 0, 0)}),
      contest(kRows[1], persistents,
              {contestant("many", nodes / 100, persistents, 0),
               contestant("none", nodes / 100, 0, 0)}),
      contest(kRows[2], tasks,
              {contestant("many", nodes / 100, 0, tasks),
               contestant("few", nodes / 100, 0, tasks / 1000)}),
  };
}

std::vector<Derived> DeriveFromMedians(Figures median) {
  std::vector<Derived> derived;
  for (const Row& row : kRows) {
    for (const char* pause : {"initial", "final"}) {
      for (const char* time : {"net_median_us", "median_us"}) {
        const std::string figure = absl::StrCat(pause, "_", time);
        derived.push_back(
            {absl::StrCat(row.name, " ", figure, " ", row.more, "/", row.less),
             median(row.name, row.more, figure) /
                 median(row.name, row.less, figure),
             1.3});
      }
    }
  }
  return derived;
}

std::vector<Derived> DeriveFromLargest(Figures largest) {
  std::vector<Derived> derived;
  for (const Row& row : kRows) {
    for (const char* pause : {"initial", "final"}) {
      const std::pair<const char*, double> limits[] = {{"p99", 500},
                                                       {"max", 2000}};
      for (const auto& [quantile, limit] : limits) {
        const std::string figure =
            absl::StrCat(pause, "_net_", quantile, "_us");
        derived.push_back(
            {absl::StrCat(row.name, " ", row.more, " ", figure, ", worst run"),
             largest(row.name, row.more, figure), limit});
      }
    }
  }
  return derived;
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description = "Measures pauses of collections, with much and little "
                      "alive.",
       .contests = bibop::benchmarks::Contests,
       .derive = bibop::benchmarks::DeriveFromMedians,
       .derive_from_largest = bibop::benchmarks::DeriveFromLargest});
}
