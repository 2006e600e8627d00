// Allocation: what a short-lived object costs, from its allocation to the time
// that its memory is used again.
//
//   bazel run -c opt //benchmarks:alloc -- --threads=1,2
//
// Objects of several sizes have one pointer, which their constructor sets to
// null, and leave the rest uninitialized. The work is a function that makes 64
// of them, which all live until it returns. Compares nanoseconds per object;
// with several threads each of them does the same work as one alone, so that
// the figure stays the same where the threads do not disturb each other. The
// processor time per object is shown, too: on a machine with other work to do
// it is the steadier one, but what a thread waits for is not in it.
//
//   bibop          a HandleScope and 64 times New; collections included
//   bibop_mixed    the same with NewWithExtraBytes, as arrays and the stores of
//                  containers are made: their cells come in pieces of 2 KiB
//                  instead of up to 256 KiB, each under the heap's lock
//   bump           a bare bump pointer over memory that is used again and again
//   bump_register  the same, with the pointer in a register: the absolute floor
//   glibc, ...     64 times new, then 64 times delete
//
// Bibop's two have figures besides, which --run and --json show:
//
//   lock_waits_per_mib   how often a thread waited for the heap's lock for each
//                        MiB that was allocated
//   lock_wait_share      for how much of the threads' time they did

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/benchmarks/observe.h"
#include "bibop/benchmarks/race.h"
#include "bibop/gc.h"

ABSL_FLAG(std::vector<std::string>, threads,
          std::vector<std::string>({"1", "2"}),
          "numbers of threads, with commas between: each 1 to 256");
ABSL_FLAG(int64_t, objects, 64 << 20,
          "objects that each thread makes, in batches of 64: 64 to 2^40");
ABSL_FLAG(
    int64_t, ring_bytes, 2 << 20,
    "the memory of a bump pointer, as much as Bibop allocates between two "
    "collections where next to nothing is alive: 16384 to 2^30");

namespace bibop::benchmarks {
namespace {

constexpr int kBatch = 64;
constexpr std::index_sequence<16, 32, 64, 256> kSizes;

template <class T>
using Raw = T*;

template <size_t kSize, template <class> class Reference>
struct Object {
  // Not `= default`: that would have `T()` write zeros all over the object.
  Object() : next(nullptr) {}

  void Trace(auto& visitor) const { visitor(next); }

  Reference<Object> next;
  std::byte rest[kSize - sizeof(void*)];
};

// ---- with Bibop ----

template <size_t kSize>
[[gnu::noinline]] void BibopBatch(Mutator& mutator) {
  HandleScope scope(mutator);
  for (int i = 0; i < kBatch; ++i) {
    Observe(scope.New<Object<kSize, Member>>().get());
  }
}

struct Header {
  void Trace(auto& visitor) const { visitor(next); }

  Member<Header> next;
};

template <size_t kSize>
[[gnu::noinline]] void BibopMixedBatch(Mutator& mutator) {
  HandleScope scope(mutator);
  for (int i = 0; i < kBatch; ++i) {
    Observe(scope.NewWithExtraBytes<Header>(kSize - sizeof(Header)).get());
  }
}

// Lets each thread of `race` do `batch` as a mutator of one heap.
std::vector<Figure> RaceMutators(Race& race, int threads,
                                 void (*batch)(Mutator&)) {
  const auto heap = Heap::Create({}).value();
  race.Run([&race, &heap, batch] {
    MutatorScope attached(*heap);
    Mutator& mutator = attached;
    race.Repeat([batch, &mutator] { batch(mutator); },
                [&mutator](auto wait) {
                  const ParkedScope parked(mutator);
                  wait();
                });
  });
  const HeapStats stats = heap->stats();
  const double mib = static_cast<double>(stats.allocated_bytes) / (1 << 20);
  return {{"lock_waits_per_mib", static_cast<double>(stats.lock_waits) / mib},
          {"lock_wait_share",
           absl::FDivDuration(stats.lock_wait_time, threads * race.wall())}};
}

template <size_t kSize>
std::vector<Figure> RaceBibop(Race& race, int threads) {
  return RaceMutators(race, threads, BibopBatch<kSize>);
}

template <size_t kSize>
std::vector<Figure> RaceBibopMixed(Race& race, int threads) {
  return RaceMutators(race, threads, BibopMixedBatch<kSize>);
}

// How a thread waits that nobody else waits for.
constexpr auto WaitHere = [](auto wait) { wait(); };

// ---- with a bump pointer ----

// Memory that is allocated from by incrementing a pointer, and once more when
// its end is reached.
class Ring {
 public:
  explicit Ring(size_t bytes)
      : memory_(static_cast<std::byte*>(
            ::operator new(bytes, std::align_val_t{4096}))),
        next_(memory_),
        limit_(memory_ + bytes) {}
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() { ::operator delete(memory_, std::align_val_t{4096}); }

  void* Allocate(size_t bytes) { return AllocateAt(next_, limit_, bytes); }

  // Allocates `count` times and hands each cell to `use`, with the pointer and
  // its limit in local variables meanwhile.
  template <class Use>
  void AllocateMany(int count, size_t bytes, Use use) {
    std::byte* next = next_;
    std::byte* const limit = limit_;
    for (int i = 0; i < count; ++i) use(AllocateAt(next, limit, bytes));
    next_ = next;
  }

 private:
  void* AllocateAt(std::byte*& next, std::byte* limit, size_t bytes) {
    if (static_cast<size_t>(limit - next) < bytes) [[unlikely]] {
      next = memory_;
    }
    std::byte* const cell = next;
    next += bytes;
    return cell;
  }

  std::byte* const memory_;
  std::byte* next_;
  std::byte* const limit_;
};

template <size_t kSize>
[[gnu::noinline]] void BumpBatch(Ring& ring) {
  for (int i = 0; i < kBatch; ++i) {
    Observe(::new (ring.Allocate(kSize)) Object<kSize, Raw>());
  }
}

template <size_t kSize>
[[gnu::noinline]] void BumpRegisterBatch(Ring& ring) {
  ring.AllocateMany(kBatch, kSize, [](void* cell) {
    Observe(::new (cell) Object<kSize, Raw>());
  });
}

template <void (*kBatchFunction)(Ring&)>
std::vector<Figure> RaceBump(Race& race, int /*threads*/) {
  race.Run([&race] {
    Ring ring(static_cast<size_t>(absl::GetFlag(FLAGS_ring_bytes)));
    race.Repeat([&ring] { kBatchFunction(ring); }, WaitHere);
  });
  return {};
}

// ---- with new and delete ----

template <size_t kSize>
[[gnu::noinline]] void NewDeleteBatch() {
  using T = Object<kSize, Raw>;
  T* objects[kBatch];
  for (T*& object : objects) {
    object = new T();
    Observe(object);
  }
  for (T* const object : objects) delete object;
}

template <size_t kSize>
std::vector<Figure> RaceNewDelete(Race& race, int /*threads*/) {
  race.Run([&race] { race.Repeat(NewDeleteBatch<kSize>, WaitHere); });
  return {};
}

// ---- the contests ----

// A contestant's run: `start` has so many threads do all their batches, and
// returns figures that are its own.
std::function<RunResult(int64_t objects)> RunOf(
    std::vector<Figure> (*start)(Race&, int threads), int threads) {
  return [start, threads](int64_t objects) -> RunResult {
    Race race(threads, objects / kBatch);
    const std::vector<Figure> own = start(race, threads);
    const double ns = absl::ToDoubleNanoseconds(race.wall());
    const double cpu_ns = absl::ToDoubleNanoseconds(race.cpu());
    const int64_t all_objects = objects * threads;
    RunResult result = {
        .units = all_objects,
        .figures = {
            {"ns_per_object", ns / static_cast<double>(objects)},
            {"cpu_ns_per_object", cpu_ns / static_cast<double>(all_objects)}}};
    result.figures.insert(result.figures.end(), own.begin(), own.end());
    return result;
  };
}

std::string NameOf(size_t size, int threads) {
  return absl::StrCat(size, "_bytes_", threads,
                      threads == 1 ? "_thread" : "_threads");
}

template <size_t kSize>
Contest ContestOf(int64_t objects, int threads) {
  Contest contest = {
      .name = NameOf(kSize, threads),
      .size = objects / kBatch * kBatch,
      .unit = "objects",
      .figure = "ns_per_object",
      .other_figures = {"cpu_ns_per_object", "peak_mib"},
      .reference = "bump",
      .contestants = OnEveryMalloc(RunOf(RaceNewDelete<kSize>, threads))};
  contest.contestants.insert(
      contest.contestants.begin(),
      {{.name = "bibop", .run = RunOf(RaceBibop<kSize>, threads)},
       {.name = "bibop_mixed", .run = RunOf(RaceBibopMixed<kSize>, threads)},
       {.name = "bump", .run = RunOf(RaceBump<BumpBatch<kSize>>, threads)},
       {.name = "bump_register",
        .run = RunOf(RaceBump<BumpRegisterBatch<kSize>>, threads)}});
  return contest;
}

// The numbers that --threads names.
absl::StatusOr<std::vector<int>> Threads() {
  std::vector<int> threads;
  for (const std::string& text : absl::GetFlag(FLAGS_threads)) {
    int number = 0;
    if (!absl::SimpleAtoi(text, &number)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--threads: '", text, "' is no number"));
    }
    absl::Status status = CheckFlag("threads", number, 1, 256);
    if (!status.ok()) return status;
    threads.push_back(number);
  }
  if (threads.empty()) {
    return absl::InvalidArgumentError("--threads names no number");
  }
  return threads;
}

absl::StatusOr<std::vector<Contest>> Contests() {
  const absl::StatusOr<std::vector<int>> threads = Threads();
  absl::Status status = threads.status();
  const int64_t objects = absl::GetFlag(FLAGS_objects);
  status.Update(CheckFlag("objects", objects, kBatch, int64_t{1} << 40));
  status.Update(CheckFlag("ring_bytes", absl::GetFlag(FLAGS_ring_bytes),
                          16 << 10, 1 << 30));
  if (!status.ok()) return status;
  std::vector<Contest> contests;
  for (const int number : *threads) {
    [&]<size_t... kSize>(std::index_sequence<kSize...>) {
      (contests.push_back(ContestOf<kSize>(objects, number)), ...);
    }(kSizes);
  }
  return contests;
}

// The ratios to look at, and how each thread's speed with others around it
// compares to that of one alone: 1 is perfect.
void DeriveOfSize(size_t size, const std::vector<int>& threads, Figures median,
                  std::vector<Derived>& derived) {
  for (const int number : threads) {
    const std::string contest = NameOf(size, number);
    const auto ns = [&](const char* contestant) {
      return median(contest, contestant, "ns_per_object");
    };
    for (const char* other : {"bump", "tcmalloc"}) {
      derived.push_back(
          {absl::StrCat(contest, " bibop/", other), ns("bibop") / ns(other)});
    }
    if (number == 1 || std::ranges::count(threads, 1) == 0) continue;
    for (const char* figure : {"ns_per_object", "cpu_ns_per_object"}) {
      const auto scaling = [&](const char* contestant) {
        return median(NameOf(size, 1), contestant, figure) /
               median(contest, contestant, figure);
      };
      const std::string name = absl::StrCat(contest, " ", figure, " scaling ");
      derived.push_back({name + "bump", scaling("bump")});
      derived.push_back({name + "bibop", scaling("bibop")});
      derived.push_back(
          {name + "bibop/bump", scaling("bibop") / scaling("bump")});
    }
  }
}

std::vector<Derived> Derive(Figures median) {
  const std::vector<int> threads = Threads().value();
  std::vector<Derived> derived;
  [&]<size_t... kSize>(std::index_sequence<kSize...>) {
    (DeriveOfSize(kSize, threads, median, derived), ...);
  }(kSizes);
  return derived;
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description = "Times the allocation of short-lived objects.",
       .contests = bibop::benchmarks::Contests,
       .derive = bibop::benchmarks::Derive});
}
