// GCBench: trees built top down and bottom up beside a long-lived tree and a
// long-lived array, after John Ellis, Pete Kovac and Hans Boehm ("An Artificial
// Garbage Collection Benchmark").
//
//   gcbench [DEPTH [REPETITIONS]]     default 18, for the largest tree, and 5
//
// The same work runs with Bibop and with std::unique_ptr over the program's
// malloc, in turn; the medians of the repetitions and their ratio are printed.
// Work is counted in nodes, and the counts of both are compared. The array is
// made of chunks, for in this version an object takes 32 KiB at most.

#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "bibop/benchmarks/duel.h"
#include "bibop/gc.h"

namespace {

constexpr int kMinDepth = 4;
constexpr int kArrayDoubles = 500000;
constexpr int kChunkDoubles = 4000;

int64_t TreeSize(int depth) { return (int64_t{1} << (depth + 1)) - 1; }

// How many trees of a depth make up twice the work of the largest.
int64_t Trees(int depth, int largest) {
  return 2 * TreeSize(largest) / TreeSize(depth);
}

// ---- with Bibop ----

struct Node {
  bibop::Member<Node> left;
  bibop::Member<Node> right;
  int32_t i = 0;
  int32_t j = 0;

  void Trace(auto& visitor) const { visitor(left, right); }
};

struct Chunk {
  std::array<double, kChunkDoubles> values;
  bibop::Member<Chunk> next;

  void Trace(auto& visitor) const { visitor(next); }
};

void Populate(bibop::Mutator& mutator, int depth, bibop::Handle<Node> node) {
  if (depth == 0) return;
  bibop::HandleScope scope(mutator);
  const bibop::Handle<Node> left = scope.New<Node>();
  node->left = left;
  const bibop::Handle<Node> right = scope.New<Node>();
  node->right = right;
  Populate(mutator, depth - 1, left);
  Populate(mutator, depth - 1, right);
}

bibop::Handle<Node> MakeTree(bibop::Mutator& mutator, int depth) {
  bibop::EscapableHandleScope scope(mutator);
  if (depth == 0) return scope.Escape(scope.New<Node>());
  const bibop::Handle<Node> left = MakeTree(mutator, depth - 1);
  const bibop::Handle<Node> right = MakeTree(mutator, depth - 1);
  const bibop::Handle<Node> node = scope.New<Node>();
  node->left = left;
  node->right = right;
  return scope.Escape(node);
}

int64_t Count(const Node& node) {
  return 1 + (node.left ? Count(*node.left) + Count(*node.right) : 0);
}

int64_t RunBibop(int largest) {
  auto heap = bibop::Heap::Create({}).value();
  bibop::MutatorScope mutator(*heap);
  bibop::HandleScope scope(mutator);
  int64_t nodes = 0;
  {
    bibop::HandleScope stretch(mutator);
    nodes += Count(*MakeTree(mutator, largest));
  }
  const bibop::Handle<Node> long_lived = scope.New<Node>();
  Populate(mutator, largest - 2, long_lived);
  bibop::MutableHandle<Chunk> array = scope.Mutable<Chunk>();
  for (int i = 0; i < kArrayDoubles; i += kChunkDoubles) {
    bibop::HandleScope chunk_scope(mutator);
    const bibop::Handle<Chunk> chunk = chunk_scope.New<Chunk>();
    for (int k = 0; k < kChunkDoubles; ++k)
      chunk->values[k] = 1.0 / (i + k + 1);
    chunk->next = array;
    array = chunk;
  }
  for (int depth = kMinDepth; depth <= largest - 2; depth += 2) {
    const int64_t trees = Trees(depth, largest);
    for (int64_t i = 0; i < trees; ++i) {
      bibop::HandleScope tree(mutator);
      const bibop::Handle<Node> top_down = tree.New<Node>();
      Populate(mutator, depth, top_down);
      nodes += Count(*top_down);
    }
    for (int64_t i = 0; i < trees; ++i) {
      bibop::HandleScope tree(mutator);
      nodes += Count(*MakeTree(mutator, depth));
    }
  }
  return nodes + Count(*long_lived) + (array->values[0] > 0 ? 1 : 0);
}

// ---- with std::unique_ptr ----

struct OwnedNode {
  std::unique_ptr<OwnedNode> left;
  std::unique_ptr<OwnedNode> right;
  int32_t i = 0;
  int32_t j = 0;
};

struct OwnedChunk {
  std::array<double, kChunkDoubles> values;
  std::unique_ptr<OwnedChunk> next;
};

void PopulateOwned(int depth, OwnedNode& node) {
  if (depth == 0) return;
  node.left = std::make_unique<OwnedNode>();
  node.right = std::make_unique<OwnedNode>();
  PopulateOwned(depth - 1, *node.left);
  PopulateOwned(depth - 1, *node.right);
}

std::unique_ptr<OwnedNode> MakeOwnedTree(int depth) {
  if (depth == 0) return std::make_unique<OwnedNode>();
  auto left = MakeOwnedTree(depth - 1);
  auto right = MakeOwnedTree(depth - 1);
  auto node = std::make_unique<OwnedNode>();
  node->left = std::move(left);
  node->right = std::move(right);
  return node;
}

int64_t Count(const OwnedNode& node) {
  return 1 + (node.left ? Count(*node.left) + Count(*node.right) : 0);
}

int64_t RunUniquePtr(int largest) {
  int64_t nodes = Count(*MakeOwnedTree(largest));
  OwnedNode long_lived;
  PopulateOwned(largest - 2, long_lived);
  std::unique_ptr<OwnedChunk> array;
  for (int i = 0; i < kArrayDoubles; i += kChunkDoubles) {
    auto chunk = std::make_unique<OwnedChunk>();
    for (int k = 0; k < kChunkDoubles; ++k)
      chunk->values[k] = 1.0 / (i + k + 1);
    chunk->next = std::move(array);
    array = std::move(chunk);
  }
  for (int depth = kMinDepth; depth <= largest - 2; depth += 2) {
    const int64_t trees = Trees(depth, largest);
    for (int64_t i = 0; i < trees; ++i) {
      OwnedNode top_down;
      PopulateOwned(depth, top_down);
      nodes += Count(top_down);
    }
    for (int64_t i = 0; i < trees; ++i) nodes += Count(*MakeOwnedTree(depth));
  }
  return nodes + Count(long_lived) + (array->values[0] > 0 ? 1 : 0);
}

}  // namespace

int main(int argc, char** argv) {
  return bibop::benchmarks::Duel(argc, argv,
                                 {.name = "GCBench",
                                  .unit = "nodes",
                                  .default_size = 18,
                                  .min_size = 6,
                                  .max_size = 24},
                                 {"bibop", RunBibop},
                                 {"unique_ptr", RunUniquePtr});
}
