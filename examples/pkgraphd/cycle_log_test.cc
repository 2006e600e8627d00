#include "bibop/examples/pkgraphd/cycle_log.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "bibop/gc.h"
#include "gtest/gtest.h"

namespace bibop::pkgraphd {
namespace {

TEST(CycleLogTest, RemembersTheLastCollections) {
  CycleLog log;
  constexpr int kMore = 10;
  for (size_t i = 1; i <= CycleLog::kCycles + kMore; ++i) {
    log.Add({.cycle = static_cast<int64_t>(i)});
  }
  const std::vector<CycleStats> recent = log.Recent();
  ASSERT_EQ(recent.size(), CycleLog::kCycles);
  EXPECT_EQ(recent.front().cycle, kMore + 1);
  EXPECT_EQ(recent.back().cycle, int64_t{CycleLog::kCycles} + kMore);
}

TEST(CycleLogTest, EachCollectionHasOneOrTwoPauses) {
  CycleStats one, two;
  one.initial_pause = absl::Microseconds(30);
  two.initial_pause = absl::Microseconds(10);
  two.final_pause = absl::Microseconds(50);
  EXPECT_EQ(SortedPauses({one, two}),
            (std::vector<absl::Duration>{absl::Microseconds(10),
                                         absl::Microseconds(30),
                                         absl::Microseconds(50)}));
}

TEST(CycleLogTest, AQuantileIsOneOfTheValues) {
  std::vector<absl::Duration> sorted;
  for (int i = 1; i <= 100; ++i) sorted.push_back(absl::Microseconds(i));
  EXPECT_EQ(Quantile(sorted, 0.5), absl::Microseconds(50));
  EXPECT_EQ(Quantile(sorted, 0.99), absl::Microseconds(99));
  EXPECT_EQ(Quantile(sorted, 1), absl::Microseconds(100));
  EXPECT_EQ(Quantile({absl::Microseconds(7)}, 0.01), absl::Microseconds(7));
  EXPECT_EQ(Quantile({}, 0.5), absl::ZeroDuration());
}

}  // namespace
}  // namespace bibop::pkgraphd
