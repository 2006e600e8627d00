// CycleLog: the last collections of a heap, for HeapOptions::on_cycle_end.
//
// Any thread may call any function.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_CYCLE_LOG_H_
#define BIBOP_EXAMPLES_PKGRAPHD_CYCLE_LOG_H_

#include <cstddef>
#include <deque>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

class CycleLog {
 public:
  // How many collections are remembered.
  static constexpr size_t kCycles = 256;

  // Adds a collection, and forgets the oldest of more than kCycles.
  void Add(const CycleStats& cycle) ABSL_LOCKS_EXCLUDED(mutex_);

  // Those that are remembered, the last one last.
  std::vector<CycleStats> Recent() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  std::deque<CycleStats> cycles_ ABSL_GUARDED_BY(mutex_);
};

// The two pauses of each of these collections, the shortest first. Without the
// second if the first did it all.
std::vector<absl::Duration> SortedPauses(const std::vector<CycleStats>& cycles);

// The smallest of `sorted` that at least a share `quantile` of them does not
// exceed; zero if there are none.
//
// REQUIRES: 0 < quantile <= 1
absl::Duration Quantile(const std::vector<absl::Duration>& sorted,
                        double quantile);

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_CYCLE_LOG_H_
