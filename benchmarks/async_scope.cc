// AsyncHandleScopes: what it costs a task to hold an object and to use it once,
// and what a task that sleeps takes.
//
//   bazel run -c opt //benchmarks:async_scope -- --operations=20000000
//
//   task  a scope is made, a handle is added, a guard opens, the handle becomes
//         a Handle, the object is changed, guard and scope end. Nanoseconds of
//         processor time per operation
//   idle  --scopes scopes with four handles each, all of which exist at once:
//         bytes of resident memory for each, itself included
//
// In `task` with `bibop`, whose thread runs and whose object exists, compete
//
//   unchecked    by GetUnchecked
//   parked       on a thread that is parked outside of the guard, as one of an
//                executor's is
//   new          the object is made, too
//   glibc, ...   a std::shared_ptr from std::make_shared: made, copied for a
//                task, the object changed through the copy, both released; the
//                process has a second thread, for without one neither its
//                counts nor malloc are safe for threads

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "bibop/base/resident_memory.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/benchmarks/layouts.h"
#include "bibop/benchmarks/observe.h"
#include "bibop/benchmarks/race.h"
#include "bibop/gc.h"

ABSL_FLAG(int64_t, operations, 20'000'000,
          "operations of each run, in batches of 1000: 1000 to 2^40");
ABSL_FLAG(int64_t, scopes, 1'000'000,
          "scopes that exist at once: 1000 to 2^26");

namespace bibop::benchmarks {
namespace {

constexpr int kBatch = 1000;
constexpr char kFigure[] = "ns_per_operation";

struct Node {
  void Trace(auto& visitor) const { visitor(next); }

  Member<Node> next;
  int64_t value = 0;
};

// ---- a task's work ----

void Use(Node& node) {
  ++node.value;
  Observe(&node);
}

struct Checked {
  void operator()(Mutator& mutator, Handle<Node> node) const {
    for (int i = 0; i < kBatch; ++i) {
      AsyncHandleScope scope(mutator.heap());
      const AsyncHandle<Node> handle = scope.Add(node);
      Observe(&handle);
      AsyncHandleGuard guard(mutator);
      Use(*guard.Get(handle));
    }
  }
};

struct Unchecked {
  void operator()(Mutator& mutator, Handle<Node> node) const {
    for (int i = 0; i < kBatch; ++i) {
      AsyncHandleScope scope(mutator.heap());
      const AsyncHandle<Node> handle = scope.Add(node);
      Observe(&handle);
      AsyncHandleGuard guard(mutator);
      Use(*guard.GetUnchecked(handle));
    }
  }
};

struct New {
  void operator()(Mutator& mutator, Handle<Node> /*node*/) const {
    for (int i = 0; i < kBatch; ++i) {
      AsyncHandleScope scope(mutator.heap());
      const AsyncHandle<Node> handle = scope.New<Node>(mutator);
      Observe(&handle);
      AsyncHandleGuard guard(mutator);
      Use(*guard.Get(handle));
    }
  }
};

// The handle that is added is another task's.
struct Parked {
  void operator()(Mutator& mutator, AsyncHandle<Node> node) const {
    for (int i = 0; i < kBatch; ++i) {
      AsyncHandleScope scope(mutator.heap());
      AsyncHandleGuard guard(mutator);
      const AsyncHandle<Node> handle = scope.Add(guard, node);
      Observe(&handle);
      Use(*guard.Get(handle));
    }
  }
};

struct SharedPtrs {
  void operator()() const {
    for (int i = 0; i < kBatch; ++i) {
      const auto made = std::make_shared<Node>();
      // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): it is it
      const std::shared_ptr<Node> copy = made;
      Observe(&copy);
      Use(*copy);
    }
  }
};

RunResult ResultOf(int64_t operations, const Race& race) {
  return {.units = operations,
          .figures = {{kFigure, absl::ToDoubleNanoseconds(race.cpu()) /
                                    static_cast<double>(operations)}}};
}

template <class Work>
RunResult RunTasks(int64_t operations) {
  const auto heap = Heap::Create({}).value();
  MutatorScope attached(*heap);
  Mutator& mutator = attached;
  HandleScope scope(mutator);
  const Handle<Node> node = scope.New<Node>();
  Race race(/*threads=*/1, operations / kBatch);
  race.Run([&] {
    Layouts<Work, Mutator&, Handle<Node>> work;
    race.Repeat([&] { work(mutator, node); }, [](auto wait) { wait(); });
  });
  return ResultOf(operations, race);
}

RunResult RunParked(int64_t operations) {
  const auto heap = Heap::Create({}).value();
  MutatorScope attached(*heap);
  Mutator& mutator = attached;
  AsyncHandleScope scope(*heap);
  const AsyncHandle<Node> node = scope.New<Node>(mutator);
  const ParkedScope parked(mutator);
  Race race(/*threads=*/1, operations / kBatch);
  race.Run([&] {
    Layouts<Parked, Mutator&, AsyncHandle<Node>> work;
    race.Repeat([&] { work(mutator, node); }, [](auto wait) { wait(); });
  });
  return ResultOf(operations, race);
}

RunResult RunSharedPtrs(int64_t operations) {
  absl::Notification done;
  std::thread second([&done] { done.WaitForNotification(); });
  Race race(/*threads=*/1, operations / kBatch);
  race.Run([&race] {
    Layouts<SharedPtrs> work;
    race.Repeat([&] { work(); }, [](auto wait) { wait(); });
  });
  done.Notify();
  second.join();
  return ResultOf(operations, race);
}

// ---- tasks that sleep ----

RunResult RunIdle(int64_t scopes) {
  const auto heap = Heap::Create({}).value();
  MutatorScope attached(*heap);
  Mutator& mutator = attached;
  HandleScope scope(mutator);
  const Handle<Node> node = scope.New<Node>();
  const int64_t before = ResidentBytes();
  std::vector<AsyncHandleScope> idle;
  idle.reserve(static_cast<size_t>(scopes));
  for (int64_t i = 0; i < scopes; ++i) {
    AsyncHandleScope& one = idle.emplace_back(*heap);
    for (int k = 0; k < 4; ++k) one.Add(node);
  }
  const auto bytes = static_cast<double>(ResidentBytes() - before);
  return {
      .units = scopes,
      .figures = {{"bytes_per_scope", bytes / static_cast<double>(scopes)}}};
}

absl::StatusOr<std::vector<Contest>> Contests() {
  const int64_t operations = absl::GetFlag(FLAGS_operations);
  const int64_t scopes = absl::GetFlag(FLAGS_scopes);
  absl::Status status =
      CheckFlag("operations", operations, kBatch, int64_t{1} << 40);
  status.Update(CheckFlag("scopes", scopes, 1000, int64_t{1} << 26));
  if (!status.ok()) return status;
  std::vector<Contestant> tasks = OnEveryMalloc(RunSharedPtrs);
  tasks.insert(tasks.begin(),
               {{.name = "bibop", .run = RunTasks<Checked>},
                {.name = "unchecked", .run = RunTasks<Unchecked>},
                {.name = "parked", .run = RunParked},
                {.name = "new", .run = RunTasks<New>}});
  return std::vector<Contest>{
      {.name = "task",
       .size = operations / kBatch * kBatch,
       .unit = "operations",
       .figure = kFigure,
       .reference = "bibop",
       .contestants = std::move(tasks)},
      {.name = "idle",
       .size = scopes,
       .unit = "scopes",
       .figure = "bytes_per_scope",
       .reference = "bibop",
       .contestants = {{.name = "bibop", .run = RunIdle}}}};
}

std::vector<Derived> Derive(Figures median) {
  const double bibop = median("task", "bibop", kFigure);
  std::vector<Derived> derived = {{"task ns bibop", bibop, 40}};
  for (const char* malloc : {"glibc", "tcmalloc"}) {
    derived.push_back({absl::StrCat("task bibop/", malloc),
                       bibop / median("task", malloc, kFigure), 0.6});
  }
  derived.push_back({"idle bytes_per_scope",
                     median("idle", "bibop", "bytes_per_scope"), 128});
  return derived;
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description =
           "Times a task's use of an object, and counts the bytes of "
           "a task that sleeps.",
       .contests = bibop::benchmarks::Contests,
       .derive = bibop::benchmarks::Derive});
}
