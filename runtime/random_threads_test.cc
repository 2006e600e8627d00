// Threads that do everything at random with one graph, in every mode, under
// verification: see random_graph.h for what has to hold.
//
//   BIBOP_RANDOM_SECONDS=600     for each mode; by default 2
//   BIBOP_RANDOM_SEED=4711       what a run that failed said; by default
//   another
//                                each time
//
// The seed repeats each thread's choices, not the order in which threads run.

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/handles/array.h"
#include "bibop/handles/escapable_handle_scope.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/persistent.h"
#include "bibop/handles/weak_persistent.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/random_graph.h"
#include "bibop/runtime/stress_options.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using Id = Shadow::Id;

struct Padding {
  int64_t padding = 0;
};

// Nodes of many sizes; references to them point into their middles.
template <size_t n>
struct Sized : Padding, Node {
  Sized(Shadow& shadow, Id id) : Node(shadow, id, own) {}
  std::array<uint8_t, n> own;
};

// With bytes behind it.
struct Extended : Node {
  Extended(Shadow& shadow, Id id, size_t extra)
      : Node(shadow, id, {reinterpret_cast<uint8_t*>(this + 1), extra}) {}
};

// Allocates another while it is constructed, and refers to it.
struct Nesting : Node {
  Nesting(Shadow& shadow, Id id, Mutator& mutator) : Node(shadow, id, {}) {
    HandleScope scope(mutator);
    const Id inner = shadow.NewId();
    const Handle<Sized<40>> node = scope.New<Sized<40>>(shadow, inner);
    const absl::MutexLock lock(shadow.LockOf(id));
    edges[0] = node;
    shadow.EdgeOf(id, 0) = inner;
  }
};

struct Failing : Node {
  Failing(Shadow& shadow, Id id) : Node(shadow, id, {}) { throw id; }
};

// What roots a node outside of the stack, and which it is.
template <class Root>
struct Kept {
  Root root;
  Id id = 0;
};

// What all threads share.
struct Shared {
  Shared(Heap& in, std::string where) : heap(in), shadow(std::move(where)) {}

  struct Shelf {
    absl::Mutex mutex;
    Kept<Persistent<Node>> kept ABSL_GUARDED_BY(mutex);
  };

  Heap& heap;
  Shadow shadow;
  std::array<Shelf, 32> shelves;
  // Keeps many alive. Its elements are written and read by all at once.
  Persistent<Node::More> table;
  std::span<Member<Node>> elements;
  // To be released by a thread that is not attached.
  absl::Mutex mutex;
  std::vector<Persistent<Node>> to_release ABSL_GUARDED_BY(mutex);
  // Says that the threads are to stand still soon.
  std::atomic<bool> pause = false;
  std::atomic<bool> end = false;
};

class Worker {
 public:
  Worker(Shared& shared, uint64_t seed) : shared_(shared), random_(seed) {}

  // Works until the end, and stands still now and then between the barriers.
  void Run(std::barrier<>& still, std::barrier<>& go_on) {
    while (!shared_.end) {
      if (shared_.pause || Random(20) == 0) {
        StandStillIfAsked(still, go_on, nullptr);
      }
      if (!shared_.end) Attach(still, go_on);
    }
    kept_.clear();
    watched_.clear();
  }

  // What it keeps and watches, while it stands still.
  void AddRoots(std::vector<Id>& roots) const {
    for (const auto& kept : kept_) roots.push_back(kept.id);
    roots.insert(roots.end(), ids_.begin(), ids_.end());
  }
  void CheckWatched(const std::vector<bool>& reached) const {
    for (const auto& watched : watched_) {
      ABSL_CHECK_EQ(watched.root.IsEmpty(), !reached[watched.id])
          << "a WeakPersistent of node " << watched.id
          << shared_.shadow.where();
    }
  }

 private:
  static constexpr size_t kLocals = 4;
  static constexpr size_t kMostKept = 50;
  using Locals = std::array<MutableHandle<Node>, kLocals>;

  uint64_t Random(uint64_t limit) { return random_() % limit; }

  void StandStillIfAsked(std::barrier<>& still, std::barrier<>& go_on,
                         Mutator* mutator) {
    if (!shared_.pause) return;
    std::optional<ParkedScope> parked;
    if (mutator != nullptr) parked.emplace(*mutator);
    still.arrive_and_wait();
    go_on.arrive_and_wait();
  }

  void Attach(std::barrier<>& still, std::barrier<>& go_on) {
    MutatorScope attached(shared_.heap);
    Mutator& mutator = attached;
    HandleScope scope(mutator);
    Locals locals = {scope.Mutable<Node>(), scope.Mutable<Node>(),
                     scope.Mutable<Node>(), scope.Mutable<Node>()};
    for (uint64_t left = Random(3000); left > 0 && !shared_.end; --left) {
      DoSomething(mutator, locals);
      if (shared_.pause) {
        mutator.Safepoint();
        StandStillIfAsked(still, go_on, &mutator);
      }
    }
    ids_ = {};
  }

  void DoSomething(Mutator& mutator, Locals& locals) {
    const size_t a = Random(kLocals);
    const size_t b = Random(kLocals);
    if (ids_[a] != 0) locals[a]->CheckAlive(ids_[a]);
    switch (Random(24)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return Allocate(mutator, locals[a], ids_[a]);
      case 4:
        return Link(locals[a].get(), locals[b], ids_[b]);
      case 5:
        return Unlink(locals[a].get());
      case 6:
      case 7:
        return Follow(locals[a], ids_[a], locals[b].get());
      case 8:
        if (ids_[a] != 0) locals[a]->racy = locals[b];
        return;
      case 9:
        return FollowRacy(mutator, locals[a], ids_[a], locals[b].get());
      case 10:
        return UseArray(mutator, locals[a], locals[b]);
      case 11:
        return Keep(mutator, locals[a], ids_[a]);
      case 12:
        return Release(mutator);
      case 13:
        return UseKept(locals[a], ids_[a]);
      case 14:
        return UseShelf(mutator, locals[a], ids_[a]);
      case 15:
        return Watch(mutator, locals[a], ids_[a]);
      case 16:
        return Lock(mutator, locals[a], ids_[a]);
      case 17:
        return Forget(locals[a], ids_[a]);
      case 18:
        return Escape(mutator, locals[a], ids_[a]);
      case 19:
      case 20:
      case 21:
        InTable() = locals[a];
        return;
      case 22:
        return SetFrom(InTable(), locals[a], ids_[a]);
      default:
        return Rest(mutator);
    }
  }

  Member<Node>& InTable() {
    Node::More& table = *shared_.table;
    return table[Random(table.size())];
  }

  Handle<Node> New(HandleScope& scope, Mutator& mutator, Id id) {
    Shadow& shadow = shared_.shadow;
    const uint64_t kind = Random(1000);
    if (kind < 400) return scope.New<Sized<1>>(shadow, id);
    if (kind < 700) return scope.New<Sized<40>>(shadow, id);
    if (kind < 800) return scope.New<Sized<500>>(shadow, id);
    if (kind < 850) return scope.New<Sized<3000>>(shadow, id);
    if (kind < 870) return scope.New<Sized<30000>>(shadow, id);
    if (kind < 872) return scope.New<Sized<300000>>(shadow, id);
    if (kind < 930) return scope.New<Nesting>(shadow, id, mutator);
    const size_t extra = Random(2000);
    return scope.NewWithExtraBytes<Extended>(extra, shadow, id, extra);
  }

  void Allocate(Mutator& mutator, MutableHandle<Node>& local, Id& id) {
    if (!shared_.shadow.HasRoom()) return;
    HandleScope scope(mutator);
    const Id made = shared_.shadow.NewId();
    if (Random(100) == 0) {
      try {
        scope.New<Failing>(shared_.shadow, made);
      } catch (Id failed) {
        ABSL_CHECK_EQ(failed, made);
      }
      return;
    }
    const Handle<Node> node = New(scope, mutator, made);
    // Mostly lists grow, so that there is something to mark.
    if (Random(32) != 0) Link(node.get(), local, id);
    local = node;
    id = made;
  }

  template <class Reference>
  void Link(Node* from, const Reference& to, Id id) {
    if (from == nullptr) return;
    const size_t edge = Random(Shadow::kEdges);
    const absl::MutexLock lock(shared_.shadow.LockOf(from->id));
    from->edges[edge] = to;
    shared_.shadow.EdgeOf(from->id, edge) = id;
  }

  void Unlink(Node* from) {
    if (Random(32) == 0) Link(from, Member<Node>(), 0);
  }

  void Follow(MutableHandle<Node>& local, Id& id, Node* from) {
    if (from == nullptr) return;
    const size_t edge = Random(Shadow::kEdges);
    const absl::MutexLock lock(shared_.shadow.LockOf(from->id));
    local = from->edges[edge];
    id = shared_.shadow.EdgeOf(from->id, edge);
    ABSL_CHECK_EQ(id != 0, bool{local}) << shared_.shadow.where();
    if (id != 0) local->CheckAlive(id);
  }

  // Makes the local refer to what `source` does; the model has no word in it.
  template <class Reference>
  void SetFrom(const Reference& source, MutableHandle<Node>& local, Id& id) {
    local = source;
    id = 0;
    if (!local) return;
    id = local->id;
    local->CheckAlive(id);
  }

  void FollowRacy(Mutator& mutator, MutableHandle<Node>& local, Id& id,
                  Node* from) {
    if (from == nullptr) return;
    if (Random(2) == 0) return SetFrom(from->racy, local, id);
    HandleScope scope(mutator);
    const MaybeHandle<Node::More> more = scope.Local(from->more);
    if (more.IsEmpty()) return;
    const Handle<Node::More> array = more.ToHandleChecked();
    SetFrom((*array)[Random(array->size())], local, id);
  }

  void UseArray(Mutator& mutator, MutableHandle<Node>& from,
                MutableHandle<Node>& to) {
    if (!from) return;
    HandleScope scope(mutator);
    const MaybeHandle<Node::More> more = scope.Local(from->more);
    if (more.IsEmpty() || Random(10) == 0) {
      constexpr std::array<size_t, 3> kSizes = {3, 60, 3000};
      from->more = scope.NewArray<Member<Node>>(kSizes[Random(kSizes.size())]);
      return;
    }
    const Handle<Node::More> array = more.ToHandleChecked();
    (*array)[Random(array->size())] = to;
  }

  void Keep(Mutator& mutator, MutableHandle<Node>& local, Id id) {
    if (id == 0) return;
    if (kept_.size() == kMostKept) kept_.pop_back();
    kept_.push_back({Persistent<Node>(mutator, local), id});
  }

  void Release(Mutator& mutator) {
    if (kept_.empty()) return;
    std::swap(kept_[Random(kept_.size())], kept_.back());
    switch (Random(3)) {
      case 0: {
        const ParkedScope parked(mutator);
        kept_.pop_back();
        return;
      }
      case 1: {
        const absl::MutexLock lock(shared_.mutex);
        shared_.to_release.push_back(std::move(kept_.back().root));
        break;
      }
      default:
        break;
    }
    kept_.pop_back();
  }

  void UseKept(MutableHandle<Node>& local, Id& id) {
    if (kept_.empty()) return;
    const auto& kept = kept_[Random(kept_.size())];
    kept.root->CheckAlive(kept.id);
    local = kept.root;
    id = kept.id;
  }

  // Shelves pass Persistents from thread to thread.
  void UseShelf(Mutator& mutator, MutableHandle<Node>& local, Id& id) {
    Shared::Shelf& shelf = shared_.shelves[Random(shared_.shelves.size())];
    const absl::MutexLock lock(shelf.mutex);
    Kept<Persistent<Node>>& kept = shelf.kept;
    if (kept.id != 0) kept.root->CheckAlive(kept.id);
    if (Random(3) == 0 && !kept_.empty()) {
      std::swap(kept, kept_.back());
    } else if (id != 0 && Random(2) == 0) {
      kept.root.Reset(mutator, local);
      kept.id = id;
    } else if (kept.id != 0) {
      local = kept.root;
      id = kept.id;
    }
    if (!kept_.empty() && kept_.back().id == 0) kept_.pop_back();
  }

  void Watch(Mutator& mutator, MutableHandle<Node>& local, Id id) {
    if (id == 0) return;
    if (watched_.size() == kMostKept) {
      watched_.erase(watched_.begin() + Random(kMostKept));
    }
    watched_.push_back({WeakPersistent<Node>(mutator, local), id});
  }

  void Lock(Mutator& mutator, MutableHandle<Node>& local, Id& id) {
    if (watched_.empty()) return;
    const auto& watched = watched_[Random(watched_.size())];
    HandleScope scope(mutator);
    const MaybeHandle<Node> found = watched.root.Lock(scope);
    if (found.IsEmpty()) {
      // It was dead, so nobody can have it.
      const auto has_it = [&](const auto& kept) {
        return kept.id == watched.id;
      };
      ABSL_CHECK(std::ranges::none_of(kept_, has_it) &&
                 std::ranges::count(ids_, watched.id) == 0)
          << "node " << watched.id << " is kept and cannot be locked"
          << shared_.shadow.where();
      return;
    }
    local = found.ToHandleChecked();
    id = watched.id;
    local->CheckAlive(id);
  }

  void Forget(MutableHandle<Node>& local, Id& id) {
    if (Random(4) != 0) return;
    local = nullptr;
    id = 0;
  }

  Handle<Node> MakeInScopeOfItsOwn(Mutator& mutator, Id id) {
    EscapableHandleScope scope(mutator);
    const Handle<Node> node = New(scope, mutator, id);
    mutator.Safepoint();
    return scope.Escape(node);
  }

  void Escape(Mutator& mutator, MutableHandle<Node>& local, Id& id) {
    if (!shared_.shadow.HasRoom()) return;
    HandleScope scope(mutator);
    const Id made = shared_.shadow.NewId();
    local = MakeInScopeOfItsOwn(mutator, made);
    id = made;
  }

  void Rest(Mutator& mutator) {
    switch (Random(40)) {
      case 0:
        return shared_.heap.Collect();
      case 1:
      case 2: {
        const ParkedScope parked(mutator);
        std::this_thread::yield();
        return;
      }
      case 3:
        mutator.AdjustExternalBytes(100000);
        return shared_.heap.AdjustExternalBytes(-100000);
      default:
        return mutator.Safepoint();
    }
  }

  Shared& shared_;
  std::mt19937_64 random_;
  // The model of the locals.
  std::array<Id, kLocals> ids_ = {};
  std::vector<Kept<Persistent<Node>>> kept_;
  std::vector<Kept<WeakPersistent<Node>>> watched_;
};

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
