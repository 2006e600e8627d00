// What a program's runs came to, as a table and as JSON.

#ifndef BIBOP_BENCHMARKS_REPORT_H_
#define BIBOP_BENCHMARKS_REPORT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "bibop/benchmarks/contestants.h"

namespace bibop::benchmarks {

// The runs of one contestant: the values of each figure, in the order of the
// runs. No figure at all if it was left out.
struct ContestantRuns {
  const Contestant* contestant;
  // NOLINTNEXTLINE(readability-redundant-member-init): gcc wants one
  std::map<std::string, std::vector<double>> figures = {};
};

// The runs of one contest. Refers to the Contest, which has to outlive it.
struct ContestRuns {
  const Contest* contest;
  // The work of each run.
  int64_t units = 0;
  // NOLINTNEXTLINE(readability-redundant-member-init): gcc wants one
  std::vector<ContestantRuns> contestants = {};
};

// All that is reported.
struct Report {
  std::string program;
  int repetitions;
  std::vector<ContestRuns> contests;
  std::vector<Derived> derived;
  // Mallocs that contestants were left out for, by name, and why.
  std::map<std::string, std::string> left_out;
};

// Values in short. None at all have no median: it is NaN, and so are the
// others.
struct Summary {
  double median;
  double min;
  double max;
};
Summary Summarize(std::vector<double> values);

// Returns a figure of a contestant in short, with NaNs if there is none such or
// if it was left out.
Summary SummaryOf(absl::Span<const ContestRuns> contests,
                  absl::string_view contest, absl::string_view contestant,
                  absl::string_view figure);

// Returns a table for each contest, one of all their medians if there are
// several, and the derived numbers.
std::string FormatTable(const Report& report);

// Returns the same as JSON, with the values of each run and what is known of
// the machine and the build.
std::string FormatJson(const Report& report);

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_REPORT_H_
