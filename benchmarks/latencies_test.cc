#include "bibop/benchmarks/latencies.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace bibop::benchmarks {
namespace {

TEST(LatenciesTest, NoneAtAllIsZero) {
  const Latencies none;
  EXPECT_EQ(none.count(), 0);
  EXPECT_EQ(none.max(), 0);
  EXPECT_EQ(none.Quantile(0.5), 0);
}

TEST(LatenciesTest, QuantilesAreExactForShortTimes) {
  Latencies latencies;
  for (int64_t time = 1; time <= 30; ++time) latencies.Add(time);
  EXPECT_EQ(latencies.Quantile(0), 1);
  EXPECT_EQ(latencies.Quantile(0.5), 15);
  EXPECT_EQ(latencies.Quantile(0.9), 27);
  EXPECT_EQ(latencies.Quantile(1), 30);
}

TEST(LatenciesTest, QuantilesAreAtMostThreePercentTooLong) {
  for (int64_t time = 1; time < int64_t{1} << 61; time += 1 + time / 7) {
    Latencies latencies;
    latencies.Add(time);
    latencies.Add(int64_t{1} << 62);
    const int64_t median = latencies.Quantile(0.5);
    ASSERT_GE(median, time);
    ASSERT_LE(median - time, time / 32);
    ASSERT_EQ(latencies.max(), int64_t{1} << 62);
  }
}

TEST(LatenciesTest, ARareLongOneShowsInTheHighestQuantilesOnly) {
  Latencies latencies;
  for (int i = 0; i < 9999; ++i) latencies.Add(100);
  latencies.Add(1'000'000);
  EXPECT_LE(latencies.Quantile(0.9999), 103);
  EXPECT_EQ(latencies.Quantile(1), 1'000'000);
  EXPECT_EQ(latencies.count(), 10'000);
}

}  // namespace
}  // namespace bibop::benchmarks
