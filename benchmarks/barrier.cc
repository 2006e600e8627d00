// The barrier: what it costs to make a Member refer to another object while
// nothing collects, beside the store of a plain pointer.
//
//   bazel run -c opt //benchmarks:barrier -- --operations=100000000
//
// Compares nanoseconds of processor time per store. Stores come in batches of a
// thousand, one into each element of an array of objects, which stays in the
// first-level cache: what is measured is instructions. A batch is a function
// that the compiler sees alone, at four places in turn; layouts.h says why.
//
//   bibop    Member::operator=, in a process whose heaps have no generations
//   generations   the same in one with them
//   atomic   a release store of a std::atomic<Node*>, which a Member is
//   pointer  a store of a Node*

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/benchmarks/layouts.h"
#include "bibop/benchmarks/observe.h"
#include "bibop/benchmarks/race.h"
#include "bibop/gc.h"

ABSL_FLAG(int64_t, operations, 100'000'000,
          "stores of each run, in batches of 1000: 1000 to 2^40");

namespace bibop::benchmarks {
namespace {

constexpr int kBatch = 1000;
constexpr char kFigure[] = "ns_per_operation";

// Whose elements are stored into.
template <class Reference>
struct RowOf {
  std::array<Reference, kBatch> elements = {};
};

struct Node {
  void Trace(auto& visitor) const { visitor(next); }

  Member<Node> next;
};

struct Row : RowOf<Member<Node>> {
  void Trace(auto& visitor) const { visitor(elements); }
};

struct BibopStores {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(Row& row,
                                               Handle<Node> node) const {
    for (Member<Node>& element : row.elements) {
      element = node;
      Observe(&element);
    }
  }
};

struct AtomicStores {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(RowOf<std::atomic<Node*>>& row,
                                               Node* const& node) const {
    for (std::atomic<Node*>& element : row.elements) {
      element.store(node, std::memory_order_release);
      Observe(&element);
    }
  }
};

struct PointerStores {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(RowOf<Node*>& row,
                                               Node* const& node) const {
    for (Node*& element : row.elements) {
      element = node;
      Observe(&element);
    }
  }
};

RunResult ResultOf(const Race& race, int64_t operations) {
  return {.units = operations,
          .figures = {{kFigure, absl::ToDoubleNanoseconds(race.cpu()) /
                                    static_cast<double>(operations)}}};
}

RunResult RunBibop(bool generations, int64_t operations) {
  const auto heap = Heap::Create({.generations = generations}).value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  const Handle<Row> row = scope.New<Row>();
  const Handle<Node> node = scope.New<Node>();
  Race race(/*threads=*/1, operations / kBatch);
  Layouts<BibopStores, Row&, Handle<Node>> batch;
  race.Run([&] {
    race.Repeat([&] { batch(*row, node); }, [](auto wait) { wait(); });
  });
  return ResultOf(race, operations);
}

// The node is read from memory for each store, as it is through a Handle.
template <class Batch, class Reference>
RunResult RunRaw(int64_t operations) {
  RowOf<Reference> row;
  Node node;
  Node* const pointer = &node;
  Race race(/*threads=*/1, operations / kBatch);
  Layouts<Batch, RowOf<Reference>&, Node* const&> batch;
  race.Run([&] {
    race.Repeat([&] { batch(row, pointer); }, [](auto wait) { wait(); });
  });
  return ResultOf(race, operations);
}

absl::StatusOr<std::vector<Contest>> Contests() {
  const int64_t operations = absl::GetFlag(FLAGS_operations);
  absl::Status status =
      CheckFlag("operations", operations, kBatch, int64_t{1} << 40);
  if (!status.ok()) return status;
  return std::vector<Contest>{
      {.name = "barrier",
       .size = operations / kBatch * kBatch,
       .unit = "stores",
       .figure = kFigure,
       .reference = "pointer",
       .contestants = {
           {.name = "bibop", .run = std::bind_front(RunBibop, false)},
           {.name = "generations", .run = std::bind_front(RunBibop, true)},
           {.name = "atomic", .run = RunRaw<AtomicStores, std::atomic<Node*>>},
           {.name = "pointer", .run = RunRaw<PointerStores, Node*>}}}};
}

std::vector<Derived> Derive(Figures median) {
  return {{"barrier bibop/pointer",
           median("barrier", "bibop", kFigure) /
               median("barrier", "pointer", kFigure),
           1.5},
          {"barrier generations/pointer",
           median("barrier", "generations", kFigure) /
               median("barrier", "pointer", kFigure),
           1.15}};
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description = "Times stores of references while nothing collects.",
       .contests = bibop::benchmarks::Contests,
       .derive = bibop::benchmarks::Derive});
}
