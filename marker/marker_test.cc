#include "bibop/marker/marker.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <random>
#include <set>
#include <vector>

#include "bibop/base/build_config.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

struct Node {
  std::array<Member<Node>, 3> edges;
  void Trace(auto& visitor) const { visitor(edges); }
};

// A Node that is a base, not at the start of its object.
struct Tag {
  int64_t tag = 0;
};
struct Tagged : Tag, Node {};

struct Leaf {
  int64_t value = 0;
};
struct PointsIntoLeaf {
  Member<int64_t> inside;
  void Trace(auto& visitor) const { visitor(inside); }
};

class MarkerTest : public ::testing::Test {
 protected:
  template <class T>
  T* New() {
    void* cell = allocator_.TryAllocate<T>();
    if (cell == nullptr) {
      cell =
          allocator_.AllocateSlow(kTypeInfo<T>, kTypeId<T>, sizeof(T)).value();
    }
    return new (cell) T();
  }

  MarkCounts Mark(const std::vector<const void*>& roots,
                  const std::vector<const void*>& in_construction = {}) {
    heap_->FinishSweep();
    allocator_.Retire();
    heap_->BeginMark();
    Marker marker(*heap_);
    for (const void* object : in_construction) {
      marker.VisitRootInConstruction(object);
    }
    for (const void* root : roots) marker.VisitRoot(root);
    marker.Drain();
    heap_->FinishMark();
    heap_->EndClearing();
    heap_->StartSweep();
    return marker.counts();
  }

  bool IsMarked(const void* object) {
    return heap_->MarkOf(object) == heap_->marks().old();
  }

  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  LocalAllocator allocator_ = LocalAllocator::Create(*heap_).value();
};

TEST_F(MarkerTest, MarksExactlyWhatIsReachableInARandomGraph) {
  std::mt19937 random(4);  // NOLINT(cert-msc51-cpp): repeatable
  for (size_t size : {1, 10, 100, 5000}) {
    std::vector<Node*> nodes;
    for (size_t i = 0; i < size; ++i) nodes.push_back(New<Node>());
    for (Node* node : nodes) {
      // About one edge a node, so that about half is reachable.
      for (auto& edge : node->edges) {
        if (random() % 3 == 0) edge = Member<Node>(nodes[random() % size]);
      }
    }
    const std::vector<const void*> roots = {nodes[0], nodes[size / 2]};
    std::set<const Node*> reachable;
    std::vector<const Node*> stack = {nodes[0], nodes[size / 2]};
    while (!stack.empty()) {
      const Node* node = stack.back();
      stack.pop_back();
      if (!reachable.insert(node).second) continue;
      for (const auto& edge : node->edges) {
        if (edge) stack.push_back(edge.get());
      }
    }
    const MarkCounts counts = Mark(roots);
    EXPECT_EQ(counts.objects, static_cast<int64_t>(reachable.size()));
    EXPECT_EQ(counts.bytes, static_cast<int64_t>(reachable.size() * 24));
    for (const Node* node : nodes) {
      ASSERT_EQ(IsMarked(node), reachable.contains(node));
    }
  }
}

TEST_F(MarkerTest, NothingIsMarkedWithoutRoots) {
  Node* node = New<Node>();
  node->edges[0] = Member<Node>(node);
  EXPECT_EQ(Mark({}).objects, 0);
  EXPECT_FALSE(IsMarked(node));
}

TEST_F(MarkerTest, AListOfAMillionIsNoProblem) {
  Node* head = New<Node>();
  for (int i = 1; i < 1000000; ++i) {
    Node* node = New<Node>();
    node->edges[0] = Member<Node>(head);
    head = node;
  }
  EXPECT_EQ(Mark({head}).objects, 1000000);
}

TEST_F(MarkerTest, APointerToABaseOrAFieldKeepsTheWholeObject) {
  auto* tagged = New<Tagged>();
  Node* base = tagged;
  ASSERT_NE(static_cast<void*>(base), static_cast<void*>(tagged));
  base->edges[0] = Member<Node>(New<Node>());
  auto* leaf = New<Leaf>();
  auto* points = New<PointsIntoLeaf>();
  points->inside = Member<int64_t>(&leaf->value);
  EXPECT_EQ(Mark({base, points}).objects, 4);
  EXPECT_TRUE(IsMarked(tagged));
  EXPECT_TRUE(IsMarked(base->edges[0].get()));
  EXPECT_TRUE(IsMarked(leaf));
}

struct NeverTraced {
  uintptr_t words[4] = {};
  void Trace(auto& visitor) const {
    ADD_FAILURE() << "traced while in construction";
    visitor();
  }
};

// I-4: what an object in construction refers to lives, by whatever words, and
// its Trace is not called, even if it is reachable by another way too.
TEST_F(MarkerTest, SaysOfAnyAddressInAnObjectWhetherThatWasMarked) {
  auto* root = New<Tagged>();
  auto* next = New<Tagged>();
  auto* dead = New<Tagged>();
  root->edges[0] = Member<Node>(next);
  dead->edges[0] = Member<Node>(root);
  heap_->FinishSweep();
  allocator_.Retire();
  heap_->BeginMark();
  Marker marker(*heap_);
  marker.VisitRoot(root);
  marker.Drain();
  for (const Tagged* object : {root, next, dead}) {
    EXPECT_EQ(marker.IsMarked(object), object != dead);
    const Node* base = object;
    EXPECT_EQ(marker.IsMarked(base), object != dead);
    EXPECT_EQ(marker.IsMarked(&object->edges[2]), object != dead);
  }
  int other = 0;
  EXPECT_DEATH(marker.IsMarked(&other), "which is not in its heap");
  heap_->FinishMark();
  heap_->EndClearing();
  heap_->StartSweep();
}

TEST_F(MarkerTest, AnObjectInConstructionIsScannedWordByWord) {
  auto* constructing = New<NeverTraced>();
  auto* target = New<Leaf>();
  auto* second = New<Tagged>();
  auto* unrelated = New<Leaf>();
  constructing->words[0] = reinterpret_cast<uintptr_t>(target);
  constructing->words[1] = 12345;
  constructing->words[2] = reinterpret_cast<uintptr_t>(&unrelated);
  constructing->words[3] =
      reinterpret_cast<uintptr_t>(static_cast<Node*>(second));
  EXPECT_EQ(Mark({constructing}, {constructing}).objects, 3);
  EXPECT_TRUE(IsMarked(constructing));
  EXPECT_TRUE(IsMarked(target));
  EXPECT_TRUE(IsMarked(second));
  EXPECT_FALSE(IsMarked(unrelated));
}

TEST_F(MarkerTest, AWordThatPointsAtAFreeCellIsNoReference) {
  auto* constructing = New<NeverTraced>();
  auto* leaf = New<Leaf>();
  constructing->words[0] = reinterpret_cast<uintptr_t>(leaf);
  // The cell after the last object of the block.
  constructing->words[1] = reinterpret_cast<uintptr_t>(leaf) + 16;
  EXPECT_EQ(Mark({}, {constructing}).objects, 2);
}

TEST_F(MarkerTest, AReferenceToNoObjectIsToldInCheckedBuilds) {
  if (!kCheckedHandles) GTEST_SKIP() << "an unchecked build";
  auto* dropped = New<Leaf>();
  auto* kept = New<PointsIntoLeaf>();
  Mark({kept});
  heap_->FinishSweep();
  EXPECT_DEATH(Mark({kept, dropped}), "where there is no object");
}

}  // namespace
}  // namespace bibop
