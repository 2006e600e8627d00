// Shapes of object graphs: which object refers to which, by number. Whoever
// builds one allocates the objects in the order of their numbers, so that
// neighbours in that order are neighbours in memory.
//
// Plain values; the same at each call.

#ifndef BIBOP_BENCHMARKS_GRAPH_SHAPES_H_
#define BIBOP_BENCHMARKS_GRAPH_SHAPES_H_

#include <array>
#include <cstdint>
#include <vector>

namespace bibop::benchmarks {

inline constexpr int kEdges = 3;
// An edge that leads nowhere.
inline constexpr uint32_t kNoEdge = UINT32_MAX;

// The edges of each object. All that counts is reachable from `root`.
struct GraphShape {
  std::vector<std::array<uint32_t, kEdges>> edges;
  uint32_t root = 0;
};

// Each takes a number of objects, at least 1.
//
// Every edge leads anywhere: 94 % of the objects are reachable.
GraphShape RandomGraph(uint32_t objects);
// A binary tree, as balanced as it can be, numbered as one is that a recursive
// function builds: an object, its left subtree, its right subtree.
GraphShape OrderedTree(uint32_t objects);
// The same tree, numbered at random.
GraphShape ShuffledTree(uint32_t objects);
// A list, numbered from its head on, or at random.
GraphShape OrderedList(uint32_t objects);
GraphShape ShuffledList(uint32_t objects);

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_GRAPH_SHAPES_H_
