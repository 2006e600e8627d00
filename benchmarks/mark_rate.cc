// Marking: how fast one marker finds the live objects.
//
//   bazel run -c opt //benchmarks:mark_rate -- --objects=4000000
//
// Compares nanoseconds of the marking thread's processor time per object, the
// median of the marks of a run. Nothing else happens meanwhile: the marker is
// called with no mutator and no other marker around, as in a collection that
// stops the world. All objects have 48 bytes and up to three Members; there is
// a contest for each way in which they may refer to each other, see
// graph_shapes.h.
//
//   bibop   Marker in an ObjectHeap
//   ideal   an array, a bitmap and a marker that knows nothing else:
//           ideal_marker.h
//   simple  a stack, and neither queue nor prefetching, on the same heap as
//           bibop: for a list, where there is nothing to prefetch, the least
//           that can be done

#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/benchmarks/graph_shapes.h"
#include "bibop/benchmarks/ideal_marker.h"
#include "bibop/benchmarks/report.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/marks.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"
#include "bibop/marker/marker.h"
#include "bibop/marker/member.h"

ABSL_FLAG(int64_t, objects, 4'000'000, "objects of a graph: 1 to 2^31");
ABSL_FLAG(int, marks, 5, "marks of each run: 1 to 1000");

namespace bibop::benchmarks {
namespace {

constexpr char kFigure[] = "ns_per_object";

absl::Duration ThreadTime() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return absl::DurationFromTimespec(now);
}

// Returns the figures of a run in which `mark` marks `objects` objects.
RunResult ResultOf(int64_t objects, absl::Duration median) {
  const double per_object =
      absl::ToDoubleNanoseconds(median) / static_cast<double>(objects);
  return {.units = objects,
          .figures = {{kFigure, per_object},
                      {"mobjects_per_s", 1000 / per_object}}};
}

// ---- with Bibop ----

struct Node {
  void Trace(auto& visitor) const { visitor(edges); }

  std::array<Member<Node>, kEdges> edges;
  std::array<int64_t, 3> values = {};
};
static_assert(kTypeInfo<Node>.cell_size == 48);

// Marks everything that is reachable from a root; returns how many objects.
using MarkFrom = int64_t (*)(ObjectHeap& heap, const Node* root);

int64_t MarkWithMarker(ObjectHeap& heap, const Node* root) {
  Marker marker(heap);
  marker.VisitRoot(root);
  marker.Drain();
  return marker.counts().objects;
}

int64_t MarkSimply(ObjectHeap& heap, const Node* root) {
  const MarkByte mark = heap.marks().old();
  std::vector<const Node*> stack = {root};
  int64_t marked = 0;
  while (!stack.empty()) {
    const Node* const node = stack.back();
    stack.pop_back();
    BlockDescriptor* const block = Cage::DescriptorOf(node);
    const size_t index =
        block->CellIndex(block->OffsetInRun(Cage::OffsetInBlock(node)));
    if (block->MarkOf(index) == mark) continue;
    block->Mark(index, mark);
    ++marked;
    for (const Member<Node>& edge : node->edges) {
      if (edge) stack.push_back(edge.get());
    }
  }
  return marked;
}

// Returns the objects, in the order of their numbers.
std::vector<Node*> Build(const GraphShape& shape, LocalAllocator& allocator) {
  std::vector<Node*> nodes(shape.edges.size());
  for (Node*& node : nodes) {
    void* cell = allocator.TryAllocate<Node>();
    if (cell == nullptr) {
      cell =
          allocator.AllocateSlow(kTypeInfo<Node>, kTypeId<Node>, sizeof(Node))
              .value();
    }
    node = new (cell) Node();
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (int edge = 0; edge < kEdges; ++edge) {
      const uint32_t target = shape.edges[i][edge];
      if (target != kNoEdge) {
        nodes[i]->edges[edge] = Member<Node>(nodes[target]);
      }
    }
  }
  return nodes;
}

RunResult RunInHeap(const GraphShape& shape, MarkFrom mark) {
  const auto heap = ObjectHeap::Create(Cage::kCapacity).value();
  LocalAllocator allocator = LocalAllocator::Create(*heap).value();
  const Node* const root = Build(shape, allocator)[shape.root];
  int64_t marked = 0;
  std::vector<double> times;
  for (int i = 0; i < absl::GetFlag(FLAGS_marks); ++i) {
    heap->FinishSweep();
    allocator.Retire();
    heap->BeginMark();
    const absl::Duration start = ThreadTime();
    marked = mark(*heap, root);
    times.push_back(absl::ToDoubleSeconds(ThreadTime() - start));
    heap->FinishMark();
    heap->EndClearing();
    heap->StartSweep();
  }
  return ResultOf(marked, absl::Seconds(Summarize(times).median));
}

// ---- the ideal ----

RunResult RunIdeal(const GraphShape& shape) {
  IdealMarker marker(shape);
  int64_t marked = 0;
  std::vector<double> times;
  for (int i = 0; i < absl::GetFlag(FLAGS_marks); ++i) {
    const absl::Duration start = ThreadTime();
    marked = marker.Mark();
    times.push_back(absl::ToDoubleSeconds(ThreadTime() - start));
  }
  return ResultOf(marked, absl::Seconds(Summarize(times).median));
}

// ---- the contests ----

struct Row {
  const char* name;
  GraphShape (*shape)(uint32_t objects);
};

const Row kRows[] = {
    {"random", RandomGraph},         {"ordered_tree", OrderedTree},
    {"shuffled_tree", ShuffledTree}, {"ordered_list", OrderedList},
    {"shuffled_list", ShuffledList},
};

absl::StatusOr<std::vector<Contest>> Contests() {
  const int64_t objects = absl::GetFlag(FLAGS_objects);
  absl::Status status = CheckFlag("objects", objects, 1, int64_t{1} << 31);
  status.Update(CheckFlag("marks", absl::GetFlag(FLAGS_marks), 1, 1000));
  if (!status.ok()) return status;
  std::vector<Contest> contests;
  for (const Row& row : kRows) {
    const auto shape = [&row](int64_t size) {
      return row.shape(static_cast<uint32_t>(size));
    };
    contests.push_back(
        {.name = row.name,
         .size = objects,
         .unit = "objects marked",
         .figure = kFigure,
         .other_figures = {"mobjects_per_s", "peak_mib"},
         .reference = "ideal",
         .contestants = {
             {.name = "bibop",
              .run =
                  [shape](int64_t size) {
                    return RunInHeap(shape(size), MarkWithMarker);
                  }},
             {.name = "ideal",
              .run = [shape](int64_t size) { return RunIdeal(shape(size)); }},
             {.name = "simple", .run = [shape](int64_t size) {
                return RunInHeap(shape(size), MarkSimply);
              }}}});
  }
  return contests;
}

std::vector<Derived> Derive(Figures median) {
  const auto ratio = [&](absl::string_view contest, absl::string_view other) {
    return median(contest, "bibop", kFigure) / median(contest, other, kFigure);
  };
  return {
      // At least 0.7 times as many objects a second.
      {"random bibop/ideal", ratio("random", "ideal"), 1 / 0.7},
      // No limit: there the processor prefetches by itself, and each
      // instruction counts.
      {"ordered_list bibop/simple", ratio("ordered_list", "simple")},
      {"shuffled_list bibop/simple", ratio("shuffled_list", "simple"), 1.2},
  };
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description = "Times one marker beside an ideal one.",
       .contests = bibop::benchmarks::Contests,
       .derive = bibop::benchmarks::Derive});
}
