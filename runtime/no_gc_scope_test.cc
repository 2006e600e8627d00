#include "bibop/handles/no_gc_scope.h"

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/mutator.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

// A scope in which clang's analysis of threads does not see one, and so no
// misuse.
template <class Scope>
using Hidden = std::optional<Scope>;

struct Node {
  explicit Node(Lifetimes& lifetimes) : tracked(lifetimes) {}
  void Trace(auto& visitor) const { visitor(next); }
  Tracked tracked;
  Member<Node> next;
};

class NoGcScopeTest : public ::testing::Test {
 protected:
  Lifetimes lifetimes_;
  std::unique_ptr<Heap> heap_ = Heap::Create({}).value();
  MutatorScope attached_{*heap_};
  Mutator& mutator_ = attached_;
};

TEST_F(NoGcScopeTest, AnotherThreadsCollectionWaitsForItsEnd) {
  HandleScope scope(mutator_);
  const Handle<Node> node = scope.New<Node>(lifetimes_);
  node->next = scope.New<Node>(lifetimes_);
  std::atomic<bool> collected = false;
  std::thread other([this, &collected] {
    heap_->Collect();
    heap_->Collect();
    collected = true;
  });
  {
    NoGcScope no_gc(mutator_);
    const Node* unrooted = node->next.get();
    node->next = nullptr;
    absl::SleepFor(absl::Milliseconds(20));
    EXPECT_FALSE(collected);
    EXPECT_EQ(unrooted->next, nullptr);
    EXPECT_EQ(lifetimes_.dead(), 0);
  }
  {
    ParkedScope parked(mutator_);
    other.join();
  }
  EXPECT_TRUE(collected);
}

// Far from a collection, and yet: whether one is due depends on the others.
TEST_F(NoGcScopeTest, TheFirstAllocationThatNeedsCellsIsTold) {
  EXPECT_DEATH(
      {
        const Hidden<NoGcScope> no_gc(mutator_);
        HandleScope scope(mutator_);
        scope.New<Node>(lifetimes_);
      },
      "in a NoGcScope");
}

TEST_F(NoGcScopeTest, ACollectionIsTold) {
  EXPECT_DEATH(
      {
        const Hidden<NoGcScope> no_gc(mutator_);
        heap_->Collect();
      },
      "in a NoGcScope");
}

TEST_F(NoGcScopeTest, ASafepointAtWhichItWouldStopIsTold) {
  EXPECT_DEATH(
      {
        std::thread other([this] { heap_->Collect(); });
        const Hidden<NoGcScope> no_gc(mutator_);
        for (;;) mutator_.Safepoint();
      },
      "in a NoGcScope");
}

TEST_F(NoGcScopeTest, ParkingIsTold) {
  EXPECT_DEATH(
      {
        const Hidden<NoGcScope> no_gc(mutator_);
        ParkedScope parked(mutator_);
      },
      "in a NoGcScope");
}

TEST_F(NoGcScopeTest, TheyNest) {
  HandleScope scope(mutator_);
  const Hidden<NoGcScope> outer(mutator_);
  {
    const Hidden<NoGcScope> inner(mutator_);
  }
  EXPECT_DEATH(heap_->Collect(), "in a NoGcScope");
}

TEST_F(NoGcScopeTest, AfterItsEndACollectionRuns) {
  {
    NoGcScope no_gc(mutator_);
  }
  heap_->Collect();
  EXPECT_EQ(heap_->stats().cycles, 1);
}

}  // namespace
}  // namespace bibop
