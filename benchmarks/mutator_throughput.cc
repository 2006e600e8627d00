// Throughput: what a collection on another processor costs a mutator.
//
//   bazel run -c opt //benchmarks:mutator_throughput -- --nodes=4000000
//
// A mutator works on a graph (live_graph.h) while another thread keeps another
// processor busy:
//
//   cycle   collects, one collection after the other
//   stream  reads memory, as many bytes as the heap's objects have, from one
//           end to the other, again and again: what anybody who needs memory as
//           a marker does costs the mutator
//   alone   does nothing
//
// Compares the mutator's nanoseconds per operation, pauses included, and
// without the time in which it was ready to run and the system let others run.
// The mutator's thread is bound to one processor, all others, those of the heap
// too, to a second one; where there is but one the figures mean nothing.
//
// The work comes in rounds, and there is as much free memory before each as it
// allocates, swept and in the process's hands, so that the mutator does the
// same whether or not something collects.

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/base/run_delay.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/benchmarks/live_graph.h"
#include "bibop/benchmarks/observe.h"
#include "bibop/gc.h"
#include "bibop/heap/cage.h"

ABSL_FLAG(int64_t, nodes, 4'000'000, "nodes of the graph: 1 to 2^31");
ABSL_FLAG(int64_t, operations, 200'000, "operations of a round: 1 to 2^40");
ABSL_FLAG(int, rounds, 10, "rounds of each run: 1 to 10000");

namespace bibop::benchmarks {
namespace {

constexpr char kFigure[] = "ns_per_operation";

// Binds the calling thread to the n-th processor of those it may use. Threads
// that it starts are bound to the same.
void BindTo(int n, const cpu_set_t& allowed) {
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || n-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
    return;
  }
  std::cerr << "there is but one processor: do not believe the figures\n";
}

// What the other thread does again and again.
using Disturb = std::function<void()>;

Disturb Cycle(Heap& heap) {
  return [&heap] { heap.Collect(); };
}

Disturb Stream(Heap& heap) {
  const auto words =
      static_cast<size_t>(heap.stats().live_bytes) / sizeof(int64_t);
  // Written, for pages that nobody wrote are all the same one.
  const auto memory = std::make_shared<std::vector<int64_t>>(words, 1);
  return [memory] {
    const int64_t sum =
        std::accumulate(memory->begin(), memory->end(), int64_t{0});
    Observe(&sum);
  };
}

Disturb Alone(Heap& /*heap*/) {
  return [] { absl::SleepFor(absl::Milliseconds(1)); };
}

// A run. The calling thread is the mutator's.
class Work {
 public:
  explicit Work(int64_t operations) : operations_(operations) {
    CPU_ZERO(&allowed_);
    pthread_getaffinity_np(pthread_self(), sizeof(allowed_), &allowed_);
  }

  RunResult Run(Disturb (*disturbance)(Heap& heap)) {
    int64_t cycles = 0;
    absl::Duration pauses;
    // The heap's threads are bound as this one is.
    BindTo(1, allowed_);
    const auto heap =
        Heap::Create({.min_budget_bytes = Cage::kCapacity,
                      .decommit_half_life = absl::InfiniteDuration(),
                      .on_cycle_end =
                          [&](const CycleStats& cycle) {
                            ++cycles;
                            pauses += cycle.pause;
                          }})
            .value();
    BindTo(0, allowed_);
    MutatorScope mutator(*heap);
    HandleScope scope(mutator);
    LiveGraph graph(mutator, scope,
                    static_cast<size_t>(absl::GetFlag(FLAGS_nodes)));
    // So that there is memory for a round, twice: what is born while something
    // marks is not free after that.
    for (int64_t i = 0; i < 2 * operations_; ++i) graph.Operate();
    PrepareRound(*heap, mutator);
    const Disturb disturb = disturbance(*heap);
    Round(mutator, graph, disturb);  // to warm up
    absl::Duration total;
    const int rounds = absl::GetFlag(FLAGS_rounds);
    for (int i = 0; i < rounds; ++i) {
      PrepareRound(*heap, mutator);
      total += Round(mutator, graph, disturb);
    }
    const int64_t operations = rounds * operations_;
    return {.units = operations,
            .figures = {{kFigure, absl::ToDoubleNanoseconds(total) /
                                      static_cast<double>(operations)},
                        {"cycles", static_cast<double>(cycles)},
                        {"pauses_ms", absl::ToDoubleMilliseconds(pauses)}}};
  }

 private:
  // Leaves what was allocated so far free, and swept.
  static void PrepareRound(Heap& heap, Mutator& mutator) {
    heap.Collect();
    const ParkedScope parked(mutator);
    absl::SleepFor(absl::Milliseconds(200));
  }

  // Returns the time of a round.
  absl::Duration Round(Mutator& mutator, LiveGraph& graph,
                       const Disturb& disturb) {
    std::atomic<bool> started = false;
    std::atomic<bool> done = false;
    std::thread other([&] {
      BindTo(1, allowed_);
      started.store(true, std::memory_order_relaxed);
      while (!done.load(std::memory_order_relaxed)) disturb();
    });
    while (!started.load(std::memory_order_relaxed)) std::this_thread::yield();
    const absl::Time start = absl::Now();
    const absl::Duration waited = ThreadRunDelay();
    for (int64_t i = 0; i < operations_; ++i) graph.Operate();
    const absl::Duration took =
        absl::Now() - start - (ThreadRunDelay() - waited);
    done.store(true, std::memory_order_relaxed);
    const ParkedScope parked(mutator);
    other.join();
    return took;
  }

  const int64_t operations_;
  cpu_set_t allowed_;
};

absl::StatusOr<std::vector<Contest>> Contests() {
  const int64_t operations = absl::GetFlag(FLAGS_operations);
  absl::Status status =
      CheckFlag("operations", operations, 1, int64_t{1} << 40);
  status.Update(
      CheckFlag("nodes", absl::GetFlag(FLAGS_nodes), 1, int64_t{1} << 31));
  status.Update(CheckFlag("rounds", absl::GetFlag(FLAGS_rounds), 1, 10'000));
  if (!status.ok()) return status;
  const auto contestant = [](const char* name,
                             Disturb (*disturbance)(Heap&)) -> Contestant {
    return {.name = name, .run = [disturbance](int64_t size) {
              return Work(size).Run(disturbance);
            }};
  };
  return std::vector<Contest>{
      {.name = "mutator",
       .size = operations,
       .unit = "operations",
       .figure = kFigure,
       .other_figures = {"cycles", "pauses_ms"},
       .reference = "stream",
       .contestants = {contestant("cycle", Cycle), contestant("stream", Stream),
                       contestant("alone", Alone)}}};
}

std::vector<Derived> Derive(Figures median) {
  // At least 0.85 times as many operations a second.
  return {{"ns per operation, cycle/stream",
           median("mutator", "cycle", kFigure) /
               median("mutator", "stream", kFigure),
           1 / 0.85}};
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description = "Measures what a collection on another processor costs a "
                      "mutator.",
       .contests = bibop::benchmarks::Contests,
       .derive = bibop::benchmarks::Derive});
}
