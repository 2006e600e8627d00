#include "bibop/benchmarks/latencies.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace bibop::benchmarks {

int64_t Latencies::Quantile(double quantile) const {
  const auto rank =
      static_cast<int64_t>(std::ceil(quantile * static_cast<double>(count_)));
  int64_t seen = 0;
  for (size_t bucket = 0; bucket < counts_.size(); ++bucket) {
    seen += counts_[bucket];
    if (seen >= rank && seen > 0) return std::min(EndOf(bucket), max_);
  }
  return 0;
}

int64_t Latencies::EndOf(size_t bucket) {
  if (bucket < kSteps) return static_cast<int64_t>(bucket);
  const size_t shift = bucket / kSteps - 1;
  const size_t step = bucket - shift * kSteps;
  return static_cast<int64_t>(((uint64_t{step} + 1) << shift) - 1);
}

}  // namespace bibop::benchmarks
