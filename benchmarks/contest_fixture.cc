// A program for contest_test.sh: contests whose figures are known.

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"

ABSL_FLAG(int64_t, size, 1, "the work: 1 to 9");
ABSL_FLAG(std::string, log, "", "a file to which each run appends its name");
ABSL_FLAG(std::string, second, "works",
          "what the second does: works, differs, exits, aborts");

namespace bibop::benchmarks {
namespace {

// Appends to the log and returns how many lines it then has.
int Log(const char* name) {
  const std::string path = absl::GetFlag(FLAGS_log);
  std::ofstream(path, std::ios::app) << name << '\n';
  std::ifstream log(path);
  int lines = 0;
  for (std::string line; std::getline(log, line);) ++lines;
  return lines;
}

RunResult First(int64_t size) {
  return {.units = size,
          .figures = {{"lines", static_cast<double>(Log("first"))}}};
}

RunResult Second(int64_t size) {
  const std::string second = absl::GetFlag(FLAGS_second);
  if (second == "exits") std::exit(7);
  if (second == "aborts") std::abort();
  return {.units = second == "differs" ? size + 1 : size,
          .figures = {{"lines", static_cast<double>(Log("second"))}}};
}

RunResult OnMalloc(int64_t size) {
  return {.units = size, .figures = {{"lines", 1}}};
}

absl::StatusOr<std::vector<Contest>> Contests() {
  const int64_t size = absl::GetFlag(FLAGS_size);
  absl::Status status = CheckFlag("size", size, 1, 9);
  if (!status.ok()) return status;
  std::vector<Contestant> contestants = OnEveryMalloc(OnMalloc);
  contestants.insert(contestants.begin(), {{.name = "first", .run = First},
                                           {.name = "second", .run = Second}});
  return std::vector<Contest>{{.name = "lines",
                               .size = size,
                               .unit = "\"units\"",
                               .figure = "lines",
                               .reference = "first",
                               .contestants = contestants}};
}

std::vector<Derived> Derive(Figures median) {
  return {{.name = "low",
           .value = median("lines", "second", "lines"),
           .at_most = 1},
          {.name = "high", .value = 1, .at_most = 1},
          {.name = "none", .value = median("lines", "nobody", "lines")}};
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description = "Known figures.",
       .contests = bibop::benchmarks::Contests,
       .derive = bibop::benchmarks::Derive});
}
