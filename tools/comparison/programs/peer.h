// What the C++ peers have in common: their command line, the clocks, the line
// of JSON that a run prints.
//
// A peer is a program that does one run of one workload, single-threaded but
// for its collector:
//
//   PEER WORKLOAD [NUMBER...]
//
// It prints {"units": N, "figures": {"wall_s": ..., ...}} and returns 0; for a
// workload that it does not have it returns 2.

#ifndef BIBOP_TOOLS_COMPARISON_PROGRAMS_PEER_H_
#define BIBOP_TOOLS_COMPARISON_PROGRAMS_PEER_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "bibop/benchmarks/latencies.h"

namespace bibop::compare {

// In nanoseconds.
inline int64_t Read(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// What a run comes to.
struct Result {
  int64_t units = 0;
  std::vector<std::pair<std::string, double>> figures = {};
};

inline void Print(const Result& result) {
  std::printf("{\"units\": %lld, \"figures\": {",
              static_cast<long long>(result.units));
  const char* separator = "";
  for (const auto& [name, value] : result.figures) {
    std::printf("%s\"%s\": %.17g", separator, name.c_str(), value);
    separator = ", ";
  }
  std::printf("}}\n");
}

// The command line.
class Arguments {
 public:
  Arguments(int argc, char** argv)
      : workload_(argc > 1 ? argv[1] : ""), rest_(argv + 2, argv + argc) {}

  const std::string& workload() const { return workload_; }
  // The n-th number, from 0 on. Ends the program where there is none.
  int64_t number(size_t n) const {
    if (n >= rest_.size()) {
      std::fprintf(stderr, "%s takes more numbers\n", workload_.c_str());
      std::exit(2);
    }
    return std::strtoll(rest_[n].c_str(), nullptr, 10);
  }

 private:
  std::string workload_;
  std::vector<std::string> rest_;
};

// Times `work`, which returns units.
Result Timed(auto work) {
  const int64_t wall = Read(CLOCK_MONOTONIC);
  const int64_t cpu = Read(CLOCK_PROCESS_CPUTIME_ID);
  Result result = {.units = work()};
  const auto seconds = [](int64_t ns) { return static_cast<double>(ns) / 1e9; };
  result.figures = {{"wall_s", seconds(Read(CLOCK_MONOTONIC) - wall)},
                    {"cpu_s", seconds(Read(CLOCK_PROCESS_CPUTIME_ID) - cpu)}};
  return result;
}

// Times `operations` operations that `batch`, which does a thousand, does, by
// the processor time of this thread, for nobody waits for anything in there; an
// eighth as many before that to warm up.
Result TimedBatches(int64_t operations, const char* figure, auto batch) {
  const int64_t batches = operations / 1000;
  for (int64_t i = batches / 8; i >= 0; --i) batch();
  const int64_t start = Read(CLOCK_THREAD_CPUTIME_ID);
  for (int64_t i = 0; i < batches; ++i) batch();
  const auto ns = static_cast<double>(Read(CLOCK_THREAD_CPUTIME_ID) - start);
  return {.units = batches * 1000,
          .figures = {{figure, ns / static_cast<double>(batches * 1000)}}};
}

// Times each of `operations` calls of `operate`, after `warm_up` of them.
Result TimedOperations(int64_t operations, int64_t warm_up, auto operate) {
  for (int64_t i = 0; i < warm_up; ++i) operate();
  benchmarks::Latencies latencies;
  const int64_t start = Read(CLOCK_MONOTONIC);
  int64_t before = start;
  for (int64_t i = 0; i < operations; ++i) {
    operate();
    const int64_t now = Read(CLOCK_MONOTONIC);
    latencies.Add(now - before);
    before = now;
  }
  const auto us = [](int64_t ns) { return static_cast<double>(ns) / 1000; };
  return {
      .units = operations,
      .figures = {{"p50_us", us(latencies.Quantile(0.5))},
                  {"p99_us", us(latencies.Quantile(0.99))},
                  {"p999_us", us(latencies.Quantile(0.999))},
                  {"p9999_us", us(latencies.Quantile(0.9999))},
                  {"max_us", us(latencies.max())},
                  {"operations_s", static_cast<double>(before - start) / 1e9}}};
}

}  // namespace bibop::compare

#endif  // BIBOP_TOOLS_COMPARISON_PROGRAMS_PEER_H_
