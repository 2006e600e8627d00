// Latencies: how often something took how long, in buckets that are fixed and
// grow with the time, so that any number of times takes the same memory and any
// quantile is known to 3 %. (As in HdrHistogram.)
//
// Used by one thread.

#ifndef BIBOP_BENCHMARKS_LATENCIES_H_
#define BIBOP_BENCHMARKS_LATENCIES_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace bibop::benchmarks {

class Latencies {
 public:
  // Adds a time, 0 or more.
  void Add(int64_t nanoseconds) {
    ++counts_[Bucket(static_cast<uint64_t>(nanoseconds))];
    ++count_;
    max_ = std::max(max_, nanoseconds);
  }

  // How many were added.
  int64_t count() const { return count_; }
  // The longest; 0 if there is none.
  int64_t max() const { return max_; }

  // The time that so much of all, 0 to 1, did not exceed, rounded up to the end
  // of its bucket but not over max(); 0 if there is none.
  int64_t Quantile(double quantile) const;

 private:
  // Each power of two from 32 on is divided into as many buckets; below, each
  // nanosecond has its own.
  static constexpr int kStepsLog2 = 5;
  static constexpr size_t kSteps = size_t{1} << kStepsLog2;

  // 64 * kSteps is more than any.
  static size_t Bucket(uint64_t time) {
    if (time < kSteps) return time;
    const int shift = static_cast<int>(std::bit_width(time)) - 1 - kStepsLog2;
    return static_cast<size_t>(shift) * kSteps + (time >> shift);
  }
  // The longest time in a bucket.
  static int64_t EndOf(size_t bucket);

  std::array<int64_t, 64 * kSteps> counts_ = {};
  int64_t count_ = 0;
  int64_t max_ = 0;
};

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_LATENCIES_H_
