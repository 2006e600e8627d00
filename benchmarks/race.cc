#include "bibop/benchmarks/race.h"

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace bibop::benchmarks {

Race::Race(int threads, int64_t rounds)
    : threads_(threads), rounds_(rounds), start_(threads) {}

void Race::Run(absl::FunctionRef<void()> body) const {
  std::vector<std::thread> others;
  for (int i = 1; i < threads_; ++i) others.emplace_back(body);
  body();
  for (std::thread& thread : others) thread.join();
}

absl::Duration Race::wall() const {
  const absl::MutexLock lock(mutex_);
  return last_end_ - first_start_;
}

absl::Duration Race::cpu() const {
  const absl::MutexLock lock(mutex_);
  return cpu_;
}

Race::Times Race::Now() {
  timespec wall = {};
  timespec cpu = {};
  clock_gettime(CLOCK_MONOTONIC, &wall);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  return {absl::DurationFromTimespec(wall), absl::DurationFromTimespec(cpu)};
}

void Race::Finish(const Times& start, const Times& end) {
  const absl::MutexLock lock(mutex_);
  first_start_ = std::min(first_start_, start.wall);
  last_end_ = std::max(last_end_, end.wall);
  cpu_ += end.cpu - start.cpu;
}

}  // namespace bibop::benchmarks
