#include "bibop/examples/pkgraph/churn.h"

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop::pkgraph {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// One package that depends on `count` others.
std::string Index(int count) {
  std::string text = "Package: a\nVersion: 1\nArchitecture: all\nDepends: x0";
  for (int i = 1; i < count; ++i) absl::StrAppend(&text, ",\n x", i);
  return text + "\n";
}

TEST(ChurnTest, BuildsTheGraphAsOftenAsAskedAndDropsEachOne) {
  constexpr int kNames = 10'000;
  std::istringstream text(Index(kNames));
  std::vector<int64_t> progress;
  const absl::StatusOr<ChurnReport> report =
      Churn(text, "index", 3, [&](int64_t done) { progress.push_back(done); });
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(progress, ElementsAre(1, 2, 3));
  EXPECT_EQ(report->package_count, kNames + 1);
  EXPECT_EQ(report->resident_bytes.size(), 3);

  // A package, a dependency and an alternative for each name, and little
  // besides.
  EXPECT_GT(report->live_objects, 3 * kNames);
  EXPECT_LT(report->live_objects, 3 * kNames + 500);
  EXPECT_GT(report->live_bytes, report->live_objects * 16);
  EXPECT_EQ(report->live_objects_after, 0);
  EXPECT_GE(report->allocated_objects, 3 * report->live_objects);
  EXPECT_GE(report->allocated_bytes, 3 * report->live_bytes);
  EXPECT_GE(report->pauses.size(), 2);
  EXPECT_GT(report->pauses[0], absl::ZeroDuration());
  EXPECT_GT(report->elapsed, absl::ZeroDuration());
  EXPECT_GE(report->peak_resident_bytes, report->resident_bytes[0]);
}

TEST(ChurnTest, MalformedTextIsAnError) {
  std::istringstream text("Package a\n");
  const absl::StatusOr<ChurnReport> report =
      Churn(text, "index", 3, [](int64_t) {});
  EXPECT_THAT(std::string(report.status().message()), HasSubstr("index:1: "));
}

TEST(PercentileTest, IsTheValueThatSoManyDoNotExceed) {
  std::vector<absl::Duration> values;
  for (int i = 200; i >= 1; --i) values.push_back(absl::Seconds(i));
  EXPECT_EQ(Percentile(values, 1), absl::Seconds(2));
  EXPECT_EQ(Percentile(values, 50), absl::Seconds(100));
  EXPECT_EQ(Percentile(values, 99), absl::Seconds(198));
  EXPECT_EQ(Percentile(values, 100), absl::Seconds(200));
  EXPECT_EQ(Percentile({absl::Seconds(7)}, 50), absl::Seconds(7));
  EXPECT_EQ(Percentile({}, 50), absl::ZeroDuration());
}

}  // namespace
}  // namespace bibop::pkgraph
