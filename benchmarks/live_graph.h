// LiveGraph: a graph in a heap, and what a program does that works on it: it
// allocates small objects that soon die, and changes references.
//
// Used by a mutator's thread, in a scope that outlives it.

#ifndef BIBOP_BENCHMARKS_LIVE_GRAPH_H_
#define BIBOP_BENCHMARKS_LIVE_GRAPH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>

#include "bibop/gc.h"

namespace bibop::benchmarks {

class LiveGraph {
 public:
  // An object of the graph: 48 bytes.
  struct Node {
    void Trace(auto& visitor) const { visitor(edges); }

    std::array<Member<Node>, 3> edges;
    // The first is the node's number.
    std::array<int64_t, 3> values = {};
  };

  // Makes `objects` nodes, at least 1, that refer to each other at random. A
  // table in the heap, which refers to all, keeps them alive.
  LiveGraph(Mutator& mutator, HandleScope& scope, size_t objects);

  // What an operation allocates, and how many references it changes.
  static constexpr size_t kBytesPerOperation = 1024;
  static constexpr int kUpdatesPerOperation = 4;

  // Allocates a list of small objects, drops it, and makes as many edges refer
  // to another node, all chosen at random.
  void Operate();

  // A number from 0 to 2^31 - 1 for the whole graph: equal graphs have equal
  // numbers.
  int64_t Checksum() const;

  // A node at random.
  Member<Node>& AnyNode() { return (*table_)[random_() % table_->size()]; }

 private:
  // What an operation allocates.
  struct Small {
    void Trace(auto& visitor) const { visitor(next); }

    Member<Small> next;
    std::array<int64_t, 3> values = {};
  };
  static_assert(sizeof(Small) == 32);

  void Update() { AnyNode()->edges[random_() % 3] = AnyNode(); }

  Mutator& mutator_;
  const Handle<Array<Member<Node>>> table_;
  std::minstd_rand random_;  // NOLINT(cert-msc51-cpp): repeatable
};

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_LIVE_GRAPH_H_
