// Reads a command line of Abseil flags and nothing else.
//
// absl::ParseCommandLine ends the program with 1 where a flag is wrong; the
// programs here return 1 for a run that failed and 2 for a wrong command line.

#ifndef BIBOP_BENCHMARKS_COMMAND_LINE_H_
#define BIBOP_BENCHMARKS_COMMAND_LINE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bibop::benchmarks {

// Sets the flags that `argv` names, as --NAME=VALUE or --NAME VALUE. Returns
// InvalidArgument if there is no such flag, if it does not take the value, and
// for a positional argument. To be called before other threads run.
absl::Status ParseFlags(int argc, char** argv);

// Whether `argv` asks for help.
bool AsksForHelp(int argc, char** argv);

// Returns the program's flags, with their defaults, a line or two for each.
std::string FlagsHelp();

// Returns InvalidArgument, with the flag's name and the accepted range, if
// `value` is not within it.
absl::Status CheckFlag(absl::string_view name, int64_t value, int64_t low,
                       int64_t high);

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_COMMAND_LINE_H_
