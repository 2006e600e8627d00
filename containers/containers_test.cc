#include "bibop/containers/containers.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "bibop/base/build_config.h"
#include "bibop/containers/allocator.h"
#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/persistent.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/stress_options.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

struct Node {
  explicit Node(Lifetimes& lifetimes) : tracked(lifetimes) {}
  void Trace(auto& visitor) const { visitor(children, by_name); }
  Tracked tracked;
  Vector<Member<Node>> children;
  FlatHashMap<std::string, Member<Node>> by_name;
};

class ContainersTest : public ::testing::Test {
 protected:
  explicit ContainersTest(HeapOptions options = {})
      : heap_(Heap::Create(std::move(options)).value()) {}

  void CollectAndDestroy() {
    heap_->Collect();
    heap_->Collect();
  }

  Lifetimes lifetimes_;
  // Elements die with the heap.
  Lifetimes elements_;
  std::unique_ptr<Heap> heap_;
  MutatorScope attached_{*heap_};
  Mutator& mutator_ = attached_;
};

TEST_F(ContainersTest, ElementsLiveAsLongAsTheObjectThatHasThem) {
  Persistent<Node> root;
  {
    HandleScope scope(mutator_);
    root = Persistent<Node>(mutator_, scope.New<Node>(lifetimes_));
    for (int i = 0; i < 100; ++i) {
      HandleScope inner(mutator_);
      const Handle<Node> node = inner.New<Node>(lifetimes_);
      root->children.push_back(node);
      root->by_name[std::to_string(i)] = node;
      node->children.push_back(inner.New<Node>(lifetimes_));
    }
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 201);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(root->by_name[std::to_string(i)], root->children[i]);
  }
  // By one of the two alone.
  {
    HandleScope scope(mutator_);
    root->by_name.clear();
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), 201);
    root->children.resize(10);
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), 21);
    root->children.pop_back();
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 19);
  root.Reset();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(ContainersTest, AContainerMayBeAnObject) {
  HandleScope scope(mutator_);
  {
    HandleScope inner(mutator_);
    Persistent<Vector<Member<Node>>> root(mutator_,
                                          inner.New<Vector<Member<Node>>>());
    root->push_back(inner.New<Node>(lifetimes_));
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), 1);
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(ContainersTest, AnArrayMayHoldContainers) {
  HandleScope scope(mutator_);
  const Handle<Array<Vector<Member<Node>>>> array =
      scope.NewArray<Vector<Member<Node>>>(10);
  {
    HandleScope inner(mutator_);
    for (Vector<Member<Node>>& vector : *array) {
      vector.push_back(inner.New<Node>(lifetimes_));
    }
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 10);
  (*array)[3].clear();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 9);
}

TEST_F(ContainersTest, ALocalContainerLivesUntilItsScopeCloses) {
  HandleScope scope(mutator_);
  {
    HandleScope inner(mutator_);
    Vector<Member<Node>> local;
    Map<int, Member<Node>> map;
    for (int i = 0; i < 50; ++i) {
      local.push_back(inner.New<Node>(lifetimes_));
      map[i] = local.back();
      heap_->Collect();
    }
    // What its store refers to is reachable.
    local.erase(local.begin(), local.begin() + 20);
    map.erase(map.begin(), map.find(30));
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), 50);
    EXPECT_EQ(map.at(49), local.back());
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

template <class C>
struct Owner {
  void Trace(auto& visitor) const { visitor(container); }
  C container;
};

// Takes out of an object's container what is in it, in two ways, and looks
// whether it is still there after a collection.
template <class C, class Fill>
void TestTakingOut(Heap& heap, Mutator& mutator, Fill fill) {
  HandleScope scope(mutator);
  const Handle<Owner<C>> owner = scope.New<Owner<C>>();
  for (int way = 0; way < 3; ++way) {
    {
      HandleScope inner(mutator);
      fill(owner->container, inner);
    }
    C local;
    if (way == 0) local.swap(owner->container);
    if (way == 1) local = std::move(owner->container);
    C moved = way == 2 ? std::move(owner->container) : std::move(local);
    owner->container.clear();
    heap.Collect();
    heap.Collect();
    EXPECT_EQ(moved.size(), 100u);
    size_t sum = 0;
    while (!moved.empty()) {
      sum += moved.begin()->second->children.size();
      moved.erase(moved.begin());
      if (sum % 10 == 0) {
        heap.Collect();
        heap.Collect();
      }
    }
    EXPECT_EQ(sum, 100u);
  }
}

TEST_F(ContainersTest, WhatIsTakenOutOfAnObjectLivesUntilTheScopeCloses) {
  const auto fill = [this](auto& container, HandleScope& scope) {
    for (int i = 0; i < 100; ++i) {
      const Handle<Node> node = scope.New<Node>(lifetimes_);
      node->children.resize(1);
      container.insert(container.end(), {i, node});
    }
  };
  using V = Member<Node>;
  TestTakingOut<Vector<std::pair<int, V>>>(*heap_, mutator_, fill);
  TestTakingOut<Deque<std::pair<int, V>>>(*heap_, mutator_, fill);
  TestTakingOut<Map<int, V>>(*heap_, mutator_, fill);
  TestTakingOut<UnorderedMap<int, V>>(*heap_, mutator_, fill);
  TestTakingOut<FlatHashMap<int, V>>(*heap_, mutator_, fill);
  TestTakingOut<BtreeMap<int, V>>(*heap_, mutator_, fill);
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(ContainersTest, WhatIsTakenOutMayComeToTheEdgeOfMemory) {
  // A page between two that cannot be read.
  constexpr size_t kPage = 4096;
  auto* pages = static_cast<std::byte*>(
      mmap(nullptr, 3 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(static_cast<void*>(pages), MAP_FAILED);
  ASSERT_EQ(mprotect(pages + kPage, kPage, PROT_READ | PROT_WRITE), 0);
  using C = Vector<Member<Node>>;
  HandleScope scope(mutator_);
  const Handle<Owner<C>> owner = scope.New<Owner<C>>();
  for (std::byte* place : {pages + kPage, pages + 2 * kPage - sizeof(C)}) {
    HandleScope inner(mutator_);
    {
      HandleScope innermost(mutator_);
      owner->container.push_back(innermost.New<Node>(lifetimes_));
    }
    C* moved = new (place) C;
    *moved = std::move(owner->container);
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), 1);
    std::destroy_at(moved);
    CollectAndDestroy();
    EXPECT_EQ(lifetimes_.alive(), 0);
  }
  munmap(pages, 3 * kPage);
}

TEST_F(ContainersTest, NumbersKeepNothingAlive) {
  HandleScope scope(mutator_);
  const Handle<Owner<Vector<uintptr_t>>> numbers =
      scope.New<Owner<Vector<uintptr_t>>>();
  {
    HandleScope inner(mutator_);
    const Handle<Node> node = inner.New<Node>(lifetimes_);
    numbers->container.push_back(reinterpret_cast<uintptr_t>(&*node));
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
  EXPECT_EQ(numbers->container.size(), 1u);
}

// Has elements that own memory and are larger than a word.
struct Strings {
  explicit Strings(Lifetimes& lifetimes) : tracked(lifetimes) {}
  void Trace(auto& visitor) const {
    visitor(map, unordered, btree, flat, nested, deque);
  }
  Tracked tracked;
  Map<int, std::string> map;
  UnorderedMap<int, std::string> unordered;
  BtreeMap<int, std::string> btree;
  FlatHashMap<int, std::string> flat;
  Vector<Vector<std::string>> nested;
  Deque<std::string> deque;
};

TEST_F(ContainersTest, DeadObjectsDestroyTheirElementsWhileOthersAllocate) {
  constexpr int kThreads = 3;
  constexpr int kObjects = 60;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this] {
      MutatorScope mutator(*heap_);
      for (int i = 0; i < kObjects; ++i) {
        HandleScope scope(mutator);
        const Handle<Strings> strings = scope.New<Strings>(lifetimes_);
        for (int n = 0; n < 20; ++n) {
          const std::string text(100, static_cast<char>('a' + n));
          strings->map[n] = text;
          strings->unordered[n] = text;
          strings->btree[n] = text;
          strings->flat[n] = text;
          strings->nested.emplace_back(n, text);
          strings->deque.push_back(text);
        }
        if (i % 20 == 19) heap_->Collect();
      }
    });
  }
  {
    ParkedScope parked(mutator_);
    for (std::thread& thread : threads) thread.join();
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.born(), kThreads * kObjects);
  EXPECT_EQ(lifetimes_.alive(), 0);
}

// An element that throws when it is copied for the nth time.
struct Throwing {
  Throwing(Lifetimes& lifetimes, int& copies_left)
      : tracked(lifetimes), left(copies_left) {}
  Throwing(const Throwing& other)
      : tracked(other.lifetimes()), left(other.left), node(other.node) {
    if (left-- == 0) throw std::runtime_error("enough");
  }
  Lifetimes& lifetimes() const { return *all; }
  static inline Lifetimes* all = nullptr;
  Tracked tracked;
  int& left;
  Member<Node> node;
};

TEST_F(ContainersTest, AnElementsConstructorMayThrow) {
  Lifetimes& elements = elements_;
  Throwing::all = &elements;
  HandleScope scope(mutator_);
  using C = Vector<Throwing>;
  const Handle<Owner<C>> owner = scope.New<Owner<C>>();
  const Handle<Owner<Map<int, Throwing>>> map =
      scope.New<Owner<Map<int, Throwing>>>();
  // Outlives the heap, as what the elements refer to has to.
  static int left;
  left = 1000000;
  {
    HandleScope inner(mutator_);
    for (int i = 0; i < 20; ++i) {
      owner->container.emplace_back(elements, left).node =
          inner.New<Node>(lifetimes_);
    }
  }
  for (int throws_after = 0; throws_after < 20; ++throws_after) {
    HandleScope inner(mutator_);
    left = throws_after;
    EXPECT_THROW(C copy = owner->container, std::runtime_error);
    left = throws_after;
    EXPECT_THROW(owner->container.reserve(owner->container.capacity() + 1),
                 std::runtime_error);
    left = 0;
    EXPECT_THROW(map->container.emplace(throws_after, owner->container[0]),
                 std::runtime_error);
    heap_->Collect();
  }
  CollectAndDestroy();
  EXPECT_EQ(elements.alive(), 20);
  EXPECT_EQ(lifetimes_.alive(), 20);
  EXPECT_TRUE(map->container.empty());
}

TEST_F(ContainersTest, AnElementsConstructorMayAllocate) {
  struct Element {
    Element(HandleScope& scope, Lifetimes& lifetimes, Heap& heap)
        : first(scope.New<Node>(lifetimes)) {
      heap.Collect();
      second = scope.New<Node>(lifetimes);
      heap.Collect();
    }
    Member<Node> first;
    Member<Node> second;
  };
  HandleScope scope(mutator_);
  const Handle<Owner<Vector<Element>>> vector =
      scope.New<Owner<Vector<Element>>>();
  const Handle<Owner<Map<int, Element>>> map =
      scope.New<Owner<Map<int, Element>>>();
  const Handle<Owner<FlatHashMap<int, Element>>> flat =
      scope.New<Owner<FlatHashMap<int, Element>>>();
  for (int i = 0; i < 20; ++i) {
    HandleScope inner(mutator_);
    vector->container.emplace_back(inner, lifetimes_, *heap_);
    map->container.try_emplace(i, inner, lifetimes_, *heap_);
    flat->container.try_emplace(i, inner, lifetimes_, *heap_);
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 120);
  vector->container.clear();
  map->container.clear();
  flat->container.clear();
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(ContainersTest, ElementsAreAligned) {
  struct alignas(256) Aligned {
    std::array<char, 256> bytes;
    Member<Node> node;
  };
  HandleScope scope(mutator_);
  const Handle<Owner<Vector<Aligned>>> owner =
      scope.New<Owner<Vector<Aligned>>>();
  const Handle<Owner<Map<int, Aligned>>> map =
      scope.New<Owner<Map<int, Aligned>>>();
  for (int i = 0; i < 100; ++i) {
    HandleScope inner(mutator_);
    owner->container.emplace_back().node = inner.New<Node>(lifetimes_);
    map->container[i].node = owner->container.back().node;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&owner->container.back()) % 256, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&map->container[i]) % 256, 0u);
  }
  CollectAndDestroy();
  EXPECT_EQ(lifetimes_.alive(), 100);
}

TEST_F(ContainersTest, MoreElementsThanThereCanBeAreRefused) {
  HandleScope scope(mutator_);
  const Handle<Owner<Vector<Member<Node>>>> owner =
      scope.New<Owner<Vector<Member<Node>>>>();
  EXPECT_THROW(owner->container.reserve(SIZE_MAX / 8), std::length_error);
  Allocator<Member<Node>> allocator;
  EXPECT_THROW(static_cast<void>(allocator.allocate(SIZE_MAX)),
               std::bad_array_new_length);
}

TEST(ContainersLimitTest, AFullHeapLeavesAContainerAsItWas) {
  const auto heap =
      Heap::Create({.max_bytes = size_t{4} << 20,
                    .on_out_of_memory =
                        [](const absl::Status&) { throw std::bad_alloc(); }})
          .value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  const Handle<Owner<Vector<std::array<char, 1024>>>> owner =
      scope.New<Owner<Vector<std::array<char, 1024>>>>();
  size_t size = 0;
  EXPECT_THROW(
      for (;;) {
        HandleScope inner(mutator);
        owner->container.push_back({static_cast<char>(size)});
        ++size;
      },
      std::bad_alloc);
  EXPECT_GT(size, 500u);
  ASSERT_EQ(owner->container.size(), size);
  for (size_t i = 0; i < size; ++i) {
    EXPECT_EQ(owner->container[i][0], static_cast<char>(i));
  }
  // What is given back is used again.
  owner->container.clear();
  owner->container.shrink_to_fit();
  for (int i = 0; i < 20; ++i) {
    HandleScope inner(mutator);
    owner->container.resize(1024);
    owner->container.clear();
    owner->container.shrink_to_fit();
  }
}

class UnstressedContainersTest : public ContainersTest {
 protected:
  UnstressedContainersTest() : ContainersTest({.stress = kNoStress}) {}
};

TEST_F(UnstressedContainersTest, AProgramThatOnlyGrowsContainersIsCollected) {
  HandleScope scope(mutator_);
  const Handle<Owner<Map<int, std::array<char, 100>>>> owner =
      scope.New<Owner<Map<int, std::array<char, 100>>>>();
  for (int i = 0; i < 2000000; ++i) {
    HandleScope inner(mutator_);
    owner->container.try_emplace(i);
    if (i >= 1000) owner->container.erase(i - 1000);
  }
  EXPECT_GT(heap_->stats().cycles, 2);
  EXPECT_LT(heap_->stats().block_bytes, 100 << 20);
}

TEST_F(ContainersTest, AScopeDoesNotGrowWhereStoresAreGivenBack) {
  HandleScope scope(mutator_);
  const Handle<Owner<FlatHashMap<int, int>>> flat =
      scope.New<Owner<FlatHashMap<int, int>>>();
  const Handle<Owner<Map<int, int>>> map = scope.New<Owner<Map<int, int>>>();
  const auto change = [&] {
    for (int i = 0; i < 300; ++i) flat->container[i] = i;
    // Gives back what is so large.
    flat->container.clear();
    for (int i = 0; i < 5; ++i) map->container[i] = i;
    map->container.clear();
  };
  change();
  const size_t before = mutator_.handles().size();
  for (int i = 0; i < 1000; ++i) change();
  EXPECT_EQ(mutator_.handles().size(), before);
}

using ContainersDeathTest = ContainersTest;

TEST_F(ContainersDeathTest, AContainerGrowsOnAThreadThatRunsInTheHeap) {
  HandleScope scope(mutator_);
  const Handle<Owner<Vector<int>>> owner = scope.New<Owner<Vector<int>>>();
  Vector<int>& vector = owner->container;
  EXPECT_DEATH(
      {
        ParkedScope parked(mutator_);
        vector.push_back(1);
      },
      // The latter if a mark has begun.
      "grows on a thread that does not run in its heap|used by a parked "
      "thread");
  EXPECT_DEATH(std::thread([&vector] { vector.push_back(1); }).join(),
               "grows on a thread that does not run in its heap");
}

TEST_F(ContainersDeathTest, AContainerGrowsInAScope) {
  if (!kCheckedHandles) GTEST_SKIP() << "scopes are not counted";
  Persistent<Owner<Vector<int>>> owner;
  {
    HandleScope scope(mutator_);
    owner = Persistent<Owner<Vector<int>>>(mutator_,
                                           scope.New<Owner<Vector<int>>>());
  }
  EXPECT_DEATH(owner->container.push_back(1), "where no HandleScope is open");
}

TEST_F(ContainersDeathTest, ALocalContainerThatIsOlderThanItsScopeIsTold) {
  if (!kCheckedHandles) GTEST_SKIP() << "not looked for";
  EXPECT_DEATH(
      {
        HandleScope scope(mutator_);
        // Keeps the block from being used for anything else.
        Vector<int> other(100);
        Vector<int> local;
        {
          HandleScope inner(mutator_);
          local.resize(100);
        }
        CollectAndDestroy();
        local.resize(1000);
      },
      "memory of a container was dropped|use-after-poison");
}

struct Forgetful {
  void Trace(auto& visitor) const { visitor(visited); }
  Vector<int> visited;
  Vector<int> forgotten;
};

TEST_F(ContainersDeathTest, AContainerThatTraceForgetsIsTold) {
  if (!kCheckedHandles) GTEST_SKIP() << "not looked for";
  EXPECT_DEATH(
      {
        HandleScope scope(mutator_);
        const Handle<Forgetful> object = scope.New<Forgetful>();
        {
          HandleScope inner(mutator_);
          object->visited.resize(100);
          object->forgotten.resize(100);
        }
        CollectAndDestroy();
        object->visited.resize(1000);
        object->forgotten.resize(1000);
      },
      "does the Trace of its class visit it|use-after-poison");
}

TEST_F(ContainersDeathTest, CopyingAnElementAllocatesNoObjects) {
  if (!kCheckedHandles) GTEST_SKIP() << "not looked for";
  struct Element {
    explicit Element(HandleScope& s, Lifetimes& l) : scope(s), lifetimes(l) {}
    Element(const Element& other)
        : scope(other.scope),
          lifetimes(other.lifetimes),
          node(other.scope.New<Node>(lifetimes)) {}
    HandleScope& scope;
    Lifetimes& lifetimes;
    Member<Node> node;
  };
  HandleScope scope(mutator_);
  const Handle<Owner<Vector<Element>>> owner =
      scope.New<Owner<Vector<Element>>>();
  owner->container.emplace_back(scope, lifetimes_);
  EXPECT_DEATH(owner->container.push_back(owner->container[0]),
               "an allocation or a safepoint in a NoGcScope");
}

}  // namespace
}  // namespace bibop
