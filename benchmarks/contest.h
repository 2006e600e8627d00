// The main function of a benchmark program: it lets contestants do the same
// work in turn and compares their medians.
//
//   int main(int argc, char** argv) {
//     return RunContests(argc, argv, {.description = ..., .contests = ...});
//   }
//
// Each run is a process of its own, so that none sees memory that another
// warmed up or left behind, and so that a contestant can have its own malloc:
// the program runs itself. The rounds are interleaved: first every contestant
// of every contest runs once, which counts for nothing, then once more, and so
// on; a machine that gets slower meanwhile gets slower for all.
//
// The command line consists of flags: those that the program defines, and
//
//   --repetitions=5   runs of each contestant that count
//   --json=FILE       writes all figures there, too
//   --run=CONTEST/CONTESTANT
//                     does one run in this process and prints its figures, as
//                     for a profiler

#ifndef BIBOP_BENCHMARKS_CONTEST_H_
#define BIBOP_BENCHMARKS_CONTEST_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bibop/benchmarks/contestants.h"  // IWYU pragma: export

namespace bibop::benchmarks {

// The median of a figure's runs, or the largest of their values; NaN, which
// Derived::value may be, if the contestant was left out.
using Figures = absl::FunctionRef<double(absl::string_view contest,
                                         absl::string_view contestant,
                                         absl::string_view figure)>;

// A benchmark program.
struct Program {
  // What it measures, for --help.
  std::string description;
  // Called when the flags have their values. Returns at least one contest, or
  // InvalidArgument for a flag out of its range. The same flags must give the
  // same contests.
  std::function<absl::StatusOr<std::vector<Contest>>()> contests;
  // What else is to be computed from the medians; may be null.
  std::function<std::vector<Derived>(Figures)> derive = nullptr;
  // And from the largest values, for what no run may exceed; may be null.
  std::function<std::vector<Derived>(Figures)> derive_from_largest = nullptr;
};

// Reads the command line, runs the contests, prints tables. A contestant whose
// malloc is not installed is left out, and the output says what to install.
//
// Returns the process's exit status: 2 for a wrong command line, also where the
// file that --json names cannot be opened; 1 if a run failed, if contestants of
// one contest did different work, or if the output could not be written.
int RunContests(int argc, char** argv, const Program& program);

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_CONTEST_H_
