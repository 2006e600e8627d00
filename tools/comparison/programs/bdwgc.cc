// bdwgc, the collector of Boehm, Demers and Weiser: conservative. Its best
// settings come from the environment (tools/compare sets them).
//
// The array of numbers is allocated as such. Nodes are not: with a descriptor
// of where their references are, marking was no faster, and they were larger.

#include <gc/gc.h>
#include <gc/gc_mark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "bibop/tools/comparison/programs/peer.h"
#include "bibop/tools/comparison/programs/workloads.h"

namespace bibop::compare {
namespace {

int64_t mark_start;
std::vector<int64_t> mark_times;

void OnCollectionEvent(GC_EventType event) {
  if (event == GC_EVENT_MARK_START) mark_start = Read(CLOCK_THREAD_CPUTIME_ID);
  if (event == GC_EVENT_MARK_END) {
    mark_times.push_back(Read(CLOCK_THREAD_CPUTIME_ID) - mark_start);
  }
}

struct Bdwgc {
  struct Pair {
    Pair* left;
    Pair* right;
  };
  struct Quad {
    Quad* left;
    Quad* right;
    int32_t i;
    int32_t j;
  };
  struct Node {
    std::array<Node*, 3> edges;
    std::array<int64_t, 3> values;
  };
  struct Small {
    Small* next;
    std::array<int64_t, 3> values;
  };
  struct Object {
    Object* next;
    std::array<std::byte, 24> rest;
  };

  template <class T>
  static T* New() {
    return static_cast<T*>(GC_MALLOC(sizeof(T)));
  }

  template <class T>
  struct Elements {
    T& operator[](int64_t i) { return first[i]; }
    T first[1];
  };
  static Elements<Node*>* NewTable(size_t n) {
    return static_cast<Elements<Node*>*>(
        GC_MALLOC_IGNORE_OFF_PAGE(n * sizeof(Node*)));
  }
  static Elements<double>* NewDoubles(size_t n) {
    return static_cast<Elements<double>*>(GC_MALLOC_ATOMIC(n * sizeof(double)));
  }

  template <class T>
  using Keep = T*;

  static void Poll() {}
};

Result MarkRate(int64_t objects, int64_t marks) {
  Bdwgc::Node* const root = MakeRandomGraph<Bdwgc>(objects);
  GC_gcollect();
  mark_times.clear();
  GC_set_on_collection_event(OnCollectionEvent);
  for (int64_t i = 0; i < marks; ++i) GC_gcollect();
  GC_set_on_collection_event(nullptr);
  return MarkResult(CountReachable<Bdwgc>(root), mark_times);
}

int Main(const Arguments& arguments) {
  GC_INIT();
  const std::string& workload = arguments.workload();
  if (workload == "binary_trees") {
    Print(Timed([&] {
      return BinaryTrees<Bdwgc>(static_cast<int>(arguments.number(0)));
    }));
  } else if (workload == "gcbench") {
    Print(Timed(
        [&] { return GcBench<Bdwgc>(static_cast<int>(arguments.number(0))); }));
  } else if (workload == "alloc") {
    Print(Allocate<Bdwgc>(arguments.number(0)));
  } else if (workload == "latency") {
    Print(Latency<Bdwgc>(arguments.number(0), arguments.number(1),
                         arguments.number(2)));
  } else if (workload == "mark_rate") {
    Print(MarkRate(arguments.number(0), arguments.number(1)));
  } else {
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace bibop::compare

int main(int argc, char** argv) {
  return bibop::compare::Main(bibop::compare::Arguments(argc, argv));
}
