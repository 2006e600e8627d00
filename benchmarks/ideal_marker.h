// IdealMarker: what marking could cost if there were nothing else to care for.
//
// It knows one class, whose objects lie in one dense array, on huge pages where
// the system has them, with a bit for each in a bitmap; no other thread runs.
// It goes depth first, in batches: it takes the pointers that were found last
// and prefetches their mark words; then it marks, and prefetches the objects
// that were not marked; then it reads those. Nothing branches on what the graph
// looks like.
//
// Used by one thread.

#ifndef BIBOP_BENCHMARKS_IDEAL_MARKER_H_
#define BIBOP_BENCHMARKS_IDEAL_MARKER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bibop/base/virtual_memory.h"
#include "bibop/benchmarks/graph_shapes.h"

namespace bibop::benchmarks {

class IdealMarker {
 public:
  // Builds the graph.
  explicit IdealMarker(const GraphShape& shape);

  // Marks what is reachable and returns how many objects that is.
  int64_t Mark();

 private:
  struct Node {
    std::array<Node*, kEdges> edges;
    std::array<int64_t, 3> values;
  };
  static_assert(sizeof(Node) == 48);

  // So many pointers are on their way into the cache at a time.
  static constexpr size_t kBatch = 128;

  size_t size_;
  VirtualRange memory_;
  Node* nodes_;
  Node* root_;
  std::vector<uint64_t> marks_;
  std::vector<Node*> stack_;
};

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_IDEAL_MARKER_H_
