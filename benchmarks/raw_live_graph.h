// RawLiveGraph: what LiveGraph is, for programs with new and delete: the same
// nodes, the same choices at random, and lists that are deleted where a
// collector would find them dead.
//
// Used by one thread.

#ifndef BIBOP_BENCHMARKS_RAW_LIVE_GRAPH_H_
#define BIBOP_BENCHMARKS_RAW_LIVE_GRAPH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "bibop/benchmarks/live_graph.h"
#include "bibop/benchmarks/observe.h"

namespace bibop::benchmarks {

class RawLiveGraph {
 public:
  // Makes `objects` nodes, at least 1, that refer to each other at random.
  explicit RawLiveGraph(size_t objects) : table_(objects) {
    int64_t number = 0;
    for (Node*& place : table_) {
      place = new Node;
      place->values[0] = number++;
    }
    for (Node* const node : table_) {
      for (Node*& edge : node->edges) edge = AnyNode();
    }
  }
  RawLiveGraph(const RawLiveGraph&) = delete;
  RawLiveGraph& operator=(const RawLiveGraph&) = delete;
  ~RawLiveGraph() {
    for (Node* const node : table_) delete node;
  }

  // As those of LiveGraph.
  void Operate() {
    Small* last = nullptr;
    for (size_t i = 0; i < LiveGraph::kBytesPerOperation / sizeof(Small); ++i) {
      auto* const next = new Small;
      next->next = last;
      last = next;
    }
    Observe(last);
    while (last != nullptr) {
      const Small* const small = last;
      last = small->next;
      delete small;
    }
    for (int i = 0; i < LiveGraph::kUpdatesPerOperation; ++i) {
      AnyNode()->edges[random_() % 3] = AnyNode();
    }
  }

  int64_t Checksum() const {
    int64_t checksum = 0;
    for (const Node* const node : table_) {
      for (const Node* const edge : node->edges) {
        checksum = (checksum * 31 + edge->values[0]) & 0x7fffffff;
      }
    }
    return checksum;
  }

 private:
  struct Node {
    std::array<Node*, 3> edges = {};
    std::array<int64_t, 3> values = {};
  };
  struct Small {
    Small* next = nullptr;
    std::array<int64_t, 3> values = {};
  };
  static_assert(sizeof(Node) == sizeof(LiveGraph::Node) && sizeof(Small) == 32);

  Node* AnyNode() { return table_[random_() % table_.size()]; }

  std::vector<Node*> table_;
  std::minstd_rand random_;  // NOLINT(cert-msc51-cpp): repeatable
};

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_RAW_LIVE_GRAPH_H_
