// Runs this program once more, as a process of its own, and says what it wrote
// and how much memory it took.

#ifndef BIBOP_BENCHMARKS_SUBPROCESS_H_
#define BIBOP_BENCHMARKS_SUBPROCESS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace bibop::benchmarks {

// A process that has ended.
struct Subprocess {
  // What it wrote to its standard output and standard error.
  std::string output;
  std::string errors;
  // As wait(2) reports it: 0 for success.
  int wait_status;
  // The most memory that it had resident at a time. The system does not count
  // below what this process had when it started the other one: a few MiB.
  int64_t peak_resident_bytes;
};

// Runs this program with `arguments`, of which the first is its name, and with
// LD_PRELOAD set to `preload`, or not set where that is empty; otherwise the
// environment and standard input are this process's. Waits for its end. Returns
// an error if it could not be run; how it ended is in the result.
absl::StatusOr<Subprocess> RunThisProgram(std::vector<std::string> arguments,
                                          const std::string& preload);

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_SUBPROCESS_H_
