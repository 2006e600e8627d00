// Mutators that help to mark: those that wait for a collection, and those that
// allocate faster than objects are marked.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "bibop/handles/array.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/stress_options.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

// The number of a mutator's thread; 0 for others.
thread_local size_t mutator_number = 0;

// Objects that take their time to be traced, and count who traced them.
struct Slow {
  static constexpr size_t kMostThreads = 3;
  static inline std::array<std::atomic<int64_t>, kMostThreads> traced_by = {};
  // So many turns of a loop.
  static inline int work = 0;

  void Trace(auto& visitor) const {
    visitor(next);
    ++traced_by[mutator_number];
    for (volatile int i = 0; i < work;) i = i + 1;
  }
  Member<Slow> next;
  int64_t words[5] = {};
};

class AssistTest : public ::testing::Test {
 protected:
  // Each of `threads` threads replaces `count` objects of an array of `alive`.
  // Returns how many were traced by mutators' threads that did not drive the
  // collection.
  int64_t Assisted(HeapOptions options, size_t threads, size_t alive,
                   size_t count) {
    int64_t assisted = 0;
    options.stress = kNoStress;
    options.on_cycle_end = [&assisted](const CycleStats&) {
      for (size_t number = 0; number < Slow::kMostThreads; ++number) {
        const int64_t traced = Slow::traced_by[number].exchange(0);
        if (number != 0 && number != mutator_number) assisted += traced;
      }
    };
    auto heap = Heap::Create(options).value();
    std::vector<std::thread> workers;
    for (size_t number = 1; number <= threads; ++number) {
      workers.emplace_back([&heap, number, alive, count] {
        mutator_number = number;
        MutatorScope mutator(*heap);
        HandleScope scope(mutator);
        const auto kept = scope.NewArray<Member<Slow>>(alive);
        for (size_t i = 0; i < alive + count; ++i) {
          HandleScope inner(mutator);
          (*kept)[i % alive] = inner.New<Slow>();
        }
      });
    }
    for (std::thread& worker : workers) worker.join();
    // The last cycle may be under way.
    heap->Collect();
    return assisted;
  }
};

// Without this a heap at its limit left all processors but one idle.
TEST_F(AssistTest, WhoWaitsForMemoryBelowTheLimitMarks) {
  constexpr size_t kAlive = 100'000;
  Slow::work = 100;
  const size_t limit = 2 * kAlive * (sizeof(Slow) + sizeof(void*)) / 10 * 12;
  EXPECT_GT(
      Assisted({.soft_limit_bytes = limit}, /*threads=*/2, kAlive, 4 * kAlive),
      1000);
}

TEST_F(AssistTest, WhoAllocatesFasterThanIsMarkedMarks) {
  constexpr size_t kAlive = 100'000;
  Slow::work = 2000;
  EXPECT_GT(Assisted({}, /*threads=*/1, kAlive, 30 * kAlive), 1000);
}

TEST_F(AssistTest, ModesWithoutAThreadHaveNobodyToHelp) {
  Slow::work = 0;
  for (const CollectionMode mode :
       {CollectionMode::kIncremental, CollectionMode::kStopTheWorld}) {
    EXPECT_EQ(Assisted({.mode = mode}, /*threads=*/1, 10'000, 100'000), 0);
  }
}

}  // namespace
}  // namespace bibop
