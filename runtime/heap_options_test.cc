#include "bibop/runtime/heap_options.h"

#include <cstddef>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "bibop/heap/cage.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

void ExpectRefused(const HeapOptions& options, const std::string& name,
                   const std::string& range) {
  const absl::Status status = Validate(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("HeapOptions::" + name), std::string::npos)
      << status;
  EXPECT_NE(status.message().find(range), std::string::npos) << status;
}

TEST(HeapOptions, TheDefaultsAreValid) {
  EXPECT_TRUE(Validate({}).ok()) << Validate({});
}

TEST(HeapOptions, TheEndsOfEachRangeAreValid) {
  EXPECT_TRUE(Validate({.max_bytes = 1 << 20}).ok());
  EXPECT_TRUE(Validate({.max_bytes = Cage::kCapacity}).ok());
  EXPECT_TRUE(Validate({.min_budget_bytes = 64 << 10}).ok());
  EXPECT_TRUE(Validate({.min_budget_bytes = Cage::kCapacity}).ok());
  EXPECT_TRUE(Validate({.small_heap_bytes = 64 << 10}).ok());
  EXPECT_TRUE(Validate({.small_heap_bytes = Cage::kCapacity}).ok());
  EXPECT_TRUE(Validate({.growth_factor = 1.1}).ok());
  EXPECT_TRUE(Validate({.growth_factor = 16}).ok());
  EXPECT_TRUE(Validate({.processors_per_gib = 0.001}).ok());
  EXPECT_TRUE(Validate({.processors_per_gib = 1000}).ok());
  for (absl::Duration half_life :
       {absl::ZeroDuration(), absl::Hours(1), absl::InfiniteDuration()}) {
    EXPECT_TRUE(Validate({.decommit_half_life = half_life}).ok());
  }
}

TEST(HeapOptions, ARefusalNamesTheOptionAndItsRange) {
  ExpectRefused({.max_bytes = 0}, "max_bytes", "1048576 to");
  ExpectRefused({.max_bytes = (1 << 20) - 1}, "max_bytes", "1048576 to");
  ExpectRefused({.max_bytes = Cage::kCapacity + 1}, "max_bytes", "1048576 to");
  ExpectRefused({.max_bytes = std::numeric_limits<size_t>::max()}, "max_bytes",
                "1048576 to");
  ExpectRefused({.min_budget_bytes = 0}, "min_budget_bytes", "65536 to");
  ExpectRefused({.small_heap_bytes = 0}, "small_heap_bytes", "65536 to");
  ExpectRefused({.decommit_half_life = -absl::Seconds(1)}, "decommit_half_life",
                "0 to 1h");
  ExpectRefused({.decommit_half_life = absl::Hours(2)}, "decommit_half_life",
                "0 to 1h");
  ExpectRefused({.processors_per_gib = 0}, "processors_per_gib",
                "0.001 to 1000");
  ExpectRefused({.processors_per_gib = 1001}, "processors_per_gib",
                "0.001 to 1000");
  ExpectRefused(
      {.processors_per_gib = std::numeric_limits<double>::quiet_NaN()},
      "processors_per_gib", "0.001 to 1000");
  ExpectRefused({.growth_factor = 1.0}, "growth_factor", "1.1 to 16");
  ExpectRefused({.growth_factor = -2}, "growth_factor", "1.1 to 16");
  ExpectRefused({.growth_factor = 17}, "growth_factor", "1.1 to 16");
  ExpectRefused({.growth_factor = std::numeric_limits<double>::quiet_NaN()},
                "growth_factor", "1.1 to 16");
  ExpectRefused({.growth_factor = std::numeric_limits<double>::infinity()},
                "growth_factor", "1.1 to 16");
}

}  // namespace
}  // namespace bibop
