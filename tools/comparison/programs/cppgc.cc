// cppgc, V8's collector for C++ (Oilpan), without V8: marking and sweeping run
// beside the program and in steps, and the stack is scanned conservatively. Its
// tasks run between operations, as in an event loop. The environment has its
// settings: CPPGC_INITIAL_HEAP_MIB, and CPPGC_ATOMIC, with which it does all at
// once.

#include <cppgc/allocation.h>
#include <cppgc/default-platform.h>
#include <cppgc/garbage-collected.h>
#include <cppgc/heap.h>
#include <cppgc/member.h>
#include <cppgc/persistent.h>
#include <cppgc/platform.h>
#include <cppgc/visitor.h>
#include <v8-initialization.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bibop/benchmarks/observe.h"
#include "bibop/tools/comparison/programs/peer.h"
#include "bibop/tools/comparison/programs/workloads.h"

namespace bibop::compare {
namespace {

std::shared_ptr<cppgc::DefaultPlatform> platform;
std::unique_ptr<cppgc::Heap> heap;
cppgc::AllocationHandle* allocation;

struct Cppgc {
  struct Pair final : cppgc::GarbageCollected<Pair> {
    void Trace(cppgc::Visitor* visitor) const {
      visitor->Trace(left);
      visitor->Trace(right);
    }

    cppgc::Member<Pair> left;
    cppgc::Member<Pair> right;
  };
  struct Quad final : cppgc::GarbageCollected<Quad> {
    void Trace(cppgc::Visitor* visitor) const {
      visitor->Trace(left);
      visitor->Trace(right);
    }

    cppgc::Member<Quad> left;
    cppgc::Member<Quad> right;
    int32_t i = 0;
    int32_t j = 0;
  };
  struct Node final : cppgc::GarbageCollected<Node> {
    void Trace(cppgc::Visitor* visitor) const {
      for (const auto& edge : edges) visitor->Trace(edge);
    }

    std::array<cppgc::Member<Node>, 3> edges;
    std::array<int64_t, 3> values = {};
  };
  struct Small final : cppgc::GarbageCollected<Small> {
    void Trace(cppgc::Visitor* visitor) const { visitor->Trace(next); }

    cppgc::Member<Small> next;
    std::array<int64_t, 3> values = {};
  };
  struct Object final : cppgc::GarbageCollected<Object> {
    Object() : next(nullptr) {}
    void Trace(cppgc::Visitor* visitor) const { visitor->Trace(next); }

    cppgc::Member<Object> next;
    // With the header as large as everybody's.
    std::array<std::byte, 16> rest;
  };
  // References behind the object.
  struct Table final : cppgc::GarbageCollected<Table> {
    explicit Table(size_t n) : size(n) {
      for (size_t i = 0; i < n; ++i) new (&first()[i]) cppgc::Member<Node>();
    }
    void Trace(cppgc::Visitor* visitor) const {
      auto* const members = const_cast<Table*>(this)->first();
      for (size_t i = 0; i < size; ++i) visitor->Trace(members[i]);
    }
    cppgc::Member<Node>* first() {
      return reinterpret_cast<cppgc::Member<Node>*>(this + 1);
    }
    cppgc::Member<Node>& operator[](size_t i) { return first()[i]; }

    size_t size;
  };

  template <class T>
  static T* New() {
    return cppgc::MakeGarbageCollected<T>(*allocation);
  }
  static cppgc::Persistent<Table> NewTable(size_t n) {
    return cppgc::MakeGarbageCollected<Table>(
        *allocation, cppgc::AdditionalBytes(n * sizeof(cppgc::Member<Node>)),
        n);
  }
  // Who owns arrays of numbers otherwise has them outside the heap.
  static std::unique_ptr<std::vector<double>> NewDoubles(size_t n) {
    return std::make_unique<std::vector<double>>(n);
  }

  template <class T>
  using Keep = cppgc::Persistent<T>;

  // Once in a while: a look at the queue takes a lock.
  static void Poll() {
    static int calls = 0;
    if (++calls % 64 != 0) return;
    while (v8::platform::PumpMessageLoop(platform->GetV8Platform(), nullptr)) {
    }
  }
};

Result MarkRate(int64_t objects, int64_t marks) {
  const cppgc::Persistent<Cppgc::Node> root = MakeRandomGraph<Cppgc>(objects);
  const auto collect = [] {
    heap->ForceGarbageCollectionSlow(
        "compare", "mark rate", cppgc::EmbedderStackState::kNoHeapPointers);
  };
  collect();
  std::vector<int64_t> times;
  for (int64_t i = 0; i < marks; ++i) {
    const int64_t start = Read(CLOCK_THREAD_CPUTIME_ID);
    collect();
    times.push_back(Read(CLOCK_THREAD_CPUTIME_ID) - start);
  }
  return MarkResult(CountReachable<Cppgc>(root.Get()), times);
}

[[gnu::noinline]] void StoreBatch(Cppgc::Table& row, Cppgc::Node* const& node) {
  for (int i = 0; i < 1000; ++i) {
    row[i] = node;
    benchmarks::Observe(&row[i]);
  }
}

Result Barrier(int64_t operations) {
  const cppgc::Persistent<Cppgc::Table> row = Cppgc::NewTable(1000);
  auto* const node = Cppgc::New<Cppgc::Node>();
  return TimedBatches(operations, "ns_per_operation",
                      [&] { StoreBatch(*row, node); });
}

[[gnu::noinline]] void OneByOne(Cppgc::Node* node) {
  for (int i = 0; i < 1000; ++i) {
    const cppgc::Persistent<Cppgc::Node> persistent(node);
    benchmarks::Observe(persistent.Get());
  }
}

Result Persistents(int64_t operations) {
  auto* const node = Cppgc::New<Cppgc::Node>();
  return TimedBatches(operations, "ns_per_operation", [&] { OneByOne(node); });
}

Result ThousandPersistents(int64_t operations) {
  auto* const node = Cppgc::New<Cppgc::Node>();
  std::vector<cppgc::Persistent<Cppgc::Node>> all(1000);
  return TimedBatches(operations, "ns_per_operation", [&] {
    for (auto& persistent : all) {
      persistent = node;
      benchmarks::Observe(persistent.Get());
    }
    for (int i = 0; i < 1000; ++i) all[i * 389 % 1000].Clear();
  });
}

// A setting from the environment, in bytes; 0 where there is none.
size_t InMib(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? 0 : std::strtoull(value, nullptr, 10) << 20;
}

int Main(const Arguments& arguments) {
  platform = std::make_shared<cppgc::DefaultPlatform>();
  // A cppgc that was built with V8 takes V8's tracing from there.
  v8::V8::InitializePlatform(platform->GetV8Platform());
  cppgc::InitializeProcess(platform->GetPageAllocator());
  auto options = cppgc::Heap::HeapOptions::Default();
  options.resource_constraints.initial_heap_size_bytes =
      InMib("CPPGC_INITIAL_HEAP_MIB");
  if (std::getenv("CPPGC_ATOMIC") != nullptr) {
    options.marking_support = cppgc::Heap::MarkingType::kAtomic;
    options.sweeping_support = cppgc::Heap::SweepingType::kAtomic;
  }
  heap = cppgc::Heap::Create(platform, std::move(options));
  allocation = &heap->GetAllocationHandle();
  const std::string& workload = arguments.workload();
  if (workload == "binary_trees") {
    Print(Timed([&] {
      return BinaryTrees<Cppgc>(static_cast<int>(arguments.number(0)));
    }));
  } else if (workload == "gcbench") {
    Print(Timed(
        [&] { return GcBench<Cppgc>(static_cast<int>(arguments.number(0))); }));
  } else if (workload == "alloc") {
    Print(Allocate<Cppgc>(arguments.number(0)));
  } else if (workload == "latency") {
    Print(Latency<Cppgc>(arguments.number(0), arguments.number(1),
                         arguments.number(2)));
  } else if (workload == "mark_rate") {
    Print(MarkRate(arguments.number(0), arguments.number(1)));
  } else if (workload == "barrier") {
    Print(Barrier(arguments.number(0)));
  } else if (workload == "persistent") {
    Print(Persistents(arguments.number(0)));
  } else if (workload == "persistent_thousand") {
    Print(ThousandPersistents(arguments.number(0)));
  } else {
    return 2;
  }
  std::fflush(stdout);
  // The heap is the system's to free.
  std::_Exit(0);
}

}  // namespace
}  // namespace bibop::compare

int main(int argc, char** argv) {
  return bibop::compare::Main(bibop::compare::Arguments(argc, argv));
}
