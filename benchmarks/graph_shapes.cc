#include "bibop/benchmarks/graph_shapes.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

namespace bibop::benchmarks {
namespace {

constexpr std::array<uint32_t, kEdges> kNoEdges = {kNoEdge, kNoEdge, kNoEdge};

// NOLINTNEXTLINE(cert-msc51-cpp): repeatable
std::mt19937 Random() { return std::mt19937(4); }

// The same shape with other numbers.
GraphShape Shuffled(const GraphShape& shape) {
  std::vector<uint32_t> number(shape.edges.size());
  std::iota(number.begin(), number.end(), 0);
  std::ranges::shuffle(number, Random());
  GraphShape shuffled;
  shuffled.edges.resize(shape.edges.size());
  for (size_t i = 0; i < shape.edges.size(); ++i) {
    std::array<uint32_t, kEdges> edges = shape.edges[i];
    for (uint32_t& edge : edges) {
      if (edge != kNoEdge) edge = number[edge];
    }
    shuffled.edges[number[i]] = edges;
  }
  shuffled.root = number[shape.root];
  return shuffled;
}

// Numbers a tree of `objects` from `first` on.
void AddTree(uint32_t first, uint32_t objects, GraphShape& shape) {
  const uint32_t left = (objects - 1) / 2;
  const uint32_t right = objects - 1 - left;
  if (left > 0) {
    shape.edges[first][0] = first + 1;
    AddTree(first + 1, left, shape);
  }
  if (right > 0) {
    shape.edges[first][1] = first + 1 + left;
    AddTree(first + 1 + left, right, shape);
  }
}

}  // namespace

GraphShape RandomGraph(uint32_t objects) {
  // Peers in other languages make the same graph (tools/compare), and this
  // generator is a line of theirs.
  std::minstd_rand random;  // NOLINT(cert-msc51-cpp): repeatable
  GraphShape shape;
  shape.edges.resize(objects);
  for (std::array<uint32_t, kEdges>& edges : shape.edges) {
    for (uint32_t& edge : edges) edge = random() % objects;
  }
  return shape;
}

GraphShape OrderedTree(uint32_t objects) {
  GraphShape shape;
  shape.edges.assign(objects, kNoEdges);
  AddTree(0, objects, shape);
  return shape;
}

GraphShape ShuffledTree(uint32_t objects) {
  return Shuffled(OrderedTree(objects));
}

GraphShape OrderedList(uint32_t objects) {
  GraphShape shape;
  shape.edges.assign(objects, kNoEdges);
  for (uint32_t i = 0; i + 1 < objects; ++i) shape.edges[i][0] = i + 1;
  return shape;
}

GraphShape ShuffledList(uint32_t objects) {
  return Shuffled(OrderedList(objects));
}

}  // namespace bibop::benchmarks
