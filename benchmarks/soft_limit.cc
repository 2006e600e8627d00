// Soft limit: whether a heap keeps to a little more than what is alive, and
// what that costs.
//
//   bazel run -c opt //benchmarks:soft_limit -- --percent=120
//
// Threads keep nodes and buffers alive and replace them at random, one after
// the other. A node is an object of 48 bytes; a buffer is one that owns 16 KiB
// from malloc, of which it tells the heap, and there is one for each thousand
// nodes. What is alive is measured in a heap without a limit. Then
//
//   limited     has a soft limit of --percent hundredths of that
//   unlimited   has the default
//
// Compares nanoseconds per replacement, of all threads together. A thread looks
// each millisecond at how much the heap takes, blocks, free blocks with memory
// and external bytes together: most_percent is the most that was seen, over the
// soft limit. For long runs, raise --operations.

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/benchmarks/heap_flags.h"
#include "bibop/gc.h"

ABSL_FLAG(int64_t, nodes, 1'000'000, "nodes alive in all: 100000 to 2^31");
ABSL_FLAG(int64_t, operations, 50'000'000,
          "replacements of each run: 1000 to 2^40");
ABSL_FLAG(int, threads, 2, "threads that replace: 1 to 256");
ABSL_FLAG(int, percent, 120, "the limit over what is alive: 101 to 1000");

namespace bibop::benchmarks {
namespace {

constexpr char kFigure[] = "ns_per_operation";
constexpr size_t kBufferBytes = size_t{16} << 10;
constexpr int64_t kNodesForBuffer = 1000;

struct Node {
  void Trace(auto& visitor) const { visitor(next); }

  Member<Node> next;
  int64_t words[5] = {};
};

class Buffer {
 public:
  explicit Buffer(Mutator& mutator)
      : heap_(&mutator.heap()),
        bytes_(std::make_unique<std::byte[]>(kBufferBytes)) {
    mutator.AdjustExternalBytes(kBufferBytes);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { heap_->AdjustExternalBytes(-static_cast<int64_t>(kBufferBytes)); }

 private:
  Heap* heap_;
  std::unique_ptr<std::byte[]> bytes_;
};

// What one thread keeps alive.
class Kept {
 public:
  Kept(Mutator& mutator, HandleScope& scope, int64_t nodes, uint32_t seed)
      : mutator_(mutator),
        nodes_(scope.NewArray<Member<Node>>(static_cast<size_t>(nodes))),
        buffers_(scope.NewArray<Member<Buffer>>(
            static_cast<size_t>(nodes / kNodesForBuffer + 1))),
        random_(seed) {
    for (size_t i = 0; i < nodes_->size(); ++i) ReplaceNode(i);
    for (size_t i = 0; i < buffers_->size(); ++i) ReplaceBuffer(i);
  }

  void Replace() {
    ReplaceNode(random_() % nodes_->size());
    if (random_() % kNodesForBuffer == 0) {
      ReplaceBuffer(random_() % buffers_->size());
    }
  }

 private:
  void ReplaceNode(size_t i) {
    HandleScope scope(mutator_);
    (*nodes_)[i] = scope.New<Node>();
  }
  void ReplaceBuffer(size_t i) {
    HandleScope scope(mutator_);
    (*buffers_)[i] = scope.New<Buffer>(mutator_);
  }

  Mutator& mutator_;
  Handle<Array<Member<Node>>> nodes_;
  Handle<Array<Member<Buffer>>> buffers_;
  std::minstd_rand random_;
};

int64_t NodesOfThread() {
  return absl::GetFlag(FLAGS_nodes) / absl::GetFlag(FLAGS_threads);
}

// Bytes that are alive, external ones included.
int64_t MeasureAlive() {
  const auto heap = Heap::Create({}).value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  const Kept kept(mutator, scope,
                  NodesOfThread() * absl::GetFlag(FLAGS_threads),
                  /*seed=*/1);
  heap->Collect();
  return heap->stats().live_bytes + heap->stats().external_bytes;
}

RunResult Run(bool limited, int64_t operations) {
  const int threads = absl::GetFlag(FLAGS_threads);
  HeapOptions options = HeapOptionsFromFlags();
  const int64_t limit = MeasureAlive() / 100 * absl::GetFlag(FLAGS_percent);
  if (limited) options.soft_limit_bytes = static_cast<size_t>(limit);
  const auto heap = Heap::Create(options).value();
  std::atomic<bool> done = false;
  int64_t most = 0;
  std::thread observer([&] {
    while (!done.load(std::memory_order_relaxed)) {
      const HeapStats stats = heap->stats();
      most = std::max(most, stats.block_bytes + stats.free_resident_bytes +
                                stats.external_bytes);
      absl::SleepFor(absl::Milliseconds(1));
    }
  });
  const int64_t each = operations / threads;
  // The clock starts when all have made what they keep.
  absl::Time start;
  std::barrier<std::function<void()>> filled(threads,
                                             [&start] { start = absl::Now(); });
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) {
    workers.emplace_back([&, i] {
      MutatorScope mutator(*heap);
      HandleScope scope(mutator);
      Kept kept(mutator, scope, NodesOfThread(), static_cast<uint32_t>(i + 1));
      {
        const ParkedScope parked(mutator);
        filled.arrive_and_wait();
      }
      for (int64_t n = 0; n < each; ++n) kept.Replace();
    });
  }
  for (std::thread& worker : workers) worker.join();
  const absl::Duration took = absl::Now() - start;
  done.store(true, std::memory_order_relaxed);
  observer.join();
  return {.units = each * threads,
          .figures = {
              {kFigure, absl::ToDoubleNanoseconds(took) /
                            static_cast<double>(each * threads)},
              {"most_percent",
               100.0 * static_cast<double>(most) / static_cast<double>(limit)},
              {"cycles", static_cast<double>(heap->stats().cycles)},
              {"seconds", absl::ToDoubleSeconds(took)},
          }};
}

absl::StatusOr<std::vector<Contest>> Contests() {
  const int64_t operations = absl::GetFlag(FLAGS_operations);
  absl::Status status = CheckHeapFlags();
  status.Update(CheckFlag("operations", operations, 1000, int64_t{1} << 40));
  status.Update(CheckFlag("nodes", absl::GetFlag(FLAGS_nodes), 100'000,
                          int64_t{1} << 31));
  status.Update(CheckFlag("threads", absl::GetFlag(FLAGS_threads), 1, 256));
  status.Update(CheckFlag("percent", absl::GetFlag(FLAGS_percent), 101, 1000));
  if (!status.ok()) return status;
  return std::vector<Contest>{
      {.name = "replace",
       .size = operations,
       .unit = "replacements",
       .figure = kFigure,
       .other_figures = {"most_percent", "cycles", "seconds"},
       .reference = "unlimited",
       .contestants = {
           {.name = "limited", .run = std::bind_front(Run, true)},
           {.name = "unlimited", .run = std::bind_front(Run, false)}}}};
}

std::vector<Derived> Derive(Figures largest) {
  return {{"percent of the soft limit, at most",
           largest("replace", "limited", "most_percent"), 102}};
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description = "Measures whether a heap keeps to its soft limit, and "
                      "what that costs.",
       .contests = bibop::benchmarks::Contests,
       .derive_from_largest = bibop::benchmarks::Derive});
}
