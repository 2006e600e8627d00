// Binary trees: builds and drops complete binary trees, the classic allocation
// benchmark (Hans Boehm's, as in the Computer Language Benchmarks Game).
//
//   bazel run -c opt //benchmarks:binary_trees -- --depth=18
//
// Compares wall time. Work is counted in nodes, each of which every contestant
// visits. Everybody builds a tree in the order in which it is visited, which is
// faster than any other order with most of the mallocs as well as with Bibop,
// and calls no function for a leaf.
//
// Memory is set in relation to the nodes that the algorithm itself holds when
// it holds the most, two pointers each.

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/benchmarks/heap_flags.h"
#include "bibop/gc.h"

ABSL_FLAG(int, depth, 18, "the depth of the long-lived tree: 4 to 32");

namespace bibop::benchmarks {
namespace {

constexpr int kMinDepth = 4;
constexpr int kMaxDepth = 32;

// How many trees of a depth make up the work for it.
int64_t Trees(int depth, int max_depth) {
  return int64_t{1} << (max_depth - depth + kMinDepth);
}

// The most nodes that are held at a time: those of the first tree, which is one
// deeper than any other. The long-lived one and another as deep have as many.
double LiveMib(int max_depth) {
  const int64_t nodes = (int64_t{1} << (max_depth + 2)) - 1;
  return static_cast<double>(nodes * 2 * int64_t{sizeof(void*)}) / (1 << 20);
}

RunResult Result(int64_t nodes, int max_depth) {
  return {.units = nodes, .figures = {{"live_mib", LiveMib(max_depth)}}};
}

template <class Node>
int64_t Count(const Node& node) {
  return 1 + (node.left ? Count(*node.left) + Count(*node.right) : 0);
}

// ---- with Bibop ----

struct Node {
  Member<Node> left;
  Member<Node> right;

  void Trace(auto& visitor) const { visitor(left, right); }
};

// Hangs two complete trees below `node`, so that it is one of `depth`, which is
// at least 1. Once a child is in its parent's Member the parent keeps it alive,
// so one scope for both children is enough.
void Grow(Mutator& mutator, Handle<Node> node, int depth) {
  HandleScope scope(mutator);
  const Handle<Node> left = scope.New<Node>();
  node->left = left;
  if (depth > 1) Grow(mutator, left, depth - 1);
  const Handle<Node> right = scope.New<Node>();
  node->right = right;
  if (depth > 1) Grow(mutator, right, depth - 1);
}

Handle<Node> MakeTree(Mutator& mutator, HandleScope& scope, int depth) {
  const Handle<Node> root = scope.New<Node>();
  Grow(mutator, root, depth);
  return root;
}

RunResult RunBibop(int64_t size) {
  const int max_depth = static_cast<int>(size);
  auto heap = Heap::Create(HeapOptionsFromFlags()).value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  int64_t nodes = 0;
  {
    HandleScope stretch(mutator);
    nodes += Count(*MakeTree(mutator, stretch, max_depth + 1));
  }
  const Handle<Node> long_lived = MakeTree(mutator, scope, max_depth);
  for (int depth = kMinDepth; depth <= max_depth; depth += 2) {
    for (int64_t i = Trees(depth, max_depth); i > 0; --i) {
      HandleScope tree(mutator);
      nodes += Count(*MakeTree(mutator, tree, depth));
    }
  }
  return Result(nodes + Count(*long_lived), max_depth);
}

// ---- with new and delete ----

struct RawNode {
  RawNode* left = nullptr;
  RawNode* right = nullptr;
};

void GrowRaw(RawNode& node, int depth) {
  node.left = new RawNode;
  if (depth > 1) GrowRaw(*node.left, depth - 1);
  node.right = new RawNode;
  if (depth > 1) GrowRaw(*node.right, depth - 1);
}

RawNode* MakeRawTree(int depth) {
  auto* root = new RawNode;
  GrowRaw(*root, depth);
  return root;
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

RunResult RunNewDelete(int64_t size) {
  const int max_depth = static_cast<int>(size);
  int64_t nodes = CountAndDelete(MakeRawTree(max_depth + 1));
  RawNode* const long_lived = MakeRawTree(max_depth);
  for (int depth = kMinDepth; depth <= max_depth; depth += 2) {
    for (int64_t i = Trees(depth, max_depth); i > 0; --i) {
      nodes += CountAndDelete(MakeRawTree(depth));
    }
  }
  return Result(nodes + CountAndDelete(long_lived), max_depth);
}

// ---- with smart pointers ----

struct UniqueNode {
  std::unique_ptr<UniqueNode> left;
  std::unique_ptr<UniqueNode> right;

  static auto Make() { return std::make_unique<UniqueNode>(); }
};

struct SharedNode {
  std::shared_ptr<SharedNode> left;
  std::shared_ptr<SharedNode> right;

  static auto Make() { return std::make_shared<SharedNode>(); }
};

template <class Node>
void GrowOwned(Node& node, int depth) {
  node.left = Node::Make();
  if (depth > 1) GrowOwned(*node.left, depth - 1);
  node.right = Node::Make();
  if (depth > 1) GrowOwned(*node.right, depth - 1);
}

template <class Node>
auto MakeOwnedTree(int depth) {
  auto root = Node::Make();
  GrowOwned(*root, depth);
  return root;
}

template <class Node>
RunResult RunOwned(int64_t size) {
  const int max_depth = static_cast<int>(size);
  int64_t nodes = Count(*MakeOwnedTree<Node>(max_depth + 1));
  const auto long_lived = MakeOwnedTree<Node>(max_depth);
  for (int depth = kMinDepth; depth <= max_depth; depth += 2) {
    for (int64_t i = Trees(depth, max_depth); i > 0; --i) {
      nodes += Count(*MakeOwnedTree<Node>(depth));
    }
  }
  return Result(nodes + Count(*long_lived), max_depth);
}

// ---- the contest ----

absl::StatusOr<std::vector<Contest>> Contests() {
  const int depth = absl::GetFlag(FLAGS_depth);
  absl::Status status = CheckFlag("depth", depth, kMinDepth, kMaxDepth);
  status.Update(CheckHeapFlags());
  if (!status.ok()) return status;
  Contest contest = {.name = "binary_trees",
                     .size = depth,
                     .unit = "nodes",
                     .other_figures = {"cpu_s", "peak_mib", "live_mib"},
                     .reference = "bibop",
                     .contestants = OnEveryMalloc(RunNewDelete)};
  contest.contestants.insert(contest.contestants.begin(),
                             {.name = "bibop", .run = RunBibop});
  contest.contestants.push_back(
      {.name = "unique_ptr", .run = RunOwned<UniqueNode>});
  contest.contestants.push_back(
      {.name = "shared_ptr", .run = RunOwned<SharedNode>});
  return std::vector<Contest>{contest};
}

// Whether the memory is within bounds: 2.5 times what is live, and 16 MiB.
std::vector<Derived> Derive(Figures median) {
  std::vector<Derived> derived;
  for (const char* name : {"bibop", "glibc", "tcmalloc", "jemalloc", "mimalloc",
                           "unique_ptr", "shared_ptr"}) {
    derived.push_back(
        {.name = absl::StrCat(name, " peak_mib, 2.5 live_mib + 16"),
         .value = median("binary_trees", name, "peak_mib"),
         .at_most = 2.5 * median("binary_trees", name, "live_mib") + 16});
  }
  return derived;
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description = "Builds and drops complete binary trees.",
       .contests = bibop::benchmarks::Contests,
       .derive = bibop::benchmarks::Derive});
}
