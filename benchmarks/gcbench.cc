// GCBench: trees built top down and bottom up beside a long-lived tree and a
// long-lived array, after John Ellis, Pete Kovac and Hans Boehm ("An Artificial
// Garbage Collection Benchmark").
//
//   bazel run -c opt //benchmarks:gcbench -- --depth=18
//
// Compares wall time. The depth is that of the first, largest tree; the
// long-lived one is two less deep, and so are the deepest of the others. Work
// is counted in nodes, each of which every contestant visits. Nobody calls a
// function for a leaf.

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/benchmarks/heap_flags.h"
#include "bibop/gc.h"

ABSL_FLAG(int, depth, 18, "the depth of the largest tree: 6 to 32");

namespace bibop::benchmarks {
namespace {

constexpr int kMinDepth = 4;
constexpr int kMaxDepth = 32;
constexpr int kArrayDoubles = 500000;

int64_t TreeSize(int depth) { return (int64_t{1} << (depth + 1)) - 1; }

// How many trees of a depth make up twice the work of the largest.
int64_t Trees(int depth, int largest) {
  return 2 * TreeSize(largest) / TreeSize(depth);
}

template <class Node>
int64_t Count(const Node& node) {
  return 1 + (node.left ? Count(*node.left) + Count(*node.right) : 0);
}

// ---- with Bibop ----

struct Node {
  Node() = default;
  Node(Handle<Node> l, Handle<Node> r) : left(l), right(r) {}

  void Trace(auto& visitor) const { visitor(left, right); }

  Member<Node> left;
  Member<Node> right;
  int32_t i = 0;
  int32_t j = 0;
};

// Makes `node` the root of a complete tree of `depth`, which is at least 1.
void Populate(Mutator& mutator, Handle<Node> node, int depth) {
  HandleScope scope(mutator);
  const Handle<Node> left = scope.New<Node>();
  node->left = left;
  const Handle<Node> right = scope.New<Node>();
  node->right = right;
  if (depth == 1) return;
  Populate(mutator, left, depth - 1);
  Populate(mutator, right, depth - 1);
}

// Makes a complete tree of `depth`, which is at least 1, leaves first.
Handle<Node> MakeTree(Mutator& mutator, int depth) {
  EscapableHandleScope scope(mutator);
  if (depth == 1) {
    const Handle<Node> left = scope.New<Node>();
    return scope.Escape(scope.New<Node>(left, scope.New<Node>()));
  }
  const Handle<Node> left = MakeTree(mutator, depth - 1);
  const Handle<Node> right = MakeTree(mutator, depth - 1);
  return scope.Escape(scope.New<Node>(left, right));
}

Handle<Array<double>> MakeArray(HandleScope& scope) {
  const Handle<Array<double>> array = scope.NewArray<double>(kArrayDoubles);
  for (int i = 0; i < kArrayDoubles; ++i) (*array)[i] = 1.0 / (i + 1);
  return array;
}

RunResult RunBibop(int64_t size) {
  const int largest = static_cast<int>(size);
  auto heap = Heap::Create(HeapOptionsFromFlags()).value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  int64_t nodes = 0;
  {
    HandleScope stretch(mutator);
    nodes += Count(*MakeTree(mutator, largest));
  }
  const Handle<Node> long_lived = scope.New<Node>();
  Populate(mutator, long_lived, largest - 2);
  const auto array = MakeArray(scope);
  for (int depth = kMinDepth; depth <= largest - 2; depth += 2) {
    const int64_t trees = Trees(depth, largest);
    for (int64_t i = 0; i < trees; ++i) {
      HandleScope tree(mutator);
      const Handle<Node> top_down = tree.New<Node>();
      Populate(mutator, top_down, depth);
      nodes += Count(*top_down);
    }
    for (int64_t i = 0; i < trees; ++i) {
      HandleScope tree(mutator);
      nodes += Count(*MakeTree(mutator, depth));
    }
  }
  return {.units = nodes + Count(*long_lived) + ((*array)[0] > 0)};
}

// ---- with new and delete ----

struct RawNode {
  RawNode* left = nullptr;
  RawNode* right = nullptr;
  int32_t i = 0;
  int32_t j = 0;
};

void PopulateRaw(RawNode& node, int depth) {
  node.left = new RawNode;
  node.right = new RawNode;
  if (depth == 1) return;
  PopulateRaw(*node.left, depth - 1);
  PopulateRaw(*node.right, depth - 1);
}

RawNode* MakeRawTree(int depth) {
  if (depth == 1) return new RawNode{new RawNode, new RawNode};
  RawNode* const left = MakeRawTree(depth - 1);
  RawNode* const right = MakeRawTree(depth - 1);
  return new RawNode{left, right};
}

void Delete(RawNode* node) {
  if (node->left != nullptr) {
    Delete(node->left);
    Delete(node->right);
  }
  delete node;
}

int64_t CountAndDelete(RawNode* tree) {
  const int64_t nodes = Count(*tree);
  Delete(tree);
  return nodes;
}

// Who owns arrays otherwise has these too.
std::unique_ptr<double[]> MakeOwnedArray() {
  auto array = std::make_unique_for_overwrite<double[]>(kArrayDoubles);
  for (int i = 0; i < kArrayDoubles; ++i) array[i] = 1.0 / (i + 1);
  return array;
}

RunResult RunNewDelete(int64_t size) {
  const int largest = static_cast<int>(size);
  int64_t nodes = CountAndDelete(MakeRawTree(largest));
  auto* const long_lived = new RawNode;
  PopulateRaw(*long_lived, largest - 2);
  const std::unique_ptr<double[]> array = MakeOwnedArray();
  for (int depth = kMinDepth; depth <= largest - 2; depth += 2) {
    const int64_t trees = Trees(depth, largest);
    for (int64_t i = 0; i < trees; ++i) {
      auto* const top_down = new RawNode;
      PopulateRaw(*top_down, depth);
      nodes += CountAndDelete(top_down);
    }
    for (int64_t i = 0; i < trees; ++i) {
      nodes += CountAndDelete(MakeRawTree(depth));
    }
  }
  return {.units = nodes + CountAndDelete(long_lived) + (array[0] > 0)};
}

// ---- with std::unique_ptr ----

struct OwnedNode {
  std::unique_ptr<OwnedNode> left;
  std::unique_ptr<OwnedNode> right;
  int32_t i = 0;
  int32_t j = 0;
};

void PopulateOwned(OwnedNode& node, int depth) {
  node.left = std::make_unique<OwnedNode>();
  node.right = std::make_unique<OwnedNode>();
  if (depth == 1) return;
  PopulateOwned(*node.left, depth - 1);
  PopulateOwned(*node.right, depth - 1);
}

std::unique_ptr<OwnedNode> MakeOwnedTree(int depth) {
  const bool has_leaves = depth == 1;
  auto left =
      has_leaves ? std::make_unique<OwnedNode>() : MakeOwnedTree(depth - 1);
  auto right =
      has_leaves ? std::make_unique<OwnedNode>() : MakeOwnedTree(depth - 1);
  auto node = std::make_unique<OwnedNode>();
  node->left = std::move(left);
  node->right = std::move(right);
  return node;
}

RunResult RunUniquePtr(int64_t size) {
  const int largest = static_cast<int>(size);
  int64_t nodes = Count(*MakeOwnedTree(largest));
  const auto long_lived = std::make_unique<OwnedNode>();
  PopulateOwned(*long_lived, largest - 2);
  const std::unique_ptr<double[]> array = MakeOwnedArray();
  for (int depth = kMinDepth; depth <= largest - 2; depth += 2) {
    const int64_t trees = Trees(depth, largest);
    for (int64_t i = 0; i < trees; ++i) {
      const auto top_down = std::make_unique<OwnedNode>();
      PopulateOwned(*top_down, depth);
      nodes += Count(*top_down);
    }
    for (int64_t i = 0; i < trees; ++i) nodes += Count(*MakeOwnedTree(depth));
  }
  return {.units = nodes + Count(*long_lived) + (array[0] > 0)};
}

// ---- the contest ----

absl::StatusOr<std::vector<Contest>> Contests() {
  const int depth = absl::GetFlag(FLAGS_depth);
  absl::Status status = CheckFlag("depth", depth, kMinDepth + 2, kMaxDepth);
  status.Update(CheckHeapFlags());
  if (!status.ok()) return status;
  Contest contest = {.name = "gcbench",
                     .size = depth,
                     .unit = "nodes",
                     .other_figures = {"cpu_s", "peak_mib"},
                     .reference = "bibop",
                     .contestants = OnEveryMalloc(RunNewDelete)};
  contest.contestants.insert(contest.contestants.begin(),
                             {.name = "bibop", .run = RunBibop});
  contest.contestants.push_back({.name = "unique_ptr", .run = RunUniquePtr});
  return std::vector<Contest>{contest};
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description = "Builds trees beside a long-lived tree and array.",
       .contests = bibop::benchmarks::Contests});
}
