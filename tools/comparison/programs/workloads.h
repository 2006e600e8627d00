// The workloads of C++ collectors that find the references on the stack by
// themselves, so that plain pointers will do there. They are those of
// //benchmarks:binary_trees, gcbench, alloc, op_latency and mark_rate: the same
// nodes, made in the same order, with the same numbers at random.
//
// `Gc` is a collector:
//
//   Gc::Pair       two references, left and right
//   Gc::Quad       the same with two int32_t
//   Gc::Node       edges[3] and values[3], three references and three int64_t
//   Gc::Small      next and values[3]
//   Gc::Object     next and so many bytes that a 32-byte object comes of it
//   Gc::New<T>()   makes one, with null references
//   Gc::NewTable(n), Gc::NewDoubles(n)
//                  n references to Nodes, n doubles; what comes of it has an
//                  operator[]
//   Gc::Keep<T>    a root
//   Gc::Poll()     called between operations

#ifndef BIBOP_TOOLS_COMPARISON_PROGRAMS_WORKLOADS_H_
#define BIBOP_TOOLS_COMPARISON_PROGRAMS_WORKLOADS_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "bibop/benchmarks/graph_shapes.h"
#include "bibop/benchmarks/observe.h"
#include "bibop/tools/comparison/programs/peer.h"

namespace bibop::compare {

inline constexpr int kMinDepth = 4;

template <class Node>
int64_t Count(const Node& node) {
  return 1 + (node.left ? Count(*node.left) + Count(*node.right) : 0);
}

// ---- binary trees ----

template <class Gc>
void Grow(typename Gc::Pair* node, int depth) {
  auto* const left = Gc::template New<typename Gc::Pair>();
  node->left = left;
  if (depth > 1) Grow<Gc>(left, depth - 1);
  auto* const right = Gc::template New<typename Gc::Pair>();
  node->right = right;
  if (depth > 1) Grow<Gc>(right, depth - 1);
}

template <class Gc>
typename Gc::Pair* MakePairs(int depth) {
  auto* const root = Gc::template New<typename Gc::Pair>();
  Grow<Gc>(root, depth);
  return root;
}

template <class Gc>
int64_t BinaryTrees(int max_depth) {
  int64_t nodes = Count(*MakePairs<Gc>(max_depth + 1));
  const typename Gc::template Keep<typename Gc::Pair> long_lived(
      MakePairs<Gc>(max_depth));
  for (int depth = kMinDepth; depth <= max_depth; depth += 2) {
    for (int64_t i = int64_t{1} << (max_depth - depth + kMinDepth); i > 0;
         --i) {
      nodes += Count(*MakePairs<Gc>(depth));
    }
  }
  return nodes + Count(*long_lived);
}

// ---- GCBench ----

template <class Gc>
void Populate(typename Gc::Quad* node, int depth) {
  auto* const left = Gc::template New<typename Gc::Quad>();
  node->left = left;
  auto* const right = Gc::template New<typename Gc::Quad>();
  node->right = right;
  if (depth == 1) return;
  Populate<Gc>(left, depth - 1);
  Populate<Gc>(right, depth - 1);
}

template <class Gc>
typename Gc::Quad* MakeQuads(int depth) {
  auto* const left = depth == 1 ? Gc::template New<typename Gc::Quad>()
                                : MakeQuads<Gc>(depth - 1);
  auto* const right = depth == 1 ? Gc::template New<typename Gc::Quad>()
                                 : MakeQuads<Gc>(depth - 1);
  auto* const node = Gc::template New<typename Gc::Quad>();
  node->left = left;
  node->right = right;
  return node;
}

template <class Gc>
int64_t GcBench(int largest) {
  constexpr int kDoubles = 500000;
  const auto tree_size = [](int depth) {
    return (int64_t{1} << (depth + 1)) - 1;
  };
  int64_t nodes = Count(*MakeQuads<Gc>(largest));
  const typename Gc::template Keep<typename Gc::Quad> long_lived(
      Gc::template New<typename Gc::Quad>());
  Populate<Gc>(&*long_lived, largest - 2);
  const auto doubles = Gc::NewDoubles(kDoubles);
  for (int i = 0; i < kDoubles; ++i) (*doubles)[i] = 1.0 / (i + 1);
  for (int depth = kMinDepth; depth <= largest - 2; depth += 2) {
    const int64_t trees = 2 * tree_size(largest) / tree_size(depth);
    for (int64_t i = 0; i < trees; ++i) {
      auto* const top_down = Gc::template New<typename Gc::Quad>();
      Populate<Gc>(top_down, depth);
      nodes += Count(*top_down);
    }
    for (int64_t i = 0; i < trees; ++i) nodes += Count(*MakeQuads<Gc>(depth));
  }
  return nodes + Count(*long_lived) + ((*doubles)[0] > 0);
}

// ---- allocation ----

// 64 objects that live until it returns.
template <class Gc>
[[gnu::noinline]] void AllocateBatch() {
  std::array<typename Gc::Object*, 64> objects;
  for (auto*& object : objects) {
    object = Gc::template New<typename Gc::Object>();
    benchmarks::Observe(object);
  }
  benchmarks::Observe(&objects);
}

template <class Gc>
Result Allocate(int64_t objects) {
  const int64_t batches = objects / 64;
  for (int64_t i = batches / 8; i >= 0; --i) AllocateBatch<Gc>();
  const int64_t start = Read(CLOCK_MONOTONIC);
  for (int64_t i = 0; i < batches; ++i) AllocateBatch<Gc>();
  const auto ns = static_cast<double>(Read(CLOCK_MONOTONIC) - start);
  return {
      .units = batches * 64,
      .figures = {{"ns_per_object", ns / static_cast<double>(batches * 64)}}};
}

// ---- latency ----

template <class Gc>
Result Latency(int64_t nodes, int64_t operations, int64_t warm_up) {
  std::minstd_rand random;  // NOLINT(cert-msc51-cpp): repeatable
  const auto table = Gc::NewTable(static_cast<size_t>(nodes));
  const auto any = [&]() -> typename Gc::Node* {
    return &*(*table)[random() % static_cast<size_t>(nodes)];
  };
  for (int64_t i = 0; i < nodes; ++i) {
    auto* const node = Gc::template New<typename Gc::Node>();
    node->values[0] = i;
    (*table)[i] = node;
  }
  for (int64_t i = 0; i < nodes; ++i) {
    for (auto& edge : (*table)[i]->edges) edge = any();
  }
  Result result = TimedOperations(operations, warm_up, [&] {
    typename Gc::Small* last = nullptr;
    for (int i = 0; i < 32; ++i) {
      auto* const next = Gc::template New<typename Gc::Small>();
      next->next = last;
      last = next;
    }
    benchmarks::Observe(last);
    for (int i = 0; i < 4; ++i) {
      typename Gc::Node* const target = any();
      typename Gc::Node* const node = any();
      node->edges[random() % 3] = target;
    }
    Gc::Poll();
  });
  int64_t checksum = 0;
  for (int64_t i = 0; i < nodes; ++i) {
    for (auto& edge : (*table)[i]->edges) {
      checksum = (checksum * 31 + edge->values[0]) & 0x7fffffff;
    }
  }
  result.figures.push_back({"checksum", static_cast<double>(checksum)});
  return result;
}

// ---- marking ----

// A graph in which every edge leads anywhere. Returns its root, object 0, which
// is all that keeps it.
template <class Gc>
[[gnu::noinline]] typename Gc::Node* MakeRandomGraph(int64_t objects) {
  const auto table = Gc::NewTable(static_cast<size_t>(objects));
  for (int64_t i = 0; i < objects; ++i) {
    (*table)[i] = Gc::template New<typename Gc::Node>();
  }
  std::minstd_rand random;  // NOLINT(cert-msc51-cpp): repeatable
  for (int64_t i = 0; i < objects; ++i) {
    for (auto& edge : (*table)[i]->edges) {
      edge = &*(*table)[random() % static_cast<size_t>(objects)];
    }
  }
  return &*(*table)[0];
}

// Counts what is reachable; uses values[0] as a mark.
template <class Gc>
int64_t CountReachable(typename Gc::Node* root) {
  std::vector<typename Gc::Node*> stack = {root};
  root->values[0] = 1;
  int64_t reached = 0;
  while (!stack.empty()) {
    auto* const node = stack.back();
    stack.pop_back();
    ++reached;
    for (auto& edge : node->edges) {
      if (edge->values[0] != 0) continue;
      edge->values[0] = 1;
      stack.push_back(&*edge);
    }
  }
  return reached;
}

// The figures of marks of `reached` objects that took so many nanoseconds.
inline Result MarkResult(int64_t reached, std::vector<int64_t> times) {
  std::ranges::sort(times);
  const double per_object = static_cast<double>(times[times.size() / 2]) /
                            static_cast<double>(reached);
  return {.units = reached,
          .figures = {{"ns_per_object", per_object},
                      {"mobjects_per_s", 1000 / per_object}}};
}

}  // namespace bibop::compare

#endif  // BIBOP_TOOLS_COMPARISON_PROGRAMS_WORKLOADS_H_
