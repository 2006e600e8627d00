// Threads that do everything at random with one graph, in every mode, under
// verification: see random_graph.h for what has to hold, and random_worker.h
// for what they do.
//
//   BIBOP_RANDOM_SECONDS=600     for each mode; by default 2
//   BIBOP_RANDOM_SEED=4711       what a run that failed said; else another
//
// The seed repeats each thread's choices, not the order in which threads run.

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/persistent.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/random_graph.h"
#include "bibop/runtime/random_worker.h"
#include "bibop/runtime/stress_options.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

struct Mode {
  const char* name;
  HeapOptions options;
};

class RandomThreadsTest : public ::testing::TestWithParam<Mode> {};

uint64_t NumberFrom(const char* variable, uint64_t otherwise) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): it only reads
  const char* text = std::getenv(variable);
  uint64_t number = 0;
  if (text == nullptr) return otherwise;
  ABSL_CHECK(absl::SimpleAtoi(text, &number)) << variable << "=" << text;
  return number;
}

// Releases what it is given, without being attached.
void ReleaseThings(Shared& shared) {
  while (!shared.end) {
    std::vector<Persistent<Node>> released;
    {
      const absl::MutexLock lock(shared.mutex);
      released.swap(shared.to_release);
    }
    released.clear();
    absl::SleepFor(absl::Microseconds(200));
  }
}

// Returns how many nodes are alive.
size_t CheckEverything(Shared& shared,
                       const std::vector<std::unique_ptr<Worker>>& workers) {
  // A slot that another thread released as a mark ended may root its object for
  // one more cycle; the last one destroys.
  for (int i = 0; i < 3; ++i) shared.heap.Collect();
  std::vector<Id> roots;
  for (const auto& worker : workers) worker->AddRoots(roots);
  for (Shared::Shelf& shelf : shared.shelves) {
    const absl::MutexLock lock(shelf.mutex);
    roots.push_back(shelf.kept.id);
  }
  for (const Member<Node>& element : shared.elements) {
    if (element) roots.push_back(element->id);
  }
  std::vector<bool> reached;
  shared.shadow.CheckExactly(roots, reached);
  for (const auto& worker : workers) worker->CheckWatched(reached);
  return std::ranges::count(reached, true);
}

TEST_P(RandomThreadsTest, WhatCanBeReachedLivesAndNothingElse) {
  const uint64_t seed = NumberFrom("BIBOP_RANDOM_SEED", std::random_device()());
  const absl::Duration time =
      absl::Seconds(NumberFrom("BIBOP_RANDOM_SECONDS", 2));
  const std::string where =
      absl::StrCat("; BIBOP_RANDOM_SEED=", seed, " in mode ", GetParam().name);
  ABSL_LOG(INFO) << "a run" << where;
  HeapOptions options = GetParam().options;
  options.stress.seed = seed | 1;
  options.stress.clobber = true;
  options.stress.verify = VerifyLevel::kReachable;
  options.stress.ignore_environment = true;
  options.min_budget_bytes = 64 << 10;
  options.small_heap_bytes = 256 << 10;
  options.decommit_half_life = absl::Milliseconds(20);
  const std::unique_ptr<Heap> heap = Heap::Create(options).value();

  std::mt19937_64 random(seed);
  const auto threads = static_cast<std::ptrdiff_t>(2 + random() % 15);
  Shared shared(*heap, where);
  {
    MutatorScope mutator(*heap);
    HandleScope scope(mutator);
    shared.table = Persistent<Node::More>(
        mutator, scope.NewArray<Member<Node>>(100 + random() % 20000));
    shared.elements = shared.table->span();
  }
  std::barrier still(threads + 1);
  std::barrier go_on(threads + 1);
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> running;
  for (std::ptrdiff_t i = 0; i < threads; ++i) {
    workers.push_back(std::make_unique<Worker>(shared, random()));
    running.emplace_back(
        [&, worker = workers.back().get()] { worker->Run(still, go_on); });
  }
  running.emplace_back([&] { ReleaseThings(shared); });
  size_t most_alive = 0;
  const absl::Time end = absl::Now() + time;
  while (!shared.end) {
    absl::SleepFor(absl::Milliseconds(5 + random() % 100));
    shared.pause = true;
    still.arrive_and_wait();
    {
      // What is on its way to be released.
      absl::MutexLock lock(shared.mutex);
      shared.to_release.clear();
    }
    most_alive = std::max(most_alive, CheckEverything(shared, workers));
    shared.end = absl::Now() >= end || !shared.shadow.HasRoom();
    shared.pause = false;
    go_on.arrive_and_wait();
  }
  for (std::thread& thread : running) thread.join();
  for (Shared::Shelf& shelf : shared.shelves) {
    const absl::MutexLock lock(shelf.mutex);
    shelf.kept = {};
  }
  shared.elements = {};
  shared.table.Reset();
  EXPECT_EQ(CheckEverything(shared, workers), 0u);
  EXPECT_GT(heap->stats().cycles, 3);
  ABSL_LOG(INFO) << threads << " threads, " << shared.shadow.made()
                 << " nodes, of which at most " << most_alive
                 << " were alive when nothing moved, " << heap->stats().cycles
                 << " collections";
}

Mode WithStress(const char* name, HeapOptions options, StressOptions stress) {
  options.stress = stress;
  return {name, options};
}

INSTANTIATE_TEST_SUITE_P(
    Modes, RandomThreadsTest,
    ::testing::ValuesIn(std::vector<Mode>{
        {"concurrent", {}},
        {"three_markers", {.markers = 3}},
        {"incremental", {.mode = CollectionMode::kIncremental}},
        {"stop_the_world", {.mode = CollectionMode::kStopTheWorld}},
        {"generations", {.generations = true}},
        {"generations_incremental",
         {.mode = CollectionMode::kIncremental, .generations = true}},
        WithStress("generations_at_every_safepoint",
                   {.markers = 2, .generations = true},
                   {.every_safepoint = true}),
        WithStress("generations_marking", {.generations = true},
                   {.phase = StressPhase::kMarking}),
        WithStress("at_every_allocation", {}, {.every_nth_allocation = 5}),
        WithStress("at_every_safepoint", {}, {.every_safepoint = true}),
        WithStress("incremental_at_every_safepoint",
                   {.mode = CollectionMode::kIncremental},
                   {.every_safepoint = true}),
        WithStress("mark_start", {}, {.phase = StressPhase::kMarkStart}),
        WithStress("marking", {}, {.phase = StressPhase::kMarking}),
        WithStress("mark_finish", {.markers = 2},
                   {.phase = StressPhase::kMarkFinish}),
        WithStress("clearing", {}, {.phase = StressPhase::kClearing}),
        WithStress("sweeping", {}, {.phase = StressPhase::kSweeping}),
    }),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace bibop
