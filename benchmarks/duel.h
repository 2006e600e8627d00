// Times two ways to do the same work, in turn, and prints medians and ratios.
//
// Each run is a process of its own, so that neither sees memory that the other
// warmed up or left behind, and the system accounts for its time and memory.

#ifndef BIBOP_BENCHMARKS_DUEL_H_
#define BIBOP_BENCHMARKS_DUEL_H_

#include <cstdint>

namespace bibop::benchmarks {

// One of the two ways.
struct Contestant {
  const char* name;
  // Does the work at a size and returns how many units it did: both contestants
  // must return the same number.
  int64_t (*run)(int size);
};

// What is measured.
struct Contest {
  const char* name;
  // What the returned number counts.
  const char* unit;
  int default_size;
  int min_size;
  int max_size;
};

// Reads `[SIZE [REPETITIONS]]` from the command line, runs both contestants
// that often (5 times by default) after one warm-up, and prints for each the
// median wall time, CPU time and peak memory, and the ratios of the second's
// medians to the first's. Returns the process's exit status: 2 for a wrong
// argument, 1 if a run failed or the two did not do the same work.
int Duel(int argc, char** argv, const Contest& contest, const Contestant& first,
         const Contestant& second);

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_DUEL_H_
