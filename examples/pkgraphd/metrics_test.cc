#include "bibop/examples/pkgraphd/metrics.h"

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "bibop/gc.h"
#include "gtest/gtest.h"

namespace bibop::pkgraphd {
namespace {

Metrics Sample() {
  Metrics metrics;
  metrics.uptime = absl::Seconds(2);
  metrics.heap.live_bytes = 12345678901;
  metrics.heap.cycles = 3;
  metrics.heap.lock_waits = 4;
  metrics.heap.lock_wait_time = absl::Microseconds(15);
  metrics.heap.max_pause = absl::Microseconds(250);
  metrics.async_scopes = 7;
  metrics.http.responses_by_class = {0, 0, 5, 0, 2, 1};
  for (int i = 1; i <= 3; ++i) {
    CycleStats cycle;
    cycle.cycle = i;
    cycle.initial_pause = absl::Microseconds(100 * i);
    metrics.cycles.push_back(cycle);
  }
  return metrics;
}

TEST(MetricsTest, EachSampleIsOfAMetricThatWasIntroducedOnce) {
  std::set<std::string> introduced;
  std::string type;
  for (std::string_view line :
       absl::StrSplit(PrometheusText(Sample()), '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (words[0] == "#") {
      ASSERT_GE(words.size(), 4u) << line;
      if (words[1] == "TYPE") {
        EXPECT_TRUE(words[3] == "gauge" || words[3] == "counter") << line;
      } else {
        EXPECT_EQ(words[1], "HELP") << line;
        EXPECT_TRUE(introduced.insert(words[2]).second) << line;
      }
      type = words[2];
      continue;
    }
    double value = 0;
    ASSERT_EQ(words.size(), 2u) << line;
    EXPECT_TRUE(absl::SimpleAtod(words[1], &value)) << line;
    const std::vector<std::string> name = absl::StrSplit(words[0], '{');
    EXPECT_EQ(name[0], type) << line;
    for (const char c : name[0])
      EXPECT_TRUE(absl::ascii_isalpha(c) || c == '_');
  }
  EXPECT_FALSE(introduced.empty());
}

TEST(MetricsTest, ValuesKeepTheirDigits) {
  const std::string text = PrometheusText(Sample());
  for (std::string_view line : {
           "bibop_heap_live_bytes 12345678901",
           "bibop_heap_lock_waits_total 4",
           "bibop_heap_lock_wait_seconds_total 1.5e-05",
           "bibop_gc_cycles_total 3",
           "bibop_gc_max_pause_seconds 0.00025",
           "bibop_gc_recent_pause_seconds{quantile=\"0.5\"} 2e-04",
           "bibop_gc_recent_pause_seconds{quantile=\"1\"} 3e-04",
           "bibop_async_scopes 7",
           "pkgraphd_responses_total{code=\"2xx\"} 5",
           "pkgraphd_responses_total{code=\"4xx\"} 2",
       }) {
    EXPECT_TRUE(absl::StrContains(text, absl::StrCat("\n", line, "\n")) ||
                absl::StartsWith(text, line))
        << line << " is not in\n"
        << text;
  }
}

TEST(MetricsTest, ThePageGetsEachCollection) {
  const std::string json = ToJson(Sample());
  EXPECT_TRUE(absl::StrContains(json, R"("uptime_us": 2000000)")) << json;
  EXPECT_TRUE(absl::StrContains(json, R"("responses": 8)")) << json;
  EXPECT_TRUE(absl::StrContains(
      json, R"({"cycle": 3, "initial_pause_us": 300, "final_pause_us": 0)"))
      << json;
}

}  // namespace
}  // namespace bibop::pkgraphd
