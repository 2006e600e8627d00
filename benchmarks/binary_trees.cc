// Binary trees: builds and drops complete binary trees, the classic allocation
// benchmark (Hans Boehm's, as in the Computer Language Benchmarks Game).
//
//   binary_trees [DEPTH [REPETITIONS]]     default 18 and 5
//
// The same work runs with Bibop and with std::unique_ptr over the program's
// malloc, in turn, in one process; the medians of the repetitions and their
// ratio are printed. Work is counted in nodes, and the sums of both are
// compared, so neither can skip any.

#include <cstdint>
#include <memory>

#include "bibop/benchmarks/duel.h"
#include "bibop/gc.h"

namespace {

// ---- with Bibop ----

struct Node {
  bibop::Member<Node> left;
  bibop::Member<Node> right;

  void Trace(auto& visitor) const { visitor(left, right); }
};

// Hangs two full trees of a depth below `node`. Once a child is in its parent's
// Member the parent keeps it alive, so one scope for two children is enough.
void Grow(bibop::Mutator& mutator, bibop::Handle<Node> node, int depth) {
  if (depth == 0) return;
  bibop::HandleScope scope(mutator);
  const bibop::Handle<Node> left = scope.New<Node>();
  node->left = left;
  const bibop::Handle<Node> right = scope.New<Node>();
  node->right = right;
  Grow(mutator, left, depth - 1);
  Grow(mutator, right, depth - 1);
}

bibop::Handle<Node> MakeTree(bibop::Mutator& mutator, bibop::HandleScope& scope,
                             int depth) {
  const bibop::Handle<Node> root = scope.New<Node>();
  Grow(mutator, root, depth);
  return root;
}

int64_t Count(const Node& node) {
  return 1 + (node.left ? Count(*node.left) + Count(*node.right) : 0);
}

int64_t RunBibop(int max_depth) {
  auto heap = bibop::Heap::Create({}).value();
  bibop::MutatorScope mutator(*heap);
  bibop::HandleScope scope(mutator);
  int64_t nodes = 0;
  {
    bibop::HandleScope stretch(mutator);
    nodes += Count(*MakeTree(mutator, stretch, max_depth + 1));
  }
  const bibop::Handle<Node> long_lived = MakeTree(mutator, scope, max_depth);
  for (int depth = 4; depth <= max_depth; depth += 2) {
    const int trees = 1 << (max_depth - depth + 4);
    for (int i = 0; i < trees; ++i) {
      bibop::HandleScope tree(mutator);
      nodes += Count(*MakeTree(mutator, tree, depth));
    }
  }
  return nodes + Count(*long_lived);
}

// ---- with std::unique_ptr ----

struct OwnedNode {
  std::unique_ptr<OwnedNode> left;
  std::unique_ptr<OwnedNode> right;
};

std::unique_ptr<OwnedNode> MakeOwnedTree(int depth) {
  auto node = std::make_unique<OwnedNode>();
  if (depth > 0) {
    node->left = MakeOwnedTree(depth - 1);
    node->right = MakeOwnedTree(depth - 1);
  }
  return node;
}

int64_t Count(const OwnedNode& node) {
  return 1 + (node.left ? Count(*node.left) + Count(*node.right) : 0);
}

int64_t RunUniquePtr(int max_depth) {
  int64_t nodes = Count(*MakeOwnedTree(max_depth + 1));
  const std::unique_ptr<OwnedNode> long_lived = MakeOwnedTree(max_depth);
  for (int depth = 4; depth <= max_depth; depth += 2) {
    const int trees = 1 << (max_depth - depth + 4);
    for (int i = 0; i < trees; ++i) nodes += Count(*MakeOwnedTree(depth));
  }
  return nodes + Count(*long_lived);
}

}  // namespace

int main(int argc, char** argv) {
  return bibop::benchmarks::Duel(argc, argv,
                                 {.name = "binary trees",
                                  .unit = "nodes",
                                  .default_size = 18,
                                  .min_size = 4,
                                  .max_size = 24},
                                 {"bibop", RunBibop},
                                 {"unique_ptr", RunUniquePtr});
}
