// A service that runs for long, simulated: what a heap takes of processor time
// and of memory for it, under one HeapOptions or another.
//
//   bazel run -c opt //benchmarks:service_simulation -- --threads=4
//
// --threads threads serve requests until --allocations objects were made. Of
// all these draws the sequence is the same for the same --seed and --threads;
// how threads and collections interleave is not.
//
//   sizes      log-normal, with a median of 64 bytes and a sigma of 1, not less
//              than 16 bytes and not more than 4 KiB: half of them between 33
//              and 126. Up to 128 bytes an object is of one of eight types,
//              above it is one with extra bytes. One in a thousand is an array
//              of 64 to 2,048 references
//   lifetimes  a request makes 20 to 180 objects, which refer to each other in
//              a list. One in 50 goes to the session of the request, where it
//              takes the place of one of 32. A session lasts 500 requests on
//              average. Of ten requests one leaves an object in the core in
//              the place of another at random
//   load       --days days, each with a night, in which a tenth of the day's
//              requests come, a hundred microseconds after each other on each
//              thread, for a fifth of the sessions; the others end with the day
//
// It prints lines at equal steps of the work, and at the end after two more
// collections: bytes alive as of the last collection, bytes of blocks, the
// second over the first, and resident bytes. The last line of all is one JSON
// object:
//
//   cpu_s               of the process, before these two
//   heap_threads_cpu_s  of that, of threads that are the heap's: most of the
//                       marking, but not what the program's threads do in
//                       pauses and slow paths of allocations
//   wall_s              before these two as well
//   cycles, mark_s, sweep_s, pause_s   of all cycles, sums
//   pause_us            of each cycle's two: p50, p99, max
//   lock_waits, lock_wait_s            of all threads for the heap's lock
//   live_bytes, block_bytes, fragmentation, resident_bytes   in the end
//   peak_resident_bytes
//
// Options of the heap: heap_flags.h, and --mode.

#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/base/resident_memory.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/heap_flags.h"
#include "bibop/benchmarks/latencies.h"
#include "bibop/gc.h"

ABSL_FLAG(int64_t, allocations, 100'000'000,
          "objects to make in all: 1000 to 2^40");
ABSL_FLAG(int, threads, 2, "threads that serve requests: 1 to 1000");
ABSL_FLAG(int, sessions, 1000, "sessions of each thread: 1 to 10^6");
ABSL_FLAG(int, core, 50'000, "long-lived objects of each thread: 1 to 10^8");
ABSL_FLAG(int, days, 2, "days, each with its night: 1 to 1000");
ABSL_FLAG(int, reports, 10, "lines before the end: 0 to 1000");
ABSL_FLAG(int, seed, 1, "of what is drawn: 0 to 10^6");
ABSL_FLAG(std::string, mode, "concurrent",
          "how the heap collects: concurrent, incremental or stop-the-world");

namespace bibop::benchmarks {
namespace {

// ---- objects ----

struct Item {
  explicit Item(uint32_t n) : number(n) {}
  void Trace(auto& visitor) const { visitor(next); }

  Member<Item> next;
  uint32_t number;
};
template <size_t kSize>
struct Sized : Item {
  using Item::Item;
  std::array<std::byte, kSize - sizeof(Item)> rest;
};
using Items = Array<Member<Item>>;
using Sessions = Array<Member<Items>>;

constexpr size_t kStep = 16;
constexpr size_t kMostTyped = 128;
static_assert(sizeof(Item) == kStep);

// Of at least `size` bytes, 16 or more.
Handle<Item> NewItem(HandleScope& scope, size_t size, uint32_t number) {
  switch ((size + kStep - 1) / kStep) {
    case 1:
      return scope.New<Item>(number);
    case 2:
      return scope.New<Sized<32>>(number);
    case 3:
      return scope.New<Sized<48>>(number);
    case 4:
      return scope.New<Sized<64>>(number);
    case 5:
      return scope.New<Sized<80>>(number);
    case 6:
      return scope.New<Sized<96>>(number);
    case 7:
      return scope.New<Sized<112>>(number);
    case kMostTyped / kStep:
      return scope.New<Sized<128>>(number);
    default:
      return scope.NewWithExtraBytes<Item>(size - sizeof(Item), number);
  }
}

// ---- the service ----

absl::Duration CpuOf(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return absl::DurationFromTimespec(time);
}

constexpr int kNightShare = 10;
constexpr int kNightSessions = 5;
constexpr absl::Duration kNightPause = absl::Microseconds(100);

// A thread of the service. Made, used and destroyed by it, but for made().
class Worker {
 public:
  Worker(int64_t allocations, uint32_t seed)
      : allocations_(allocations), random_(seed) {
    // Drawn beforehand, so that a draw costs next to nothing.
    std::lognormal_distribution<double> size(std::log(64.0), 1.0);
    for (uint16_t& drawn : sizes_) {
      drawn =
          static_cast<uint16_t>(std::clamp(size(random_), 16.0, 4096.0) + 0.5);
    }
  }

  // How many objects it has made, for another thread; it orders nothing.
  int64_t made() const { return made_.load(std::memory_order_relaxed); }

  // The processor time of its thread, once it has served.
  absl::Duration cpu() const { return cpu_; }

  // Serves, and keeps what is alive then from `served` to `measured`.
  void Run(Heap& heap, std::barrier<>& served, std::barrier<>& measured) {
    MutatorScope attached(heap);
    Mutator& mutator = attached;
    HandleScope scope(mutator);
    const auto sessions = scope.NewArray<Member<Items>>(
        static_cast<size_t>(absl::GetFlag(FLAGS_sessions)));
    const auto core = scope.NewArray<Member<Item>>(
        static_cast<size_t>(absl::GetFlag(FLAGS_core)));
    for (size_t i = 0; i < core->size(); ++i) {
      HandleScope inner(mutator);
      (*core)[i] = NewItem(inner, DrawSize(), static_cast<uint32_t>(i));
    }
    const int days = absl::GetFlag(FLAGS_days);
    for (int day = 0; day < days; ++day) {
      const int64_t begin = allocations_ * day / days;
      const int64_t end = allocations_ * (day + 1) / days;
      const int64_t night =
          begin + (end - begin) * kNightShare / (kNightShare + 1);
      while (made() < night) Request(mutator, *sessions, *core);
      const size_t awake =
          std::max<size_t>(1, sessions->size() / kNightSessions);
      for (size_t i = awake; i < sessions->size(); ++i) {
        (*sessions)[i] = nullptr;
      }
      while (made() < end) {
        Request(mutator, *sessions, *core, awake);
        const ParkedScope parked(mutator);
        absl::SleepFor(kNightPause);
      }
    }
    cpu_ = CpuOf(CLOCK_THREAD_CPUTIME_ID);
    {
      const ParkedScope parked(mutator);
      served.arrive_and_wait();
      measured.arrive_and_wait();
    }
    for (size_t i = 0; i < core->size(); ++i) {
      ABSL_CHECK_EQ((*core)[i]->number, i) << "an object was lost";
    }
  }

 private:
  static constexpr size_t kOfSession = 32;

  size_t Draw(size_t below) {
    return (uint64_t{random_() - std::minstd_rand::min()} * below) >> 31;
  }
  size_t DrawSize() { return sizes_[Draw(sizes_.size())]; }

  // One of the sessions asks for something.
  void Request(Mutator& mutator, Sessions& sessions, Items& core) {
    Request(mutator, sessions, core, sessions.size());
  }
  // One of the first `awake` does.
  void Request(Mutator& mutator, Sessions& sessions, Items& core,
               size_t awake) {
    HandleScope scope(mutator);
    Member<Items>& place = sessions[Draw(awake)];
    if (place == nullptr || Draw(500) == 0) {
      place = scope.NewArray<Member<Item>>(kOfSession);
    }
    const Handle<Items> session = scope.Local(place).ToHandleChecked();
    const size_t count = 20 + Draw(161);
    MutableHandle<Item> list = scope.Mutable<Item>();
    for (size_t i = 0; i < count; ++i) {
      if (Draw(1000) == 0) scope.NewArray<Member<Item>>(64 + Draw(1985));
      const Handle<Item> item = NewItem(scope, DrawSize(), 0);
      if (Draw(50) == 0) {
        (*session)[Draw(kOfSession)] = item;
      } else {
        item->next = list;
        list = item;
      }
    }
    if (Draw(10) == 0) {
      const size_t at = Draw(core.size());
      core[at] = NewItem(scope, DrawSize(), static_cast<uint32_t>(at));
    }
    made_.store(made() + static_cast<int64_t>(count),
                std::memory_order_relaxed);
  }

  const int64_t allocations_;
  std::minstd_rand random_;
  std::array<uint16_t, 1 << 14> sizes_;
  // Written by its thread, read by the one that reports; relaxed.
  std::atomic<int64_t> made_ = 0;
  absl::Duration cpu_;
};

// ---- the run ----

absl::StatusOr<HeapOptions> Options() {
  HeapOptions options = HeapOptionsFromFlags();
  const std::string mode = absl::GetFlag(FLAGS_mode);
  if (mode == "incremental") {
    options.mode = CollectionMode::kIncremental;
  } else if (mode == "stop-the-world") {
    options.mode = CollectionMode::kStopTheWorld;
  } else if (mode != "concurrent") {
    return absl::InvalidArgumentError(absl::StrCat(
        "--mode may be concurrent, incremental or stop-the-world, not ", mode));
  }
  return options;
}

absl::Status CheckFlags() {
  absl::Status status = CheckFlag(
      "allocations", absl::GetFlag(FLAGS_allocations), 1000, int64_t{1} << 40);
  status.Update(CheckHeapFlags());
  status.Update(CheckFlag("threads", absl::GetFlag(FLAGS_threads), 1, 1000));
  status.Update(
      CheckFlag("sessions", absl::GetFlag(FLAGS_sessions), 1, 1'000'000));
  status.Update(CheckFlag("core", absl::GetFlag(FLAGS_core), 1, 100'000'000));
  status.Update(CheckFlag("days", absl::GetFlag(FLAGS_days), 1, 1000));
  status.Update(CheckFlag("seed", absl::GetFlag(FLAGS_seed), 0, 1'000'000));
  status.Update(CheckFlag("reports", absl::GetFlag(FLAGS_reports), 0, 1000));
  return status;
}

// What all cycles took.
struct Cycles {
  Latencies pauses;
  absl::Duration mark;
  absl::Duration sweep;
};

// 0 before the first collection.
double Fragmentation(const HeapStats& stats) {
  if (stats.live_bytes == 0) return 0;
  return static_cast<double>(stats.block_bytes) /
         static_cast<double>(stats.live_bytes);
}

void Report(const std::string& when, const HeapStats& stats) {
  constexpr double kMiB = 1 << 20;
  std::cout << absl::StrFormat(
                   "%-6s %7.1f MiB alive, %7.1f in blocks, %5.3f times as "
                   "much; %7.1f resident; %d cycles",
                   when, static_cast<double>(stats.live_bytes) / kMiB,
                   static_cast<double>(stats.block_bytes) / kMiB,
                   Fragmentation(stats),
                   static_cast<double>(ResidentBytes()) / kMiB, stats.cycles)
            << std::endl;
}

void Run(HeapOptions options) {
  const absl::Time start = absl::Now();
  // Cycles come one after the other; the heap is asked for its numbers, after
  // them, before these are read.
  Cycles cycles;
  options.on_cycle_end = [&cycles](const CycleStats& cycle) {
    cycles.pauses.Add(absl::ToInt64Nanoseconds(cycle.initial_pause));
    if (cycle.finish_attempts > 0) {
      cycles.pauses.Add(absl::ToInt64Nanoseconds(cycle.final_pause));
    }
    cycles.mark += cycle.mark_time;
    cycles.sweep += cycle.sweep_time;
  };
  const std::unique_ptr<Heap> heap = Heap::Create(options).value();
  const int64_t allocations = absl::GetFlag(FLAGS_allocations);
  const int count = absl::GetFlag(FLAGS_threads);
  std::barrier<> served(count + 1);
  std::barrier<> measured(count + 1);
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    workers.push_back(std::make_unique<Worker>(
        allocations / count,
        static_cast<uint32_t>(absl::GetFlag(FLAGS_seed) * 1000 + i + 1)));
    threads.emplace_back([&, worker = workers.back().get()] {
      worker->Run(*heap, served, measured);
    });
  }
  const int reports = absl::GetFlag(FLAGS_reports);
  for (int report = 1; report <= reports; ++report) {
    const auto made = [&] {
      int64_t sum = 0;
      for (const auto& worker : workers) sum += worker->made();
      return sum;
    };
    // The threads make a little more than they have to.
    const int64_t due = allocations / count * count * report / (reports + 1);
    while (made() < due) absl::SleepFor(absl::Milliseconds(1));
    Report(absl::StrCat(100 * report / (reports + 1), " %"), heap->stats());
  }
  served.arrive_and_wait();
  const absl::Duration wall = absl::Now() - start;
  const absl::Duration cpu = CpuOf(CLOCK_PROCESS_CPUTIME_ID);
  absl::Duration own = CpuOf(CLOCK_THREAD_CPUTIME_ID);
  for (const auto& worker : workers) own += worker->cpu();
  heap->Collect();
  heap->Collect();
  const HeapStats stats = heap->stats();
  Report("end", stats);
  std::cout << absl::StrFormat(
      "{\"cpu_s\": %.3f, \"heap_threads_cpu_s\": %.3f, \"wall_s\": %.3f, "
      "\"cycles\": %d, \"mark_s\": %.3f, \"sweep_s\": %.3f, \"pause_s\": %.6f, "
      "\"pause_us\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}, "
      "\"lock_waits\": %d, \"lock_wait_s\": %.6f, "
      "\"live_bytes\": %d, \"block_bytes\": %d, \"fragmentation\": %.4f, "
      "\"resident_bytes\": %d, \"peak_resident_bytes\": %d}\n",
      absl::ToDoubleSeconds(cpu), absl::ToDoubleSeconds(cpu - own),
      absl::ToDoubleSeconds(wall), stats.cycles,
      absl::ToDoubleSeconds(cycles.mark), absl::ToDoubleSeconds(cycles.sweep),
      absl::ToDoubleSeconds(stats.total_pause),
      static_cast<double>(cycles.pauses.Quantile(0.5)) / 1e3,
      static_cast<double>(cycles.pauses.Quantile(0.99)) / 1e3,
      static_cast<double>(cycles.pauses.max()) / 1e3, stats.lock_waits,
      absl::ToDoubleSeconds(stats.lock_wait_time), stats.live_bytes,
      stats.block_bytes, Fragmentation(stats), ResidentBytes(),
      PeakResidentBytes());
  measured.arrive_and_wait();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  using namespace bibop::benchmarks;  // NOLINT(google-build-using-namespace)
  if (AsksForHelp(argc, argv)) {
    std::cout << "Simulates a service that runs for long.\n\n" << FlagsHelp();
    return 0;
  }
  absl::Status usage = ParseFlags(argc, argv);
  usage.Update(CheckFlags());
  const absl::StatusOr<bibop::HeapOptions> options = Options();
  usage.Update(options.status());
  if (!usage.ok()) {
    std::cerr << usage.message() << "\n";
    return 2;
  }
#ifndef __OPTIMIZE__
  std::cerr << "this build is not optimized: do not believe its figures "
               "(build with -c opt)\n";
#endif
  Run(*options);
  return 0;
}
