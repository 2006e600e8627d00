#include "bibop/examples/pkgraphd/cycle_log.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

void CycleLog::Add(const CycleStats& cycle) {
  const absl::MutexLock lock(mutex_);
  cycles_.push_back(cycle);
  if (cycles_.size() > kCycles) cycles_.pop_front();
}

std::vector<CycleStats> CycleLog::Recent() const {
  const absl::MutexLock lock(mutex_);
  return {cycles_.begin(), cycles_.end()};
}

std::vector<absl::Duration> SortedPauses(
    const std::vector<CycleStats>& cycles) {
  std::vector<absl::Duration> pauses;
  for (const CycleStats& cycle : cycles) {
    pauses.push_back(cycle.initial_pause);
    if (cycle.final_pause > absl::ZeroDuration()) {
      pauses.push_back(cycle.final_pause);
    }
  }
  std::sort(pauses.begin(), pauses.end());
  return pauses;
}

absl::Duration Quantile(const std::vector<absl::Duration>& sorted,
                        double quantile) {
  if (sorted.empty()) return absl::ZeroDuration();
  const auto rank = static_cast<size_t>(  // from 1
      std::ceil(quantile * static_cast<double>(sorted.size())));
  return sorted[std::clamp<size_t>(rank, 1, sorted.size()) - 1];
}

}  // namespace bibop::pkgraphd
