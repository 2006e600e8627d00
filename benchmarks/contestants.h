// What a benchmark program here is made of: contests, in each of which
// contestants do the same work.
//
// Plain values.

#ifndef BIBOP_BENCHMARKS_CONTESTANTS_H_
#define BIBOP_BENCHMARKS_CONTESTANTS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bibop/benchmarks/malloc_library.h"

namespace bibop::benchmarks {

// A number that a run comes to. Names are words of letters, digits and '_', and
// say the unit: "ns_per_object".
struct Figure {
  std::string name;
  double value;
};

// What a run returns.
struct RunResult {
  // How much work was done. All contestants do the same.
  int64_t units = 0;
  // Besides the figures that every run has: "wall_s" and "cpu_s", the time that
  // the run took, with the time of all its threads, and "peak_mib", the most
  // memory that the process had resident.
  // NOLINTNEXTLINE(readability-redundant-member-init): gcc wants one
  std::vector<Figure> figures = {};
};

// One way to do the work.
struct Contestant {
  std::string name;
  // What it runs on.
  Malloc malloc = Malloc::kGlibc;
  // Does the work at a size and frees what it allocated.
  std::function<RunResult(int64_t size)> run;
};

// What is compared.
struct Contest {
  // A word, different for each contest of a program.
  std::string name;
  // What `run` is given.
  int64_t size = 0;
  // What RunResult::units counts.
  std::string unit;
  // The figure that is compared, and others that are to be shown.
  std::string figure = "wall_s";
  // NOLINTNEXTLINE(readability-redundant-member-init): gcc wants one
  std::vector<std::string> other_figures = {};
  // The contestant whose figure the others' are divided by.
  std::string reference;
  std::vector<Contestant> contestants;
};

// A number that is computed from medians of one contest or of several.
struct Derived {
  std::string name;
  double value;
  // What it should not exceed.
  std::optional<double> at_most = std::nullopt;
};

// Returns contestants that do the same on each malloc, with that malloc's name.
std::vector<Contestant> OnEveryMalloc(
    const std::function<RunResult(int64_t size)>& run);

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_CONTESTANTS_H_
