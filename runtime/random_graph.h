// The graph of random_threads_test.cc, and its shadow: a model, in ordinary
// memory, of which objects there are and which refer to which. What the model
// can reach has to be alive, whole, and the same object; when nothing moves,
// and after collections, nothing else may be.
//
// A node's two edges change under a lock together with the model. Its other
// references are written and read by all threads at once, and the model of
// those is what is there when nothing moves.

#ifndef BIBOP_RUNTIME_RANDOM_GRAPH_H_
#define BIBOP_RUNTIME_RANDOM_GRAPH_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/log/absl_check.h"
#include "absl/synchronization/mutex.h"
#include "bibop/handles/array.h"
#include "bibop/marker/member.h"

namespace bibop {

struct Node;

class Shadow {
 public:
  // A node's number; 0 is no node.
  using Id = uint32_t;
  static constexpr size_t kEdges = 2;
  static constexpr Id kMostNodes = Id{1} << 22;

  // `where` is what every failure says: how to have it again.
  explicit Shadow(std::string where)
      : where_(std::move(where)),
        nodes_(static_cast<Entry*>(std::calloc(kMostNodes, sizeof(Entry)))) {
    ABSL_CHECK(nodes_ != nullptr);
  }
  Shadow(const Shadow&) = delete;
  Shadow& operator=(const Shadow&) = delete;
  ~Shadow() { std::free(nodes_); }

  const std::string& where() const { return where_; }

  // Whether there are numbers for some more nodes of each thread.
  bool HasRoom() const {
    return next_.load(std::memory_order_relaxed) + 1000 < kMostNodes;
  }

  // Any thread may call these; the latter are for what is constructed and
  // destroyed.
  Id NewId() { return next_.fetch_add(1, std::memory_order_relaxed); }
  void Live(Id id, Node* node) {
    nodes_[id].node.store(node, std::memory_order_relaxed);
    ChangeState(id, State::kUnborn, State::kAlive);
  }
  void Die(Id id) { ChangeState(id, State::kAlive, State::kDead); }
  bool IsAlive(Id id) const {
    return nodes_[id].state.load(std::memory_order_relaxed) == State::kAlive;
  }

  // How many there are, dead ones included.
  Id made() const { return next_.load(std::memory_order_relaxed) - 1; }

  // The model of a node's edge, and what guards it and the edge.
  absl::Mutex& LockOf(Id id) { return locks_[id % locks_.size()]; }
  Id& EdgeOf(Id id, size_t edge) { return nodes_[id].edges[edge]; }

  // Aborts unless exactly the nodes that `roots` reach are alive, and says in
  // `reached` which those are. Nothing else may move.
  void CheckExactly(const std::vector<Id>& roots, std::vector<bool>& reached);

 private:
  enum class State : uint8_t { kUnborn, kAlive, kDead };
  // All zero at first.
  struct Entry {
    std::atomic<Node*> node;
    std::array<Id, kEdges> edges;
    std::atomic<State> state;
  };

  void ChangeState(Id id, State from, State to) {
    State before = from;
    ABSL_CHECK(nodes_[id].state.compare_exchange_strong(
        before, to, std::memory_order_relaxed))
        << "node " << id << " becomes " << static_cast<int>(to) << " and was "
        << static_cast<int>(before) << where_;
  }

  const std::string where_;
  Entry* const nodes_;
  std::atomic<Id> next_ = 1;
  std::array<absl::Mutex, 64> locks_;
};

// A node, and bytes of its own that tell whether it is whole.
struct Node {
  using Id = Shadow::Id;
  using More = Array<Member<Node>>;

  Node(Shadow& in, Id number, std::span<uint8_t> its_bytes)
      : shadow(in), id(number), check(CheckOf(number)), bytes(its_bytes) {
    std::ranges::fill(bytes, static_cast<uint8_t>(check));
    shadow.Live(id, this);
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() {
    CheckWhole(id);
    shadow.Die(id);
  }

  void Trace(auto& visitor) const { visitor(edges, racy, more); }

  static uint64_t CheckOf(Id number) {
    return (uint64_t{number} + 1) * 0x9E3779B97F4A7C15;
  }

  // Aborts if it is not node `expected`, untouched.
  void CheckWhole(Id expected) const {
    ABSL_CHECK(id == expected && check == CheckOf(expected))
        << "node " << expected << " is not there, but " << id << shadow.where();
    const auto byte = static_cast<uint8_t>(check);
    const size_t n = std::min(bytes.size(), size_t{64});
    for (size_t i = 0; i < n; ++i) {
      ABSL_CHECK(bytes[i] == byte && bytes[bytes.size() - 1 - i] == byte)
          << "node " << id << " is overwritten" << shadow.where();
    }
  }
  void CheckAlive(Id expected) const {
    CheckWhole(expected);
    ABSL_CHECK(shadow.IsAlive(id))
        << "node " << id << " is reachable and was destroyed" << shadow.where();
  }

  Shadow& shadow;
  const Id id;
  const uint64_t check;
  const std::span<uint8_t> bytes;
  std::array<Member<Node>, Shadow::kEdges> edges;
  Member<Node> racy;
  Member<More> more;
};

inline void Shadow::CheckExactly(const std::vector<Id>& roots,
                                 std::vector<bool>& reached) {
  const Id end = next_.load(std::memory_order_relaxed);
  reached.assign(end, false);
  std::vector<Id> pending;
  const auto reach = [&](Id id) {
    if (id == 0 || reached[id]) return;
    reached[id] = true;
    ABSL_CHECK(IsAlive(id))
        << "node " << id << " is reachable and was destroyed" << where_;
    pending.push_back(id);
  };
  for (const Id id : roots) reach(id);
  while (!pending.empty()) {
    const Id id = pending.back();
    pending.pop_back();
    const Node& node = *nodes_[id].node.load(std::memory_order_relaxed);
    node.CheckWhole(id);
    for (size_t edge = 0; edge < kEdges; ++edge) {
      const Node* to = node.edges[edge].get();
      ABSL_CHECK_EQ(to == nullptr ? 0 : to->id, EdgeOf(id, edge)) << where_;
      reach(EdgeOf(id, edge));
    }
    if (node.racy) reach(node.racy->id);
    if (!node.more) continue;
    for (const Member<Node>& member : *node.more) {
      if (member) reach(member->id);
    }
  }
  for (Id id = 1; id < end; ++id) {
    ABSL_CHECK(reached[id] || !IsAlive(id))
        << "node " << id << " is garbage and was not destroyed" << where_;
  }
}

}  // namespace bibop

#endif  // BIBOP_RUNTIME_RANDOM_GRAPH_H_
